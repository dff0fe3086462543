"""`python benchmarks/bench_changes.py` on a small dataset: a row for each call, timed on both graphs."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from gnnrec.datasets import make_sample

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_changes.py"


def test_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_sample(60, 40).to_folder(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delitem(sys.modules, "_common", raising=False)  # its console knows the width of the first import
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--dataset", "small", "--times", "3", "--calls", "4"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    assert "Graph(180 users, 40 movies" in printed
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line[:1] == "│"]
    assert [row[0] for row in rows] == [
        "add_ratings, one row", "add_ratings(update=True), one row", "remove_ratings, one movie", "remove_user",
        "add_user, five ratings",
    ]  # fmt: skip
    assert all(float(row[column].split()[0]) > 0 for row in rows for column in (1, 2, 3))
