"""Training that depends on time: what it may see, what it needs; it stops, resumes, saves and loads like any other."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, ConfigError, DataError, Dataset, NewUser, RecGraph, Split, fit, load, recommend
from gnnrec.datasets import make_sample
from gnnrec.registry import ENCODERS
from gnnrec.splitting import leave_one_out
from gnnrec.training.optimizer import AdamW

LOOP = importlib.import_module("gnnrec.models.gnn_training")
QUICK = Config.from_mapping(
    {
        "model": {
            "temporal": True, "embedding_dim": 8, "hidden_dim": 8, "init": "transitions",
            "day_decays": [30], "rating_decays": [5], "date_features": True,
        },
        "train": {
            "objective": "next_item", "loss": "softmax", "cutoffs_per_user": 2, "batch_size": 64, "epochs": 4,
            "final_lr_ratio": 0.1,
        },
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Split:
    return leave_one_out(make_sample(80, 40, seed=2, ratings_per_user=12))


def quick(data: Split | Dataset, *overrides: str, **options: Any) -> RecGraph:
    return fit(data, config=QUICK.override(overrides), progress=False, **options)


def assert_same_weights(one: RecGraph, other: RecGraph) -> None:
    theirs = other.encoder.state_dict()
    for name, weight in one.encoder.state_dict().items():
        assert torch.equal(weight, theirs[name]), name


# What it may see


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
@pytest.mark.parametrize("init", ["transitions", "svd"])
def test_held_out_rows_change_no_weight(small: Split, init: str, encoder: str) -> None:
    """They only decide when to stop, and after one epoch there is nothing to decide."""
    overrides = [f"model.init={init}", f"model.encoder={encoder}", "model.num_layers=2", "train.epochs=1"]
    whole = quick(small, *overrides)
    valid, test = small.valid, small.test
    shuffled = valid.assign(user_id=np.roll(valid["user_id"], 1), timestamp=valid["timestamp"] + 10**8, rating=1.0)
    known = pd.MultiIndex.from_frame(small.train[["user_id", "movie_id"]])
    shuffled = shuffled[~pd.MultiIndex.from_frame(shuffled[["user_id", "movie_id"]]).isin(known)]
    assert len(shuffled) > 30
    for other in ((shuffled, test[:0]), (valid[:5], test[:0]), (test, valid)):
        split = Split(small.train, *other, small.movies, small.users)
        assert_same_weights(quick(split, *overrides), whole)
    assert whole.graph.dataset.num_ratings == len(small.train)
    # A change of one training row does count.
    fewer = Split(small.train[1:], valid, test, small.movies, small.users)
    assert not torch.equal(quick(fewer, *overrides).encoder.target.id_embeddings, whole.encoder.target.id_embeddings)


def test_validation_ratings_of_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training to predict the next rating is validated on the last ones; training on masked edges on random ones."""
    sample, protocols = make_sample(40, 30, seed=4, ratings_per_user=14), []
    monkeypatch.setattr(LOOP, "Validation", lambda split, *arguments: protocols.append(split) or (lambda model: 0.5))
    model = quick(sample, "train.epochs=1")
    assert model.graph.dataset.num_ratings == sample.num_ratings
    quick(sample, "train.epochs=1", "train.objective=masked_edges")
    one, other = protocols
    last = one.train.groupby("user_id")["timestamp"].max()
    assert (one.valid["timestamp"] >= one.valid["user_id"].map(last)).all()
    assert one.protocol == "chronological per user 0.9/0.1/0"
    assert other.protocol.startswith("random per user 0.9/0.1/0")


# What it needs


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["model.temporal=true"], "model.temporal=true needs"),
        (["model.init=transitions"], "model.init=transitions needs"),
        (["train.objective=next_item"], "train.objective=next_item needs"),
        (
            ["model.temporal=true", "train.objective=next_item"],
            "model.temporal=true and train.objective=next_item need",
        ),
    ],
)
def test_data_without_timestamps(small: Split, tmp_path: Path, overrides: list[str], named: str) -> None:
    train, valid, test = (part.drop(columns="timestamp") for part in (small.train, small.valid, small.test))
    split = Split(train, valid, test, small.movies, small.users, name="mine")
    for data in (split, split.dataset):
        with pytest.raises(DataError) as caught:
            fit(data, config=Config().override(overrides), run_dir=tmp_path / "run", progress=False)
        assert str(caught.value).startswith(f"mine has no timestamps, which {named.split(' need')[0]} need")
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_row_numbers_will_do_for_timestamps(small: Split) -> None:
    """As the error says. Only the order counts then, so any other numbers in this order give the same model."""
    by_time = small.train.sort_values("timestamp", kind="stable")
    one, other = (
        quick(
            Split(by_time.assign(timestamp=times), small.valid[:0], small.test[:0], small.movies, small.users),
            "model.day_decays=[]", "model.date_features=false", "train.epochs=1",
        )
        for times in (np.arange(len(by_time)), by_time["timestamp"])
    )  # fmt: skip
    assert_same_weights(one, other)


# Repeatable


@pytest.mark.parametrize("objective", ["next_item", "masked_edges"])
def test_a_seed_decides_everything_and_the_callers_is_left_alone(small: Split, objective: str) -> None:
    """Dropout in temporal pooling, too: it must not draw from the caller's random numbers."""
    overrides = [f"train.objective={objective}", "train.epochs=1", "model.dropout=0.5"]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = quick(small, *overrides)
    assert torch.equal(torch.rand(3), expected)
    assert_same_weights(quick(small, *overrides), one)
    other = quick(small, *overrides, "train.seed=1")
    assert not torch.equal(other.encoder.target.id_embeddings, one.encoder.target.id_embeddings)


# The learning rate


def rates(monkeypatch: pytest.MonkeyPatch, small: Split, *overrides: str) -> list[float]:
    seen = []
    honest = AdamW.step

    def step(self: AdamW, *args: Any, **kwargs: Any) -> Any:
        seen.extend(group["lr"] for group in self.param_groups)
        return honest(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(AdamW, "step", step)
        quick(small, *overrides)
    return seen


def test_the_learning_rate_decays_linearly(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    # 80 users, 2 cutoffs each in batches of 64: 3 steps in each of 4 epochs.
    found = rates(monkeypatch, small, "train.learning_rate=0.01", "train.final_lr_ratio=0.4")
    assert found == pytest.approx([0.01 * (1 - 0.6 * step / 12) for step in range(12)])
    assert rates(monkeypatch, small, "train.final_lr_ratio=1", "train.epochs=2") == [0.002] * 6


# Stopped and resumed


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_resuming_equals_never_having_stopped(
    small: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    overrides = [f"model.encoder={encoder}", "train.learning_rate=0.01"]
    whole = quick(small, *overrides)
    steps = iter(range(8))  # the second step of epoch 3 is the last
    honest = LOOP.batch_loss

    def step_loss(*args: Any) -> torch.Tensor:
        if next(steps) == 7:
            raise KeyboardInterrupt
        return honest(*args)

    with monkeypatch.context() as patch:
        patch.setattr(LOOP, "batch_loss", step_loss)
        with pytest.raises(KeyboardInterrupt):
            quick(small, *overrides, run_dir=tmp_path / "run")
    resumed = quick(small, *overrides, run_dir=tmp_path / "run", resume=True)
    assert [e["epoch"] for e in resumed.history] == [1, 2, 3, 4]
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in whole.history]
    assert_same_weights(resumed, whole)


def test_a_decaying_learning_rate_cannot_be_given_more_epochs(small: Split, tmp_path: Path) -> None:
    """Every step of the learning rate depends on the number of epochs."""
    quick(small, "train.epochs=1", run_dir=tmp_path / "decaying")
    with pytest.raises(ConfigError, match=r"checkpoint\.safetensors was made with another config or other data"):
        quick(small, "train.epochs=2", run_dir=tmp_path / "decaying", resume=True)
    constant = "train.final_lr_ratio=1"
    quick(small, "train.epochs=1", constant, run_dir=tmp_path / "constant")
    longer = quick(small, "train.epochs=2", constant, run_dir=tmp_path / "constant", resume=True)
    assert_same_weights(longer, quick(small, "train.epochs=2", constant))


# Saved and loaded


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_a_loaded_model_has_the_time_span(small: Split, tmp_path: Path, encoder: str) -> None:
    model = quick(small, f"model.encoder={encoder}", "train.epochs=2")
    again = load(model.save(tmp_path / "run"))
    assert again.config == model.config
    assert_same_weights(again, model)
    assert again.encoder.temporal.dates.first == small.train["timestamp"].min()
    assert again.encoder.temporal.dates.last == small.train["timestamp"].max()
    dated = NewUser(age=30, ratings={3: 5, 9: 1, 4: 4}, timestamps=["2002-05-01", "2002-06-11", "2002-03-09"])
    for users in (dated, {3: 5, 9: 1, 4: 4}, NewUser(), [1, 2, dated]):
        pd.testing.assert_frame_equal(recommend(again, users, k=40), recommend(model, users, k=40))
