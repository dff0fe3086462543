"""Splitters: functions that divide the ratings of a `Dataset` into the parts of a `Split`.

A splitter takes a dataset and options and returns a `Split`, usually by `Split.from_codes`. A registered splitter can
be used by name in protocols and commands::

    @register_splitter("even-users")
    def even_users_split(dataset, num_valid=1):
        ...
        return Split.from_codes(dataset, codes, "even users")

Parts are coded 0 train, 1 valid, 2 test, 3 support, -1 dropped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer, is_listing, shown
from gnnrec.data import Dataset
from gnnrec.data.sorting import sort_by_group
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import register_splitter
from gnnrec.splitting.split import Split


def rating_times(dataset: Dataset, splitter: str) -> np.ndarray:
    """Return the timestamp of each rating; raise `DataError` if there are none."""
    if "timestamp" not in dataset.ratings:
        raise DataError(f"{dataset.name} has no timestamps, which {splitter} needs; use a random split")
    return dataset.ratings["timestamp"].to_numpy()


def times_or_file_order(dataset: Dataset) -> np.ndarray:
    """Return the timestamp of each rating; zeros if there are none, which keeps rows in file order."""
    return dataset.ratings.get("timestamp", pd.Series(0, index=dataset.ratings.index)).to_numpy()


def chronological_ranks(users: pd.Series | np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the chronological rank of each row within its user (from 0) and the number of rows of that user.

    Ratings entered on one page share a timestamp, so the sort must be stable: equal times keep their order.
    """
    codes = _user_codes(users)
    counts = np.bincount(codes)
    order = sort_by_group(codes, times)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return rank, counts[codes]


def by_fractions(users: pd.Series | np.ndarray, times: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Assign each user's first rows to train, the next to valid and the last to test; valid and test are rounded down.

    For fractions of a tenth and users with at least 10 rows, part sizes equal those of RecBole's ratio split (`RS`).
    RecBole also gives a validation and a test row to users with fewer rows.

    Parameters
    ----------
    users : pandas.Series or numpy.ndarray
        Ids, or the rows of the users in a table.
    times : numpy.ndarray
        ``[n]`` int; equal times keep their order.
    fractions : sequence of float
        Of train, valid and test.

    Returns
    -------
    numpy.ndarray
        ``[n]`` int8 part codes.
    """
    _check_fractions(fractions)
    codes = _user_codes(users)
    parts = np.empty(len(codes), dtype=np.int8)
    parts[sort_by_group(codes, times)] = _parts_in_order(np.bincount(codes), fractions)
    return parts


def by_shuffled_fractions(users: np.ndarray, shuffled: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Return the same as `by_fractions` for times that are a permutation of the rows, for many rows faster.

    Parameters
    ----------
    users : numpy.ndarray
        ``[n]`` int, rows of the users in a table.
    shuffled : numpy.ndarray
        ``[n]`` int64, all numbers below `n`.
    fractions : sequence of float
        Of train, valid and test.
    """
    _check_fractions(fractions)
    bits = max(len(shuffled) - 1, 1).bit_length()
    keys = users.astype(np.int64)
    keys <<= bits
    keys |= shuffled
    keys.sort()  # without positions, as a place in the permutation names its row
    keys &= (1 << bits) - 1
    parts = np.empty(len(shuffled), dtype=np.int8)
    parts[keys] = _parts_in_order(np.bincount(users), fractions)
    by_row: np.ndarray = parts[shuffled]
    return by_row


def _parts_in_order(counts: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Return the parts of all rows, given the number of rows of each user, in the order of users and times."""
    # 0.29 * 100 is 28.999999999999996: without 1e-9, a product that should be an integer would lose a row.
    num_valid, num_test = (np.floor(fraction * counts + 1e-9).astype(np.int64) for fraction in fractions[1:])
    sizes = np.stack([counts - num_valid - num_test, num_valid, num_test], axis=1)
    parts: np.ndarray = np.repeat(np.tile(np.arange(3, dtype=np.int8), len(counts)), sizes.ravel())
    return parts


def _user_codes(users: pd.Series | np.ndarray) -> np.ndarray:
    """Return a small number for each user id; rows of a table are such numbers already."""
    return users if isinstance(users, np.ndarray) else pd.factorize(users)[0]


def by_time(times: np.ndarray, fractions: Sequence[float]) -> tuple[np.ndarray, list[int]]:
    """Assign rows to parts at global cutoffs; also return the times at which valid and test begin.

    Fractions are rounded down. Rows with equal timestamps stay together in the later part.
    """
    _check_fractions(fractions)
    ordered = np.sort(times)
    num_valid, num_test = (math.floor(fraction * len(times) + 1e-9) for fraction in fractions[1:])
    codes, begin = np.zeros(len(times), dtype=np.int64), []
    for first, code, rows in ((num_test + num_valid, 1, num_valid), (num_test, 2, num_test)):
        if rows:
            begin.append(int(ordered[len(times) - first]))
            codes[times >= begin[-1]] = code
    return codes, begin


def format_fractions(fractions: Sequence[float]) -> str:
    """Format fractions for reports, e.g. ``0.8/0.1/0.1``."""
    return "/".join(f"{fraction:g}" for fraction in fractions)


def format_times(times: list[int]) -> str:
    """Format cutoff times for reports."""
    return " and ".join(f"{pd.Timestamp(time, unit='s'):%Y-%m-%d %H:%M:%S}" for time in times)


@register_splitter("random")
def random_split(dataset: Dataset, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> Split:
    """Split each user's ratings at random.

    Fractions are rounded down for valid and test, so every user keeps a training rating. Users with fewer than
    10 ratings (for a fraction of 0.1) stay in train entirely.

    Parameters
    ----------
    dataset : Dataset
    fractions : sequence of float
        Fractions of train, valid and test; they sum to 1.
    seed : int
        Random seed.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    ConfigError
        Invalid `fractions`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> random_split(make_sample(50, 40))
    Split('sample', random per user 0.8/0.1/0.1, seed 0: 825 train, 97 valid, 97 test)
    """
    check_integer(0, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(dataset.num_ratings)
    codes = by_shuffled_fractions(dataset.rating_table.user, shuffled, fractions)
    return Split.from_codes(dataset, codes, f"random per user {format_fractions(fractions)}, seed {seed}")


@register_splitter("random-ratings")
def random_ratings_split(dataset: Dataset, fractions: Sequence[float] = (0.9, 0.0, 0.1), seed: int = 0) -> Split:
    """Split all ratings at random, regardless of the user: 90/10 by default, as is usual for rating prediction.

    Unlike in `random_split`, a user or movie may have all of its ratings in the test set.

    Parameters
    ----------
    dataset : Dataset
    fractions : sequence of float
        Fractions of train, valid and test; they sum to 1. The test rows depend only on the test fraction and the seed,
        so ``(0.85, 0.05, 0.1)`` tests on the same rows as ``(0.9, 0, 0.1)``.
    seed : int
        Random seed.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    ConfigError
        Invalid `fractions`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> random_ratings_split(make_sample(60, 40))
    Split('sample', random over all ratings 0.9/0/0.1, seed 0: 1,095 train, 0 valid, 121 test)
    """
    check_integer(0, seed=seed)
    _check_fractions(fractions)
    n = dataset.num_ratings
    order = np.random.default_rng(seed).permutation(n)
    num_valid, num_test = (int(fraction * n + 1e-9) for fraction in fractions[1:])
    codes = np.zeros(n, dtype=np.int64)
    codes[order[:num_test]] = 2
    codes[order[num_test : num_test + num_valid]] = 1
    return Split.from_codes(dataset, codes, f"random over all ratings {format_fractions(fractions)}, seed {seed}")


@register_splitter("temporal")
def temporal_split(
    dataset: Dataset, fractions: Sequence[float] = (0.7, 0.1, 0.2), *, test_first: bool = False
) -> Split:
    """Split each user's ratings by time: train on the oldest, test on the newest.

    Equal timestamps keep file order. Users with few ratings are treated as in `random_split`.

    Parameters
    ----------
    dataset : Dataset
        Needs timestamps.
    fractions : sequence of float
        Fractions of train, valid and test; they sum to 1.
    test_first : bool
        Test on the ratings that directly follow the training ratings and validate on the newest ones.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    ConfigError
        Invalid `fractions`.
    DataError
        There are no timestamps.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> temporal_split(make_sample(60, 40))
    Split('sample', chronological per user 0.7/0.1/0.2: 875 train, 112 valid, 229 test)
    """
    users, times = dataset.rating_table.user, rating_times(dataset, "a temporal split")
    codes = by_fractions(users, times, fractions)
    description = f"chronological per user {format_fractions(fractions)}"
    if test_first:
        train, valid, test = fractions
        codes = np.array([0, 2, 1])[by_fractions(users, times, (train, test, valid))]
        description += ", test before valid"
    return Split.from_codes(dataset, codes, description)


@register_splitter("leave-one-out")
def leave_one_out(dataset: Dataset) -> Split:
    """Test on each user's last rating and validate on the one before it.

    Users with fewer than 3 ratings stay in train. Equal timestamps keep file order.

    Parameters
    ----------
    dataset : Dataset
        Needs timestamps.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    DataError
        There are no timestamps.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> leave_one_out(make_sample(50, 40))
    Split('sample', leave one out: 919 train, 50 valid, 50 test)
    """
    rank, size = chronological_ranks(dataset.rating_table.user, rating_times(dataset, "leave-one-out"))
    left = size - rank  # 1 is the last rating
    codes = np.select([(size >= 3) & (left == 1), (size >= 3) & (left == 2)], [2, 1], default=0)
    return Split.from_codes(dataset, codes, "leave one out")


@register_splitter("global-time")
def global_time_split(
    dataset: Dataset, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, drop_new: bool = False
) -> Split:
    """Split all ratings at two points in time, shared by all users.

    Nothing is learned from a time later than the test ratings, as in production. Users and movies that first appear
    after the training period stay in the test set unless `drop_new` is set.

    Parameters
    ----------
    dataset : Dataset
        Needs timestamps.
    fractions : sequence of float
        Fractions of train, valid and test among all ratings; they sum to 1. Rounded down for valid and test, but
        ratings with equal timestamps stay together in the later part.
    drop_new : bool
        Drop valid and test rows whose user or movie has no training rating.

    Returns
    -------
    Split
        Rows keep their order in the dataset. The cutoff times are part of its `protocol`.

    Raises
    ------
    ConfigError
        Invalid `fractions`.
    DataError
        There are no timestamps.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = global_time_split(make_sample(60, 40))
    >>> len(split.train), len(split.valid), len(split.test)
    (974, 121, 121)
    >>> bool(split.train["timestamp"].max() < split.valid["timestamp"].min())
    True
    """
    codes, begin = by_time(rating_times(dataset, "a global time split"), fractions)
    description = f"global time {format_fractions(fractions)}, cut at {format_times(begin)}"
    if drop_new:
        train = dataset.ratings[codes == 0]
        known = [dataset.ratings[column].isin(train[column]) for column in ("user_id", "movie_id")]
        codes = np.where(known[0] & known[1], codes, -1)
        description += ", new users and movies dropped"
    return Split.from_codes(dataset, codes, description)


def _check_fractions(fractions: Sequence[float]) -> None:
    is_list = is_listing(fractions) and not isinstance(fractions, Mapping)
    given = list(itertools.islice(fractions, 4)) if is_list else []
    valid = len(given) == 3 and all(isinstance(one, Real) and not isinstance(one, bool) for one in given)
    valid = valid and all(abs(one) <= 1 for one in given)
    if not valid or min(given) < 0 or not given[0] > 0 or not math.isclose(sum(given), 1):
        raise ConfigError(
            f"fractions must be three numbers for train (above 0), valid and test that sum to 1, not {shown(fractions)}"
        )
