"""Rows that join a dataset later, checked before they do: an error names the caller's row, not one of the whole."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.dataset import Dataset
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.data.schema import DEFAULT_RATING, clean_movies, clean_users, format_id, to_categories
from gnnrec.errors import DataError


def with_ratings(
    old: Dataset, ratings: pd.DataFrame, users: pd.DataFrame | None, known: Mapping[str, pd.Index]
) -> Dataset:
    """Return the dataset with more ratings, and with the people who gave them; see `Graph.add_ratings`."""
    added = added_ratings(ratings, old)
    # What the new rows lack and the old ones have: the movie was liked, just now.
    if "rating" in old.ratings and "rating" not in added:
        added = added.assign(rating=DEFAULT_RATING)
    if "timestamp" in old.ratings and "timestamp" not in added:
        added = added.assign(timestamp=old.ratings["timestamp"].max())
    people = pd.DataFrame({"user_id": added["user_id"].unique()})
    people = people[~people["user_id"].isin(old.users["user_id"])]
    if users is not None:
        users = added_users(users, old, known)
        people = pd.concat([users, people[~people["user_id"].isin(users["user_id"])]])
    return dataclasses.replace(
        old,
        ratings=pd.concat([old.ratings, added[old.ratings.columns]], ignore_index=True),
        users=pd.concat([old.users, people], ignore_index=True),
    )


def with_movies(old: Dataset, movies: pd.DataFrame, features: Mapping[str, Any]) -> Dataset:
    """Return the dataset with more movies and their vectors; see `Graph.add_movies`."""
    if unknown := [name for name in features if name not in old.features]:
        there = ", ".join(old.features) or "none"
        raise DataError(f"the graph has no vectors of {', '.join(unknown)}; its modalities are: {there}")
    added = added_movies(movies, old)
    joined = {name: old.features[name].joined(_vectors(values, added, name)) for name, values in features.items()}
    movies = pd.concat([old.movies, added], ignore_index=True)
    return dataclasses.replace(old, movies=movies, features={**old.features, **joined})


def _vectors(values: Any, movies: pd.DataFrame, name: str) -> ContentEmbeddings:
    """Return vectors that come as a table, a row for each row of `movies`, or as one vector of a single movie."""
    if isinstance(values, ContentEmbeddings):
        return values
    try:
        rows = np.asarray(values, dtype=np.float32)
        return ContentEmbeddings(movies["movie_id"], rows[None] if rows.ndim == 1 and len(movies) == 1 else rows)
    except (TypeError, ValueError) as error:  # DataError is a ValueError
        raise DataError(f"the {name} vectors of the added movies: {error}") from None


def added_ratings(ratings: pd.DataFrame, old: Dataset) -> pd.DataFrame:
    """Return ratings of `old`'s movies, clean, none of a pair that is in `old`; users may be new."""
    with _named_added():
        added = Dataset(ratings).ratings
    for column, table in (("user_id", old.users), ("movie_id", old.movies)):
        _check_type(added[column], table[column], "added ratings")
    _raise_at_first(
        ~added["movie_id"].isin(old.movies["movie_id"]),
        added,
        "ratings",
        "movie {movie_id} is not in the graph; add it with add_movies",
    )
    pair = ["user_id", "movie_id"]
    theirs = old.ratings.loc[old.ratings["user_id"].isin(added["user_id"]), pair]
    again = pd.MultiIndex.from_frame(added[pair]).isin(pd.MultiIndex.from_frame(theirs))
    _raise_at_first(again, added, "ratings", "user {user_id} rated movie {movie_id} before; drop the row")
    return added


def added_users(users: pd.DataFrame, old: Dataset, known: Mapping[str, pd.Index]) -> pd.DataFrame:
    """Return users who are not in `old`, clean; genders and occupations are spelled as the `known` ones."""
    with _named_added():
        added = clean_users(users)
    _check_type(added["user_id"], old.users["user_id"], "added users")
    _raise_at_first(
        added["user_id"].isin(old.users["user_id"]), added, "users", "user {user_id} is already in the graph"
    )
    return added.assign(
        **{column: to_categories(added[column], known[f"{column}s"]) for column in ("gender", "occupation")}
    )


def added_movies(movies: pd.DataFrame, old: Dataset) -> pd.DataFrame:
    """Return movies that are not in `old`, clean."""
    with _named_added():
        added = clean_movies(movies)
    _check_type(added["movie_id"], old.movies["movie_id"], "added movies")
    _raise_at_first(
        added["movie_id"].isin(old.movies["movie_id"]), added, "movies", "movie {movie_id} is already in the graph"
    )
    return added


@contextlib.contextmanager
def _named_added() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise error.moved(lambda table, row: (f"added {table}", row)) from None


def _check_type(ids: pd.Series, known: pd.Series, table: str) -> None:
    if len(ids) and (ids.dtype == "int64") != (known.dtype == "int64"):
        one, other = ("whole numbers", "text") if ids.dtype == "int64" else ("text", "whole numbers")
        raise DataError(f"{ids.name} is {one} but {other} in the graph; use the same type", at=(table, None))


def _raise_at_first(bad: pd.Series | np.ndarray, added: pd.DataFrame, table: str, problem: str) -> None:
    """Raise for the first row where `bad` holds; `problem` may name columns in braces."""
    if bad.any():
        row = int(np.argmax(bad))
        shown = {str(column): format_id(added[column].iloc[row]) for column in added.filter(like="_id")}
        raise DataError(problem.format(**shown), at=(f"added {table}", row))
