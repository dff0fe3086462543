"""`python benchmarks/cold_start.py` on a small dataset, and the page that is written from its results."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gnnrec
from gnnrec import evaluate
from gnnrec.datasets import load_dataset, make_sample
from gnnrec.features import encode_plots, save_embeddings
from gnnrec.models import Popularity
from gnnrec.splitting import cold_users_split

HOME = Path(__file__).resolve().parents[2]
SCRIPT = HOME / "benchmarks" / "cold_start.py"
QUICK = ("--set", "train.epochs=2", "--set", "train.batch_size=64", "--set", "model.embedding_dim=16")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small dataset and embeddings of its movies."""
    folder = tmp_path_factory.mktemp("home")
    dataset = make_sample(120, 90)
    dataset.to_folder(folder / "small")
    text = encode_plots(dataset, encoder="tfidf:8", progress=False)
    for modality in ("text", "poster"):
        save_embeddings(folder / "features", modality, text)
    return folder


@pytest.fixture
def small(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    return tmp_path / "small"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    words = [str(SCRIPT), arguments[0], "--dataset", "small", *QUICK, "--json", "out/x.json", *arguments[1:]]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found: dict[str, Any] = json.loads(Path("out/x.json").read_text())
    return found


def test_cold_users_with_each_number_of_known_ratings(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(monkeypatch, "users", "--models", "gnn,popularity", "--folds", "2")
    assert found["command"].startswith("python benchmarks/cold_start.py users --dataset small --models gnn,popularity")
    rows = {(row["case"], row["model"], row["metric"], row["k"]): row for row in found["results"]}
    assert len(rows) == 5 * 2 * 4
    for n_known in (0, 1, 3, 5, 10):
        values, digests = [], []
        for fold in (0, 1):
            split = cold_users_split(load_dataset("small"), fold, n_known)
            expected = evaluate(Popularity().fit(split), split, ks=[10])
            values.append(float(expected.set_index("metric").loc["ndcg", "value"]))
            digests.append(expected.attrs["fingerprint"])
        row = rows[f"{n_known} ratings", "popularity", "ndcg", 10]
        assert row["values"] == pytest.approx(values)
        assert row["fingerprints"] == digests
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["std"] == pytest.approx(np.std(values, ddof=1))


def test_cold_movies_with_two_sets_of_candidates(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(monkeypatch, "movies", "--models", "gnn,ridge", "--folds", "1", "--features", "features")
    value = {(row["case"], row["model"]): row["mean"] for row in found["results"] if row["metric"] == "recall"}
    for model in ("gnn", "ridge"):
        assert value["among held-out", model] > value["among all", model], "fewer candidates"
    assert found["skipped"] == {}


def test_ablation(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(
        monkeypatch, "warm", "--ablation", "--variants", "id only;all", "--seeds", "2", "--features", "features"
    )
    assert {row["model"] for row in found["results"]} == {"id only", "all"}
    assert found["ablation"] is True
    assert found["config"]["model"]["user_degree_smoothing"] == gnnrec.Config().model.user_degree_smoothing
    assert all(len(row["values"]) == 2 for row in found["results"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("movies", "--models", "gnn,oracle"), "unknown model oracle"),
        (("movies", "--ablation", "--variants", "smell"), "unknown variant smell"),
        (("movies", "--folds", "6"), "--folds must be 1 to 5"),
        (("movies", "--ablation", "--variants", "all", "--features", "nowhere"), "nowhere contains no embedding files"),
    ],
)
def test_invalid_arguments(
    small: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, *arguments)
    assert not Path("out/x.json").exists()


# The page


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cold_start", HOME / "docs" / "_scripts" / "make_cold_start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(script: ModuleType) -> None:
    for name, text in script.pages(HOME / "benchmarks" / "results").items():
        assert (HOME / "docs" / name).read_text(encoding="utf-8") == text, "run: make cold-start-page"


@pytest.mark.parametrize(
    ("options", "stopped"),
    [
        ("", {"lightfm": (1, 2)}),
        ("--limit-seconds 60.0", {"lightfm": (2, 2), "als": (1, 2)}),
        ("--folds 3 --time-limit 300", {}),
    ],
)
def test_models_that_the_time_limit_stopped(options: str, stopped: Any, script: ModuleType) -> None:
    seconds = {"gnn": [400, 500], "lightfm": [70, 250], "als": [59.9, 60]}
    rows = [
        {"case": "among all", "model": model, "metric": "ndcg", "k": 20, "mean": 0.1, "std": 0.0, "values": [0.1]}
        | {"fit_seconds": found}
        for model, found in seconds.items()
    ]
    report = {"command": f"python cold_start.py movies {options}", "results": rows, "skipped": {}, "packages": {}}
    assert script.cut_off(report) == stopped
    text = script.section(report, ("ndcg@20",))
    assert [name for name in seconds if f"\n| {name} † |" in text] == list(stopped)
    assert ("† Stopped by the time limit" in text) is bool(stopped)


def test_findings(script: ModuleType) -> None:
    def row(model: str, values: list[float], case: str) -> dict[str, Any]:
        return {"case": case, "model": model, "metric": "recall", "k": 20, "values": values}

    rows = {
        (one["case"], one["model"], "recall@20"): one
        for one in (
            row("much", [0.3, 0.4], "x"), row("little", [0.2, 0.39], "x"), row("other", [0.31, 0.38], "x"),
        )
    }  # fmt: skip
    assert script.change(rows, "x", "much", "little") == "better in every fit (+0.0550 Recall@20)"
    assert script.change(rows, "x", "little", "much") == "worse in every fit (-0.0550 Recall@20)"
    assert script.change(rows, "x", "much", "other") == "no clear effect (+0.0050 Recall@20)"
