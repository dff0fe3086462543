"""The start of a service process: what it imports, garbage collection, and workers that cannot start."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.service import require_service

require_service()

from gnnrec.service import startup
from gnnrec.service.settings import SETTINGS

CODE = """
import gc, sys
from gnnrec.service.settings import ServiceSettings
from gnnrec.service.startup import start
heavy = {"torch", "pandas", "fastapi", "sqlalchemy"} & sys.modules.keys()
assert not heavy, heavy
start(ServiceSettings(run=sys.argv[1], db="sqlite:///" + sys.argv[2]))
assert gc.isenabled() and gc.get_freeze_count() > 100_000
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_start_imports_nothing_that_it_does_not_need(saved: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(saved), str(tmp_path / "people.db")]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert loaded >= {"torch", "pandas", "fastapi", "sqlalchemy"}
    unneeded = {"torch_geometric", "networkx", "scipy", "sklearn", "matplotlib", "sympy", "optuna", "PIL", "jupyter"}
    assert not loaded & unneeded


@pytest.mark.parametrize("was_enabled", [True, False])
def test_collection_is_as_before_even_after_an_error(was_enabled: bool) -> None:
    try:
        if not was_enabled:
            gc.disable()
        with pytest.raises(ZeroDivisionError), startup.collection_paused():
            assert not gc.isenabled()
            _ = 1 / 0
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


def test_a_worker_that_cannot_start_says_why_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SETTINGS, json.dumps({"run": str(tmp_path / "none"), "db": f"sqlite:///{tmp_path / 'a.db'}"}))
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as stopped:
        startup.start_worker()
    assert stopped.value.code == startup.STARTUP_FAILURE == 3
    (record,) = [one for one in caplog.records if one.name == startup.__name__]
    assert "none" in record.getMessage() and record.exc_info is None
    assert gc.isenabled()
