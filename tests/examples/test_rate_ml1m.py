"""`examples/rate_ml1m.py` on a small dataset: its results file, and the leaderboard section made from it."""

from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from gnnrec import evaluate_ratings, load_dataset, predict_ratings
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.datasets import make_sample
from gnnrec.evaluation.fingerprint import Rows
from gnnrec.ratings import Biases
from gnnrec.splitting import random_ratings_split
from tests.helpers.tuning import replace_rows

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = ("--set", "train.epochs=1", "--set", "model.embedding_dim=8", "--num-samples", "5")
Run = Callable[..., BenchmarkReport]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    make_sample(80, 60).to_folder(tmp_path / "small")

    def call(*arguments: str) -> BenchmarkReport:
        argv = ["rate_ml1m.py", "--dataset", str(tmp_path / "small"), *QUICK, "--json", "out/rating.json", *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(ROOT / "examples" / "rate_ml1m.py"), run_name="__main__")
        return BenchmarkReport.read("out/rating.json")

    return call


@pytest.mark.slow
def test_results_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    report = run("--seeds", "2", "--with-content-only", "--with-attention", "--attention-epochs", "2")
    rows = {(row["model"], row["metric"]): row for row in report.results}
    names = ["mean of all", "mean of the movie", "movie and user biases", "biased MF", "history attention"]
    names += ["gnnrec", "gnnrec, content only"]
    assert list(rows) == [(name, metric) for name in names for metric in ("rmse", "mae")]
    dataset = load_dataset("small")
    splits = [random_ratings_split(dataset, seed=seed) for seed in range(2)]
    errors = [evaluate_ratings(Biases().fit(split), split)["value"] for split in splits]
    for position, metric in enumerate(("rmse", "mae")):
        row = rows["movie and user biases", metric]
        assert row["values"] == [error[position] for error in errors]
        assert (row["k"], row["seeds"], row["mean"]) == (None, 2, mean(row["values"]))
        assert row["std"] == stdev(row["values"])
        assert min(row["fit_seconds"], row["evaluate_seconds"]) > 0
    ((digest, protocol),) = report.protocols.items()
    parts = [
        f"seed {i} {part} {Rows.from_frame(getattr(s, part))}"
        for i, s in enumerate(splits)
        for part in ("train", "test")
    ]
    assert protocol == "; ".join(
        [f"{digest} = small, random 90/10 of all ratings, seeds 0 to 1", *parts, "history train",
         "metrics rmse and mae, each rating counts alike"]
    )  # fmt: skip
    command = (
        "python examples/rate_ml1m.py --dataset small --seeds 2 --num-samples 5 --with-attention --attention-epochs 2"
    )
    assert report.command == f"{command} --with-content-only --set train.epochs=1 --set model.embedding_dim=8"
    assert report.settings["gnnrec"]["model"]["embedding_dim"] == 8
    assert report.settings["gnnrec"]["rating"]["num_samples"] == 5
    best = rows["movie and user biases", "rmse"]
    assert f"{best['mean']:.4f} ± {best['std']:.4f}" in capsys.readouterr().out
    assert run("--seeds", "1").protocols.keys() != {digest}


def test_leaderboard_section(run: Run, tmp_path: Path) -> None:
    report = run("--seeds", "1")
    made: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "_scripts" / "make_leaderboard.py"), run_name="made")
    shutil.copy(ROOT / "benchmarks" / "results" / "published.yaml", tmp_path / "out")
    text = made["page"](tmp_path / "out").split("## Rating prediction")[1].split("\n## ")[0]
    rmse, mae = (next(row["mean"] for row in report.results if row["metric"] == metric) for metric in ("rmse", "mae"))
    assert "| model | RMSE | MAE | fits | fit s |" in text
    assert f"| mean of all | {rmse:.4f} | {mae:.4f} | 1 | " in text
    assert f"```console\n{report.command}\n```" in text
    assert "random 90/10 of all ratings, seed 0\nseed 0 train " in text
    assert "Not measured yet" not in text
    (command,) = made["SECTIONS"]["rating"].commands.values()
    assert made["argv"](command, tmp_path, Path("x.json"))[1:] == [
        "examples/rate_ml1m.py", "--seeds", "3", "--with-content-only", "--json", "x.json",
    ]  # fmt: skip


def test_attention_ignores_the_test_rows() -> None:
    made: dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "rate_ml1m.py"), run_name="made")
    split = random_ratings_split(make_sample(80, 60))
    other = replace_rows(split, test=split.test.assign(rating=1.0).iloc[:9])
    first, second = (made["fit_attention"](one, 4, 0) for one in (split, other))
    assert predict_ratings(first, [1, 2]).equals(predict_ratings(second, [1, 2]))
    assert first.graph.dataset.num_ratings == len(split.train), (
        "the rows held out for early stopping are in the histories"
    )
    errors = [evaluate_ratings(made["fit_attention"](split, epochs, 0), split)["value"][0] for epochs in (1, 4)]
    assert errors[1] < errors[0]


def test_seeds_must_be_positive(run: Run) -> None:
    with pytest.raises(SystemExit, match="error: --seeds must be 1 or more, not 0"):
        run("--seeds", "0")
