"""Tables of data other than ratings: genres, demographics, missing data.

A movie with several genres counts in equal parts for each of them, so that shares sum to 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.data.user_columns import feature_column, known_features
from gnnrec.errors import ConfigError
from gnnrec.explore.tables import (
    MissingColumnError,
    rating_counts,
    rating_timestamps,
    rating_values,
    row_codes,
)
from gnnrec.explore.time_tables import Periods, periods
from gnnrec.features.sources import PLOT_COLUMNS, find_posters
from gnnrec.user_features import NumberFeature, user_features

MAX_GENRE_PERIODS = 12
"""Default maximum of periods of `genres_over_time`."""
MAX_AGES = 10
"""Ages and other numbers are grouped by tens if there are more distinct values than this."""
MOVIE_FIELDS = ("year", "genres", "plot", "directors", "actors", "runtime")


def genres(dataset: Dataset) -> pd.DataFrame:
    """Count movies and ratings by genre.

    Parameters
    ----------
    dataset : Dataset
        With genres.

    Returns
    -------
    pandas.DataFrame
        ``genre, movies, ratings, share_of_movies, share_of_ratings`` and, if ratings have values, ``mean_rating``;
        largest share of movies first. ``movies``, ``ratings`` and ``mean_rating`` cover every movie that has the genre.
        The shares are among movies with genres, a movie counting in equal parts for each of its genres. Values that
        no rating contributes to are missing.

    Raises
    ------
    MissingColumnError
        No movie has a genre.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8], "rating": [5, 3]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"]})
    >>> genres(Dataset(ratings, movies)).values.tolist()
    [['Drama', 2, 2, 0.75, 0.75, 4.0], ['War', 1, 1, 0.25, 0.25, 3.0]]
    """
    weights = _genre_weights(dataset)
    rows, movies = row_codes(dataset, "movie_id")
    counts = np.bincount(rows, minlength=len(movies))[weights["movie"]]
    weights = weights.assign(movies=1, ratings=counts, weighted=weights["weight"] * counts)
    sums = ["movies", "ratings", "weight", "weighted"]
    if "rating" in dataset.ratings:
        weights["total"] = np.bincount(rows, rating_values(dataset), minlength=len(movies))[weights["movie"]]
        sums.append("total")
    table = weights.groupby("genre", sort=True)[sums].sum()
    table["share_of_movies"] = table["weight"] / table["weight"].sum()
    all_ratings = table["weighted"].sum()
    table["share_of_ratings"] = table["weighted"] / all_ratings if all_ratings else np.nan
    if "total" in table:
        table["mean_rating"] = table["total"] / table["ratings"].where(table["ratings"] > 0)
    table = table.sort_values("share_of_movies", ascending=False, kind="stable").reset_index()
    return table.drop(columns=["weight", "weighted", "total"], errors="ignore")


def genres_by_decade(dataset: Dataset) -> pd.DataFrame:
    """Return the share of each genre among the movies released in each decade.

    Parameters
    ----------
    dataset : Dataset
        With genres and years.

    Returns
    -------
    pandas.DataFrame
        ``period, movies, genre, share``: a row for each decade (``1990s``) and each of its genres; ``movies`` counts
        the decade's movies with genres. Shares of a decade sum to 1.

    Raises
    ------
    MissingColumnError
        No movie has both a genre and a year.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "Drama|War"], "year": [1995, 1999]})
    >>> genres_by_decade(Dataset(ratings, movies)).values.tolist()
    [['1990s', 2, 'Drama', 0.75], ['1990s', 2, 'War', 0.25]]
    """
    years = dataset.movies["year"]
    weights = _genre_weights(dataset)
    weights = weights[years.notna().to_numpy()[weights["movie"]]]
    if weights.empty:
        raise MissingColumnError(f"no movie of {dataset.name} has both genres and a year")
    decades = years.fillna(0).to_numpy("int64")[weights["movie"]] // 10
    numbers, codes = np.unique(decades, return_inverse=True)
    binned = Periods("decade", codes, [f"{number}0s" if number else "0s" for number in numbers])
    return _genre_shares(weights["genre"], weights["weight"].to_numpy(), binned, "movies")


def genres_over_time(dataset: Dataset, max_periods: int = MAX_GENRE_PERIODS) -> pd.DataFrame:
    """Return the share of each genre among the ratings of each period.

    Parameters
    ----------
    dataset : Dataset
        With genres and timestamps.
    max_periods : int
        Maximum number of periods; see `periods`.

    Returns
    -------
    pandas.DataFrame
        ``period, ratings, genre, share``, like that of `genres_by_decade`; periods without ratings are left out.

    Raises
    ------
    MissingColumnError
        The ratings have no timestamps, or no rated movie has a genre.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 0, 400 * 86_400]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Drama", "War"]})
    >>> genres_over_time(Dataset(ratings, movies), max_periods=2).values.tolist()
    [['1970', 2, 'Drama', 0.5], ['1970', 2, 'War', 0.5], ['1971', 1, 'Drama', 1.0]]
    """
    binned = periods(rating_timestamps(dataset), max_periods)
    rows, _ = row_codes(dataset, "movie_id")
    number = len(binned.names)
    # Ratings of each movie in each period, then divided among the movie's genres.
    pairs, counts = np.unique(rows * np.int64(number) + binned.codes, return_counts=True)
    counted = pd.DataFrame({"movie": pairs // number, "code": pairs % number, "count": counts})
    weights = _genre_weights(dataset).merge(counted, on="movie")
    if weights.empty:
        raise MissingColumnError(f"no rated movie of {dataset.name} has a genre")
    binned = Periods(binned.unit, weights["code"].to_numpy(), binned.names)
    return _genre_shares(weights["genre"], (weights["weight"] * weights["count"]).to_numpy(), binned, "ratings")


def _genre_weights(dataset: Dataset) -> pd.DataFrame:
    """Return ``movie`` (its row), ``genre``, ``weight``: a row for each genre of each movie; a movie's sum to 1."""
    names = dataset.movies["genres"]
    names = names[(names != "").to_numpy()].str.split("|")
    if names.empty:
        raise MissingColumnError(f"no movie of {dataset.name} has a genre")
    long = names.explode()
    weight = 1 / names.map(len).reindex(long.index).to_numpy("float64")
    return pd.DataFrame({"movie": long.index.to_numpy(), "genre": long.to_numpy(), "weight": weight})


def _genre_shares(genre: pd.Series, weight: np.ndarray, binned: Periods, total_name: str) -> pd.DataFrame:
    """Sum weights by period and genre, and divide by the period's total."""
    frame = pd.DataFrame({"code": binned.codes, "genre": genre.to_numpy(), "weight": weight})
    sums = frame.groupby(["code", "genre"], sort=True)["weight"].sum().reset_index()
    total = sums.groupby("code")["weight"].transform("sum")
    return pd.DataFrame(
        {
            "period": [binned.names[code] for code in sums["code"]],
            total_name: total.round().astype("int64"),
            "genre": sums["genre"],
            "share": sums["weight"] / total,
        }
    )


def demographics(dataset: Dataset, by: str) -> pd.DataFrame:
    """Count users and ratings by age, gender, occupation or another user feature.

    Parameters
    ----------
    dataset : Dataset
    by : str
        ``"age"``, ``"gender"``, ``"occupation"`` or another registered user feature. Numbers are in tens if there are
        more than `MAX_AGES` distinct ones.

    Returns
    -------
    pandas.DataFrame
        ``group, users, ratings, share_of_users, share_of_ratings`` and, if ratings have values, ``mean_rating``.
        Numbers ascend, other groups are sorted by size, largest first. The last row, with a missing ``group``, holds
        the users without a value, if there are any. Shares sum to 1.

    Raises
    ------
    MissingColumnError
        No user has a value.
    ConfigError
        `by` is something else.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> users = pd.DataFrame({"user_id": [1, 2], "age": [30, 41]})
    >>> demographics(Dataset(ratings, users=users), "age").iloc[:, :3].values.tolist()
    [['30', 1, 2], ['41', 1, 1]]
    """
    features = user_features()
    if by not in features:
        raise ConfigError(f"users can be grouped by {', '.join(features)}, not by {by!r}")
    values = feature_column(dataset.users, features[by])
    if values.isna().all():
        raise MissingColumnError(f"{by} is missing for every user of {dataset.name}")
    order: list[str] | None = None
    if isinstance(features[by], NumberFeature):
        distinct = sorted(values.dropna().unique())
        if len(distinct) > MAX_AGES:
            values = (values // 10 * 10).astype("Int64")
            names = {ten: f"{ten}–{ten + 9}" for ten in sorted(values.dropna().unique())}
        else:
            names = {age: f"{age:g}" for age in distinct}
        values, order = values.map(names), list(names.values())
    codes, labels = pd.factorize(values.astype(object))
    codes = np.where(codes < 0, len(labels), codes)  # [num_users]; the last group is that of the missing
    number = len(labels) + 1
    rows, _ = row_codes(dataset, "user_id")
    users, ratings = np.bincount(codes, minlength=number), np.bincount(codes[rows], minlength=number)
    table = pd.DataFrame(
        {
            "group": pd.Series([*labels, None], dtype=object),
            "users": users,
            "ratings": ratings,
            "share_of_users": users / users.sum(),
            "share_of_ratings": ratings / ratings.sum(),
        }
    )
    if "rating" in dataset.ratings:
        total = np.bincount(codes[rows], rating_values(dataset), minlength=number)
        table["mean_rating"] = pd.Series(total).div(pd.Series(ratings).where(ratings > 0))
    known = table.iloc[:-1]
    if order is None:
        known = known.sort_values("users", ascending=False, kind="stable")
    else:
        known = known.set_index("group").loc[order].reset_index()
    return pd.concat([known, table.iloc[-1:]] if users[-1] else [known], ignore_index=True)


def missing(dataset: Dataset, posters: str | Path | None = None) -> pd.DataFrame:
    """Count missing values of movies and users.

    Parameters
    ----------
    dataset : Dataset
    posters : str or Path, optional
        Folder of images, ``<movie_id>.jpg``. Without it, posters are counted by the dataset's feature ``"poster"``; if
        there is none either, they are not in the table.

    Returns
    -------
    pandas.DataFrame
        ``entity`` (``"movies"`` or ``"users"``), ``field, known, missing, share_known``. A title that merely repeats
        the id counts as missing; the field ``rating`` is known for movies and users with at least one rating.

    Raises
    ------
    DataError
        The folder does not exist, or has no poster of any movie.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "title": ["Heat (1995)", None]})
    >>> missing(Dataset(ratings, movies)).query("field == 'year'").values.tolist()
    [['movies', 'year', 1, 1, 0.5]]
    """
    movies = dataset.movies
    known = {
        ("movies", "rating"): rating_counts(dataset, "movie_id") > 0,
        ("movies", "title"): (movies["title"] != movies["movie_id"].astype(str)).to_numpy(),
    }
    for field in MOVIE_FIELDS:
        columns = [movies[name] for name in (PLOT_COLUMNS if field == "plot" else (field,)) if name in movies]
        has = [(values.notna() & (values.astype("string") != "").fillna(False)).to_numpy(bool) for values in columns]
        known["movies", field] = np.any(has, axis=0) if has else np.zeros(len(movies), dtype=bool)
    if posters is not None:
        images = {item.movie_id for item in find_posters(dataset, posters).items}
        known["movies", "poster"] = movies["movie_id"].isin(images).to_numpy()
    elif "poster" in dataset.features:
        known["movies", "poster"] = dataset.features["poster"].aligned(movies["movie_id"])[1]
    known["users", "rating"] = rating_counts(dataset, "user_id") > 0
    for field in known_features(dataset.users):
        known["users", field] = dataset.users[field].notna().to_numpy()
    rows = [(*key, int(has.sum()), int((~has).sum()), float(has.mean())) for key, has in known.items()]
    return pd.DataFrame(rows, columns=["entity", "field", "known", "missing", "share_known"])
