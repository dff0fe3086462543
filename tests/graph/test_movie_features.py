"""Numeric features of movies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from gnnrec.graph.movies import numeric_features


def test_by_hand() -> None:
    movies = pd.DataFrame({"year": [2000, None, 1985], "runtime": [150.0, None, None], "plot": ["a b c d e", "", None]})
    found = numeric_features(movies)
    expected = [[1.0, 2.0, np.log(5) - 4, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


def test_missing_columns() -> None:
    assert torch.equal(numeric_features(pd.DataFrame({"movie_id": [1, 2]})), torch.zeros(2, 6))


def test_outliers_are_clipped() -> None:
    movies = pd.DataFrame({"year": [1895, 9999], "runtime": [1.0, 1440.0]})
    assert numeric_features(movies).abs().max() == 4
