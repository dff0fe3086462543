"""What an address says about itself: who is asked, whether they are strangers, and how to show it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

from requests.utils import get_environ_proxies, select_proxy

_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa")
_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what cannot be fetched by http or https."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port of letters, brackets that are not closed
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port and parts.scheme in _PORTS else None


def joined(url: str, target: str) -> str:
    """Return where a redirect from `url` leads."""
    try:
        return urljoin(url, target)
    except ValueError:
        return target


def shown(url: str) -> str:
    """Return an address without its query and without a name and password, for messages."""
    place = origin(url)
    if place is None:
        return url.partition("?")[0]
    port = "" if place[2] == _PORTS[place[0]] else f":{place[2]}"
    host = f"[{place[1]}]" if ":" in place[1] else place[1]
    return f"{place[0]}://{host}{port}{urlsplit(url).path}"


def is_public(url: str) -> bool:
    """Tell whether every address that the host of a URL stands for is on the open internet.

    Behind a proxy names are the proxy's to resolve, so there only numbers and the usual local names are looked at.

    Raises
    ------
    OSError
        The host has no address.
    """
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in _LOCAL_NAMES or host.endswith(tuple(f".{name}" for name in _LOCAL_NAMES)):
        return False
    number = _number(host)
    if number is not None:
        return _is_global(number)
    if select_proxy(url, get_environ_proxies(url)):
        return True
    found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return all(_is_global(ipaddress.ip_address(address)) for address in found)


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # "127.1" and "0x7f000001" are addresses, too
    except (OSError, UnicodeError):
        return None


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return plain.is_global and not plain.is_multicast
