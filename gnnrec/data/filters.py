"""Filters of ratings: a minimum rating, and the k-core; `Dataset.filtered` applies them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer, check_number
from gnnrec.data.append_only import RatingTable
from gnnrec.errors import DataError


def filter_ratings(
    table: RatingTable, name: str, min_rating: float | None, k_core: int | None
) -> tuple[np.ndarray, list[str]]:
    """Apply the filters that are not None, the minimum rating first.

    Parameters
    ----------
    table : RatingTable
        The ratings.
    name : str
        Name of the dataset, for messages.
    min_rating : float, optional
        Lowest rating to keep.
    k_core : int, optional
        See `in_core`.

    Returns
    -------
    kept : numpy.ndarray
        ``[num_ratings]`` bool.
    descriptions : list of str
        The filters, for reports.
    """
    kept, descriptions = np.ones(len(table), dtype=bool), []
    if min_rating is not None:
        kept = at_least(table.frame, min_rating, name)
        descriptions.append(f"rating >= {float(min_rating):g}")
    if k_core is not None:
        kept[kept] = in_core(table.user[kept], table.movie[kept], k_core)
        descriptions.append(f"{k_core}-core")
    return kept, descriptions


def at_least(ratings: pd.DataFrame, min_rating: float, name: str) -> np.ndarray:
    """Return which rows have a rating of at least `min_rating`; raise `DataError` if there are no ratings."""
    check_number(-np.inf, min_rating=min_rating)
    if "rating" not in ratings:
        raise DataError(f"{name} has no column rating, so min_rating={float(min_rating):g} cannot be applied")
    return ratings["rating"].to_numpy() >= float(min_rating)


def in_core(user: np.ndarray, movie: np.ndarray, k: int) -> np.ndarray:
    """Return which ratings are in the k-core: the largest part in which every user and every movie has `k` ratings.

    Users and movies with fewer ratings are dropped until none are left; the order does not matter
    (Seidman, "Network structure and minimum degree", 1983).

    Parameters
    ----------
    user, movie : numpy.ndarray
        ``[num_ratings]`` int, row of the user and of the movie of each rating.
    k : int

    Examples
    --------
    >>> in_core(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 2]), 2).tolist()
    [True, True, True, True, False]
    """
    check_integer(k_core=k)
    kept = np.ones(len(user), dtype=bool)
    while True:
        enough = [np.bincount(codes[kept], minlength=codes.max(initial=0) + 1) >= k for codes in (user, movie)]
        still = kept & enough[0][user] & enough[1][movie]
        if still.sum() == kept.sum():
            return kept
        kept = still


def kept_rows(
    table: RatingTable, movies: pd.DataFrame, users: pd.DataFrame, kept: np.ndarray
) -> tuple[RatingTable, pd.DataFrame, pd.DataFrame]:
    """Return the kept ratings, ``[num_ratings]`` bool, and the movies and users that occur in them."""
    movies, movie = _used_rows(movies, table.movie[kept])
    users, user = _used_rows(users, table.user[kept])
    return RatingTable(table.frame[kept].reset_index(drop=True), user, movie), movies, users


def _used_rows(table: pd.DataFrame, codes: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a table that occur in `codes`, and the codes renumbered for them."""
    used = np.zeros(len(table), dtype=bool)
    used[codes] = True
    return table[used].reset_index(drop=True), (np.cumsum(used) - 1)[codes]
