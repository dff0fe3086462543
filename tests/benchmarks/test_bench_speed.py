"""`python benchmarks/bench_speed.py` on a small dataset: every row of its table, and the time of a recommendation."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from gnnrec.datasets import make_sample

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_speed.py"


def test_steps_and_recommendations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sample(60, 40).to_folder(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delitem(sys.modules, "_common", raising=False)  # its console knows the width of the first import
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--dataset", "small", "--dim", "8", "--repeats", "2"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    assert "8 dimensions, 60 users per step" in printed
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line[:1] == "│"]
    assert [row[0] for row in rows] == [
        "gnnrec, 1 layer", "gnnrec, 2 layers", "lightgcn, 1 layer", "lightgcn, 2 layers", "lightgcn, 3 layers", "PyG LightGCN, 1 layer", "PyG LightGCN, 2 layers",
        "PyG LightGCN, 3 layers",
    ]  # fmt: skip
    assert rows[0][2] == rows[1][3] == "1.0"
    assert all(float(row[1]) > 0 for row in rows)
    found = re.search(r"recommend for one new user: median ([\d.]+) ms, 95% within ([\d.]+) ms \(200 calls\)", printed)
    assert found is not None
    assert 0 < float(found[1]) <= float(found[2])
