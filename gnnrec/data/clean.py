"""Raw frames become those of a `Dataset`: our names, our types, one row of each, nothing that is not known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from gnnrec.data import columns
from gnnrec.data.facts import FACTS
from gnnrec.errors import DataError

AS_GIVEN = "columns as given"
"""Under this key the `attrs` of a frame hold the names that its file has."""


def clean_ratings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ratings as they stand in a `Dataset`; rows keep their order."""
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
    genres = columns.to_names(frame["genres"] if "genres" in frame else pd.Series("", index=ids.index))
    years = columns.years_in(titles)
    if "year" in frame:
        numbers = columns.to_numbers(frame["year"], "movies", optional=True)
        years = numbers.round().astype("Int64").fillna(years)
    frame = frame.assign(**{column: typed(frame[column]) for column, typed in FACTS.items() if column in frame})
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


def check_ratings(ratings: pd.DataFrame, movies: pd.DataFrame, users: pd.DataFrame) -> None:
    """Raise a `DataError` for a rating of an unknown movie or by an unknown user, and for a pair that comes twice."""
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
            found = ", ".join(map(str, frame.attrs.get(AS_GIVEN, frame.columns))) or "none"
            others = ", ".join(name for name in columns.ALIASES[table][column] if name != column)
            raise DataError(
                f"no column {column}; columns found: {found}; other names understood: {others}", at=(table, None)
            )
    for column in columns.ALIASES[table]:
        if isinstance(renamed.get(column), pd.DataFrame):
            raise DataError(f"two columns {column}; keep one of them", at=(table, None))
    return renamed


def unused_columns(names: Iterable[object], table: str) -> tuple[str, ...]:
    """Return the columns that nothing in the library reads.

    >>> unused_columns(["userId", "movie", "Watched On"], "ratings")
    ('Watched On',)
    """
    renamed = columns.canonical_names(names := list(names), table)
    return tuple(str(name) for name in names if renamed.get(name, name) not in columns.ALIASES[table])


def _with_extras(clean: dict[str, pd.Series], frame: pd.DataFrame) -> pd.DataFrame:
    extras = {column: frame[column] for column in frame.columns if column not in clean}
    return pd.DataFrame({**clean, **extras})


def given_or_derived(given: pd.DataFrame | None, ratings: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table given, or one that lists the ids of the ratings."""
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
