"""Search spaces and data of the tuning tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from gnnrec import Split
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from gnnrec.tuning import TunableGNN

MODEL = {"embedding_dim": 8}
TRAIN = {"epochs": 3, "batch_size": 32, "k": 10}
RATE = {"train.learning_rate": {"low": 0.0005, "high": 0.05, "log": True}}
SPACE: dict[str, Any] = {
    "model": MODEL,
    "train": TRAIN,
    "space": {**RATE, "model.embedding_dim": {"choices": [4, 8, 16]}},
}
REPEATABLE = ["trial", "state", "ndcg@10", "epochs", "best_epoch", "coverage@10", *SPACE["space"]]
"""Columns that are equal in two studies with the same settings; seconds are not."""
PNG = b"\x89PNG\r\n"


def small_split() -> Split:
    """Return the sample of 60 users and 40 movies, split at random."""
    return random_split(make_sample(60, 40, seed=2, ratings_per_user=12), (0.7, 0.2, 0.1), seed=0)


def replace_rows(split: Split, **parts: pd.DataFrame) -> Split:
    """Return a split with other train, valid or test rows."""
    rows = {part: getattr(split, part) for part in ("train", "valid", "test")}
    return Split(**{**rows, **parts}, movies=split.movies, users=split.users, name=split.name, protocol=split.protocol)


def fail_fits(monkeypatch: pytest.MonkeyPatch, errors: Mapping[int, BaseException]) -> None:
    """Make the fits with these numbers, counted from 1, raise; the other fits are real."""
    numbers = iter(range(1, 1000))
    real = TunableGNN.fit

    def fit(*args: Any, **options: Any) -> Any:
        if error := errors.get(next(numbers)):
            raise error
        return real(*args, **options)

    monkeypatch.setattr(TunableGNN, "fit", fit)
