"""Genres: how common, how watched, how liked, and how that changes.

A movie of several genres counts in equal parts for each, so that shares sum to 1.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gnnrec.analysis.ratings import LackingError, codes_of
from gnnrec.analysis.times import Periods, periods, timestamps
from gnnrec.data import Dataset

MOST_PERIODS = 12


def genres(dataset: Dataset) -> pd.DataFrame:
    """Return how many movies and ratings each genre has.

    Parameters
    ----------
    dataset : Dataset
        With genres.

    Returns
    -------
    pandas.DataFrame
        ``genre, movies, ratings, share_of_movies, share_of_ratings`` and, where ratings have values, ``mean_rating``
        (of all ratings of movies that have the genre; missing where there are none). ``movies`` and ``ratings`` count
        whole; shares are of the movies whose genres are known, and of their ratings (missing where these have none),
        in equal parts for each genre of a movie. The largest share of movies first.

    Raises
    ------
    LackingError
        No movie has a genre.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8], "rating": [5, 3]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> genres(Dataset(ratings, movies)).values.tolist()
    [['Drama', 2, 2, 0.75, 0.75, 4.0], ['War', 1, 1, 0.25, 0.25, 3.0]]
    """
    parts = _parts(dataset)
    places, movies = codes_of(dataset, "movie_id")
    rated = np.bincount(places, minlength=len(movies))
    parts = parts.assign(ratings=rated[parts["movie"]], weighted=parts["part"] * rated[parts["movie"]], movies=1)
    sums = ["movies", "ratings", "part", "weighted"]
    if "rating" in dataset.ratings:
        values = dataset.ratings["rating"].to_numpy("float64")
        parts["stars"] = np.bincount(places, values, minlength=len(movies))[parts["movie"]]
        sums.append("stars")
    found = parts.groupby("genre", sort=True)[sums].sum()
    found["share_of_movies"] = found["part"] / found["part"].sum()
    all_ratings = found["weighted"].sum()
    found["share_of_ratings"] = found["weighted"] / all_ratings if all_ratings else np.nan
    if "stars" in found:
        found["mean_rating"] = found["stars"] / found["ratings"].where(found["ratings"] > 0)
    shown = ["movies", "ratings", "share_of_movies", "share_of_ratings", "mean_rating"]
    found = found.sort_values("share_of_movies", ascending=False, kind="stable").reset_index()
    return found[["genre", *(column for column in shown if column in found)]]


def genres_by_decade(dataset: Dataset) -> pd.DataFrame:
    """Return the share of each genre among the movies of each decade.

    Parameters
    ----------
    dataset : Dataset
        With genres and years.

    Returns
    -------
    pandas.DataFrame
        ``period, movies, genre, share``: the decade (``1990s``) and how many of its movies have known genres, and a row
        for each genre that any of them has. Shares of a decade sum to 1.

    Raises
    ------
    LackingError
        No movie has both a genre and a year.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"], "year": [1995, 1999]})
    >>> genres_by_decade(Dataset(ratings, movies)).values.tolist()
    [['1990s', 2, 'Drama', 0.75], ['1990s', 2, 'War', 0.25]]
    """
    years = dataset.movies["year"]
    parts = _parts(dataset)
    parts = parts[years.notna().to_numpy()[parts["movie"]]]
    if parts.empty:
        raise LackingError(f"no movie of {dataset.name} has both genres and a year")
    decade = years.fillna(0).to_numpy("int64")[parts["movie"]] // 10
    numbers, codes = np.unique(decade, return_inverse=True)
    when = Periods("decade", codes, [f"{number}0s" if number else "0s" for number in numbers])
    return _shares(parts["genre"], parts["part"].to_numpy(), when, "movies")


def genres_over_time(dataset: Dataset, most: int = MOST_PERIODS) -> pd.DataFrame:
    """Return the share of each genre among the ratings of each period.

    Parameters
    ----------
    dataset : Dataset
        With genres and timestamps.
    most : int
        Periods at most; see `gnnrec.analysis.times.periods`.

    Returns
    -------
    pandas.DataFrame
        ``period, ratings, genre, share``, as of `genres_by_decade`; periods without ratings are not in it.

    Raises
    ------
    LackingError
        The ratings have no timestamps, or are all of movies without genres.

    Examples
    --------
    >>> day = 24 * 3600
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 0, 400 * day]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "War"]})
    >>> genres_over_time(Dataset(ratings, movies), most=2).values.tolist()
    [['1970', 2, 'Drama', 0.5], ['1970', 2, 'War', 0.5], ['1971', 1, 'Drama', 1.0]]
    """
    when = periods(timestamps(dataset), most)
    places, _ = codes_of(dataset, "movie_id")
    number = len(when.names)
    # How many ratings each movie got in each period, and each of its genres its part of them.
    pairs, counts = np.unique(places * np.int64(number) + when.codes, return_counts=True)
    parts = _parts(dataset).merge(
        pd.DataFrame({"movie": pairs // number, "code": pairs % number, "count": counts}), on="movie"
    )
    if parts.empty:
        raise LackingError(f"no rating of {dataset.name} is of a movie with known genres")
    weight = (parts["part"] * parts["count"]).to_numpy()
    return _shares(parts["genre"], weight, Periods(when.unit, parts["code"].to_numpy(), when.names), "ratings")


def _parts(dataset: Dataset) -> pd.DataFrame:
    """Return ``movie`` (its row), ``genre``, ``part``: a row for each genre of each movie, whose parts sum to 1."""
    names = dataset.movies["genres"]
    names = names[(names != "").to_numpy()].str.split("|")
    if names.empty:
        raise LackingError(f"no movie of {dataset.name} has a genre")
    long = names.explode()
    part = 1 / names.map(len).reindex(long.index).to_numpy("float64")
    return pd.DataFrame({"movie": long.index.to_numpy(), "genre": long.to_numpy(), "part": part})


def _shares(genre: pd.Series, weight: np.ndarray, when: Periods, counted: str) -> pd.DataFrame:
    """Return the share of each genre in each period that has any."""
    frame = pd.DataFrame({"code": when.codes, "genre": genre.to_numpy(), "weight": weight})
    sums = frame.groupby(["code", "genre"], sort=True)["weight"].sum().reset_index()
    total = sums.groupby("code")["weight"].transform("sum")
    return pd.DataFrame(
        {
            "period": [when.names[code] for code in sums["code"]],
            counted: total.round().astype("int64"),
            "genre": sums["genre"],
            "share": sums["weight"] / total,
        }
    )
