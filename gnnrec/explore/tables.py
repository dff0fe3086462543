"""How many ratings, of which values, and how full the matrix of people and movies is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError

MOST_VALUES = 12
"""Ratings of more different values are counted in as many equal steps."""
NUM_BLOCKS = 60
"""Rows and columns of the matrix at most."""


class LackingError(DataError):
    """A dataset does not have what a table is made of; the message says what.

    Examples
    --------
    >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 7]}))
    >>> try:
    ...     rating_distribution(dataset)
    ... except LackingError as error:
    ...     print(error)
    the ratings of custom have no column rating
    """


def overview(dataset: Dataset) -> dict[str, Any]:
    """Return the plain counts of a dataset.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict
        ``users``, ``movies``, ``ratings``: numbers of rows. ``rated_movies``, ``active_users``: those with at least one
        rating. ``density``: ratings / (users * movies). ``ratings_per_user``, ``ratings_per_movie``: medians, those
        without ratings included. ``first_day``, ``last_day``: ISO dates in UTC, None without timestamps.
        ``mean_rating``: None without ratings' values.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 4]})
    >>> of = overview(Dataset(ratings))
    >>> of["users"], of["density"], of["mean_rating"], of["first_day"]
    (2, 0.75, 4.0, None)
    """
    ratings = dataset.ratings
    per_user, per_movie = counts_of(dataset, "user_id"), counts_of(dataset, "movie_id")
    days = [None, None]
    if "timestamp" in ratings:
        ends = ratings["timestamp"].agg(["min", "max"]).to_numpy()
        days = ends.astype("datetime64[s]").astype("datetime64[D]").astype(str).tolist()
    return {
        "users": dataset.num_users,
        "movies": dataset.num_movies,
        "ratings": dataset.num_ratings,
        "rated_movies": int((per_movie > 0).sum()),
        "active_users": int((per_user > 0).sum()),
        "density": dataset.num_ratings / (dataset.num_users * dataset.num_movies),
        "ratings_per_user": float(np.median(per_user)),
        "ratings_per_movie": float(np.median(per_movie)),
        "mean_rating": float(ratings["rating"].astype("float64").mean()) if "rating" in ratings else None,
        "first_day": days[0],
        "last_day": days[1],
    }


def counts_of(dataset: Dataset, column: str) -> np.ndarray:
    """Return how many ratings each user or each movie has, zeros included, in the order of its table.

    Parameters
    ----------
    dataset : Dataset
    column : str
        ``"user_id"`` or ``"movie_id"``.

    Returns
    -------
    numpy.ndarray
        ``[num_users]`` or ``[num_movies]`` int64.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})
    >>> counts_of(Dataset(ratings), "movie_id").tolist()
    [2, 1]
    """
    places, table = codes_of(dataset, column)
    return np.bincount(places, minlength=len(table))


def codes_of(dataset: Dataset, column: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the row of each rating's user or movie in its table, ``[num_ratings]``, and the table."""
    if column not in ("user_id", "movie_id"):
        raise ConfigError(f"ratings are counted by user_id or movie_id, not by {column!r}")
    table = dataset.users if column == "user_id" else dataset.movies
    return pd.Index(table[column]).get_indexer(pd.Index(dataset.ratings[column])), table


def rating_distribution(dataset: Dataset) -> pd.DataFrame:
    """Count the ratings by value.

    Parameters
    ----------
    dataset : Dataset
        With a column ``rating``.

    Returns
    -------
    pandas.DataFrame
        ``low, high, ratings, share``: ratings from `low` to below `high`, the last step up to `high` itself; `low` and
        `high` are equal where there are at most `MOST_VALUES` values, each counted for itself. Shares sum to 1.

    Raises
    ------
    LackingError
        The ratings have no values.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 5]})
    >>> rating_distribution(Dataset(ratings))[["low", "ratings"]].values.tolist()
    [[3.0, 1.0], [5.0, 2.0]]
    """
    if "rating" not in dataset.ratings:
        raise LackingError(f"the ratings of {dataset.name} have no column rating")
    values = dataset.ratings["rating"].to_numpy("float64")
    low, numbers = np.unique(values, return_counts=True)
    high = low
    if len(low) > MOST_VALUES:
        numbers, edges = np.histogram(values, bins=MOST_VALUES)
        low, high = edges[:-1], edges[1:]
    return pd.DataFrame({"low": low, "high": high, "ratings": numbers, "share": numbers / len(values)})


def matrix(dataset: Dataset, blocks: int = NUM_BLOCKS) -> pd.DataFrame:
    """Return how full each block of the user-item matrix is.

    Users stand in the order of how many ratings they gave, movies in that of how many they got, the most first; both
    are cut into blocks of equal size, up to one.

    Parameters
    ----------
    dataset : Dataset
    blocks : int
        Rows and columns at most.

    Returns
    -------
    pandas.DataFrame
        ``[min(blocks, num_users), min(blocks, num_movies)]``: the share of the block's pairs that have a rating.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8]})
    >>> matrix(Dataset(ratings)).values.tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    block, size = {}, {}
    for column in ("user_id", "movie_id"):
        places, table = codes_of(dataset, column)
        order = np.argsort(-np.bincount(places, minlength=len(table)), kind="stable")
        rank = np.empty(len(table), dtype="int64")
        rank[order] = np.arange(len(table))
        number = min(blocks, len(table))
        block_of = rank * number // len(table)  # [len(table)]
        block[column], size[column] = block_of[places], np.bincount(block_of, minlength=number)
    shape = (len(size["user_id"]), len(size["movie_id"]))
    filled = np.bincount(block["user_id"] * shape[1] + block["movie_id"], minlength=shape[0] * shape[1])
    return pd.DataFrame(filled.reshape(shape) / np.outer(size["user_id"], size["movie_id"]))


def most_rated(dataset: Dataset, k: int = 10) -> pd.DataFrame:
    """List the movies with the most ratings.

    Returns
    -------
    pandas.DataFrame
        ``title, ratings`` and, where there are values, ``mean_rating``; at most `k` rows, the most rated first, equal
        ones in the order of the movies.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8], "rating": [5, 4, 3]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "title": ["Alien", "Heat"]})
    >>> most_rated(Dataset(ratings, movies)).values.tolist()
    [['Alien', 2, 4.5], ['Heat', 1, 3.0]]
    """
    places, movies = codes_of(dataset, "movie_id")
    counts = np.bincount(places, minlength=len(movies))
    first = np.argsort(-counts, kind="stable")[:k]
    first = first[counts[first] > 0]
    table = {"title": movies["title"].to_numpy()[first], "ratings": counts[first]}
    if "rating" in dataset.ratings:
        sums = np.bincount(places, dataset.ratings["rating"].to_numpy("float64"), minlength=len(movies))
        table["mean_rating"] = sums[first] / counts[first]
    return pd.DataFrame(table)
