"""A web server on localhost with configurable responses and faults, and a clock that needs no waiting."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image

from gnnrec.metadata import RequestPolicy

PATIENT = RequestPolicy(connect_timeout=120, read_timeout=120, total_timeout=300, max_attempts=3, rate_limit=1000)
"""Timeouts that a busy machine does not reach."""


class FakeClock:
    """A clock that is advanced by sleeping; `pauses` are the durations of all sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds:
            self.pauses.append(seconds)


@dataclass
class Reply:
    """A response.

    `missing_bytes` are cut off its end. `endless` bodies are sent quickly, `trickling` ones slowly, both without end.
    A `silent` reply is never sent.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing_bytes: int = 0
    endless: bool = False
    trickling: bool = False
    silent: bool = False


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})


def image_bytes(format: str = "JPEG", size: tuple[int, int] = (60, 90), color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format)
    return buffer.getvalue()


def image_reply(format: str = "JPEG", **changes: Any) -> Reply:
    return Reply(image_bytes(format), headers={"Content-Type": f"image/{format.lower()}"}, **changes)


def redirect(target: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": target})


@dataclass
class ReceivedRequest:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


Route = Reply | list[Reply] | Callable[[dict[str, str]], Reply]


class Server(ThreadingHTTPServer):
    """Responds by `routes`: a reply, several in turn (the last one repeatedly), or a function of the query."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[ReceivedRequest] = []
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients disconnect on purpose


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.server.requests.append(ReceivedRequest(parts.path, query, dict(self.headers)))
        route = self.server.routes.get(parts.path, Reply(b"not here", 404))
        if isinstance(route, list):
            route = route.pop(0) if len(route) > 1 else route[0]
        reply = route if isinstance(route, Reply) else route(query)
        if reply.silent:
            self.server.stopping.wait()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if not (reply.endless or reply.trickling):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        while reply.endless:
            self.wfile.write(b"\0" * 100_000)
        while reply.trickling and not self.server.stopping.wait(0.02):
            self.wfile.write(b"\0")
        self.wfile.write(reply.body[: len(reply.body) - reply.missing_bytes])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def remove_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
