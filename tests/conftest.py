"""Fixtures that several test modules share: made once per run, never changed by a test."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gnnrec import RecGraph, Split

# The process that distributes tests to workers loads this file, so that PyTorch is imported where it is used.


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Leave out the second module of each file, which looks for examples in docstrings: tests have none."""
    return [found for found in (yield) if type(found) is pytest.Module]


@pytest.fixture(scope="session")
def split() -> Split:
    """Return the sample, divided at random."""
    from gnnrec.datasets import make_sample
    from gnnrec.splitting import random_split

    return random_split(make_sample(), (0.7, 0.1, 0.2), seed=0)


@pytest.fixture(scope="session")
def trained(split: Split) -> RecGraph:
    """Return a model trained on the train rows of `split`."""
    from gnnrec import fit
    from tests.helpers.settings import FAST

    return fit(split, config=FAST, progress=False)
