"""`benchmarks/bench_service.py`: figures of a few requests."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.helpers.service import require_service

require_service()

from tests.helpers.ports import free_port
from tests.helpers.service import serving

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_service.py"


@pytest.mark.slow
@pytest.mark.network
def test_clients_at_the_same_time(saved: Path, tmp_path: Path) -> None:
    port = free_port()
    with serving(saved, f"sqlite:///{tmp_path / 'a.db'}", port, "--rate-limit", "0") as process:
        measure = runpy.run_path(str(SCRIPT))["measure"]
        found = measure(port=port, clients=4, requests=80, ratings=5, pid=process.pid)
    assert (found["requests"], found["errors"]) == (80, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["processor_ms_per_request"] > 0 and found["memory_after_mib"] > 100
