"""The training loop: repeatable, resumable, and whatever stops it, a run that can be loaded is left behind."""

from __future__ import annotations

import importlib
import os
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
from gnnrec.training.callbacks import Callback, FitState
from tests.helpers.forks import in_fork
from tests.helpers.settings import FAST

LOOP = importlib.import_module("gnnrec.models.gnn_training")
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
def popularity_recall(split: Split) -> float:
    return recall_at_10(Popularity().fit(split), split)


def recall_at_10(model: Any, split: Split) -> float:
    return float(evaluate(model, split, ks=(10,), metrics=("recall",))["value"].iloc[0])


@pytest.mark.parametrize("loss", LOSSES.builtin)
@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_every_encoder_and_loss_beats_popularity(
    split: Split, popularity_recall: float, encoder: str, loss: str
) -> None:
    """By two fifths at least: popularity has a recall of 0.13, the models one of 0.20 to 0.23."""
    config = FAST.override([f"model.encoder={encoder}", f"train.loss={loss}", "train.epochs=10"])
    assert 0.1 < popularity_recall < 0.16
    assert recall_at_10(fit(split, config=config, progress=False), split) > 1.4 * popularity_recall


def test_history(small: Split) -> None:
    model = quick(small)
    assert [entry["epoch"] for entry in model.history] == [1, 2, 3, 4]
    assert all(set(entry) == {"epoch", "loss", "ndcg@20", "seconds"} for entry in model.history)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    # What the history says of the best epoch is what the model does.
    found = evaluate(model, small.valid, ks=(20,), metrics=("ndcg",), candidates=small.catalog)
    assert found["value"].iloc[0] == pytest.approx(max(entry["ndcg@20"] for entry in model.history), abs=1e-6)


def test_the_metric_is_the_one_asked_for(small: Split) -> None:
    model = quick(small, "train.metric=recall", "train.k=5", "train.epochs=2")
    found = evaluate(model, small.valid, ks=(5,), metrics=("recall",), candidates=small.catalog)
    assert found["value"].iloc[0] == pytest.approx(max(entry["recall@5"] for entry in model.history), abs=1e-6)


def test_result_is_frozen(small: Split) -> None:
    model = quick(small, "train.epochs=1")
    assert not model.encoder.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


# Repeatable


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_a_seed_decides_everything(small: Split, encoder: str) -> None:
    overrides = [f"model.encoder={encoder}", "model.num_layers=2", "train.loss=bpr", "train.id_dropout=0.2"]
    one = quick(small, *overrides)
    torch.manual_seed(12345)  # what the caller drew before does not matter
    torch.rand(3)
    assert_same_training(one, quick(small, *overrides))
    other = quick(small, *overrides, "train.seed=1")
    assert figures(one) != figures(other)
    assert not torch.equal(one.similarity_embeddings(), other.similarity_embeddings())


# Callbacks


class Recorder(Callback):
    """Records its calls; fails or stops the fit when told to."""

    def __init__(self, fail_in: str | None = None, stop_after: int = 0) -> None:
        self.fail_in, self.stop_after = fail_in, stop_after
        self.calls: list[str] = []
        self.figures: list[dict[str, float]] = []

    def on_fit_start(self, state: FitState) -> None:
        self.call("start")

    def on_epoch_end(self, state: FitState) -> None:
        self.figures.append(state.record)
        state.metrics["ndcg@20"] = -1.0  # changes nothing: the history is not a callback's to change
        if state.epoch == self.stop_after:
            state.stop()
        self.call("epoch")

    def on_fit_end(self, state: FitState) -> None:
        self.call("end")

    def call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fail_in:
            raise Stopped(name)


def test_callbacks_get_the_figures(small: Split) -> None:
    recorder = Recorder()
    model = quick(small, callbacks=[recorder])
    assert recorder.calls == ["start", *["epoch"] * 4, "end"]
    assert recorder.figures == model.history
    assert all(entry["ndcg@20"] > 0 for entry in model.history)


def test_a_callback_may_stop_a_fit(small: Split, tmp_path: Path) -> None:
    recorder = Recorder(stop_after=2)
    model = quick(small, run_dir=tmp_path / "run", callbacks=[recorder])
    assert recorder.calls == ["start", "epoch", "epoch", "end"]
    assert_same_training(model, quick(small, "train.epochs=2"))
    assert_same_training(quick(small, run_dir=tmp_path / "run", resume=True), quick(small))


def test_a_callback_that_fails_ends_a_fit_like_ctrl_c(small: Split, tmp_path: Path) -> None:
    recorder = Recorder("epoch")
    with pytest.raises(Stopped, match="epoch"):
        quick(small, run_dir=tmp_path, callbacks=[recorder])
    assert recorder.calls == ["start", "epoch", "end"]
    assert len(load(tmp_path).history) == 1
    assert_same_training(quick(small, run_dir=tmp_path, resume=True), quick(small))


@pytest.mark.parametrize("model", ["gnn", "mf"])
@pytest.mark.parametrize("place", ["start", "epoch", "end"])
def test_every_callback_that_was_started_is_ended(small: Split, place: str, model: str) -> None:
    """Also the one that fails; those after it were never started if it fails at the start."""
    first, failing, last = Recorder(), Recorder(place), Recorder()
    settings = {"config": QUICK} if model == "gnn" else {"epochs": 4}
    with pytest.raises(Stopped, match=place):
        fit(small, model, callbacks=[first, failing, last], progress=False, **settings)
    assert first.calls[0] == "start" and first.calls[-1] == "end"
    assert first.calls.count("end") == failing.calls.count("end") == 1
    assert last.calls == ([] if place == "start" else [*["start"], *["epoch"] * last.calls.count("epoch"), "end"])


def test_callbacks_end_if_the_run_cannot_be_saved(
    small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, save = Recorder(), RecGraph.save

    def full_disk(model: RecGraph, *args: Any, **options: Any) -> Any:
        if model.history:
            raise OSError("no space left")
        return save(model, *args, **options)

    monkeypatch.setattr(RecGraph, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        quick(small, "train.epochs=1", run_dir=tmp_path / "run", callbacks=[recorder])
    assert recorder.calls == ["start", "epoch", "end"]


# Weights that are not finite


def test_a_weight_that_is_not_finite(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one step per epoch the loss is still that of the weights before it."""
    honest = LOOP.batch_loss

    def step_loss(encoder: Any, *args: Any) -> torch.Tensor:
        nothing = (next(encoder.parameters()).sum() * 0).sqrt()  # is 0, and its gradient infinity times 0
        return honest(encoder, *args) + nothing

    monkeypatch.setattr(LOOP, "batch_loss", step_loss)
    with pytest.raises(FloatingPointError, match=r"a weight is not finite after epoch 1; lower train\.learning_rate"):
        quick(small, "train.batch_size=1000")


# Stopping early


def test_patience(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.05, 0.1, 0.3, 0.2, 0.3, 0.25, 0.9])  # the first is of the initialization
    weights = []

    def validation(model: RecGraph) -> float:
        weights.append(model.encoder.target.id_embeddings.clone())
        return next(scores)

    monkeypatch.setattr(LOOP, "Validation", lambda *arguments: validation)
    model = quick(small, "train.epochs=10", "train.patience=3")
    # 0.3 again is not better, so the third epoch after the second is the last, and the second is what stays.
    assert [entry["ndcg@20"] for entry in model.history] == [0.1, 0.3, 0.2, 0.3, 0.25]
    assert torch.equal(model.encoder.target.id_embeddings, weights[2])
    assert not torch.equal(model.encoder.target.id_embeddings, weights[-1])


def test_without_validation_ratings_the_last_epoch_is_kept(small: Split) -> None:
    none = small.valid[:0]
    train_only = Split(small.train, none, none, small.movies, small.users)
    with pytest.warns(UserWarning, match="no validation ratings: all epochs run and the last one is kept"):
        model = quick(train_only)
    assert [set(entry) for entry in model.history] == [{"epoch", "loss", "seconds"}] * 4
    with pytest.warns(UserWarning, match="no validation ratings"):
        longer = quick(train_only, "train.epochs=5", "train.patience=1")
    assert figures(longer)[:4] == figures(model)
    assert not torch.equal(longer.similarity_embeddings(), model.similarity_embeddings())


# Interrupted and resumed


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
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
    assert files_in(tmp_path / "run") == files_in(tmp_path / "whole") == RUN | {"checkpoint.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == {"run", "whole"}


def test_resuming_leaves_the_best_epoch_in_place(small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saved run holds the best epoch, the checkpoint the last one; only a better epoch may replace the former."""
    run, seen = tmp_path / "run", []
    qualities = iter([0.05, 0.3, 0.2, 0.1])
    monkeypatch.setattr(LOOP, "Validation", lambda *arguments: lambda model: next(qualities))
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


def test_other_data_and_settings_are_refused(small: Split) -> None:
    with pytest.raises(DataError, match="fit takes a Dataset or a Split, not str; load_dataset returns a Dataset"):
        fit("sample")  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"config: Input should be a valid dictionary or instance of Config \(got 3\)"
    ):
        fit(small, config=3)
    with pytest.raises(ConfigError, match=r"fit takes settings by name: fit\(data, config=\.\.\.\)"):
        fit(small, QUICK)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a model is a name, an Estimator or an Estimator class, not dict"):
        fit(small, {})  # type: ignore[arg-type]


def test_ctrl_c_before_the_first_epoch_is_over(small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at_step(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quick(small, run_dir=tmp_path / "run")
    left = load(tmp_path / "run")
    assert left.history == []
    assert np.isfinite(recommend(left, 1)["score"]).all()
    assert files_in(tmp_path) == {f"run/{name}" for name in RUN}
    with pytest.raises(DataError, match=r"nothing to resume: .*checkpoint\.safetensors does not exist"):
        quick(small, run_dir=tmp_path / "run", resume=True)


def test_a_finished_run_can_be_given_more_epochs(small: Split, tmp_path: Path) -> None:
    quick(small, run_dir=tmp_path / "run")
    longer = quick(small, "train.epochs=6", run_dir=tmp_path / "run", resume=True)
    assert_same_training(longer, quick(small, "train.epochs=6"))
    again = quick(small, "train.epochs=6", run_dir=tmp_path / "run", resume=True)
    assert again.history == longer.history  # nothing left to do


def test_a_killed_process_leaves_a_run(small: Split, tmp_path: Path) -> None:
    small.to_folder(tmp_path / "split")

    def killed_in_the_eighth_step() -> None:
        steps, honest = iter(range(1, 100)), LOOP.batch_loss

        def batch_loss(*args: Any) -> Any:
            if next(steps) == 8:
                os._exit(9)
            return honest(*args)

        LOOP.batch_loss = batch_loss  # type: ignore[attr-defined]
        quick(Split.from_folder(tmp_path / "split"), run_dir=tmp_path / "run")

    assert in_fork(killed_in_the_eighth_step) == 9
    assert len(recommend(load(tmp_path / "run"), NewUser(), k=5)) == 5
    assert files_in(tmp_path / "run") == RUN | {"checkpoint.safetensors"}
    # Processes may divide their sums among threads differently, hence the tolerance.
    data = Split.from_folder(tmp_path / "split")
    resumed, whole = quick(data, run_dir=tmp_path / "run", resume=True), quick(data)
    assert [e["epoch"] for e in resumed.history] == [1, 2, 3, 4]
    torch.testing.assert_close(resumed.similarity_embeddings(), whole.similarity_embeddings(), atol=1e-4, rtol=1e-4)


def test_resume_needs_a_run(small: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume needs the run_dir of the run to continue"):
        quick(small, resume=True)
    with pytest.raises(DataError, match=r"nothing to resume: .*none/checkpoint\.safetensors does not exist"):
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


def test_a_loss_that_is_not_finite(small: Split, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch \d; lower train.learning_rate"):
        quick(small, "train.learning_rate=1e15", "train.epochs=9", run_dir=tmp_path / "run")
    left = load(tmp_path / "run")
    assert np.isfinite(recommend(left, 1)["score"]).all()
    assert files_in(tmp_path / "run") <= RUN | {"checkpoint.safetensors"}


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


def test_of_a_dataset_all_ratings_are_in_the_graph() -> None:
    dataset = make_sample(40, 30, seed=4, ratings_per_user=14)
    model = quick(dataset)
    pd.testing.assert_frame_equal(model.graph.dataset.ratings, dataset.ratings)
    assert "ndcg@20" in model.history[0]
    seen = set(dataset.ratings.loc[dataset.ratings["user_id"] == 1, "movie_id"])
    assert set(recommend(model, 1, k=30)["movie_id"]) == set(dataset.movies["movie_id"]) - seen


def test_of_a_split_the_training_ratings_are_in_the_graph(small: Split) -> None:
    model = quick(small, "train.epochs=1")
    pd.testing.assert_frame_equal(model.graph.dataset.ratings, small.train)


def one_user() -> Dataset:
    return Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [10, 20]}))


def single_ratings() -> Dataset:
    return Dataset(pd.DataFrame({"user_id": [1, 2, 3], "movie_id": ["a", "b", "a"]}))


def one_rating() -> Dataset:
    movies = pd.DataFrame({"movie_id": [10, 20, 30], "genres": ["Drama", "Drama", ""]})
    return Dataset(pd.DataFrame({"user_id": ["x"], "movie_id": [10]}), movies)


@pytest.mark.parametrize("loss", LOSSES.builtin)
@pytest.mark.parametrize("encoder", ENCODERS.builtin)
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
