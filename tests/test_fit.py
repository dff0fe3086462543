"""The training loop: repeatable, resumable, and whatever stops it, a run that can be loaded is left behind."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from gnnrec import Config, ConfigError, DataError, Dataset, NewUser, RecGraph, Split, evaluate, fit, load, recommend
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.models import Popularity
from gnnrec.registry import ENCODERS, LOSSES
from gnnrec.splitting import random_split
from tests.helpers.settings import FAST

LOOP = importlib.import_module("gnnrec.models.gnn_training")  # the module; `gnnrec.fit` is the function
QUICK = Config().override(["model.embedding_dim=8", "train.batch_size=32", "train.epochs=4"])
RUN = {"config.yaml", "graph.safetensors", "metrics.json", "nodes.json", "run.json", "weights.safetensors"}


@pytest.fixture(scope="module")
def small() -> Split:
    return random_split(make_sample(80, 40, seed=2, ratings_per_user=12), (0.8, 0.2, 0.0), seed=0)


def quick(data: Split | Dataset, *overrides: str, **options: Any) -> RecGraph:
    return fit(data, config=QUICK.override(overrides), progress=False, **options)


def figures(model: RecGraph) -> list[dict[str, float]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in model.history]


def assert_same_training(one: RecGraph, other: RecGraph) -> None:
    assert figures(one) == figures(other)
    theirs = other.encoder.state_dict()
    assert set(one.encoder.state_dict()) == set(theirs)
    for name, weight in one.encoder.state_dict().items():
        assert torch.equal(weight, theirs[name]), name


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class Stopped(Exception):  # noqa: N818
    """Raised by a test in the middle of a step."""


def stop_at_step(monkeypatch: pytest.MonkeyPatch, step: int, with_what: BaseException) -> None:
    honest, steps = LOOP.batch_loss, iter(range(1, step + 1))

    def step_loss(*args: Any) -> torch.Tensor:
        if next(steps) == step:
            raise with_what
        return honest(*args)

    monkeypatch.setattr(LOOP, "batch_loss", step_loss)


# It learns


@pytest.fixture(scope="module")
def popularity_recall(split: Split, trained: RecGraph) -> float:
    return recall_at_10(Popularity.fit(trained.graph), split)


def recall_at_10(model: Any, split: Split) -> float:
    return float(evaluate(model, split, ks=(10,), metrics=("recall",))["value"].iloc[0])


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_every_encoder_and_loss_beats_popularity(
    split: Split, popularity_recall: float, encoder: str, loss: str
) -> None:
    """By half at least: of what the sample's people watched, popularity finds 0.13, the models 0.20 to 0.23."""
    config = FAST.override([f"model.encoder={encoder}", f"train.loss={loss}", "train.epochs=10"])
    assert 0.1 < popularity_recall < 0.16
    assert recall_at_10(fit(split, config=config, progress=False), split) > 1.4 * popularity_recall


def test_history(small: Split) -> None:
    model = quick(small)
    assert [entry["epoch"] for entry in model.history] == [1, 2, 3, 4]
    assert all(set(entry) == {"epoch", "loss", "ndcg@20", "seconds"} for entry in model.history)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    # What the history says of the best epoch is what the model does.
    found = evaluate(model, small.valid, ks=(20,), metrics=("ndcg",), candidates=small.catalogue)
    assert found["value"].iloc[0] == pytest.approx(max(entry["ndcg@20"] for entry in model.history), abs=1e-6)


def test_the_metric_is_the_one_asked_for(small: Split) -> None:
    model = quick(small, "train.metric=recall", "train.k=5", "train.epochs=2")
    found = evaluate(model, small.valid, ks=(5,), metrics=("recall",), candidates=small.catalogue)
    assert found["value"].iloc[0] == pytest.approx(max(entry["recall@5"] for entry in model.history), abs=1e-6)


def test_result_is_frozen(small: Split) -> None:
    model = quick(small, "train.epochs=1")
    assert not model.encoder.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


# Repeatable


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_a_seed_decides_everything(small: Split, encoder: str) -> None:
    overrides = [f"model.encoder={encoder}", "model.num_layers=2", "train.loss=bpr", "train.id_dropout=0.2"]
    one = quick(small, *overrides)
    torch.manual_seed(12345)  # what the caller drew before does not matter
    torch.rand(3)
    assert_same_training(one, quick(small, *overrides))
    other = quick(small, *overrides, "train.seed=1")
    assert figures(one) != figures(other)
    assert not torch.equal(one.similarity_embeddings(), other.similarity_embeddings())


# Watching


def test_on_epoch_gets_the_figures(small: Split) -> None:
    seen: list[dict[str, Any]] = []
    model = quick(small, on_epoch=seen.append)
    assert seen == model.history
    seen[0]["loss"] = -1.0  # a copy
    assert model.history[0]["loss"] > 0


def test_on_epoch_may_stop_it(small: Split, tmp_path: Path) -> None:
    def stop(entry: dict[str, Any]) -> None:
        if entry["epoch"] == 2:
            raise Stopped

    with pytest.raises(Stopped):
        quick(small, run_dir=tmp_path, on_epoch=stop)
    assert len(load(tmp_path).history) == 2
    assert_same_training(quick(small, run_dir=tmp_path, resume=True), quick(small))


def test_weights_that_are_no_numbers(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one step per epoch the loss is still that of the weights before it."""
    honest = LOOP.batch_loss

    def step_loss(encoder: Any, *args: Any) -> torch.Tensor:
        nothing = (next(encoder.parameters()).sum() * 0).sqrt()  # is 0, and its gradient infinity times 0
        return honest(encoder, *args) + nothing

    monkeypatch.setattr(LOOP, "batch_loss", step_loss)
    with pytest.raises(
        FloatingPointError, match=r"a weight is no finite number after epoch 1; lower train\.learning_rate"
    ):
        quick(small, "train.batch_size=1000")


# Stopping early


def test_patience(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.25, 0.9])
    weights = []

    def validate(model: RecGraph, split: Split) -> float:
        weights.append(model.encoder.target.id_embeddings.clone())
        return next(scores)

    monkeypatch.setattr(LOOP, "validate", validate)
    model = quick(small, "train.epochs=10", "train.patience=3")
    # 0.3 again is not better, so the third epoch after the second is the last, and the second is what stays.
    assert [entry["ndcg@20"] for entry in model.history] == [0.1, 0.3, 0.2, 0.3, 0.25]
    assert torch.equal(model.encoder.target.id_embeddings, weights[1])
    assert not torch.equal(model.encoder.target.id_embeddings, weights[-1])


def test_without_valid_rows_the_last_epoch_stays(small: Split) -> None:
    nothing = small.valid[:0]
    model = fit(Split(small.train, nothing, nothing, small.movies, small.users), QUICK, progress=False)
    assert [set(entry) for entry in model.history] == [{"epoch", "loss", "seconds"}] * 4
    longer = fit(
        Split(small.train, nothing, nothing, small.movies, small.users),
        QUICK.override(["train.epochs=5", "train.patience=1"]),
        progress=False,
    )
    assert figures(longer)[:4] == figures(model)
    assert not torch.equal(longer.similarity_embeddings(), model.similarity_embeddings())


# Interrupted and resumed


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_resuming_equals_never_having_stopped(
    small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    override = f"model.encoder={encoder}"
    whole = quick(small, override, run_dir=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at_step(patch, 8, KeyboardInterrupt())  # 80 users in batches of 32: the second step of epoch 3
        with pytest.raises(KeyboardInterrupt):
            quick(small, override, run_dir=tmp_path / "run")
    left = load(tmp_path / "run")
    assert figures(left) == figures(whole)[:2]
    assert_same_training(left, quick(small, override, "train.epochs=2"))

    resumed = quick(small, override, run_dir=tmp_path / "run", resume=True)
    assert_same_training(resumed, whole)
    assert_same_training(load(tmp_path / "run"), load(tmp_path / "whole"))
    assert (
        files_in(tmp_path / "run") == files_in(tmp_path / "whole") == RUN | {"checkpoint.safetensors", "training.png"}
    )
    assert {path.name for path in tmp_path.iterdir()} == {"run", "whole"}


def test_resuming_leaves_the_best_epoch_in_place(small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saved run holds the best epoch, the checkpoint the last one; only a better epoch may replace the former."""
    run, seen = tmp_path / "run", []
    qualities = iter([0.3, 0.2, 0.1])
    monkeypatch.setattr(LOOP, "validate", lambda *args: next(qualities))
    quick(small, "train.epochs=3", run_dir=run)
    best = weights_of(run)

    def step_loss(*args: Any) -> torch.Tensor:
        seen.append(weights_of(run))
        raise KeyboardInterrupt

    monkeypatch.setattr(LOOP, "batch_loss", step_loss)
    with pytest.raises(KeyboardInterrupt):
        quick(small, "train.epochs=9", run_dir=run, resume=True)
    assert seen == [best]
    assert weights_of(run) == best


def weights_of(run: Path) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in load_file(run / "weights.safetensors").items()}


def test_the_callers_random_numbers_are_left_alone(small: Split) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    quick(small, "train.epochs=1")
    assert torch.equal(torch.rand(3), expected)


def test_what_is_no_data_or_no_config(small: Split) -> None:
    with pytest.raises(DataError, match="fit takes a Dataset or a Split, not str; load_dataset makes one"):
        fit("sample")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"config must be a Config, not dict; Config\.from_yaml reads a file"):
        fit(small, {})  # type: ignore[arg-type]


def test_ctrl_c_before_the_first_epoch_is_over(small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at_step(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quick(small, run_dir=tmp_path / "run")
    left = load(tmp_path / "run")
    assert left.history == []
    assert np.isfinite(recommend(left, 1)["score"]).all()
    assert files_in(tmp_path) == {f"run/{name}" for name in RUN}
    with pytest.raises(DataError, match=r"nothing to resume: there is no .*checkpoint\.safetensors"):
        quick(small, run_dir=tmp_path / "run", resume=True)


def test_a_finished_run_can_be_given_more_epochs(small: Split, tmp_path: Path) -> None:
    quick(small, run_dir=tmp_path / "run", **{})
    longer = quick(small, "train.epochs=6", run_dir=tmp_path / "run", resume=True)
    assert_same_training(longer, quick(small, "train.epochs=6"))
    again = quick(small, "train.epochs=6", run_dir=tmp_path / "run", resume=True)
    assert again.history == longer.history  # nothing left to do


def test_a_killed_process_leaves_a_run(small: Split, tmp_path: Path) -> None:
    small.to_folder(tmp_path / "split")
    code = f"""
import os, sys
import gnnrec
import gnnrec.models.gnn_training as loop
steps = iter(range(1, 100))
honest = loop.step_loss
def step_loss(*args):
    if next(steps) == 8:
        os._exit(9)
    return honest(*args)
loop.step_loss = step_loss
config = gnnrec.Config.from_yaml({str(tmp_path / "config.yaml")!r})
split = gnnrec.Split.from_folder({str(tmp_path / "split")!r})
gnnrec.fit(split, config=config, run_dir={str(tmp_path / "run")!r}, progress=False)
"""
    QUICK.to_yaml(tmp_path / "config.yaml")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert len(recommend(load(tmp_path / "run"), NewUser(), k=5)) == 5
    assert files_in(tmp_path / "run") == RUN | {"checkpoint.safetensors"}
    # Processes may divide their sums among threads differently, hence the tolerance.
    data = Split.from_folder(tmp_path / "split")
    resumed, whole = quick(data, run_dir=tmp_path / "run", resume=True), quick(data)
    assert [e["epoch"] for e in resumed.history] == [1, 2, 3, 4]
    torch.testing.assert_close(resumed.similarity_embeddings(), whole.similarity_embeddings(), atol=1e-4, rtol=1e-4)


def test_resume_needs_a_run(small: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume needs the run_dir of the run to go on with"):
        quick(small, resume=True)
    with pytest.raises(DataError, match=r"nothing to resume: there is no .*none/checkpoint\.safetensors"):
        quick(small, run_dir=tmp_path / "none", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_resume_needs_the_same_config_and_data(small: Split, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(small, "train.epochs=1", run_dir=run)
    before = {name: (run / name).read_bytes() for name in files_in(run)}
    genres = small.movies.assign(genres="Drama")
    vectors = ContentEmbeddings(small.movies["movie_id"][:2], [[1.0], [2.0]])
    for data, overrides in (
        (small, ["model.embedding_dim=9"]),
        (small, ["train.learning_rate=0.1"]),
        (Split(small.train[1:], small.valid, small.test, small.movies, small.users), []),
        (Split(small.train, small.valid[1:], small.test, small.movies, small.users), []),
        (Split(small.train, small.valid, small.test, genres, small.users), []),
        (Split(small.train, small.valid, small.test, small.movies.assign(directors="Ann"), small.users), []),
        (Split(small.train, small.valid, small.test, small.movies, small.users, features={"text": vectors}), []),
        (Split(small.train, small.valid, small.test, small.movies, small.users.assign(age=30)), []),
    ):
        with pytest.raises(ConfigError, match=r"checkpoint\.safetensors was made with another config or other data"):
            quick(data, *overrides, run_dir=run, resume=True)
    assert {name: (run / name).read_bytes() for name in files_in(run)} == before


def write_something_else(path: Path) -> None:
    torch.save({"epoch": 1}, path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_text("not a checkpoint"),
        write_something_else,
    ],
    ids=["empty", "half", "text", "another file"],
)
def test_damaged_checkpoint(small: Split, tmp_path: Path, damage: Any) -> None:
    run = tmp_path / "run"
    quick(small, "train.epochs=1", run_dir=run)
    damage(run / "checkpoint.safetensors")
    with pytest.raises(DataError, match=r"run/checkpoint\.safetensors is damaged"):
        quick(small, run_dir=run, resume=True)
    assert load(run).history[0]["epoch"] == 1


def test_a_loss_that_is_no_number(small: Split, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch \d; lower train.learning_rate"):
        quick(small, "train.learning_rate=1e15", "train.epochs=9", run_dir=tmp_path / "run")
    left = load(tmp_path / "run")
    assert np.isfinite(recommend(left, 1)["score"]).all()
    assert files_in(tmp_path / "run") <= RUN | {"checkpoint.safetensors", "training.png"}


def test_a_folder_of_something_else_is_left_alone(small: Split, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="exists and is not a saved run; choose another folder"):
        quick(small, run_dir=tmp_path)
    assert files_in(tmp_path) == {"thesis.txt"}


def test_a_device_that_is_not_there(small: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used: "):
        quick(small, "train.device=quantum", run_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# What goes in


def test_of_a_dataset_everything_ends_up_in_the_graph() -> None:
    world = make_sample(40, 30, seed=4, ratings_per_user=14)
    model = quick(world)
    pd.testing.assert_frame_equal(model.graph.dataset.ratings, world.ratings)
    assert "ndcg@20" in model.history[0]
    seen = set(world.ratings.loc[world.ratings["user_id"] == 1, "movie_id"])
    assert set(recommend(model, 1, k=30)["movie_id"]) == set(world.movies["movie_id"]) - seen


def test_of_a_split_only_train_is_in_the_graph(small: Split) -> None:
    model = quick(small, "train.epochs=1")
    pd.testing.assert_frame_equal(model.graph.dataset.ratings, small.train)


def one_user() -> Dataset:
    return Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [10, 20]}))


def single_ratings() -> Dataset:
    return Dataset(pd.DataFrame({"user_id": [1, 2, 3], "movie_id": ["a", "b", "a"]}))


def one_rating() -> Dataset:
    movies = pd.DataFrame({"movie_id": [10, 20, 30], "genres": ["Drama", "Drama", ""]})
    return Dataset(pd.DataFrame({"user_id": ["x"], "movie_id": [10]}), movies)


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("data", [one_user, single_ratings, one_rating])
def test_tiny_data(data: Any, encoder: str, loss: str, tmp_path: Path) -> None:
    dataset = data()
    overrides = [f"model.encoder={encoder}", f"train.loss={loss}", "model.num_layers=2"]
    model = quick(dataset, *overrides, run_dir=tmp_path / "run")
    assert len(model.history) == 4
    unseen = {one_user: [0], single_ratings: [1, 1, 1], one_rating: [2]}[data]
    for user, left in zip(dataset.users["user_id"], unseen, strict=True):
        found = recommend(load(tmp_path / "run"), user)
        assert len(found) == left
        assert np.isfinite(found["score"]).all()
    assert len(recommend(model, NewUser())) == dataset.num_movies
