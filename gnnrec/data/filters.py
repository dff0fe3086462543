"""Which ratings a protocol counts at all: enough stars, and people and movies with enough ratings."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import pandas as pd

from gnnrec.errors import ConfigError, DataError


def at_least(ratings: pd.DataFrame, lowest: float, name: str) -> np.ndarray:
    """Return which rows have a rating of `lowest` or more; without ratings a `DataError` names the dataset."""
    if not isinstance(lowest, Real) or isinstance(lowest, bool) or not math.isfinite(lowest):
        raise ConfigError(f"min_rating must be a finite number, not {lowest!r}")
    if "rating" not in ratings:
        raise DataError(f"{name} has no ratings, only who watched what, so a least rating of {lowest:g} says nothing")
    return ratings["rating"].to_numpy() >= lowest


def in_core(ratings: pd.DataFrame, k: int) -> np.ndarray:
    """Return which rows are in the k-core: the most rows in which each user and each movie has `k` or more.

    It is found by dropping users and movies with fewer until none is left to drop; the order does not matter
    (Seidman, "Network structure and minimum degree", 1983).

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2, 2], "movie_id": [10, 20, 10, 20, 30]})
    >>> in_core(rows, 2).tolist()
    [True, True, True, True, False]
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise ConfigError(f"core must be a whole number of at least 1, not {k!r}")
    codes = [pd.factorize(ratings[column])[0] for column in ("user_id", "movie_id")]
    kept = np.ones(len(ratings), dtype=bool)
    while True:
        enough = [np.bincount(code[kept], minlength=len(ratings)) >= k for code in codes]
        still = kept & enough[0][codes[0]] & enough[1][codes[1]]
        if still.sum() == kept.sum():
            return kept
        kept = still
