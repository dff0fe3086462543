"""Cold-start splitters: test users or movies without ratings in the training set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import register_splitter
from gnnrec.splitting.split import EVALUATED_PARTS, Split
from gnnrec.splitting.splitters import by_time, chronological_ranks, format_times, rating_times, times_or_file_order

BUCKETS = 10
NUM_FOLDS = BUCKETS // 2
"""Each fold holds out two buckets of ids: one for validation, one for testing."""
CANDIDATES = ("held-out", "all")
"""Movies among which held-out movies are ranked: those held out for the same part, or all rated movies."""


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


def candidate_table(valid: Iterable[Any], test: Iterable[Any]) -> pd.DataFrame:
    """Return ``movie_id, part`` of the movies to rank for each part, as for `Split`."""
    both = zip(EVALUATED_PARTS, (valid, test), strict=True)
    return pd.concat(
        [pd.DataFrame({"movie_id": pd.Series(list(ids)), "part": part}) for part, ids in both], ignore_index=True
    )


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
    rank, size = chronological_ranks(ids, times_or_file_order(dataset))
    check_integer(0, n_known=n_known)
    if seed is None:
        part = by_fold(ids, fold, "users")
        description = f"cold users, fold {fold} of {NUM_FOLDS}, first {n_known} ratings known"
    else:
        valid, test = hold_out(ids[size > n_known], ids.nunique(), fraction, seed, "users")
        part = np.select([ids.isin(test), ids.isin(valid)], [2, 1], default=0)
        description = f"cold users {fraction:g}+{fraction:g}, first {n_known} ratings known, seed {seed}"
    codes = np.where((part > 0) & (rank < n_known), 3, part)
    check_not_empty(codes, description)
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
    rank[known], _ = chronological_ranks(dataset.ratings["user_id"][known], times_or_file_order(dataset)[known])
    codes = np.select([user_part == movie_part, known & (rank < n_known)], [user_part, 3], default=-1)
    description = f"cold users and movies, fold {fold} of {NUM_FOLDS}, first {n_known} ratings known"
    check_not_empty(codes, description)
    ranked = [movies[movie_part == part].unique() for part in (1, 2)]
    if _check_candidates(candidates) == "all":
        ranked = [movies.unique()] * 2  # not `Split.catalog`: all ratings of a movie may be dropped
    table = candidate_table(*map(np.sort, ranked))
    description += f", among {candidates} movies"
    return Split.from_codes(dataset, codes, description, with_support=True, candidates=table)


def _split_of_movies(dataset: Dataset, codes: np.ndarray, description: str, candidates: str) -> Split:
    description += f", among {_check_candidates(candidates)} movies"
    check_not_empty(codes, description)
    if candidates == "all":
        return Split.from_codes(dataset, codes, description)
    ids = dataset.ratings["movie_id"]
    held_out = candidate_table(*(np.sort(ids[codes == part].unique()) for part in (1, 2)))
    return Split.from_codes(dataset, codes, description, candidates=held_out)


def _check_candidates(candidates: Any) -> str:
    if candidates not in CANDIDATES:
        raise ConfigError(f"candidates must be one of {', '.join(CANDIDATES)}, not {candidates!r}")
    return str(candidates)


def check_not_empty(codes: np.ndarray, description: str) -> None:
    """Raise a `DataError` if the validation or test set is empty."""
    for code, part in ((1, "validation"), (2, "test")):
        if not (codes == code).any():
            raise DataError(f"{description}: the {part} set would be empty; the dataset is too small for this split")
