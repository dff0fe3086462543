"""A server on this machine that says whatever it is told, also what is no HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = bytes | Callable[[socket.socket, threading.Event], None]
"""Bytes to send, or a function that sends them until an event is set."""


class HostileServer:
    """Answers each request by the first of its `answers` whose key is in the requested path.

    Attributes
    ----------
    requests : list of bytes
        Heads of all requests.
    """

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers, self.requests, self.stopping = answers, [], threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until `stopping` is set."""
        while not self.stopping.is_set():
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._answer, args=[connection], daemon=True)
                thread.start()
                self._threads.append(thread)
        self._socket.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(60)
            head = b""
            while b"\r\n\r\n" not in head:
                block = connection.recv(65536)
                if not block:
                    return
                head += block
            self.requests.append(head)
            path = head.split(b" ", 2)[1].decode("latin-1")
            answer = next((answer for key, answer in self.answers.items() if key in path), response(b"", 404))
            if callable(answer):
                answer(connection, self.stopping)
            else:
                connection.sendall(answer)


@contextmanager
def hostile_server(answers: dict[str, Answer]) -> Iterator[HostileServer]:
    """Run a server while the block runs."""
    server = HostileServer(answers)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        thread.join()


def response(body: bytes, status: int = 200, **headers: str) -> bytes:
    """Return a plain response; an underscore in the name of a header is a hyphen."""
    named = {"Content_Length": str(len(body)), "Connection": "close"} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value is not None]
    return (
        f"HTTP/1.1 {status} X\r\n".encode()
        + "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        + b"\r\n"
        + body
    )


def endless(head: bytes, part: bytes = b"\0" * 65536, pause: float = 0.0) -> Answer:
    """Return an answer that repeats a part for ever."""

    def send(connection: socket.socket, stopping: threading.Event) -> None:
        connection.sendall(head)
        while not stopping.wait(pause) if pause else not stopping.is_set():
            connection.sendall(part)

    return send


def silent(connection: socket.socket, stopping: threading.Event) -> None:
    """Say nothing."""
    stopping.wait(60)
