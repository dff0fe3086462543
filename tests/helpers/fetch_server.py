"""A web server on this machine that behaves and misbehaves as tests ask for."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from PIL import Image

from gnnrec.features.fetch import Manners

QUICK = Manners(connect=1, read=0.3, total=0.9, attempts=3, backoff=0.01, longest_wait=1.5, per_second=1000)


@dataclass
class Reply:
    """One answer: `wait` seconds before it, `drip` seconds between its bytes, `cut` that many bytes too short."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0
    drip: float = 0
    cut: int = 0
    endless: bool = False


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})


def picture(kind: str = "JPEG", size: tuple[int, int] = (60, 90), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def image(kind: str = "JPEG", **changes: Any) -> Reply:
    return Reply(picture(kind), headers={"Content-Type": f"image/{kind.lower()}"}, **changes)


@dataclass
class Asked:
    """One request: its path, query and headers."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float


Route = Reply | list[Reply] | Callable[[dict[str, str]], Reply]


class Server(ThreadingHTTPServer):
    """Answers by `routes`: a reply, several in turn (the last one for ever), or a function of the query."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up here on purpose


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.server.asked.append(Asked(parts.path, query, dict(self.headers), time.monotonic()))
        route = self.server.routes.get(parts.path, Reply(b"not here", 404))
        if isinstance(route, list):
            route = route.pop(0) if len(route) > 1 else route[0]
        reply = route if isinstance(route, Reply) else route(query)
        time.sleep(reply.wait)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if not reply.endless:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        body = reply.body[: len(reply.body) - reply.cut]
        while reply.endless:
            self.wfile.write(b"\0" * 100_000)
        if reply.drip:
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                time.sleep(reply.drip)
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
