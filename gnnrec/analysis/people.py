"""Who the people are, and what is not known of them and of the movies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnrec.analysis.ratings import LackingError, codes_of, counts_of
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.features.sources import PLOT_COLUMNS, find_posters

MOST_AGES = 10
"""More different ages are put together by tens of years."""
PROFILE = ("age", "gender", "occupation")
FACTS = ("year", "genres", "plot", "directors", "actors", "runtime")


def groups(dataset: Dataset, by: str) -> pd.DataFrame:
    """Return how many people and ratings each group has.

    Parameters
    ----------
    dataset : Dataset
    by : str
        ``"age"`` (in tens of years where there are more than `MOST_AGES` different ones), ``"gender"`` or
        ``"occupation"``.

    Returns
    -------
    pandas.DataFrame
        ``group, users, ratings, share_of_users, share_of_ratings`` and, where ratings have values, ``mean_rating``. The
        group is text, missing for people of whom nothing is known, who come last. Ages ascend; else the largest group
        comes first. Shares sum to 1.

    Raises
    ------
    LackingError
        It is known of nobody.
    ConfigError
        `by` is something else.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> groups(Dataset(ratings, users=pd.DataFrame({"user_id": [1, 2], "age": [30, 41]})), "age").iloc[:, :3].values
    array([['30', 1, 2],
           ['41', 1, 1]], dtype=object)
    """
    if by not in PROFILE:
        raise ConfigError(f"people are grouped by {', '.join(PROFILE)}, not by {by!r}")
    known = dataset.users[by]
    if known.isna().all():
        raise LackingError(f"{by} is known of nobody in {dataset.name}")
    order: Any = None
    if by == "age":
        years = known.dropna()
        if years.nunique() > MOST_AGES:
            tens = (known // 10 * 10).astype("Int64")
            names = {ten: f"{ten}–{ten + 9}" for ten in sorted(tens.dropna().unique())}
            known = tens.map(names)
        else:
            names = {year: f"{year:g}" for year in sorted(years.unique())}
            known = known.map(names)
        order = list(names.values())
    codes, labels = pd.factorize(known.astype(object))
    codes = np.where(codes < 0, len(labels), codes)  # [num_users]; the last group is that of the unknown
    number = len(labels) + 1
    places, _ = codes_of(dataset, "user_id")
    users, ratings = np.bincount(codes, minlength=number), np.bincount(codes[places], minlength=number)
    found = pd.DataFrame(
        {
            "group": pd.Series([*labels, None], dtype=object),
            "users": users,
            "ratings": ratings,
            "share_of_users": users / users.sum(),
            "share_of_ratings": ratings / ratings.sum(),
        }
    )
    if "rating" in dataset.ratings:
        stars = np.bincount(codes[places], dataset.ratings["rating"].to_numpy("float64"), minlength=number)
        found["mean_rating"] = pd.Series(stars).div(pd.Series(ratings).where(ratings > 0))
    first = found.iloc[:-1]
    if order is None:
        first = first.sort_values("users", ascending=False, kind="stable")
    else:
        first = first.set_index("group").loc[order].reset_index()
    return pd.concat([first, found.iloc[-1:]] if users[-1] else [first], ignore_index=True)


def missing(dataset: Dataset, posters: Any = None) -> pd.DataFrame:
    """Count the movies and people of whom something is not known.

    Parameters
    ----------
    dataset : Dataset
    posters : str or Path, optional
        A folder of pictures, ``<movie_id>.jpg``. Without it, movies with a vector named ``"poster"`` have a poster;
        where there are none of these either, posters are not in the table.

    Returns
    -------
    pandas.DataFrame
        ``of`` (``"movies"`` or ``"users"``), ``what, known, missing, share_known``. A title that is only the id again
        is not known; of movies ``rating`` means that somebody has rated them, of users that they have rated.

    Raises
    ------
    DataError
        There is no such folder, or no poster of any movie in it.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "title": ["Heat (1995)", None]})
    >>> missing(Dataset(ratings, movies)).query("what == 'year'").values.tolist()
    [['movies', 'year', 1, 1, 0.5]]
    """
    movies = dataset.movies
    known = {
        ("movies", "rating"): counts_of(dataset, "movie_id") > 0,
        ("movies", "title"): (movies["title"] != movies["movie_id"].astype(str)).to_numpy(),
    }
    for column in FACTS:
        names = PLOT_COLUMNS if column == "plot" else (column,)
        found = [movies[name] for name in names if name in movies]
        has = [(values.notna() & (values.astype("string") != "").fillna(False)).to_numpy(bool) for values in found]
        known["movies", column] = np.any(has, axis=0) if has else np.zeros(len(movies), dtype=bool)
    if posters is not None:
        pictures = {item.movie_id for item in find_posters(dataset, posters).items}
        known["movies", "poster"] = movies["movie_id"].isin(pictures).to_numpy()
    elif "poster" in dataset.features:
        known["movies", "poster"] = dataset.features["poster"].aligned(movies["movie_id"])[1]
    known["users", "rating"] = counts_of(dataset, "user_id") > 0
    for column in PROFILE:
        known["users", column] = dataset.users[column].notna().to_numpy()
    rows = [(of, what, int(has.sum()), int((~has).sum()), float(has.mean())) for (of, what), has in known.items()]
    return pd.DataFrame(rows, columns=["of", "what", "known", "missing", "share_known"])
