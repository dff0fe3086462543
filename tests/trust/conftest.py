from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the harnesses find each other, also in the processes that they start."""
    if sys.platform == "win32":
        pytest.skip("the harnesses fork")
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    yield


@pytest.fixture(scope="session")
def preloaded() -> None:
    """Import once what every forked child needs."""
    from benchmarks.trust.operations import preload

    preload()
    gc.collect()
    gc.freeze()  # the garbage collectors of forked children leave these objects, and their pages, alone
