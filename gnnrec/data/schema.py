"""Columns of the ratings, movies and users tables: their names, their types, and how raw tables become clean ones.

A column, or another name for one, is one line of `COLUMNS`; a column of users is a file of `gnnrec.user_features`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first, shown
from gnnrec.data import aliases
from gnnrec.data.convert import (
    format_id,
    to_float32,
    to_genres,
    to_ids,
    to_imdb_ids,
    to_minutes,
    to_names,
    to_text,
    to_timestamps,
    to_tmdb_ids,
    to_years,
    years_in,
)
from gnnrec.data.id_index import sorted_unique
from gnnrec.data.user_columns import clean_feature
from gnnrec.errors import DataError
from gnnrec.user_features import user_features

DEFAULT_RATING = 5.0
"""Rating of a movie that is liked, without a number."""
MAX_MARKS_PER_RATING, MARKS_AT_ONCE = 32, 6
"""Bitmap that detects repeated ratings: its maximum size per rating (else sorting), and the size held at a time."""

USER_BLOCKS, MIN_BLOCKED = 16, 100_000
"""Number of blocks of users in this check, and the number of ratings from which it works in blocks."""
MAX_LISTED = 8
"""Maximum number of alternative column names in an error message."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    aliases : tuple of str
        Names that are recognized, in lower case, without punctuation and accents, best first.
    clean : callable, optional
        For optional columns of movies and users: converts a column to its type.
    dtype : str
        Type that `clean` returns.
    """

    aliases: tuple[str, ...]
    clean: Callable[[pd.Series], pd.Series] | None = None
    dtype: str = "string"


class _UserColumns(Mapping[str, Column]):
    """Columns of the users table: the id, and all registered user features."""

    _user_id = Column((*aliases.USERS, "id"))

    def __getitem__(self, name: str) -> Column:
        if name == "user_id":
            return self._user_id
        feature = user_features()[name]
        return Column((_plain_name(name), *feature.aliases), partial(clean_feature, feature), feature.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(["user_id", *user_features()])

    def __len__(self) -> int:
        return 1 + len(user_features())


COLUMNS: dict[str, Mapping[str, Column]] = {
    "ratings": {
        "user_id": Column(aliases.USERS),
        "movie_id": Column((*aliases.MOVIES, *aliases.RATED_TITLES)),
        "rating": Column((*aliases.RATINGS, *aliases.LIKES)),
        "weight": Column(("weight", *aliases.COUNTS)),
        "timestamp": Column(aliases.TIMES),
    },
    "movies": {
        "movie_id": Column((*aliases.MOVIES, "id")),
        "title": Column(aliases.TITLES),
        "genres": Column(aliases.GENRES),
        "year": Column(aliases.YEARS),
        "plot": Column(("plotfull", "fullplot", "plot", "overview", "synopsis", "description"), to_text),
        "directors": Column(("directors", "director"), to_names, "str"),
        "actors": Column(("actors", "actor", "cast"), to_names, "str"),
        "runtime": Column(("runtime", "runtimeminutes"), to_minutes, "Int64"),
        "certificate": Column(("certificate", "certification", "mpaa", "mpaarating", "rated"), to_text),
        "imdb_id": Column(("imdbid",), to_imdb_ids),
        "tmdb_id": Column(("tmdbid",), to_tmdb_ids, "Int64"),
    },
    "users": _UserColumns(),
}
"""Recognized columns, by table."""

OPTIONAL_MOVIE_COLUMNS = {name: column.clean for name, column in COLUMNS["movies"].items() if column.clean is not None}
"""Optional columns of a movies table, and the converter of each."""


def _plain_name(name: object) -> str:
    """Normalize a column name for comparison with the aliases."""
    letters = unicodedata.normalize("NFKD", re.sub(r"\(.*?\)", "", str(name).lower()))
    return re.sub(r"[\W_]", "", letters)  # also removes accents, which are separate characters after decomposition


def canonical_names(names: Iterable[object], table: str) -> dict[object, str]:
    """Map columns with other names to their canonical names, e.g. ``{"userId": "user_id"}``."""
    plain = {name: _plain_name(name) for name in names}
    renamed: dict[object, str] = {}
    for canonical, column in COLUMNS[table].items():
        if canonical in plain:
            continue
        found = [name for alias in column.aliases for name, text in plain.items() if text == alias]
        found = [name for name in found if name not in renamed]
        if found:
            renamed[found[0]] = canonical
    return renamed


ORIGINAL_NAMES = "original column names"
"""Key in the `attrs` of a frame for the column names of its file, which messages show."""


def clean_ratings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a clean ratings table for a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "ratings", ("user_id", "movie_id"))
    if frame.empty:
        raise DataError("no rows; at least one rating is needed", at=("ratings", None))
    clean = {column: to_ids(frame[column], "ratings") for column in ("user_id", "movie_id")}
    if "rating" in frame:
        clean["rating"] = to_float32(frame["rating"])
    if "weight" in frame:
        weight = clean["weight"] = to_float32(frame["weight"])
        raise_at_first(weight < 0, "ratings", lambda row: f"weight {weight.iloc[row]:g} is negative")
    if "timestamp" in frame:
        clean["timestamp"] = to_timestamps(frame["timestamp"], "ratings")
    # A frame that was just read from a file is not shared, so its columns need not be copied.
    return pd.DataFrame(clean, copy=ORIGINAL_NAMES not in frame.attrs)


def clean_movies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a clean movies table for a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "movies", ("movie_id",))
    ids = _check_unique(to_ids(frame["movie_id"], "movies"), "movies")
    titles = to_text(frame["title"], unknown=[""]) if "title" in frame else ids.astype("string")
    if titles.isna().any():
        titles = titles.fillna(ids.astype("string"))
    titles = titles.astype(str)
    genres = to_genres(frame["genres"] if "genres" in frame else pd.Series("", index=ids.index))
    years = years_in(titles)
    if "year" in frame:
        years = to_years(frame["year"]).fillna(years)
    clean = {"movie_id": ids, "title": titles, "genres": genres, "year": years}
    for column in frame.columns:
        if column not in clean:
            convert = OPTIONAL_MOVIE_COLUMNS.get(column)
            clean[column] = frame[column] if convert is None else convert(frame[column])
    return pd.DataFrame(clean)


def clean_users(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a clean users table for a `Dataset`; rows keep their order."""
    frame = canonical_columns(frame, "users", ("user_id",))
    clean = dict(unknown_profiles(_check_unique(to_ids(frame["user_id"], "users"), "users")).items())
    clean |= {name: clean_feature(one, frame[name]) for name, one in user_features().items() if name in frame}
    return pd.DataFrame({**clean, **{column: frame[column] for column in frame if column not in clean}})


def unknown_profiles(user_ids: pd.Series) -> pd.DataFrame:
    """Return a users table from ids alone."""
    features = user_features().values()
    unknown = {one.name: pd.Series(pd.NA, index=user_ids.index, dtype=one.dtype) for one in features}
    return pd.DataFrame({"user_id": user_ids, **unknown})


def missing_movie_columns(columns: Iterable[str], num_rows: int) -> dict[str, pd.Series]:
    """Return values for those of the columns that are `OPTIONAL_MOVIE_COLUMNS`, missing in every row."""
    dtypes = {name: COLUMNS["movies"][name].dtype for name in columns if name in OPTIONAL_MOVIE_COLUMNS}
    return {
        name: pd.Series("" if dtype == "str" else pd.NA, index=range(num_rows), dtype=dtype)
        for name, dtype in dtypes.items()
    }


def check_ratings(
    ratings: pd.DataFrame,
    movies: pd.DataFrame,
    users: pd.DataFrame,
    movie_rows: Callable[[pd.Series], np.ndarray],
    user_rows: Callable[[pd.Series], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Check ratings against the movies and users tables.

    Parameters
    ----------
    ratings, movies, users : pandas.DataFrame
    movie_rows, user_rows : callable
        Return the row of each id in its table, -1 for an unknown id.

    Returns
    -------
    user, movie : numpy.ndarray
        ``[num_ratings]`` row of the user and of the movie of each rating.

    Raises
    ------
    DataError
        A rating names an unknown movie or user, or a user rated a movie twice.
    """
    codes = {}
    for table, frame, column, rows in (
        ("movies", movies, "movie_id", movie_rows),
        ("users", users, "user_id", user_rows),
    ):
        ids, known = ratings[column], frame[column]
        if len(known) and (ids.dtype == "int64") != (known.dtype == "int64"):
            one, other = ("text", "whole numbers") if known.dtype == "int64" else ("whole numbers", "text")
            raise DataError(f"{column} is {one} in ratings but {other} in {table}; use the same type in both")
        codes[column] = rows(ids)
        raise_at_first(
            codes[column] < 0,
            "ratings",
            lambda row: (
                f"{column} {format_id(ids.iloc[row])} is not in the {table} table; add it there or drop the rating"  # noqa: B023
            ),
        )
    user, movie = codes["user_id"], codes["movie_id"]
    if not have_unique_pairs(user, movie, len(movies)):
        check_unique_pairs(pd.Series(user * np.int64(len(movies)) + movie), ratings, "ratings")
    return user, movie


def check_unique_pairs(pairs: pd.Series, ratings: pd.DataFrame, table: str) -> None:
    """Raise a `DataError` if a user rated a movie twice; `pairs` numbers the user and movie of each rating."""

    def problem(row: int) -> str:
        user, movie = (format_id(ratings[column].iloc[row]) for column in ("user_id", "movie_id"))
        return f"user {user} rated movie {movie} twice; keep one of the two rows"

    numbers = pairs.to_numpy()
    if _are_unique(numbers.copy()):
        return
    raise_at_first(pairs.duplicated().to_numpy(), table, problem, lambda row: int(np.argmax(numbers == numbers[row])))


def have_unique_pairs(user: np.ndarray, movie: np.ndarray, num_movies: int) -> bool:
    """Return whether all user-movie pairs are distinct; in blocks of users, to save memory."""
    blocks = USER_BLOCKS if len(user) > MIN_BLOCKED else 1
    bounds = np.linspace(0, int(user.max(initial=0)) + 1, blocks + 1).astype(np.int32)
    is_sorted = blocks > 1 and bool((user[1:] >= user[:-1]).all())  # as most files are
    for low, high in pairwise(bounds):
        rows: slice | np.ndarray
        if is_sorted:
            rows = slice(*np.searchsorted(user, [low, high]))
        else:
            rows = np.flatnonzero((user >= low) & (user < high))
        pairs = user[rows].astype(np.int64)
        pairs -= low
        pairs *= num_movies
        pairs += movie[rows]
        if not _are_unique(pairs):
            return False
    return True


def _are_unique(numbers: np.ndarray) -> bool:
    """Return whether all numbers are distinct; may reorder them."""
    if len(numbers) and (size := int(numbers.max()) + 1) <= MAX_MARKS_PER_RATING * len(numbers):
        step = MARKS_AT_ONCE * len(numbers)
        for low in range(0, size, step):  # for dense data, five times faster than sorting
            part = numbers[(numbers >= low) & (numbers < low + step)] - low
            marks = np.zeros(min(step, size - low), dtype=bool)
            marks[part] = True
            if np.count_nonzero(marks) < len(part):
                return False
        return True
    numbers.sort()
    return not (numbers[1:] == numbers[:-1]).any()


def canonical_columns(frame: pd.DataFrame, table: str, required: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame with a fresh index and canonical column names.

    A missing or duplicate required column raises `DataError`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{table} must be a pandas DataFrame, not {type(frame).__name__}")
    names = canonical_names(frame.columns, table)
    renamed = (frame.rename(columns=names) if names else frame).reset_index(drop=True)
    for column in required:
        if column not in renamed:
            found = ", ".join(map(str, frame.attrs.get(ORIGINAL_NAMES, frame.columns))) or "none"
            others = ", ".join(COLUMNS[table][column].aliases[:MAX_LISTED])
            hint = f"; give its name, as in columns={{'{found.split(', ')[0]}': '{column}'}}" if frame.attrs else ""
            raise DataError(
                f"no column {column}; columns found: {found}; other recognized names: {others}, ...{hint}",
                at=(table, None),
            )
    for column in COLUMNS[table]:
        if isinstance(renamed.get(column), pd.DataFrame):
            raise DataError(f"two columns {column}; keep one of them", at=(table, None))
    if table != "ratings" and not renamed.columns.is_unique:  # other columns of movies and users are kept
        twice = renamed.columns[renamed.columns.duplicated()][0]
        raise DataError(f"two columns {shown(twice)}; keep one of them", at=(table, None))
    return renamed


def unused_columns(names: Iterable[object], table: str) -> tuple[str, ...]:
    """Return the columns that no model reads.

    >>> unused_columns(["userId", "movie", "Watched On"], "ratings")
    ('Watched On',)
    """
    renamed = canonical_names(names := list(names), table)
    return tuple(str(name) for name in names if renamed.get(name, name) not in COLUMNS[table])


def given_or_derived(given: pd.DataFrame | None, ratings: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the given table, or one that lists the ids of the ratings."""
    return given if given is not None else pd.DataFrame({column: sorted_unique(ratings[column])})


def _check_unique(ids: pd.Series, table: str) -> pd.Series:
    raise_at_first(
        ids.duplicated(),
        table,
        lambda row: f"{ids.name} {format_id(ids.iloc[row])} is listed twice; keep one row of each",
        earlier=lambda row: int(np.argmax((ids == ids.iloc[row]).to_numpy())),
    )
    return ids
