"""What several tests share; trained once per run, and never changed by a test."""

from __future__ import annotations

import pytest

from gnnrec import Config, RecGraph, Split, fit
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split

FAST = Config().override(["model.embedding_dim=64", "train.batch_size=128", "train.learning_rate=0.005"])
"""Settings that suit the small sample: its few people make few steps per epoch."""


@pytest.fixture(scope="session")
def split() -> Split:
    """Return the sample, divided at random."""
    return random_split(make_sample(), (0.7, 0.1, 0.2), seed=0)


@pytest.fixture(scope="session")
def trained(split: Split) -> RecGraph:
    """Return a model trained on the train rows of `split`."""
    return fit(split, FAST, progress=False)
