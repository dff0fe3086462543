"""Analyses that the tests of findings and of reports share."""

import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.explore import Analysis, analyze


@pytest.fixture(scope="package")
def sample() -> Dataset:
    return make_sample(100, 80)


@pytest.fixture(scope="package")
def found(sample: Dataset) -> Analysis:
    return analyze(sample)


@pytest.fixture(scope="package")
def bare() -> Analysis:
    """Return the analysis of a single rating: only six findings to draw."""
    return analyze(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [2]})))
