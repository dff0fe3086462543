"""`Dataset`: ratings, movies and users as three checked frames that keep the caller's own ids.

All later rooms rely on what is established here: known columns and types, one row per movie and per user,
every rating of a known movie by a known user, no pair twice.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._io import write_atomic
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.data.schema import check_ratings, clean_movies, clean_ratings, clean_users, given_or_derived, unused_columns
from gnnrec.errors import ConfigError, DataError


def at_least(ratings: pd.DataFrame, lowest: float, name: str) -> np.ndarray:
    """Return which rows have a rating of `lowest` or more; without ratings a `DataError` names the dataset."""
    if not isinstance(lowest, Real) or isinstance(lowest, bool) or not math.isfinite(lowest):
        raise ConfigError(f"min_rating must be a finite number, not {lowest!r}")
    if "rating" not in ratings:
        raise DataError(f"{name} has no ratings, only who watched what, so a least rating of {lowest:g} says nothing")
    return ratings["rating"].to_numpy() >= lowest


def in_core(ratings: pd.DataFrame, k: int) -> np.ndarray:
    """Return which rows are in the k-core: the most rows in which each user and each movie has `k` or more.

    It is found by dropping users and movies with fewer until none is left to drop; the order does not matter
    (Seidman, "Network structure and minimum degree", 1983).

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2, 2], "movie_id": [10, 20, 10, 20, 30]})
    >>> in_core(rows, 2).tolist()
    [True, True, True, True, False]
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise ConfigError(f"k_core must be a whole number of at least 1, not {k!r}")
    codes = [pd.factorize(ratings[column])[0] for column in ("user_id", "movie_id")]
    kept = np.ones(len(ratings), dtype=bool)
    while True:
        enough = [np.bincount(code[kept], minlength=len(ratings)) >= k for code in codes]
        still = kept & enough[0][codes[0]] & enough[1][codes[1]]
        if still.sum() == kept.sum():
            return kept
        kept = still


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Dataset:
    """Ratings with what is known about the movies and the people.

    Columns are also found under their usual other names (``userId``, ``item_id``, ``score``, ...). Frames
    are copied, rows keep their order and get a fresh index. Rows in error messages count from 0.

    Parameters
    ----------
    ratings : pandas.DataFrame
        ``user_id``, ``movie_id`` and optionally ``rating`` (becomes float32) and ``timestamp`` (becomes int64
        seconds since 1970; datetimes and ISO texts are converted). Ids are all whole numbers or all text.
    movies : pandas.DataFrame, optional
        ``movie_id`` and optionally ``title``, ``genres`` (text like ``"Comedy|Drama"`` or a list), ``year``
        (else taken from a title that ends in it) and any columns of your own. Movies without ratings stay:
        they can be recommended too. Derived from the ratings when not given.
    users : pandas.DataFrame, optional
        ``user_id`` and optionally ``age`` (years), ``gender``, ``occupation`` (upper and lower case do not
        matter, the most frequent spelling is kept) and any columns of your own. Derived from the ratings when
        not given.
    name : str
        Shown in reports.
    filters : str
        What was left out of the whole dataset, for reports; `filtered` writes it.
    features : mapping of str to ContentEmbeddings, optional
        Vectors of movies by modality, such as ``"poster"`` and ``"text"``; see `with_features`.

    Attributes
    ----------
    unused : mapping of str to tuple of str
        By table, the given columns whose names are not understood, so that no model reads them.

    Raises
    ------
    DataError
        A required column is missing, there are no ratings, an id is missing or of the wrong type, a rating
        is not finite, a timestamp is no time, an age is not between 0 and 150, a user rated a movie twice, a
        movie or user is listed twice, or a rating names a movie or user that its table lacks.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10], "rating": [5, 3, 4]})
    >>> movies = pd.DataFrame({"movie_id": [10, 20], "title": ["Heat (1995)", "Alien (1979)"]})
    >>> Dataset(ratings, movies, name="mine")
    Dataset('mine': 2 users, 2 movies, 3 ratings)
    """

    ratings: pd.DataFrame
    movies: pd.DataFrame
    users: pd.DataFrame
    name: str
    filters: str
    features: Mapping[str, ContentEmbeddings]
    unused: Mapping[str, tuple[str, ...]] = field(init=False)

    # Written out because None is accepted for frames that are never None afterwards.
    def __init__(
        self,
        ratings: pd.DataFrame,
        movies: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        name: str = "custom",
        filters: str = "",
        features: Mapping[str, ContentEmbeddings] | None = None,
    ) -> None:
        given = {"ratings": ratings, "movies": movies, "users": users}
        ratings = clean_ratings(ratings)
        movies = clean_movies(given_or_derived(movies, ratings, "movie_id"))
        users = clean_users(given_or_derived(users, ratings, "user_id"))
        check_ratings(ratings, movies, users)
        values = {"ratings": ratings, "movies": movies, "users": users, "name": name, "filters": filters}
        values["features"] = dict(features or {})
        odd = {table: unused_columns(frame.columns, table) for table, frame in given.items() if frame is not None}
        values["unused"] = {table: names for table, names in odd.items() if names}
        for name_of, value in values.items():
            object.__setattr__(self, name_of, value)

    @property
    def num_users(self) -> int:
        """Number of users, those without ratings included."""
        return len(self.users)

    @property
    def num_movies(self) -> int:
        """Number of movies, those without ratings included."""
        return len(self.movies)

    @property
    def num_ratings(self) -> int:
        """Number of ratings."""
        return len(self.ratings)

    def __repr__(self) -> str:
        called = ", ".join(filter(None, (repr(self.name), self.filters)))
        return f"Dataset({called}: {self.num_users:,} users, {self.num_movies:,} movies, {self.num_ratings:,} ratings)"

    def filtered(self, min_rating: float | None = None, k_core: int | None = None) -> Dataset:
        """Return the dataset with fewer ratings; users and movies that have none left go, too.

        Parameters
        ----------
        min_rating : float, optional
            Keep ratings of at least this.
        k_core : int, optional
            Then keep the largest part in which every user and every movie has at least this many ratings (the
            k-core), as in "10-core".

        Returns
        -------
        Dataset
            Rows keep their order. What was done stands in `filters`, and from there in the protocol of a `Split`.

        Raises
        ------
        DataError
            There is no column ``rating`` to go by, or nothing is left.
        ConfigError
            `min_rating` is no finite number, or `k_core` is not a whole number of at least 1.

        Examples
        --------
        >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "movie_id": [7, 8, 7, 8, 7], "rating": [5, 3, 4, 3, 2]})
        >>> Dataset(ratings).filtered(min_rating=3, k_core=2)
        Dataset('custom', rating >= 3, 2-core: 2 users, 2 movies, 4 ratings)
        """
        if min_rating is None and k_core is None:
            return self
        ratings, done = self.ratings, [self.filters] if self.filters else []
        if min_rating is not None:
            ratings = ratings[at_least(ratings, min_rating, self.name)]
            done.append(f"rating >= {min_rating:g}")
        if k_core is not None:
            ratings = ratings[in_core(ratings, k_core)]
            done.append(f"{k_core}-core")
        if ratings.empty:
            raise DataError(f"no rating of {self.name} is left after {', '.join(done)}; ask for less")
        movies = self.movies[self.movies["movie_id"].isin(ratings["movie_id"])]
        users = self.users[self.users["user_id"].isin(ratings["user_id"])]
        return Dataset(ratings, movies, users, self.name, ", ".join(done), self.features)

    def with_features(self, **features: ContentEmbeddings) -> Dataset:
        """Return the dataset with vectors of its movies, by modality; those of the same name are replaced.

        Raises
        ------
        DataError
            No movie of the dataset is among those of a modality: the ids are of another kind.

        Examples
        --------
        >>> ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
        >>> dataset = Dataset(ratings).with_features(text=ContentEmbeddings([7], [[0.5, 1.0]]))
        >>> dataset.features
        {'text': ContentEmbeddings(1 movies, 2 wide: given)}
        """
        for name, vectors in features.items():
            if not vectors.aligned(self.movies["movie_id"])[1].any():
                raise DataError(
                    f"none of the {len(vectors):,} movies with {name} vectors is in {self.name}; "
                    "are they keyed by the same movie ids?"
                )
        made = copy.copy(self)
        object.__setattr__(made, "features", {**self.features, **features})
        return made

    def to_folder(self, path: str | Path) -> Path:
        """Write ``ratings.csv``, ``movies.csv`` and ``users.csv``, which `load_dataset` reads back.

        Text ids that all look like whole numbers ("12") come back as whole numbers, and those with blanks
        around them without these.

        Parameters
        ----------
        path : str or Path
            Folder; made when missing.

        Returns
        -------
        Path
            The folder.
        """
        folder = Path(path)
        for table in ("ratings", "movies", "users"):
            write_csv(getattr(self, table), folder / f"{table}.csv")
        return folder


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n").encode())
