"""Tables of the ratings of a `Dataset`: counts, distributions, the long tail.

A function raises `MissingColumnError` if the dataset lacks the columns it needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError

NUM_BINS = 12
"""Bins of the rating distribution if there are more distinct ratings than this."""
NUM_BLOCKS = 60
"""Default maximum of rows and columns of `block_density`."""


class MissingColumnError(DataError):
    """The dataset lacks the columns that a table needs; the message names them.

    Examples
    --------
    >>> dataset = Dataset(pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 7]}))
    >>> try:
    ...     rating_distribution(dataset)
    ... except MissingColumnError as error:
    ...     print(error)
    the ratings of custom have no column rating
    """


# Counts ---------------------------------------------------------------------------------------------------------------


def overview(dataset: Dataset) -> dict[str, Any]:
    """Return the basic statistics of a dataset.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict
        ``users``, ``movies``, ``ratings``: numbers of rows. ``rated_movies``, ``active_users``: those with at least one
        rating. ``density``: ratings / (users * movies). ``ratings_per_user``, ``ratings_per_movie``: medians, including
        users and movies without ratings. ``first_day``, ``last_day``: ISO dates, None without timestamps.
        ``mean_rating``: None without rating values.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 4]})
    >>> stats = overview(Dataset(ratings))
    >>> stats["users"], stats["density"], stats["mean_rating"], stats["first_day"]
    (2, 0.75, 4.0, None)
    """
    ratings = dataset.ratings
    per_user, per_movie = rating_counts(dataset, "user_id"), rating_counts(dataset, "movie_id")
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


def rating_counts(dataset: Dataset, column: str) -> np.ndarray:
    """Return the number of ratings of each user or each movie, zeros included, in the order of its table.

    Parameters
    ----------
    dataset : Dataset
    column : str
        ``"user_id"`` or ``"movie_id"``.

    Returns
    -------
    numpy.ndarray
        ``[num_users]`` or ``[num_movies]`` int64.

    Raises
    ------
    ConfigError
        `column` is neither of the two.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})
    >>> rating_counts(Dataset(ratings), "movie_id").tolist()
    [2, 1]
    """
    rows, table = row_codes(dataset, column)
    return np.bincount(rows, minlength=len(table))


def rating_distribution(dataset: Dataset) -> pd.DataFrame:
    """Count the ratings by value.

    Parameters
    ----------
    dataset : Dataset
        With a column ``rating``.

    Returns
    -------
    pandas.DataFrame
        ``low, high, ratings, share``. Up to `NUM_BINS` distinct values get a row each, with ``low == high``; more are
        counted in `NUM_BINS` equal bins ``[low, high)``, the last one including `high`. Shares sum to 1.

    Raises
    ------
    MissingColumnError
        The ratings have no values.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 5]})
    >>> rating_distribution(Dataset(ratings))[["low", "ratings"]].values.tolist()
    [[3.0, 1.0], [5.0, 2.0]]
    """
    values = rating_values(dataset)
    low, counts = np.unique(values, return_counts=True)
    high = low
    if len(low) > NUM_BINS:
        counts, edges = np.histogram(values, bins=NUM_BINS)
        low, high = edges[:-1], edges[1:]
    return pd.DataFrame({"low": low, "high": high, "ratings": counts, "share": counts / len(values)})


def block_density(dataset: Dataset, num_blocks: int = NUM_BLOCKS) -> pd.DataFrame:
    """Return the density of the user-movie matrix, block by block.

    Users and movies are sorted by their number of ratings, most first, and each cut into blocks of equal size (up to
    one).

    Parameters
    ----------
    dataset : Dataset
    num_blocks : int
        Maximum number of rows and columns.

    Returns
    -------
    pandas.DataFrame
        ``[min(num_blocks, num_users), min(num_blocks, num_movies)]``: the share of the block's pairs with a rating.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8]})
    >>> block_density(Dataset(ratings)).values.tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    block, size = {}, {}
    for column in ("user_id", "movie_id"):
        rows, table = row_codes(dataset, column)
        order = np.argsort(-np.bincount(rows, minlength=len(table)), kind="stable")
        rank = np.empty(len(table), dtype="int64")
        rank[order] = np.arange(len(table))
        number = min(num_blocks, len(table))
        block_of = rank * number // len(table)  # [len(table)]
        block[column], size[column] = block_of[rows], np.bincount(block_of, minlength=number)
    shape = (len(size["user_id"]), len(size["movie_id"]))
    filled = np.bincount(block["user_id"] * shape[1] + block["movie_id"], minlength=shape[0] * shape[1])
    return pd.DataFrame(filled.reshape(shape) / np.outer(size["user_id"], size["movie_id"]))


def most_rated(dataset: Dataset, k: int = 10) -> pd.DataFrame:
    """List the movies with the most ratings.

    Parameters
    ----------
    dataset : Dataset
    k : int
        Maximum number of movies.

    Returns
    -------
    pandas.DataFrame
        ``title, ratings`` and, if ratings have values, ``mean_rating``. Most rated first, ties in the order of the
        movies table; movies without ratings are left out.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2], "movie_id": [7, 7, 8], "rating": [5, 4, 3]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "title": ["Alien", "Heat"]})
    >>> most_rated(Dataset(ratings, movies)).values.tolist()
    [['Alien', 2, 4.5], ['Heat', 1, 3.0]]
    """
    rows, movies = row_codes(dataset, "movie_id")
    counts = np.bincount(rows, minlength=len(movies))
    top = np.argsort(-counts, kind="stable")[:k]
    top = top[counts[top] > 0]
    table = {"title": movies["title"].to_numpy()[top], "ratings": counts[top]}
    if "rating" in dataset.ratings:
        table["mean_rating"] = np.bincount(rows, rating_values(dataset), minlength=len(movies))[top] / counts[top]
    return pd.DataFrame(table)


# Inequality -----------------------------------------------------------------------------------------------------------


def log2_histogram(counts: np.ndarray) -> pd.DataFrame:
    """Count values in bins that double in width: 0, 1, 2-3, 4-7, 8-15, ...

    Parameters
    ----------
    counts : array_like
        ``[n]``, integers from 0, such as those of `rating_counts`.

    Returns
    -------
    pandas.DataFrame
        ``at_least, at_most, number, share``, from the first to the last bin that is not empty.

    Examples
    --------
    >>> log2_histogram(np.array([1, 2, 3, 9]))[["at_least", "at_most", "number"]].values.tolist()
    [[1, 1, 1], [2, 3, 2], [4, 7, 0], [8, 15, 1]]
    """
    # The exponent of frexp is the number of binary digits, exactly: 0 for 0, 1 for 1, 2 for 2-3, 3 for 4-7.
    digits = np.frexp(np.asarray(counts, dtype="float64"))[1]
    numbers = np.bincount(digits)[digits.min() :]
    bins = np.arange(digits.min(), digits.max() + 1)
    least = np.where(bins > 0, 2 ** np.maximum(bins - 1, 0), 0)
    most = np.where(bins > 0, 2**bins - 1, 0)
    return pd.DataFrame({"at_least": least, "at_most": most, "number": numbers, "share": numbers / len(digits)})


def decile_histogram(shares: np.ndarray) -> pd.DataFrame:
    """Count values between 0 and 1 in ten equal bins ``(above, up_to]``.

    Parameters
    ----------
    shares : array_like
        ``[n]``; exact zeros count in the first bin.

    Returns
    -------
    pandas.DataFrame
        ``above, up_to, number, share``, ten rows.

    Examples
    --------
    >>> decile_histogram(np.array([0.5, 0.51, 1.0])).query("number > 0")[["above", "up_to", "number"]].values.tolist()
    [[0.4, 0.5, 1.0], [0.5, 0.6, 1.0], [0.9, 1.0, 1.0]]
    """
    # Rounded first: 0.3 * 10 is not exactly 3.
    bins = np.ceil(np.round(np.asarray(shares) * 10, 9)).astype(int).clip(1) - 1
    numbers = np.bincount(bins, minlength=10)
    ends = np.arange(11) / 10
    return pd.DataFrame({"above": ends[:-1], "up_to": ends[1:], "number": numbers, "share": numbers / len(bins)})


def gini(counts: np.ndarray) -> float:
    """Return the Gini coefficient: 0 if all counts are equal, towards 1 if one holds nearly everything.

    Parameters
    ----------
    counts : array_like
        ``[n]``, not negative, not all 0.

    Returns
    -------
    float
        In ``[0, 1)``: ``2 sum(i * x_i) / (n * sum(x)) - (n + 1) / n`` for ``x`` in ascending order and ``i`` from 1,
        which is twice the area between the Lorenz curve and the diagonal (C. Gini, *Variabilità e mutabilità*, 1912).

    Examples
    --------
    >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    x = np.sort(np.asarray(counts, dtype="float64"))
    n = len(x)
    value = 2 * (np.arange(1, n + 1) * x).sum() / (n * x.sum()) - (n + 1) / n
    return float(max(value, 0.0))  # equal counts may give -1e-17


def top_share(counts: np.ndarray, share: float = 0.1) -> float:
    """Return the share of all ratings that the most rated movies (or most active users) hold.

    Parameters
    ----------
    counts : array_like
        ``[n]``, not all 0.
    share : float
        Size of the top group: 0.1 is the top tenth, rounded up to a whole number.

    Examples
    --------
    >>> top_share(np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 11]))
    0.55
    """
    x = np.sort(np.asarray(counts, dtype="float64"))[::-1]
    return float(x[: int(np.ceil(round(share * len(x), 9)))].sum() / x.sum())


def lorenz(counts: np.ndarray, points: int = 100) -> pd.DataFrame:
    """Return the Lorenz curve, read from its upper end: the share of ratings of the top 1%, 2%, ...

    Parameters
    ----------
    counts : array_like
        ``[n]``, not all 0.
    points : int
        Approximate number of steps; the start is one more row.

    Returns
    -------
    pandas.DataFrame
        ``share`` of users or movies, most rated first, and ``share_of_ratings``; both rise from 0 to 1. The classical
        curve starts with the least rated: ``1 - share`` against ``1 - share_of_ratings``.

    Examples
    --------
    >>> lorenz(np.array([1, 3])).values.tolist()
    [[0.0, 0.0], [0.5, 0.75], [1.0, 1.0]]
    """
    x = np.sort(np.asarray(counts, dtype="int64"))[::-1]
    total = np.concatenate([[0], np.cumsum(x)])
    at = np.unique(np.linspace(0, len(x), min(points, len(x)) + 1).round().astype(int))
    return pd.DataFrame({"share": at / len(x), "share_of_ratings": total[at] / total[-1]})


# Columns --------------------------------------------------------------------------------------------------------------


def rating_values(dataset: Dataset) -> np.ndarray:
    """Return the values of all ratings, ``[num_ratings]`` float64; raise `MissingColumnError` if there are none."""
    if "rating" not in dataset.ratings:
        raise MissingColumnError(f"the ratings of {dataset.name} have no column rating")
    return dataset.ratings["rating"].to_numpy("float64")


def rating_timestamps(dataset: Dataset) -> np.ndarray:
    """Return the timestamps of all ratings, ``[num_ratings]`` seconds; raise `MissingColumnError` if there are none."""
    if "timestamp" not in dataset.ratings:
        raise MissingColumnError(f"the ratings of {dataset.name} have no column timestamp")
    return dataset.ratings["timestamp"].to_numpy()


def row_codes(dataset: Dataset, column: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the row of each rating's user or movie in its table, ``[num_ratings]``, and the table."""
    if column not in ("user_id", "movie_id"):
        raise ConfigError(f"ratings are counted by user_id or movie_id, not by {column!r}")
    table = dataset.users if column == "user_id" else dataset.movies
    return pd.Index(table[column]).get_indexer(pd.Index(dataset.ratings[column])), table


def largest_row(table: pd.DataFrame, column: str) -> Any:
    """Return the first row with the largest value in a column, ignoring missing values."""
    return table.iloc[int(np.nanargmax(table[column].to_numpy("float64", na_value=np.nan)))]
