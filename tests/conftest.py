"""Fixtures that several test modules share: made once per run, never changed by a test."""

from __future__ import annotations

import pytest

from gnnrec import RecGraph, Split, fit
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from tests.helpers.settings import FAST


@pytest.fixture(scope="session")
def split() -> Split:
    """Return the sample, divided at random."""
    return random_split(make_sample(), (0.7, 0.1, 0.2), seed=0)


@pytest.fixture(scope="session")
def trained(split: Split) -> RecGraph:
    """Return a model trained on the train rows of `split`."""
    return fit(split, config=FAST, progress=False)
