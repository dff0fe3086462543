"""HTTP client with rate limiting, retries and response-size limits.

Poster addresses and redirect targets come from responses, and requests carry an API key. The key is therefore sent to
the service alone and removed from every message, and a response cannot direct a request to a private network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.exceptions import TimeoutError as ReadTimeout
from urllib3.util import Retry

from gnnrec._checks import check_integer, check_number
from gnnrec._io import parse_json
from gnnrec._network import (
    MAX_REDIRECTS,
    REDIRECT_STATUSES,
    EncodingError,
    PrivateAddressError,
    Session,
    TooLargeError,
    call_with_timeout,
    display_url,
    is_public,
    join,
    origin,
    read_body,
)
from gnnrec.errors import ConfigError, DownloadError

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes of temporary failures."""

MAX_SECONDS = 1e6
"""Maximum of every time in a policy, in seconds."""

logger = logging.getLogger(__name__)


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
        check_integer(max_attempts=self.max_attempts)
        for name, value in vars(self).items():
            check_number(0, exclusive=True, **{name: value})
            if value > MAX_SECONDS:
                raise ConfigError(f"{name} must be at most {MAX_SECONDS:g}, not {value:g}")


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
    _session: requests.Session = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for url in self.trusted_urls:
            if origin(url) is None:
                raise ConfigError(f"{url!r} is not a server address; it must start with https:// or http://")
        self._limiter = RateLimiter(self.policy.rate_limit, self.clock, self.sleep)
        self._session = self._new_session()
        if self.api_key:
            _LOG_FILTER.api_keys.add(self.api_key)
            # A filter applies to its own logger only, not to child loggers.
            for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]:
                logging.getLogger(name).addFilter(_LOG_FILTER)

    def _new_session(self) -> requests.Session:
        return Session([origin(url) for url in self.trusted_urls])

    def redact(self, text: str) -> str:
        """Replace the API key in a message by ``***``."""
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
            value = parse_json(self.redact(response.body.decode("utf-8")))
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
            # urllib3 makes the first retry without a pause, too soon for a busy server.
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
            previous, url, params = url, join(url, target), None if params is None else {}
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
            return call_with_timeout(total_timeout, lambda: self._read(url, max_bytes, query, headers))
        except TimeoutError:
            self._session = self._new_session()  # the old session is still in use by the abandoned thread
            cause = f"no response within {total_timeout:g} seconds"
        except (requests.Timeout, ReadTimeout):
            cause = "no response in time"
        except (requests.exceptions.InvalidURL, UnicodeError) as error:
            cause = self.redact(_root_cause(error))
            raise NotFoundError(f"{self._display(url)} is not a valid address: {cause}") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            if isinstance(_root_error(error), PrivateAddressError):
                raise NotFoundError(self._private(url)) from None
            cause = self.redact(_root_cause(error))
        except EncodingError as error:
            cause = str(error)
        except (ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
            cause = f"the response is malformed ({type(error).__name__})"
        raise ServiceUnavailableError(f"{self._display(url)} could not be fetched: {cause}")

    def _read(self, url: str, max_bytes: int, query: dict[str, Any], headers: dict[str, str]) -> HttpResponse:
        if origin(url) not in map(origin, self.trusted_urls) and not is_public(url):
            raise NotFoundError(self._private(url))
        end = self.clock() + self.policy.total_timeout
        with self._session.get(
            url,
            params=query,
            headers=headers,
            timeout=(self.policy.connect_timeout, self.policy.read_timeout),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = b""
            if response.status_code not in REDIRECT_STATUSES:
                try:
                    body = read_body(response, max_bytes, until=end, clock=self.clock)  # ends the abandoned thread
                except TooLargeError:
                    raise NotFoundError(f"{self._display(url)} has more than {max_bytes:,} bytes") from None
            return HttpResponse(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)

    def _private(self, url: str) -> str:
        return f"{self._display(url)} is in a private network, which responses must not lead to"

    def _display(self, url: str) -> str:
        return self.redact(display_url(url))


class _RedactionFilter(logging.Filter):
    """Removes API keys from the log messages of urllib3, which contain the query of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.api_keys: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _redact(record.getMessage(), self.api_keys), ()
        return True


_LOG_FILTER = _RedactionFilter()
_LOGGERS = ("urllib3", "requests")


def _redact(text: str, api_keys: Collection[str]) -> str:
    for key in api_keys:
        for spelling in {key, quote(key, safe=""), quote_plus(key)} - {""}:
            text = text.replace(spelling, "***")
    return text


def _retry_after(response: HttpResponse, retries: Retry) -> float:
    """Return the pause in seconds of a ``Retry-After`` header, 0 without a valid one."""
    text = response.headers.get("retry-after", "0").strip()
    if text.isdecimal() and len(text) > MAX_DIGITS:
        return 0.0
    try:
        return float(retries.parse_retry_after(text))
    except (InvalidHeader, ValueError, OverflowError):  # the last two are for dates out of range
        return 0.0


MAX_DIGITS = 15
"""Maximum number of digits of a ``Retry-After`` value."""


def _root_cause(error: BaseException) -> str:
    """Return the operating system's message, which urllib3 and requests wrap several times."""
    inner = _root_error(error)
    return str(inner) or type(inner).__name__


def _root_error(error: BaseException) -> BaseException:
    inner = error
    for _ in range(10):
        deeper = getattr(inner, "reason", None) or next(iter(getattr(inner, "args", ())), None)
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return inner
