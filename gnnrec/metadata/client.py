"""HTTP client with rate limiting, retries and response-size limits.

Poster addresses and redirect targets come from responses, and requests carry an API key. The key is therefore sent to
the service alone and removed from every message, and a response cannot direct a request to a private network.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, quote_plus, urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util import Retry

from gnnrec.errors import ConfigError, DownloadError

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes of temporary failures."""
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
_CHUNK_SIZE = 1 << 14
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa")

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


class FetchError(DownloadError):
    """A request failed; the message contains the address without the API key, and the cause."""


class NotFoundError(FetchError):
    """The resource does not exist or cannot be used; repeating the request does not help."""


class ServiceUnavailableError(FetchError):
    """There was no usable response after all attempts; a later request may succeed."""


class RateLimitError(FetchError):
    """The daily quota is used up, or the server requires a long pause."""


class AuthenticationError(FetchError):
    """The service rejects the API key."""


@dataclass(frozen=True)
class RequestPolicy:
    """Timeouts, retries and rate limit of a client.

    Parameters
    ----------
    connect_timeout : float
        Seconds to wait for a connection.
    read_timeout : float
        Seconds to wait for the next bytes.
    total_timeout : float
        Seconds for one attempt, including name resolution and the complete body.
    max_attempts : int
        Number of attempts before giving up.
    backoff : float
        Seconds before the second attempt; doubled before each further attempt, plus random jitter.
    max_wait : float
        Longest pause in seconds between attempts. If the server requires a longer one, the run ends.
    rate_limit : float
        Maximum number of requests per second to one host.

    Raises
    ------
    ConfigError
        A value is not positive.

    Examples
    --------
    >>> RequestPolicy(rate_limit=2).max_attempts
    4
    """

    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    total_timeout: float = 60.0
    max_attempts: int = 4
    backoff: float = 1.0
    max_wait: float = 60.0
    rate_limit: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"{name} must be greater than 0, not {value}")


class RateLimiter:
    """Spaces requests to the same host evenly.

    Parameters
    ----------
    rate_limit : float
        Maximum number of requests per second to one host.
    clock, sleep : callable
        Source of time in seconds, and the function that waits.

    Examples
    --------
    >>> pauses = []
    >>> limiter = RateLimiter(2, clock=lambda: 0.0, sleep=pauses.append)
    >>> for host in ("example.org", "example.org", "example.com"):
    ...     limiter.wait(host)
    >>> pauses
    [0.0, 0.5, 0.0]
    """

    def __init__(self, rate_limit: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._interval, self._clock, self._sleep = 1 / rate_limit, clock, sleep
        self._next_start: dict[str, float] = {}

    def wait(self, host: str) -> None:
        """Wait until the next request to a host may start."""
        now = self._clock()
        start = max(now, self._next_start.get(host, now))
        self._next_start[host] = start + self._interval
        self._sleep(start - now)


@dataclass(frozen=True)
class HttpResponse:
    """Status code, headers (with lower-case names) and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(eq=False)
class Client:
    """HTTP client for one service.

    Parameters
    ----------
    trusted_urls : tuple of str
        Addresses configured by the caller. Their hosts may be private; other addresses found in responses may not.
    api_key : str
        Secret that is sent only to the first of `trusted_urls` and removed from all messages.
    headers, params : mapping of str to str
        Headers and query parameters that carry the key.
    policy : RequestPolicy
        Timeouts, retries and rate limit.
    clock, sleep : callable
        Source of time in seconds, and the function that waits; replaced in tests.

    Raises
    ------
    ConfigError
        An address is neither http nor https.

    Examples
    --------
    >>> client = Client(("https://api.example.org/3",), api_key="abc", params={"api_key": "abc"})
    >>> client.redact("https://api.example.org/3/movie?api_key=abc")
    'https://api.example.org/3/movie?api_key=***'
    """

    trusted_urls: tuple[str, ...]
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    policy: RequestPolicy = field(default_factory=RequestPolicy)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    _limiter: RateLimiter = field(init=False, repr=False)
    _session: requests.Session = field(default_factory=lambda: _Session(), init=False, repr=False)

    def __post_init__(self) -> None:
        for url in self.trusted_urls:
            if origin(url) is None:
                raise ConfigError(f"{url!r} is not a server address; it must start with https:// or http://")
        self._limiter = RateLimiter(self.policy.rate_limit, self.clock, self.sleep)
        if self.api_key:
            _LOG_FILTER.api_keys.add(self.api_key)
            logging.getLogger("urllib3.connectionpool").addFilter(_LOG_FILTER)

    def redact(self, text: str) -> str:
        """Return a text with the API key replaced by ``***``."""
        return _redact(text, (self.api_key,))

    def get_json(self, url: str, params: Mapping[str, Any], max_bytes: int = 5_000_000) -> tuple[int, dict[str, Any]]:
        """Request a JSON object from the service; return the status code and the object.

        Raises
        ------
        FetchError
            As `get`, and `ServiceUnavailableError` if the response is not a JSON object.
        """
        response = self.get(url, max_bytes, params)
        try:
            value = json.loads(self.redact(response.body.decode("utf-8")))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ServiceUnavailableError(
                f"{self._display(url)} answered {response.status} without a JSON object; check the API address"
            )
        return response.status, value

    def get(self, url: str, max_bytes: int, params: Mapping[str, Any] | None = None) -> HttpResponse:
        """Request an address, and repeat the request after temporary failures.

        Parameters
        ----------
        url : str
            Address without the key.
        max_bytes : int
            Maximum size of the body; a larger one is not read to its end.
        params : mapping, optional
            Query parameters without the key. The key is sent only if they are given.

        Raises
        ------
        ServiceUnavailableError
            All attempts failed.
        NotFoundError
            The response is too large or redirects to a forbidden address.
        RateLimitError
            The server requires a pause of more than ``policy.max_wait`` seconds.
        """
        policy = self.policy
        retries = Retry(
            total=policy.max_attempts - 1,
            status_forcelist=RETRY_STATUSES,
            backoff_factor=policy.backoff,
            backoff_jitter=policy.backoff / 2,
            backoff_max=policy.max_wait,
        )
        while True:
            retry_after = 0.0
            try:
                response = self._follow_redirects(url, max_bytes, params)
            except ServiceUnavailableError as error:
                failure = error
            else:
                if not retries.is_retry("GET", response.status):
                    return response
                failure = ServiceUnavailableError(f"{self._display(url)} answered {response.status}")
                retry_after = _retry_after(response, retries)
                if retry_after > policy.max_wait:
                    raise RateLimitError(f"{failure} and requires a pause of {retry_after:,.0f} seconds")
            try:
                retries = retries.increment("GET", error=failure)
            except MaxRetryError:
                raise ServiceUnavailableError(f"{failure} ({policy.max_attempts} attempts)") from None
            # urllib3 repeats a request for the first time without any pause, too soon for a busy server.
            pause = min(max(policy.backoff, retries.get_backoff_time(), retry_after), policy.max_wait)
            logger.info("%s; next attempt in %.1f seconds", failure, pause)
            self.sleep(pause)

    def _follow_redirects(self, url: str, max_bytes: int, params: Mapping[str, Any] | None) -> HttpResponse:
        start = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(url, max_bytes, params)
            target = response.headers.get("location")
            if response.status not in REDIRECT_STATUSES or target is None:
                return response
            # The target already contains the query parameters that it needs.
            previous, url, params = url, _join(url, target), None if params is None else {}
            redirect = f"{self._display(start)} redirects to {self._display(url)}"
            if previous.startswith("https:") and url.startswith("http:"):
                raise NotFoundError(f"{redirect}, from https to unencrypted http")
            if origin(url) != origin(self.trusted_urls[0]) and self.redact(url) != url:
                raise NotFoundError(f"{redirect}, which must not receive the API key")
        raise NotFoundError(f"{self._display(start)} redirects more than {MAX_REDIRECTS} times")

    def _send(self, url: str, max_bytes: int, params: Mapping[str, Any] | None) -> HttpResponse:
        target = origin(url)
        if target is None:
            raise NotFoundError(f"{self._display(url)!r} is not an http or https address")
        with_key = params is not None and target == origin(self.trusted_urls[0])
        query = {**(params or {}), **(self.params if with_key else {})}
        headers = {"User-Agent": "gnnrec", "Accept-Encoding": "identity", **(self.headers if with_key else {})}
        self._limiter.wait(target.host)
        total_timeout = self.policy.total_timeout
        try:
            return _call_with_timeout(total_timeout, lambda: self._read(url, max_bytes, query, headers))
        except TimeoutError:
            self._session = _Session()  # the old session is still in use by the abandoned thread
            cause = f"no response within {total_timeout:g} seconds"
        except requests.Timeout:
            cause = "no response in time"
        except (requests.RequestException, HTTPError, OSError) as error:
            cause = self.redact(_root_cause(error))
        raise ServiceUnavailableError(f"{self._display(url)} could not be fetched: {cause}")

    def _read(self, url: str, max_bytes: int, query: dict[str, Any], headers: dict[str, str]) -> HttpResponse:
        if origin(url) not in map(origin, self.trusted_urls) and not is_public(url):
            raise NotFoundError(f"{self._display(url)} is in a private network, which responses must not lead to")
        end = self.clock() + self.policy.total_timeout
        with self._session.get(
            url,
            params=query,
            headers=headers,
            timeout=(self.policy.connect_timeout, self.policy.read_timeout),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            if response.status_code not in REDIRECT_STATUSES:
                for chunk in response.iter_content(_CHUNK_SIZE):
                    body += chunk
                    if len(body) > max_bytes:
                        raise NotFoundError(f"{self._display(url)} has more than {max_bytes:,} bytes")
                    if self.clock() > end:  # ends the abandoned thread
                        raise TimeoutError
            return HttpResponse(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _display(self, url: str) -> str:
        return self.redact(display_url(url))


class _Session(requests.Session):
    """A session without automatic redirects and stored passwords."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request  # otherwise an entry for the host in ~/.netrc would replace the key

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: otherwise requests reads the whole body of a redirect, of any size, to prepare the next one."""


class _RedactionFilter(logging.Filter):
    """Removes API keys from the log messages of urllib3, which contain the query of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.api_keys: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _redact(record.getMessage(), self.api_keys), ()
        return True


_LOG_FILTER = _RedactionFilter()


def _redact(text: str, api_keys: Collection[str]) -> str:
    for key in api_keys:
        for spelling in {key, quote(key, safe=""), quote_plus(key)} - {""}:
            text = text.replace(spelling, "***")
    return text


def _call_with_timeout(seconds: float, function: Callable[[], _T]) -> _T:
    """Call a function in a thread: name resolution and slowly sent headers have no timeout of their own.

    After a TimeoutError the call may continue in the abandoned thread, which does not keep the process alive.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def _retry_after(response: HttpResponse, retries: Retry) -> float:
    """Return the pause in seconds of a ``Retry-After`` header, 0 without a valid one."""
    try:
        return float(retries.parse_retry_after(response.headers.get("retry-after", "0")))
    except (InvalidHeader, ValueError, OverflowError):  # the last two: numbers and dates beyond any range
        return 0.0


def _root_cause(error: BaseException) -> str:
    """Return the operating system's message, which urllib3 and requests wrap several times."""
    inner: object = error
    while isinstance(
        deeper := getattr(inner, "reason", None) or next(iter(getattr(inner, "args", ())), None), BaseException
    ):
        inner = deeper
    return str(inner) or type(inner).__name__


class Origin(NamedTuple):
    """Scheme, host and port of an address."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin | None:
    """Return the origin of an http or https address, None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:  # a port that is not a number, or an unclosed bracket
        return None
    if not parts.hostname or not port or parts.scheme not in _DEFAULT_PORTS:
        return None
    return Origin(parts.scheme, parts.hostname, port)


def display_url(url: str) -> str:
    """Return an address for messages: without query, user name and password."""
    place = origin(url)
    if place is None:
        return url.partition("?")[0]
    port = "" if place.port == _DEFAULT_PORTS[place.scheme] else f":{place.port}"
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{place.scheme}://{host}{port}{urlsplit(url).path}"


def is_public(url: str) -> bool:
    """Return whether all IP addresses of a URL's host are public.

    Behind a proxy, which resolves host names itself, only IP addresses and common local names are checked. A host name
    that cannot be resolved raises an OSError.

    Examples
    --------
    >>> is_public("http://192.168.0.1/x"), is_public("http://printer.local/x"), is_public("http://8.8.8.8/x")
    (False, False, True)
    """
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in _LOCAL_NAMES or host.endswith(tuple(f".{name}" for name in _LOCAL_NAMES)):
        return False
    address = _parse_ip(host)
    if address is not None:
        return _is_global(address)
    if select_proxy(url, get_environ_proxies(url)):
        return True
    found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return all(_is_global(ipaddress.ip_address(address)) for address in found)


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # "127.1" and "0x7f000001" are valid addresses, too
    except (OSError, UnicodeError):
        return None


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return plain.is_global and not plain.is_multicast


def _join(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return target
