"""HTTP with untrusted servers: checks of redirect targets and limits on response sizes.

A host name is resolved once to check that it is public, and again to connect, possibly to another address. The address
of every connection is therefore checked as well, before anything is sent.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProtocolError

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
CHUNK_SIZE = 1 << 14
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_T = TypeVar("_T")


class PrivateAddressError(OSError):
    """An address that a response led to is in a private network."""


class TooLargeError(Exception):
    """A response has more bytes than the limit."""


class EncodingError(Exception):
    """A response has a content encoding that was not requested."""


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
    inner = [address]
    if isinstance(address, ipaddress.IPv6Address):  # some map to IPv4 addresses
        last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        teredo = address.teredo
        gates = [address.ipv4_mapped, address.sixtofour, *(teredo or ())]
        gates += [last] if address in _NAT64 or address in _COMPATIBLE else []
        inner = [gate for gate in gates if gate is not None]
        inner += [] if address.ipv4_mapped else [address]
    return all(one.is_global and not one.is_multicast for one in inner)


def join(url: str, target: str) -> str:
    """Return the address that a redirect leads to."""
    try:
        return urljoin(url, target)
    except ValueError:
        return target


def call_with_timeout(seconds: float, function: Callable[[], _T]) -> _T:
    """Call a function in a thread, with a timeout: name resolution and slow headers have none of their own.

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


class Session(requests.Session):
    """A session without automatic redirects, stored passwords and cookies.

    Parameters
    ----------
    trusted : collection of Origin
        Other addresses must be public.
    """

    def __init__(self, trusted: Collection[Origin | None] = ()) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = lambda request: request  # otherwise an entry for the host in ~/.netrc would replace the API key
        for prefix in ("http://", "https://"):
            self.mount(prefix, _PublicAdapter())
        for place in trusted:
            if place is not None:
                host = f"[{place.host}]" if ":" in place.host else place.host
                self.mount(f"{place.scheme}://{host}:{place.port}/", HTTPAdapter())
                if place.port == _DEFAULT_PORTS[place.scheme]:
                    self.mount(f"{place.scheme}://{host}/", HTTPAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: otherwise requests reads the whole body of a redirect, of any size, to prepare the next one."""


class _PublicAdapter(HTTPAdapter):
    """Connects to public addresses only; a proxy connects by itself."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


class _PublicHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _check_peer(super()._new_conn())


class _PublicHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _check_peer(super()._new_conn())


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


def _check_peer(connection: socket.socket) -> socket.socket:
    address = str(connection.getpeername()[0]).partition("%")[0]
    if not _is_global(ipaddress.ip_address(address)):
        connection.close()
        raise PrivateAddressError(f"{address} is in a private network")
    return connection


def stream_body(response: requests.Response, size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """Yield the body of a streamed response as it arrives, without decompression.

    ``response.raw.stream`` waits until `size` bytes are there, and so for ever if a server sends one now and then.

    Parameters
    ----------
    response : requests.Response
    size : int
        Maximum number of bytes of a part.

    Raises
    ------
    urllib3.exceptions.HTTPError
        The connection was lost, or the body is malformed.
    """
    try:
        while part := response.raw.read1(size, decode_content=False):
            yield part
    except ValueError as error:  # sizes of chunks that are no sizes
        raise ProtocolError(f"the body is malformed: {error}") from None


def read_body(
    response: requests.Response,
    max_bytes: int,
    *,
    until: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Read the body of a streamed response.

    Parameters
    ----------
    response : requests.Response
    max_bytes : int
        Limit for the body, before and after decompression.
    until : float
        Deadline, in the time of `clock`.
    clock : callable

    Raises
    ------
    TooLargeError
        It is larger; the rest is not read.
    EncodingError
        It is compressed with anything but gzip or deflate.
    TimeoutError
        It is not complete in time.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise EncodingError(f"it is compressed as {encoding[:40]!r}, which was not requested")
    body = bytearray()
    for chunk in stream_body(response):
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError
        if clock() > until:
            raise TimeoutError
    return bytes(body) if encoding in ("", "identity") else _inflate(bytes(body), max_bytes)


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """Decompress a body up to the limit."""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib, and deflate without a header
        decompressor = zlib.decompressobj(window)
        try:
            found = decompressor.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(found) > max_bytes:
            raise TooLargeError
        if decompressor.eof or window < 0:
            return found
    raise EncodingError("it is compressed, and damaged")
