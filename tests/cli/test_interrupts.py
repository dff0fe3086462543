"""``gnnrec train`` that is interrupted at any moment: the same command runs again, and what is there can be used."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from gnnrec import Split, load
from tests.helpers.cli import QUICK, call, succeeds

MOMENTS = [
    ("gnnrec.models.gnn_training", "init_training", 1),
    ("gnnrec.models.gnn_training", "write_run", 1),
    ("gnnrec.models.storage", "_write_graph", 1),
    ("gnnrec.models.gnn_training", "batch_loss", 1),
    ("gnnrec.models.gnn_training", "write_weights", 1),
    ("gnnrec.models.storage", "_write_graph", 2),
    ("gnnrec.splitting.split", "write_csv", 1),
    ("gnnrec.splitting.split", "write_csv", 3),
    ("gnnrec.splitting.split", "write_atomic", 1),
    ("gnnrec.benchmarking", "compare", 1),
    ("gnnrec.models.storage", "_write_graph", 3),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name", "number"), MOMENTS)
def test_the_same_command_runs_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, number: int
) -> None:
    command = ("train", "--dataset", dataset, "--protocol", "random", "--out", tmp_path / "run", *QUICK)
    calls = []

    def interrupted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        place = importlib.import_module(module)
        real = getattr(place, name)
        patch.setattr(place, name, interrupted)
        assert call(*command).exit_code == 130
    assert len(calls) >= number
    run = tmp_path / "run"
    assert not run.exists() or load(run).name == "gnn"  # nothing, or a whole run
    if (run / "split").exists():
        assert len(Split.from_folder(run / "split").test)
    succeeds(*command)
    succeeds("evaluate", run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]
