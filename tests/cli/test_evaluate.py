"""The command ``gnnrec evaluate``: its numbers are those of `evaluate`, on whichever test ratings are chosen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from gnnrec import Split, evaluate, evaluate_ratings, load, load_dataset, load_rating_model, split
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.evaluation import Fingerprint
from tests.helpers.cli import QUICK, cells, fails, succeeds


@pytest.fixture(scope="module")
def test_split(dataset: Path, split_folder: Path) -> Split:
    return Split.from_folder(split_folder, load_dataset(dataset))


def test_numbers_are_the_same_everywhere(run: Path, test_split: Split, tmp_path: Path) -> None:
    output = succeeds("evaluate", run)
    frame = evaluate(load(run), test_split)
    printed = [tuple(row[:3]) for row in cells(output)]
    rows = zip(frame["metric"], frame["k"], frame["value"], strict=True)
    assert printed == [(metric, str(k), f"{value:.4f}") for metric, k, value in rows]
    assert frame.attrs["fingerprint"] in output
    # What training measured at its end and kept.
    kept = {(row["metric"], row["k"]): row["mean"] for row in load(run).report["test"]}
    by_hand = {(m, k): v for m, k, v in zip(frame["metric"], frame["k"], frame["value"], strict=True)}
    assert kept == pytest.approx(by_hand, abs=1e-6)
    assert all(row["fit_seconds"] > 0 for row in load(run).report["test"])


def test_report(run: Path, test_split: Split, tmp_path: Path) -> None:
    assert succeeds("evaluate", run, "--out", tmp_path / "new" / "out.json") == f"saved in {tmp_path}/new/out.json\n"
    report = BenchmarkReport.read(tmp_path / "new" / "out.json")
    frame = evaluate(load(run), test_split)
    assert [row["mean"] for row in report.results] == frame["value"].tolist()
    assert {row["model"] for row in report.results} == {"gnn"}
    assert report.settings["gnn"] == load(run).hyperparameters
    assert report.protocols == {frame.attrs["fingerprint"]: frame.attrs["protocol"]}
    assert report.command == "gnnrec evaluate run"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_in_files(suffix: str, run: Path, test_split: Split, tmp_path: Path) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out.{suffix}"
    succeeds("evaluate", run, "--metric", "ndcg", "-k", 7, "--out", path)
    found = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    frame = evaluate(load(run), test_split, metrics=["ndcg"], ks=[7])
    assert found["value"].tolist() == pytest.approx(frame["value"].tolist(), rel=1e-15)
    assert found["fingerprint"].tolist() == [frame.attrs["fingerprint"]]


def test_json_and_csv(run: Path, test_split: Split) -> None:
    words = ("evaluate", run, "--metric", "coverage", "--metric", "mrr", "-k", 5)
    frame = evaluate(load(run), test_split, metrics=["coverage", "mrr"], ks=[5])
    rows = json.loads(succeeds(*words, "--json"))
    assert [(row["metric"], row["value"]) for row in rows] == list(zip(frame["metric"], frame["value"], strict=True))
    assert {row["metric"]: row["ci_low"] for row in rows}["coverage"] is None
    lines = succeeds(*words, "--csv").splitlines()
    assert lines[0] == "metric,k,value,ci_low,ci_high,num_users,fingerprint,protocol"
    assert len(lines) == 3
    assert fails("evaluate", run, "--metric", "ndgc").startswith("unknown metric 'ndgc'; did you mean 'ndcg'?")


def test_another_folder_and_its_options(run: Path, split_folder: Path, test_split: Split, tmp_path: Path) -> None:
    for mask, masked in (("train", None), ("train+valid", test_split.valid)):
        rows = json.loads(succeeds("evaluate", run, "--split", f"{split_folder}:mask={mask}", "--json"))
        frame = evaluate(load(run), test_split, mask=masked)
        assert [row["value"] for row in rows] == frame["value"].tolist()
    sampled = test_split.with_negatives(4, seed=3)
    words = ("evaluate", run, "--split", f"{split_folder}:negatives=4,seed=3", "--json")
    assert {row["fingerprint"] for row in json.loads(succeeds(*words))} == {Fingerprint.from_split(sampled).digest}
    sampled.negatives.to_csv(tmp_path / "n.csv", index=False)  # type: ignore[union-attr]
    words = ("evaluate", run, "--split", f"{split_folder}:negatives={tmp_path / 'n.csv'}", "--json")
    frame = evaluate(load(run), sampled)
    assert [row["value"] for row in json.loads(succeeds(*words))] == frame["value"].tolist()


def test_a_run_keeps_its_protocol(dataset: Path, tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", load_dataset(dataset)
    arguments = ("--dataset", dataset, "--protocol", "next-item:negatives=5")
    succeeds("train", *arguments, "--out", folder, *QUICK)
    expected = split(whole, "next-item", negatives=5)
    frame = evaluate(load(folder), expected)
    trained = load(folder).report["test"]
    # The split in the run and the protocol by name are the same.
    for options in ((), arguments):
        rows = json.loads(succeeds("evaluate", folder, *options, "--json"))
        assert {row["fingerprint"] for row in (*trained, *rows)} == {Fingerprint.from_split(expected).digest}
        assert [row["value"] for row in rows] == frame["value"].tolist()


def test_undefined_metrics(twenty_ratings: Path, tmp_path: Path) -> None:
    words = ("--dataset", twenty_ratings, "--protocol", "cold-movies", "--out", tmp_path / "run")
    assert "nan" not in succeeds("train", *words)
    assert "nan" not in succeeds("evaluate", tmp_path / "run")
    succeeds("evaluate", tmp_path / "run", "--out", tmp_path / "out.json")
    text = (tmp_path / "out.json").read_text()
    rows = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))["results"]
    assert "diversity" not in {row["metric"] for row in rows}
    assert {row["fit_seconds"] for row in rows} == {None}


def test_errors_of_predicted_ratings(run: Path, test_split: Split, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    output = succeeds("evaluate", tmp_path / "run", "--metric", "ndcg", "-k", 5, "--rmse")
    model = load_rating_model(tmp_path / "run")  # fitted by the command, and kept
    frame = evaluate_ratings(model, test_split)
    assert [row[:2] for row in cells(output) if row[0] in ("rmse", "mae")] == [
        [metric, f"{value:.4f}"] for metric, value in zip(frame["metric"], frame["value"], strict=True)
    ]
    rows = json.loads(succeeds("evaluate", tmp_path / "run", "--metric", "ndcg", "-k", 5, "--rmse", "--json"))
    assert [(row["metric"], row["k"]) for row in rows] == [("ndcg", 5), ("rmse", None), ("mae", None)]
    assert rows[1]["value"] == pytest.approx(frame["value"][0], rel=1e-6)
    assert "ranking metrics only" in fails("evaluate", tmp_path / "run", "--rmse", "--out", tmp_path / "x.json")
