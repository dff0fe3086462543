"""The arithmetic of splits: which row goes to which part. Knows ids and times, not `Split`.

Parts are codes: 0 train, 1 valid, 2 test, 3 support.
"""

from __future__ import annotations

import hashlib
import math
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.dataset import Dataset
from gnnrec.errors import ConfigError, DataError

BUCKETS = 10
FOLDS = BUCKETS // 2
"""Each fold holds out two tenths, one to choose on and one to judge by."""


def times_of(dataset: Dataset, division: str) -> np.ndarray:
    """Return the time of each rating; a `DataError` without timestamps."""
    if "timestamp" not in dataset.ratings:
        raise DataError(
            f"{dataset.name} has no timestamps, which {division} needs; use Split.random, or --protocol random"
        )
    return dataset.ratings["timestamp"].to_numpy()


def times_or_order(dataset: Dataset) -> np.ndarray:
    """Return the time of each rating; all alike without timestamps, which leaves rows in the order of the file."""
    return dataset.ratings.get("timestamp", pd.Series(0, index=dataset.ratings.index)).to_numpy()


def ranks(users: pd.Series, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's place among its user's rows by time, from 0, and its user's number of rows.

    Ratings entered on one page share a second, so the sort must be stable: equal times keep their order.
    """
    codes, _ = pd.factorize(users)
    counts = np.bincount(codes)
    order = np.lexsort((times, codes))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return rank, counts[codes]


def by_fractions(users: pd.Series, times: np.ndarray, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return a part per row: each user's first rows train, the last test; shares are rounded down.

    With 10 rows or more of each user, and shares of a tenth, these are the counts of RecBole's `split_by_ratio`.
    It differs for smaller users, to whose shares below one row it gives a whole one.
    """
    _check_fractions(fractions)
    rank, size = ranks(users, times)
    # 0.29 * 100 is 28.999999999999996: without the nudge a share that fits exactly would lose a row.
    num_valid, num_test = (np.floor(share * size + 1e-9).astype(np.int64) for share in fractions[1:])
    return np.select([rank >= size - num_test, rank >= size - num_test - num_valid], [2, 1], default=0)


def by_time(times: np.ndarray, fractions: tuple[float, float, float]) -> tuple[np.ndarray, list[int]]:
    """Return a part per row, and the times at which valid and test begin (only of those that have a share).

    Shares are rounded down; rows of the same second are never torn apart, so the later part may be larger.
    """
    _check_fractions(fractions)
    ordered = np.sort(times)
    num_valid, num_test = (math.floor(share * len(times) + 1e-9) for share in fractions[1:])
    codes, begin = np.zeros(len(times), dtype=np.int64), []
    for first, code, rows in ((num_test + num_valid, 1, num_valid), (num_test, 2, num_test)):
        if rows:
            begin.append(int(ordered[len(times) - first]))
            codes[times >= begin[-1]] = code
    return codes, begin


def bucket(identity: Any) -> int:
    """Return in which tenth a movie or user falls, 0 to 9: published, and never to be changed.

    The id is written as text (a whole number in decimal digits), encoded as UTF-8, and hashed with SHA-256; the first
    eight hexadecimal digits, read as a number, are divided by ten, and what remains is the bucket.

    Parameters
    ----------
    identity : int or str
        An id as it stands in the dataset. Others do not matter, so a bucket stays when movies come or go.

    Examples
    --------
    >>> [bucket(movie) for movie in (1, 2, 260, 3952, "tt0114709")]
    [9, 4, 4, 2, 6]
    """
    return int(hashlib.sha256(str(identity).encode()).hexdigest()[:8], 16) % BUCKETS


def by_fold(ids: pd.Series, fold: int, what: str) -> np.ndarray:
    """Return a part per row: test where the id is of bucket `fold`, valid of bucket ``fold + 5``, else train."""
    if not isinstance(fold, Integral) or isinstance(fold, bool) or not 0 <= fold < FOLDS:
        raise ConfigError(f"fold must be a whole number from 0 to {FOLDS - 1}, not {fold!r}")
    rows, distinct = pd.factorize(ids)
    buckets = np.array([bucket(one) for one in distinct.tolist()])
    parts = np.select([buckets == fold, buckets == fold + FOLDS], [2, 1], default=0)
    for part, name in ((1, "validation"), (2, "test")):
        if part not in parts:
            raise DataError(f"fold {fold} holds out none of the {len(parts)} {what} for {name}; try another fold")
    return parts[rows]


def hold_out(ids: pd.Series, population: int, fraction: float, seed: int, what: str) -> tuple[list, list]:
    """Choose `fraction` of `population` among `ids` for valid and as many for test, by a hash of the id."""
    if not 0 < fraction < 0.5:
        raise ConfigError(f"fraction of held-out {what} must be between 0 and 0.5, not {fraction}")
    count = max(1, round(fraction * population))
    candidates = sorted(ids.unique(), key=lambda one: (hashlib.blake2b(f"{seed}:{one}".encode()).digest(), str(one)))
    if 2 * count > len(candidates):
        raise ConfigError(
            f"only {len(candidates)} {what} can be held out, {2 * count} are asked for; lower the fraction"
        )
    return candidates[count : 2 * count], candidates[:count]


def shares(fractions: tuple[float, float, float]) -> str:
    """Return fractions as text for reports, e.g. ``0.8/0.1/0.1``."""
    return "/".join(f"{share:g}" for share in fractions)


def moments(times: list[int]) -> str:
    """Return times as text for reports."""
    return " and ".join(f"{pd.Timestamp(moment, unit='s'):%Y-%m-%d %H:%M:%S}" for moment in times)


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or not math.isclose(sum(fractions), 1):
        raise ConfigError(
            f"fractions must be the shares of train (above 0), valid and test and sum to 1, not {fractions}"
        )
