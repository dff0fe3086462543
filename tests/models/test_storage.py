"""Run folders: one run whole, whatever happens while it is written or read."""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from gnnrec import Config, DataError, Dataset, RecGraph, fit, load, load_dataset, load_rating_model
from gnnrec import _io as io
from gnnrec.config import RatingConfig
from gnnrec.datasets import make_sample
from gnnrec.models import Popularity, storage
from gnnrec.ratings.fit import fit_rating_model
from tests.helpers.forks import in_fork

FAST = ["train.epochs=1", "model.embedding_dim=4"]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_sample(60, 40)


@pytest.fixture(scope="module")
def models(dataset: Dataset) -> list[RecGraph]:
    """Two runs that differ in every file."""
    return [
        fit(dataset, config=Config().override([*FAST, f"train.seed={seed}"]), progress=False).with_report(seed=seed)
        for seed in (0, 1)
    ]


def total(model: RecGraph) -> float:
    return float(sum(weights.double().sum() for weights in model.encoder.state_dict().values()))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_is_replaced_is_read_whole(models: list[RecGraph], tmp_path: Path) -> None:
    expected = {seed: total(model) for seed, model in enumerate(models)}
    run = models[0].save(tmp_path / "run")
    context = multiprocessing.get_context("fork")
    stop = context.Event()

    def replace() -> None:
        for place in itertools.cycle((1, 0)):
            if stop.is_set():
                break
            models[place].save(run)

    writer = context.Process(target=replace, daemon=True)
    writer.start()
    seen: list[int] = []
    while len(seen) < 60 or (len(set(seen)) < 2 and len(seen) < 100_000):
        model = load(run)
        seed = model.report["seed"]
        assert (model.config.train.seed, total(model)) == (seed, expected[seed])
        seen.append(seed)
    assert writer.is_alive()
    stop.set()
    writer.join()
    assert writer.exitcode == 0
    assert set(seen) == {0, 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_files_of_two_runs(models: list[RecGraph], tmp_path: Path) -> None:
    one, other = (model.save(tmp_path / f"run{seed}") for seed, model in enumerate(models))
    for name in ("config.yaml", "metrics.json", "weights.safetensors"):
        mine = (one / name).read_bytes()
        (one / name).write_bytes((other / name).read_bytes())
        with pytest.raises(DataError, match=rf"run0 is damaged: {name} was changed after it was saved"):
            load(one)
        (one / name).write_bytes(mine)
    assert load(one).report == {"seed": 0}


def test_replaced_between_two_reads(models: list[RecGraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = models[0].save(tmp_path / "run")
    read, replaced = storage.read_header, []

    def header(folder: Path) -> dict[str, Any]:
        found = read(folder)
        if not replaced:
            replaced.append(models[1].save(run))
        return found

    monkeypatch.setattr(storage, "read_header", header)
    model = load(run)
    assert (model.report, model.config.train.seed, total(model)) == ({"seed": 1}, 1, total(models[1]))


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("killed_at", [1, 2])
def test_killed_between_two_renames(
    models: list[RecGraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, killed_at: int
) -> None:
    """Nothing is cleaned up after a kill; the run is there all the same, and the next save replaces it."""
    run = models[0].save(tmp_path / "run")

    def replace() -> None:
        rename, calls = Path.rename, []

        def kill(self: Path, target: Path) -> Path:
            calls.append(target)
            if len(calls) == killed_at:
                os._exit(9)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", kill)
        if not exchange:
            monkeypatch.setattr(io, "_exchange", lambda one, other: False)
        load(run).with_report(seed=7).save(run)

    exchanged = exchange and sys.platform.startswith("linux")
    assert in_fork(replace) == (0 if exchanged else 9)
    assert load(run).report == {"seed": 7 if exchanged else 0}
    models[1].save(run)
    assert load(run).report == {"seed": 1}


def test_everything_is_written_through(models: list[RecGraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power failure after a save must not leave empty files: each is synced before the rename, the folder after."""
    events: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(Path(f"/proc/self/fd/{fd}").readlink().name), fsync(fd)))
    exchange = io._exchange
    monkeypatch.setattr(io, "_exchange", lambda one, other: (events.append("exchange"), exchange(one, other))[1])
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    run = models[0].save(tmp_path / "run")
    events.clear()
    models[1].save(run)
    before = events[: events.index("exchange")]
    assert {path.name for path in run.iterdir()} <= set(before)
    assert events[-1] == tmp_path.name
    events.clear()
    io.write_atomic(tmp_path / "file", b"x")
    assert events == [events[0], tmp_path.name] and events[0].endswith(".part")


def test_weights_that_were_changed(models: list[RecGraph], tmp_path: Path) -> None:
    run = models[0].save(tmp_path / "run")
    weights = load_file(run / "weights.safetensors")
    weights["target.id_embeddings"][0, 0] = float("nan")
    save_file(weights, run / "weights.safetensors")
    with pytest.raises(DataError, match=r"run is damaged: weights\.safetensors was changed after it was saved"):
        load(run)


def test_a_run_in_training_takes_new_weights(models: list[RecGraph], tmp_path: Path) -> None:
    run = storage.write_run(tmp_path / "run", models[0], in_training=True)
    storage.write_weights(run, models[1].encoder.state_dict())
    assert total(load(run)) == total(models[1])
    finished = models[0].save(tmp_path / "finished")
    storage.write_weights(finished, models[1].encoder.state_dict())
    assert total(load(finished)) == total(models[1])
    other = Config().override([*FAST, "train.seed=2"])
    stranger = fit(models[0].dataset, config=other, progress=False).save(tmp_path / "stranger")
    (run / "weights.safetensors").write_bytes((stranger / "weights.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"weights\.safetensors was changed"):
        load(run)


def test_a_rating_head_is_read_with_its_run(
    models: list[RecGraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = RatingConfig(embedding_dim=2, num_samples=3, burn_in=1)
    first, second = (fit_rating_model(model, rating_config=small, progress=False) for model in models)
    run = first.save(tmp_path / "run")
    (run / "rating.safetensors").write_bytes((second.save(tmp_path / "other") / "rating.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"rating head in .*run is damaged: rating\.safetensors was changed"):
        load_rating_model(run)
    first.save(run)
    from gnnrec.ratings import model as module

    read, replaced = module.load_recommender, []

    def load_and_replace(*args: Any) -> Any:
        found = read(*args)
        if not replaced:
            replaced.append(second.save(run))
        return found

    monkeypatch.setattr(module, "load_recommender", load_and_replace)
    assert load_rating_model(run).recommender.report == {"seed": 1}


def test_the_rating_scale_is_saved(tmp_path: Path) -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 2, 1, 3], "rating": [2, 5, 4, 3]})
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    dataset = load_dataset(tmp_path / "ratings.csv", rating_scale=(1, 7))
    assert load(Popularity().fit(dataset).save(tmp_path / "run")).dataset.rating_scale == (1, 7)


# Values nobody expected


def test_columns_of_any_values(dataset: Dataset, tmp_path: Path) -> None:
    rows = len(dataset.movies)
    own: dict[str, Any] = {
        "times": [[pd.Timestamp("2001-01-01")]] * rows,
        "arrays": [[np.array([1, 2]), np.array([[3.5]])]] * rows,
        "nested": [{"a": {1, 2}, "b": (None, float("nan"))}] * rows,
        "dates": [datetime.date(2001, 2, 3)] * rows,
        "decimals": [decimal.Decimal("1.50")] * rows,
        "numbers": [np.float32(0.5)] * rows,
        "bytes": [b"\xff"] * rows,
        "missing": [pd.NaT] * rows,
    }
    movies = dataset.movies.assign(**{name: pd.Series(values, dtype=object) for name, values in own.items()})
    model = Popularity().fit(Dataset(dataset.ratings, movies, dataset.users))
    found = load(model.save(tmp_path / "run")).dataset.movies.iloc[0]
    assert found["times"] == ["2001-01-01 00:00:00"]
    assert found["arrays"] == [[1, 2], [[3.5]]]
    assert found["nested"] == {"a": [1, 2], "b": [None, None]}
    assert (found["dates"], found["decimals"], found["numbers"], found["bytes"]) == (
        "2001-02-03",
        "1.50",
        0.5,
        "b'\\xff'",
    )
    assert pd.isna(found["missing"])


def test_reports_of_any_values(dataset: Dataset, tmp_path: Path) -> None:
    model = (
        Popularity()
        .fit(dataset)
        .with_report(
            loss=np.float32(0.25),
            path=Path("a"),
            values=torch.tensor([1, 2]),
            when=datetime.date(2001, 1, 1),
            nan=float("nan"),
        )
    )
    run = model.save(tmp_path / "run")
    expected = {"loss": 0.25, "path": "a", "values": [1, 2], "when": "2001-01-01", "nan": None}
    assert load(run).report == expected
    assert json.loads((run / "metrics.json").read_text(), parse_constant=pytest.fail)["report"] == expected


def test_a_run_keeps_the_story_of_its_files(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("userId;animeId;score\n1;1;8\n1;2;7\n2;1;-1\n2;2;9\n")
    dataset = load_dataset(path)
    again = load(fit(dataset, "popularity").save(tmp_path / "run")).graph.dataset
    assert again.provenance == dataset.provenance
    assert "rating -1" in str(again.provenance)
    assert again.rating_scale == (1, 10)
