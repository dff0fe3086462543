"""`python benchmarks/lightgcn_gowalla.py` on a small split: choosing on training rows, and testing once."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import Split, evaluate
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.datasets import make_sample
from gnnrec.models import LightGCNReference
from gnnrec.splitting import random_split

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "lightgcn_gowalla.py"
OPTIONS = ("--epochs", "12", "--reg", "0.001", "--batch-size", "500")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    split = random_split(make_sample(80, 60), (0.8, 0.0, 0.2))
    for part in ("train", "test"):
        Path("small").mkdir(exist_ok=True)
        getattr(split, part)[["user_id", "movie_id"]].to_csv(f"small/{part}.csv", index=False)
    return tmp_path / "small"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_the_fit_has_all_training_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--split", str(folder), *OPTIONS, "--json", "x.json")
    report = BenchmarkReport.read("x.json")
    train, test = (pd.read_csv(folder / f"{part}.csv") for part in ("train", "test"))
    split = Split(train, train[:0], test)
    model = LightGCNReference(epochs=12, batch_size=500, reg=0.001).fit(split)
    expected = evaluate(model, split, metrics=["recall", "ndcg"], ks=[20])["value"].tolist()
    assert [row["mean"] for row in report.results] == expected
    assert report.command == f"python benchmarks/lightgcn_gowalla.py --split small {' '.join(OPTIONS)}"
    assert report.settings["lightgcn"]["reg"] == 0.001


def test_choosing_does_not_read_the_test_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "test.csv").write_text("user_id,movie_id\n")
    run(monkeypatch, "--split", str(folder), "--choose", *OPTIONS)
    found = re.search(r"best epoch (\d+) of (\d+): NDCG@20 (0\.\d{4})", capsys.readouterr().out)
    assert found is not None
    assert 1 <= int(found[1]) <= int(found[2]) <= 12
    assert float(found[3]) > 0.05


def test_errors_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "test.csv").unlink()
    with pytest.raises(SystemExit, match=r"error: .*test\.csv"):
        run(monkeypatch, "--split", str(folder))
