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

import hashlib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer
from gnnrec.data import Dataset
from gnnrec.data.append_only import sort_by_group
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import register_splitter
from gnnrec.splitting.split import EVALUATED_PARTS, Split

BUCKETS = 10
NUM_FOLDS = BUCKETS // 2
"""Each fold holds out two buckets of ids: one for validation, one for testing."""
CANDIDATES = ("held-out", "all")
"""Movies among which held-out movies are ranked: those held out for the same part, or all rated movies."""


def rating_times(dataset: Dataset, splitter: str) -> np.ndarray:
    """Return the timestamp of each rating; a `DataError` if there are none."""
    if "timestamp" not in dataset.ratings:
        raise DataError(f"{dataset.name} has no timestamps, which {splitter} needs; use a random split")
    return dataset.ratings["timestamp"].to_numpy()


def _times_or_file_order(dataset: Dataset) -> np.ndarray:
    """Return the timestamp of each rating; zeros if there are none, which keeps rows in file order."""
    return dataset.ratings.get("timestamp", pd.Series(0, index=dataset.ratings.index)).to_numpy()


def chronological_ranks(users: pd.Series, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the chronological rank of each row within its user (from 0) and the number of rows of that user.

    Ratings entered on one page share a second, so the sort must be stable: equal times keep their order.
    """
    codes, _ = pd.factorize(users)
    counts = np.bincount(codes)
    order = sort_by_group(codes, times)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return rank, counts[codes]


def by_fractions(users: pd.Series, times: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Assign each user's first rows to train, the next to valid and the last to test; valid and test are rounded down.

    For fractions of a tenth and users with at least 10 rows, part sizes equal those of RecBole's ratio split (`RS`).
    RecBole also gives a validation and a test row to users with fewer rows.
    """
    _check_fractions(fractions)
    rank, size = chronological_ranks(users, times)
    # 0.29 * 100 is 28.999999999999996: without 1e-9, a product that should be an integer would lose a row.
    num_valid, num_test = (np.floor(fraction * size + 1e-9).astype(np.int64) for fraction in fractions[1:])
    return np.select([rank >= size - num_test, rank >= size - num_test - num_valid], [2, 1], default=0)


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


def bucket(identity: Any) -> int:
    """Return the hash bucket of a user or movie id, 0 to 9. The definition is published and must never change.

    The id is formatted as text (integers in decimal), encoded as UTF-8 and hashed with SHA-256. The bucket is the
    number given by the first eight hexadecimal digits of the hash, modulo 10.

    Parameters
    ----------
    identity : int or str
        Id as in the dataset. The bucket does not depend on which other ids exist.

    Examples
    --------
    >>> [bucket(movie) for movie in (1, 2, 260, 3952, "tt0114709")]
    [9, 4, 4, 2, 6]
    """
    return int(hashlib.sha256(str(identity).encode()).hexdigest()[:8], 16) % BUCKETS


def by_fold(ids: pd.Series, fold: int, what: str) -> np.ndarray:
    """Assign bucket `fold` to test, bucket ``fold + 5`` to valid and all other ids to train."""
    if not isinstance(fold, Integral) or isinstance(fold, bool) or not 0 <= fold < NUM_FOLDS:
        raise ConfigError(f"fold must be an integer from 0 to {NUM_FOLDS - 1}, not {fold!r}")
    rows, distinct = pd.factorize(ids)
    buckets = np.array([bucket(one) for one in distinct.tolist()])
    parts = np.select([buckets == fold, buckets == fold + NUM_FOLDS], [2, 1], default=0)
    for part, name in ((1, "validation"), (2, "test")):
        if part not in parts:
            raise DataError(f"fold {fold} contains none of the {len(parts)} {what} for {name}; try another fold")
    return parts[rows]


def hold_out(ids: pd.Series, population: int, fraction: float, seed: int, what: str) -> tuple[list[Any], list[Any]]:
    """Choose ``fraction * population`` of the `ids` for valid and as many for test, by a seeded hash of the id."""
    check_integer(0, seed=seed)
    if not isinstance(fraction, Real) or not 0 < fraction < 0.5:
        raise ConfigError(f"the fraction of held-out {what} must be between 0 and 0.5, not {fraction!r}")
    count = max(1, round(fraction * population))
    candidates = sorted(ids.unique(), key=lambda one: (hashlib.blake2b(f"{seed}:{one}".encode()).digest(), str(one)))
    if 2 * count > len(candidates):
        raise ConfigError(
            f"cannot hold out {2 * count} {what}: only {len(candidates)} are eligible; lower the fraction"
        )
    return candidates[count : 2 * count], candidates[:count]


def format_fractions(fractions: Sequence[float]) -> str:
    """Format fractions for reports, e.g. ``0.8/0.1/0.1``."""
    return "/".join(f"{fraction:g}" for fraction in fractions)


def format_times(times: list[int]) -> str:
    """Format cutoff times for reports."""
    return " and ".join(f"{pd.Timestamp(time, unit='s'):%Y-%m-%d %H:%M:%S}" for time in times)


def candidate_table(valid: Iterable[Any], test: Iterable[Any]) -> pd.DataFrame:
    """Return ``movie_id, part`` of the movies to rank for each part, as for `Split`."""
    both = zip(EVALUATED_PARTS, (valid, test), strict=True)
    return pd.concat(
        [pd.DataFrame({"movie_id": pd.Series(list(ids)), "part": part}) for part, ids in both], ignore_index=True
    )


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
    codes = by_fractions(dataset.ratings["user_id"], shuffled, fractions)
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
    ids, times = dataset.ratings["user_id"], rating_times(dataset, "a temporal split")
    codes = by_fractions(ids, times, fractions)
    description = f"chronological per user {format_fractions(fractions)}"
    if test_first:
        train, valid, test = fractions
        codes = np.array([0, 2, 1])[by_fractions(ids, times, (train, test, valid))]
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
    rank, size = chronological_ranks(dataset.ratings["user_id"], rating_times(dataset, "leave-one-out"))
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


@register_splitter("cold-movies")
def cold_movies_split(
    dataset: Dataset,
    fold: int = 0,
    *,
    candidates: str = "held-out",
    seed: int | None = None,
    fraction: float = 0.1,
) -> Split:
    """Hold out movies with all their ratings.

    By default the movies of one of five fixed folds are held out: bucket `fold` for testing, bucket ``fold + 5`` for
    validation (see `bucket`). Anyone can rebuild the folds from the ids. With a `seed`, a random `fraction` of the
    rated movies is held out for testing and as many for validation. Users who rated only held-out movies have no
    training rating.

    Parameters
    ----------
    dataset : Dataset
    fold : int
        0 to 4; ignored with a `seed`.
    candidates : str
        ``"held-out"`` ranks the movies of a part among each other, ``"all"`` among all rated movies.
    seed : int, optional
        Random seed: hold out a random fraction instead of a fixed fold.
    fraction : float
        Fraction of movies held out for testing, with a `seed`.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    ConfigError
        Invalid `fold`, `fraction` or `candidates`.
    DataError
        The dataset is so small that a part would be empty.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = cold_movies_split(make_sample(100, 80), fold=1)
    >>> split.protocol
    'cold movies, fold 1 of 5, among held-out movies'
    >>> bool(split.test["movie_id"].isin(split.train["movie_id"]).any())
    False
    """
    ids = dataset.ratings["movie_id"]
    if seed is None:
        codes, description = by_fold(ids, fold, "movies"), f"cold movies, fold {fold} of {NUM_FOLDS}"
    else:
        valid, test = hold_out(ids, ids.nunique(), fraction, seed, "movies")
        codes = np.select([ids.isin(test), ids.isin(valid)], [2, 1], default=0)
        description = f"cold movies {fraction:g}+{fraction:g}, seed {seed}"
    return _split_of_movies(dataset, codes, description, candidates)


@register_splitter("cold-movies-by-time")
def cold_movies_by_time_split(dataset: Dataset, *, candidates: str = "held-out") -> Split:
    """Hold out the newest tenth of the movies, by the time of their first rating.

    The tenth before them is for validation. Both are rounded down, but movies whose first ratings have equal
    timestamps stay together in the later part. Older movies keep all their ratings for training.

    Parameters
    ----------
    dataset : Dataset
        Needs timestamps.
    candidates : str
        As in `cold_movies_split`.

    Returns
    -------
    Split
        Rows keep their order in the dataset. The cutoff times are part of its `protocol`.

    Raises
    ------
    ConfigError
        Invalid `candidates`.
    DataError
        There are no timestamps, or too few movies.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = cold_movies_by_time_split(make_sample(60, 40))
    >>> split.test["movie_id"].nunique(), len(split.candidates_for("test"))
    (4, 4)
    """
    times = pd.Series(rating_times(dataset, "a split of movies by time"))
    ids = dataset.ratings["movie_id"]
    first = times.groupby(ids.to_numpy()).min()
    movie_codes, begin = by_time(first.to_numpy(), (0.8, 0.1, 0.1))
    codes = pd.Series(movie_codes, index=first.index).reindex(ids).to_numpy()
    description = f"cold movies by time, first rated from {format_times(begin)}"
    return _split_of_movies(dataset, codes, description, candidates)


@register_splitter("cold-users")
def cold_users_split(
    dataset: Dataset, fold: int = 0, n_known: int = 5, *, seed: int | None = None, fraction: float = 0.1
) -> Split:
    """Hold out users, except for their first few ratings.

    By default the users of one of five fixed folds are held out, as in `cold_movies_split`. With a `seed`, a random
    `fraction` of the users with more than `n_known` ratings is held out for testing and as many for validation. The
    first `n_known` ratings of each held-out user (by time; in file order without timestamps) become ``support``:
    their history at test time. With fixed folds the training rows do not depend on `n_known`, so one model can be
    evaluated with several values.

    Parameters
    ----------
    dataset : Dataset
    fold : int
        0 to 4; ignored with a `seed`.
    n_known : int
        Initial ratings revealed per held-out user; with 0 only the profile is known. Users with no further ratings
        have no test row.
    seed : int, optional
        Random seed: hold out a random fraction instead of a fixed fold.
    fraction : float
        Fraction of users held out for testing, with a `seed`.

    Returns
    -------
    Split
        With `support` set.

    Raises
    ------
    ConfigError
        Invalid `fold`, `fraction` or `n_known`.
    DataError
        The dataset is so small that a part would be empty.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = cold_users_split(make_sample(60, 40), n_known=3)
    >>> split.protocol
    'cold users, fold 0 of 5, first 3 ratings known'
    >>> int(split.support["user_id"].value_counts().max())
    3
    """
    ids = dataset.ratings["user_id"]
    rank, size = chronological_ranks(ids, _times_or_file_order(dataset))
    check_integer(0, n_known=n_known)
    if seed is None:
        part = by_fold(ids, fold, "users")
        description = f"cold users, fold {fold} of {NUM_FOLDS}, first {n_known} ratings known"
    else:
        valid, test = hold_out(ids[size > n_known], ids.nunique(), fraction, seed, "users")
        part = np.select([ids.isin(test), ids.isin(valid)], [2, 1], default=0)
        description = f"cold users {fraction:g}+{fraction:g}, first {n_known} ratings known, seed {seed}"
    codes = np.where((part > 0) & (rank < n_known), 3, part)
    _check_not_empty(codes, description)
    return Split.from_codes(dataset, codes, description, with_support=True)


@register_splitter("cold-both")
def cold_both_split(dataset: Dataset, fold: int = 0, n_known: int = 5, *, candidates: str = "held-out") -> Split:
    """Hold out users and movies, to test recommending new movies to new users.

    Users and movies of bucket `fold` are for testing, those of bucket ``fold + 5`` for validation (see `bucket`).
    Ratings of training movies by training users train. The first `n_known` ratings that a held-out user gave to
    training movies are their history; their ratings of the held-out movies of the same part are the targets. All other
    ratings are dropped.

    Parameters
    ----------
    dataset : Dataset
    fold, n_known, candidates
        As in `cold_users_split` and `cold_movies_split`.

    Returns
    -------
    Split
        With `support` set.

    Raises
    ------
    ConfigError
        Invalid `fold`, `n_known` or `candidates`.
    DataError
        The dataset is so small that a part would be empty.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = cold_both_split(make_sample(100, 80))
    >>> [bool(split.test[column].isin(split.train[column]).any()) for column in ("user_id", "movie_id")]
    [False, False]
    """
    movies = dataset.ratings["movie_id"]
    user_part = by_fold(dataset.ratings["user_id"], fold, "users")
    movie_part = by_fold(movies, fold, "movies")
    known = movie_part == 0
    check_integer(0, n_known=n_known)
    rank = np.full(len(movies), n_known)
    rank[known], _ = chronological_ranks(dataset.ratings["user_id"][known], _times_or_file_order(dataset)[known])
    codes = np.select([user_part == movie_part, known & (rank < n_known)], [user_part, 3], default=-1)
    description = f"cold users and movies, fold {fold} of {NUM_FOLDS}, first {n_known} ratings known"
    _check_not_empty(codes, description)
    ranked = [movies[movie_part == part].unique() for part in (1, 2)]
    if _check_candidates(candidates) == "all":
        ranked = [movies.unique()] * 2  # not `Split.catalog`: all ratings of a movie may be dropped
    table = candidate_table(*map(np.sort, ranked))
    description += f", among {candidates} movies"
    return Split.from_codes(dataset, codes, description, with_support=True, candidates=table)


def _split_of_movies(dataset: Dataset, codes: np.ndarray, description: str, candidates: str) -> Split:
    description += f", among {_check_candidates(candidates)} movies"
    _check_not_empty(codes, description)
    if candidates == "all":
        return Split.from_codes(dataset, codes, description)
    ids = dataset.ratings["movie_id"]
    held_out = candidate_table(*(np.sort(ids[codes == part].unique()) for part in (1, 2)))
    return Split.from_codes(dataset, codes, description, candidates=held_out)


def _check_fractions(fractions: Sequence[float]) -> None:
    try:
        valid = len(fractions) == 3 and min(fractions) >= 0 and fractions[0] > 0 and math.isclose(sum(fractions), 1)
    except TypeError:
        valid = False
    if not valid:
        raise ConfigError(
            f"fractions must be three numbers for train (above 0), valid and test that sum to 1, not {fractions!r}"
        )


def _check_candidates(candidates: Any) -> str:
    if candidates not in CANDIDATES:
        raise ConfigError(f"candidates must be one of {', '.join(CANDIDATES)}, not {candidates!r}")
    return str(candidates)


def _check_not_empty(codes: np.ndarray, description: str) -> None:
    for code, part in ((1, "validation"), (2, "test")):
        if not (codes == code).any():
            raise DataError(f"{description}: the {part} set would be empty; the dataset is too small for this split")
