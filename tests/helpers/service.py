"""What tests of the service share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = ("fastapi", "uvicorn", "alembic", "prometheus_client", "multipart", "sqlalchemy")
"""Packages of the extra ``serve``."""
CLIENT = "httpx2" if find_spec("httpx2") else "httpx"
"""What Starlette's test client needs."""
SECONDS = 600.0
"""How long a service may take to start on a busy machine."""


def require_service() -> None:
    """Skip a test module if a package of the service is missing; called before its other imports."""
    for name in (*NEEDED, CLIENT):
        pytest.importorskip(name, reason=f"needs {name}: pip install 'gnnrec[serve]' httpx")


@contextmanager
def serving(run: Path, database: str, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``gnnrec serve`` in a process until the block ends."""
    command = [sys.executable, "-m", "gnnrec", "serve", str(run), "--port", str(port), "--db", database, *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_until_ready(port, process)
            yield process
        finally:
            process.kill()


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a service answers."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/ready", timeout=60):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None:
                said = b"" if process.stderr is None else process.stderr.read()
                raise AssertionError(f"the service ended: {said.decode()}") from None
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.05)
