"""`python benchmarks/compare_peers.py` on a small dataset, with the models that need no other package."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from gnnrec import load_dataset
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.datasets import make_sample
from gnnrec.evaluation import evaluate
from gnnrec.models import EASE
from gnnrec.registry import MODELS
from gnnrec.splitting import split as make_split
from tests.helpers.cli import cells

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "compare_peers.py"
QUICK = ("--dataset", "small", "--time-limit", "0.01", "--set", "train.epochs=1")


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return a function that runs the script beside a small dataset and returns the report it writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    make_sample(90, 60).to_folder(tmp_path / "small")

    def run(*arguments: str, status: int = 0) -> BenchmarkReport:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *QUICK, *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        assert stop.value.code == status
        return BenchmarkReport.read(tmp_path / "peers.json") if status == 0 else None

    return run


def test_all_models_on_the_same_ratings(script, capsys, monkeypatch):
    """All models take part by default, except those whose package is missing."""
    find, missing = importlib.util.find_spec, ("implicit", "lightfm")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name in missing else find(name, *rest))
    report = script("--protocol", "temporal")
    names = [name for name, model in MODELS.items() if model.package is None]
    rows = report.results
    assert [*dict.fromkeys(row["model"] for row in rows)] == names
    assert set(report.skipped) == {"als", "bpr", "lightfm"}
    assert len(report.protocols) == 1
    assert all(row["fit_seconds"] > 0 and row["seeds"] == 1 for row in rows)
    split = make_split(load_dataset("small"), "temporal")
    own = {row["k"]: row["mean"] for row in rows if (row["model"], row["metric"]) == ("ease", "ndcg")}
    candidates = [
        evaluate(EASE(reg=reg).fit(split), split, metrics=["ndcg"])["value"].tolist() for reg in (200.0, 1000.0, 5000.0)
    ]
    assert [pytest.approx(found) for found in candidates].count([own[10], own[20]]) == 1
    printed = capsys.readouterr().out
    assert [row[0] for row in cells(printed)] == names
    assert printed.count("SKIPPED als: the model als needs the package implicit") == 2, "at once, and below the table"


def test_options_are_those_of_benchmark(script):
    report = script("--models", "ease,mf", "--seeds", "3")
    rows = {(row["model"], row["metric"], row["k"]): row for row in report.results}
    assert rows["ease", "ndcg", 10]["seeds"] == 1
    row = rows["mf", "ndcg", 10]
    assert row["seeds"] == len(row["values"]) == 3
    assert row["mean"] == pytest.approx(sum(row["values"]) / 3)
    assert row["std"] > 0
    assert report.command.startswith("gnnrec benchmark --dataset small --models ease,mf --seeds 3 --time-limit")


def test_errors_are_one_line(script, capsys):
    script("--models", "gnn,gru4rec", status=1)
    assert capsys.readouterr().err.splitlines()[0].startswith("error: unknown model 'gru4rec'; choose one of gnn, ")
