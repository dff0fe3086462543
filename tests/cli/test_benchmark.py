"""The command ``gnnrec benchmark``: models side by side, with the numbers of the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gnnrec import Config, Split, evaluate, fit, load_dataset, split, suggest_config
from gnnrec.benchmarking import BenchmarkReport, fit_best
from gnnrec.errors import ConfigError
from gnnrec.evaluation import Fingerprint
from gnnrec.registry import FAST_MODELS, MODELS
from tests.helpers.cli import QUICK, call, cells, fails, succeeds


def digests(path: Path) -> set[str]:
    return set(BenchmarkReport.read(path).protocols)


@pytest.mark.slow
def test_default_models(dataset: Path, split_folder: Path, tmp_path: Path) -> None:
    common = ("benchmark", "--dataset", dataset, "--split", split_folder, *QUICK, "--seeds", 2)
    output = succeeds(*common, "--out", tmp_path / "a.json")
    report = BenchmarkReport.read(tmp_path / "a.json")
    assert {(row["model"], row["seeds"]) for row in report.results} == {
        ("gnn", 2), ("ease", 1), ("itemknn", 1), ("popularity", 1),
    }  # fmt: skip
    assert {row["model"] for row in report.results} == set(FAST_MODELS)
    parts = Split.from_folder(split_folder, load_dataset(dataset))
    frame = evaluate(fit_best("ease", parts), parts)
    assert {row["fingerprint"] for row in report.results} == {frame.attrs["fingerprint"]}
    assert frame.attrs["fingerprint"] in output
    assert [row["mean"] for row in report.results if row["model"] == "ease"] == frame["value"].tolist()
    recall = {(row["model"], row["k"]): row for row in report.results if row["metric"] == "recall"}
    shown = {row[0]: row for row in cells(output)}
    gnn = recall["gnn", 10]
    assert shown["gnn"][1] == f"{gnn['mean']:.4f} ± {gnn['std']:.4f}"
    assert shown["ease"][3] == f"{recall['ease', 20]['mean']:.4f}"
    # Where the files lie is not recorded.
    assert report.command == " ".join(["gnnrec benchmark --dataset mine --split split --seeds 2", *QUICK])
    assert Config.from_mapping(report.settings["gnn"]) == suggest_config(parts).override(QUICK[1::2])


def test_printed_json_is_the_report(dataset: Path, tmp_path: Path) -> None:
    common = ("benchmark", "--dataset", dataset, "--models", "popularity,itemknn", "--metric", "ndcg", "-k", 5)
    result = call(*common, "--json", "--out", tmp_path / "x.json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)  # notes and progress are on standard error
    assert "popularity: ndcg@5" in result.stderr
    report = BenchmarkReport.read(tmp_path / "x.json").results
    different = ("fit_seconds", "evaluate_seconds")
    assert [(row["model"], row["metric"], row["k"], row["mean"]) for row in rows] == [
        (row["model"], row["metric"], row["k"], row["mean"]) for row in report
    ]
    assert all(row[name] >= 0 for row in rows for name in different)
    succeeds(*common, "--out", tmp_path / "x.csv")
    assert pd.read_csv(tmp_path / "x.csv")["mean"].tolist() == [row["mean"] for row in report]


def test_models_that_are_skipped(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "implicit" else object())
    common = ("benchmark", "--dataset", dataset, "--protocol", "cold-users", "--seeds", 1, "--time-limit", 0.001)
    output = succeeds(*common, "--models", "popularity,als,mf", "--out", tmp_path / "x.json")
    report = BenchmarkReport.read(tmp_path / "x.json")
    assert [*dict.fromkeys(row["model"] for row in report.results)] == ["popularity"]
    assert [row[0] for row in cells(output)] == ["popularity"]
    assert report.time_limit == 0.001
    assert set(report.skipped) == {"als", "mf"}
    assert "needs the package implicit" in report.skipped["als"]
    for name, reason in report.skipped.items():
        assert output.count(f"SKIPPED {name}: {reason}") == 2, "at once, and below the table"
    assert "needs the package implicit" in call(*common, "--models", "als").stderr.splitlines()[-1]


def test_all_models(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def stop(*arguments: Any, models: Any, **options: Any) -> None:
        given.extend(models)
        raise ConfigError("enough")

    monkeypatch.setattr("gnnrec.benchmarking.benchmark", stop)
    assert call("benchmark", "--dataset", dataset, "--models", "all").stderr.endswith("error: enough\n")
    assert given == MODELS.names()


def test_several_networks(dataset: Path, tmp_path: Path) -> None:
    for name, dim in (("small", 4), ("large", 8)):
        (tmp_path / f"{name}.yaml").write_text(f"model: {{embedding_dim: {dim}}}\ntrain: {{batch_size: 32}}\n")
    common = ("benchmark", "--dataset", dataset, "--models", "gnn", "--seeds", 1, "--set", "train.epochs=1")
    both = ("--config", tmp_path / "small.yaml", "--config", tmp_path / "large.yaml")
    output = succeeds(*common, *both, "--out", tmp_path / "x.json")
    assert [row[0] for row in cells(output)] == ["gnn (small)", "gnn (large)"]
    report = BenchmarkReport.read(tmp_path / "x.json")
    assert report.command.endswith("--config small.yaml --config large.yaml --set train.epochs=1")
    settings = {name: found["model"]["embedding_dim"] for name, found in report.settings.items()}
    assert settings == {"gnn (small)": 4, "gnn (large)": 8}
    assert {found["train"]["epochs"] for found in report.settings.values()} == {1}
    assert [row[0] for row in cells(succeeds(*common, *both[:2]))] == ["gnn"], "one needs no name"
    (tmp_path / "other").mkdir()
    twin = (tmp_path / "small.yaml").rename(tmp_path / "other" / "large.yaml")
    assert "two --config files have the same name" in fails(*common, "--config", twin, *both[2:])


def test_config_and_set(dataset: Path, split_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {embedding_dim: 4}\ntrain: {epochs: 9, batch_size: 32}\n")
    arguments = ("--config", tmp_path / "c.yaml", "--set", "train.epochs=1", "--seeds", 1, "--models", "gnn")
    words = ("--dataset", dataset, "--split", split_folder, *arguments, "--out", tmp_path / "x.json")
    succeeds("benchmark", *words)
    config = Config().override(["model.embedding_dim=4", "train.epochs=1", "train.batch_size=32"])
    parts = Split.from_folder(split_folder, load_dataset(dataset))
    frame = evaluate(fit(parts, config=config, progress=False), parts)
    means = [row["mean"] for row in BenchmarkReport.read(tmp_path / "x.json").results]
    assert means == pytest.approx(frame["value"].tolist(), abs=1e-6)


def test_mask_of_a_split(dataset: Path, split_folder: Path, tmp_path: Path) -> None:
    means = {}
    for mask in ("train", "train+valid"):
        words = (
            "--split",
            f"{split_folder}:mask={mask}",
            "--models",
            " ease ,popularity",
            "--out",
            tmp_path / "x.json",
        )
        assert f"masked {mask}\n" in succeeds("benchmark", "--dataset", dataset, *words)
        rows = BenchmarkReport.read(tmp_path / "x.json").results
        means[mask] = {(row["model"], row["metric"], row["k"]): row["mean"] for row in rows}
    assert {key[0] for key in means["train"]} == {"ease", "popularity"}
    for model in ("ease", "popularity"):
        assert means["train+valid"][model, "recall", 10] > means["train"][model, "recall", 10]


PROTOCOLS: dict[str, dict[str, Any]] = {
    "random": {},
    "random:seed=3": {"seed": 3},
    "recbole": {},
    "temporal:min_rating=3,k_core=5": {"min_rating": 3, "k_core": 5},
    "leave-one-out:history=train+valid": {"history": "train+valid"},
    "next-item:negatives=5": {"negatives": 5},
    "next-item:negatives=5,seed=3": {"negatives": 5, "seed": 3},
    "cold-movies:fold=1": {"fold": 1},
    "cold-movies:fold=1,candidates=all": {"fold": 1, "candidates": "all"},
    "cold-users:fold=1,n_known=3": {"fold": 1, "n_known": 3},
    "random:fractions=[0.7,0.1,0.2]": {"fractions": [0.7, 0.1, 0.2]},
}


def test_protocols_and_their_options(dataset: Path, tmp_path: Path) -> None:
    whole, seen = load_dataset(dataset), set()
    for text, options in PROTOCOLS.items():
        words = ("--dataset", dataset, "--models", "popularity", "--protocol", text, "--out", tmp_path / "x.json")
        output = succeeds("benchmark", *words)
        expected = split(whole, text.partition(":")[0], **options)
        assert repr(expected) in output
        fingerprint = Fingerprint.from_split(expected)
        assert digests(tmp_path / "x.json") == {fingerprint.digest}
        assert f"{fingerprint.digest} = mine" in output
        seen.add(fingerprint.digest)
    assert len(seen) == len(PROTOCOLS)


def test_without_a_split(dataset: Path) -> None:
    assert repr(split(load_dataset(dataset))) in succeeds("benchmark", "--dataset", dataset, "--models", "popularity")
