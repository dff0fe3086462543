"""`random_ratings_split`: fractions, reproducibility, and what the split keeps of the dataset."""

from __future__ import annotations

import pandas as pd
import pytest

from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError
from gnnrec.splitting import random_ratings_split


def test_keeps_embeddings_and_reports_filters() -> None:
    dataset = make_sample(60, 40).with_features(mood=ContentEmbeddings([1, 2], [[1.0], [2.0]]))
    split = random_ratings_split(dataset.filtered(min_rating=3))
    assert split.features["mood"].values.tolist() == [[1.0], [2.0]]
    assert split.protocol.endswith(", random over all ratings 0.9/0/0.1, seed 0")
    assert split.protocol.startswith("rating >= 3")


def test_fractions_and_seed() -> None:
    dataset = make_sample(120, 60)
    n = dataset.num_ratings
    split, tuning = random_ratings_split(dataset, seed=3), random_ratings_split(dataset, (0.85, 0.05, 0.1), seed=3)
    assert (len(split.train), len(split.valid), len(split.test)) == (n - int(0.1 * n), 0, int(0.1 * n))
    pd.testing.assert_frame_equal(split.test, tuning.test)
    assert len(tuning.valid) == int(0.05 * n)
    assert split.protocol == "random over all ratings 0.9/0/0.1, seed 3"
    assert not random_ratings_split(dataset, seed=4).test.equals(split.test)


@pytest.mark.parametrize("fractions", [(0.9, 0.1, 0.1), (0.0, 0.5, 0.5), (1.1, -0.1, 0.0), (0.9, 0.1)])
def test_invalid_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        random_ratings_split(make_sample(60, 40), fractions)  # type: ignore[arg-type]
