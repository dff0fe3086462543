"""`Guard`: ASGI middleware that checks every request.

In this order: the name of the host (against DNS rebinding), the rate limit, the origin of requests that change
something (against forged requests from other sites), the token, and the size of the body. Answers get headers that keep
browsers from running scripts or showing frames of other sites.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gnnrec.service.metrics import Metrics
from gnnrec.service.problems import answer
from gnnrec.service.settings import ServiceSettings, is_loopback

logger = logging.getLogger(__name__)

SESSION = "gnnrec_session"
"""Cookie of a browser that has sent the token."""
OPEN = ("/api/v1/health", "/api/v1/ready", "/login", "/static/")
"""Paths that need no token."""
UPLOADS = ("/history", "/import")
"""Suffixes of paths that accept files."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_CLIENTS = 10_000
"""Maximum number of clients whose rate is tracked; the least recently seen are dropped."""
BURST = 2.0
"""Size of a burst, in seconds at the rate limit."""
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
"""Headers of all answers, as ASGI takes them."""
UNCACHED_HEADERS = [*HEADERS, (b"cache-control", b"no-store")]
CACHED = ("/static/", "/posters/")
"""Paths of files that browsers may cache."""


class RateLimiter:
    """Token buckets, one per client.

    Parameters
    ----------
    rate : float
        Requests per second; 0 for no limit.

    Examples
    --------
    >>> limiter = RateLimiter(1)
    >>> [limiter.wait("ann", now=0), limiter.wait("ann", now=0), limiter.wait("ann", now=0), limiter.wait("bob", now=0)]
    [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._burst = rate, max(1.0, BURST * rate)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float | None = None) -> float:
        """Count a request, and return 0; or return the seconds that the client must wait."""
        if not self._rate:
            return 0.0
        now = time.monotonic() if now is None else now
        left, before = self._clients.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - before) * self._rate)
        allowed = left >= 1
        self._clients[client] = (left - 1 if allowed else left, now)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def session_value(token: str) -> str:
    """Return the cookie of a browser that has sent the token; the token cannot be computed from it."""
    return hmac.new(token.encode(), b"gnnrec session", hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    settings : ServiceSettings
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self._limiter = RateLimiter(settings.requests_per_second)
        self._token = None if settings.token is None else settings.token.get_secret_value()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)
            return
        started, status, has_begun = time.perf_counter(), 500, False

        async def send_safely(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                added = HEADERS if scope["path"].startswith(CACHED) else UNCACHED_HEADERS
                given = message.get("headers", [])
                names = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in added if header[0] not in names)]
            await send(message)

        try:
            refusal = self._refuse(scope)
            if refusal is not None:
                await refusal(scope, receive, send_safely)
            else:
                await self.app(scope, self._limited(scope, receive), send_safely)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if has_begun:
                raise
            await answer(500, "the service failed; its log says why")(scope, receive, send_safely)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.metrics.observe(method, _route(scope), status, time.perf_counter() - started)

    def _refuse(self, scope: Scope) -> Any:
        """Return a response that rejects a request, None if it is accepted."""
        headers, path = Headers(scope=scope), scope["path"]
        host = _name(headers.get("host", ""))
        if not self._is_own(host):
            return answer(421, "unknown Host header; allow it with --allow-host NAME")
        client = scope.get("client") or ("unknown",)
        wait = self._limiter.wait(str(client[0]))
        if wait:
            response = answer(429, f"too many requests; try again in {wait:.1f} seconds")
            response.headers["retry-after"] = str(int(wait) + 1)
            return response
        if scope["method"] not in SAFE and not _is_same_site(headers):
            return answer(403, "the request comes from another site")
        if self._token is not None and not path.startswith(OPEN) and not self._has_token(headers):
            if path.startswith("/api/") or scope["method"] not in SAFE:
                response = answer(401, "send the token of the service: Authorization: Bearer TOKEN")
                response.headers["www-authenticate"] = "Bearer"
                return response
            return RedirectResponse("/login", 303)
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return answer(400, "the header Content-Length is not a number")
        if int(length) > self._limit(scope):
            return self._too_large(scope)
        return None

    def _is_own(self, host: str) -> bool:
        if "*" in self.settings.hosts or host in self.settings.hosts or is_loopback(host):
            return True
        return not self.settings.is_local and self._token is not None and not self.settings.hosts

    def _has_token(self, headers: Headers) -> bool:
        assert self._token is not None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(SESSION)
        except CookieError:
            return False
        value = "" if cookie is None else cookie.value
        return hmac.compare_digest(value.encode(), session_value(self._token).encode())

    def _limit(self, scope: Scope) -> int:
        return self.settings.max_upload if scope["path"].endswith(UPLOADS) else self.settings.max_body

    def _too_large(self, scope: Scope) -> Any:
        response = answer(413, self._too_large_text(scope))
        response.headers["connection"] = "close"
        return response

    def _too_large_text(self, scope: Scope) -> str:
        return f"the body is larger than {self._limit(scope) / (1 << 20):.2g} MiB"

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Return `receive` that counts the bytes of bodies without a length."""
        most, seen = self._limit(scope), 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, self._too_large_text(scope))
            return message

        return counting


_METHODS = frozenset({*SAFE, "POST", "PUT", "PATCH", "DELETE"})


def _route(scope: Scope) -> str:
    """Return the route pattern of a path, of which there are few; routers omit their own prefix."""
    path = getattr(scope.get("route"), "path", None)
    if not path:
        return "other"
    return f"/api/v1{path}" if scope["path"].startswith("/api/v1/") and not path.startswith("/api/") else str(path)


def _name(host: str) -> str:
    """Return the name in a ``Host`` header, without the port.

    >>> _name("Movies.example.org:8000"), _name("[::1]:8000"), _name("127.0.0.1")
    ('movies.example.org', '::1', '127.0.0.1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_same_site(headers: Headers) -> bool:
    """Return whether a request comes from a page of this service or from a client other than a browser."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
