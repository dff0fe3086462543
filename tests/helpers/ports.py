"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import itertools
import os
import re
import socket

FIRST, COUNT = 18_000, 400
"""Below those that systems give to outgoing connections, which could take a port before its server does."""

_numbers = itertools.count()


def free_port() -> int:
    """Return a port that nobody listens on, and that no other worker of pytest-xdist returns."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    for _ in range(COUNT):
        port = FIRST + worker % 32 * COUNT + (os.getpid() + next(_numbers)) % COUNT
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
