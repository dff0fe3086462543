"""`Dataset`: ratings, movies and users as three checked frames that keep the caller's own ids.

All later rooms rely on what is established here: known columns and types, one row per movie and per user,
every rating of a known movie by a known user, no pair twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec.data import columns
from gnnrec.errors import DataError
from gnnrec.files import write_whole


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

    # Written out because None is accepted for frames that are never None afterwards.
    def __init__(
        self,
        ratings: pd.DataFrame,
        movies: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        name: str = "custom",
    ) -> None:
        ratings = _clean_ratings(ratings)
        movies = clean_movies(_given_or_derived(movies, ratings, "movie_id"))
        users = clean_users(_given_or_derived(users, ratings, "user_id"))
        _check_ratings(ratings, movies, users)
        for field, value in {"ratings": ratings, "movies": movies, "users": users, "name": name}.items():
            object.__setattr__(self, field, value)

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
        return (
            f"Dataset({self.name!r}: {self.num_users:,} users, {self.num_movies:,} movies, "
            f"{self.num_ratings:,} ratings)"
        )

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
    write_whole(path, frame.to_csv(index=False, lineterminator="\n").encode())


def _clean_ratings(frame: pd.DataFrame) -> pd.DataFrame:
    frame = with_our_names(frame, "ratings", ("user_id", "movie_id"))
    if frame.empty:
        raise DataError("no rows; at least one rating is needed", at=("ratings", None))
    clean = {column: columns.to_ids(frame[column], "ratings") for column in ("user_id", "movie_id")}
    if "rating" in frame:
        clean["rating"] = columns.to_numbers(frame["rating"], "ratings").astype("float32")
    if "timestamp" in frame:
        clean["timestamp"] = columns.to_timestamps(frame["timestamp"], "ratings")
    return pd.DataFrame(clean)


def clean_movies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return movies as they stand in a `Dataset`; rows keep their order."""
    frame = with_our_names(frame, "movies", ("movie_id",))
    ids = _unique(columns.to_ids(frame["movie_id"], "movies"), "movies")
    given = (
        columns.to_text(frame["title"], unknown=[""])
        if "title" in frame
        else pd.Series(pd.NA, index=ids.index, dtype="string")
    )
    titles = given.fillna(ids.astype("string")).astype(str)
    genres = columns.to_genres(frame["genres"] if "genres" in frame else pd.Series("", index=ids.index))
    years = columns.years_in(titles)
    if "year" in frame:
        numbers = columns.to_numbers(frame["year"], "movies", optional=True)
        years = numbers.round().astype("Int64").fillna(years)
    return _with_extras({"movie_id": ids, "title": titles, "genres": genres, "year": years}, frame)


def clean_users(frame: pd.DataFrame) -> pd.DataFrame:
    """Return users as they stand in a `Dataset`; rows keep their order."""
    frame = with_our_names(frame, "users", ("user_id",))
    ids = _unique(columns.to_ids(frame["user_id"], "users"), "users")
    unknown = pd.Series(pd.NA, index=ids.index)
    ages = columns.to_ages(frame["age"] if "age" in frame else unknown.rename("age"), "users")
    clean = {"user_id": ids, "age": ages}
    for column in ("gender", "occupation"):
        clean[column] = columns.to_categories(frame.get(column, unknown))
    return _with_extras(clean, frame)


def _check_ratings(ratings: pd.DataFrame, movies: pd.DataFrame, users: pd.DataFrame) -> None:
    codes = {}
    for table, frame, column in (("movies", movies, "movie_id"), ("users", users, "user_id")):
        ids, known = ratings[column], frame[column]
        if len(known) and (ids.dtype == "int64") != (known.dtype == "int64"):
            one, other = ("text", "whole numbers") if known.dtype == "int64" else ("whole numbers", "text")
            raise DataError(f"{column} is {one} in ratings but {other} in {table}; use the same type in both")
        codes[column] = pd.Index(known).get_indexer(pd.Index(ids))
        if (codes[column] < 0).any():
            row = int(np.argmax(codes[column] < 0))
            raise DataError(
                f"{column} {columns.shown(ids.iloc[row])} is not in the {table} table; add it there or drop the rating",
                at=("ratings", row),
            )
    pairs = pd.Series(codes["user_id"] * np.int64(len(movies)) + codes["movie_id"])
    if (again := pairs.duplicated().to_numpy()).any():
        row = int(np.argmax(again))
        user, movie = (columns.shown(ratings[column].iloc[row]) for column in ("user_id", "movie_id"))
        raise DataError(
            f"user {user} rated movie {movie} before; keep one of the two rows",
            at=("ratings", row),
            earlier=("ratings", int(np.argmax(pairs.to_numpy() == pairs.iloc[row]))),
        )


def with_our_names(frame: pd.DataFrame, table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame with a fresh index and the usual other column names replaced by ours.

    A missing required column, or one that is there twice, is a `DataError`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{table} must be a pandas DataFrame, not {type(frame).__name__}")
    renamed = frame.rename(columns=columns.canonical_names(frame.columns, table)).reset_index(drop=True)
    for column in required:
        if column not in renamed:
            found = ", ".join(map(str, frame.columns)) or "none"
            raise DataError(f"no column {column}; columns found: {found}", at=(table, None))
    for column in columns.ALIASES[table]:
        if isinstance(renamed.get(column), pd.DataFrame):
            raise DataError(f"two columns {column}; keep one of them", at=(table, None))
    return renamed


def _with_extras(clean: dict[str, pd.Series], frame: pd.DataFrame) -> pd.DataFrame:
    extras = {column: frame[column] for column in frame.columns if column not in clean}
    return pd.DataFrame({**clean, **extras})


def _given_or_derived(given: pd.DataFrame | None, ratings: pd.DataFrame, column: str) -> pd.DataFrame:
    return given if given is not None else pd.DataFrame({column: np.sort(ratings[column].unique())})


def _unique(ids: pd.Series, table: str) -> pd.Series:
    if (again := ids.duplicated().to_numpy()).any():
        row = int(np.argmax(again))
        raise DataError(
            f"{ids.name} {columns.shown(ids.iloc[row])} is listed twice; keep one row of each",
            at=(table, row),
            earlier=(table, int(np.argmax((ids == ids.iloc[row]).to_numpy()))),
        )
    return ids
