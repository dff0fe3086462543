"""Rows that are added to a `Dataset` or removed from it. Only added rows are checked.

Errors name the row of the frame that the caller gave, as "added ratings, row 3".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import NO_MOVIE, NO_USER, plain_id, plain_ids, raise_at_first, shown
from gnnrec.data.append_only import Parts, RatingTable, concat_rows
from gnnrec.data.convert import format_id, to_categories
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.data.id_index import IdIndex
from gnnrec.data.mixed_ids import spells_integer, with_mixed_ids
from gnnrec.data.schema import (
    DEFAULT_RATING,
    check_unique_pairs,
    clean_movies,
    clean_ratings,
    clean_users,
    missing_movie_columns,
)
from gnnrec.data.user_columns import feature_column
from gnnrec.errors import DataError
from gnnrec.user_features import CategoryFeature, user_features


def clean_added_ratings(
    ratings: pd.DataFrame, user_ids: IdIndex, movie_ids: IdIndex
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return clean ratings for a `Dataset`, and the rows of their movies; their users may be new."""
    with _relocated_to_added():
        added = with_mixed_ids(clean_ratings, ratings, "ratings")
    _check_user_ids(added["user_id"], user_ids, "ratings")
    _check_id_type(added["movie_id"], movie_ids, "ratings")
    movie = movie_ids.rows(pd.Index(added["movie_id"]))
    raise_at_first_added(movie < 0, added, "ratings", "movie {movie_id} is unknown; add it with add_movies")
    return added, movie


def clean_added_users(
    users: pd.DataFrame, user_ids: IdIndex, known: Callable[[], pd.DataFrame], spellings: Mapping[str, Iterable[str]]
) -> pd.DataFrame:
    """Return clean new users for a `Dataset`, with categories spelled as in `known()`."""
    with _relocated_to_added():
        added = with_mixed_ids(clean_users, users, "users")
    _check_user_ids(added["user_id"], user_ids, "users")
    listed = user_ids.rows(pd.Index(added["user_id"])) >= 0
    raise_at_first_added(listed, added, "users", "user {user_id} is already in the dataset")
    for column, feature in user_features().items():
        if not isinstance(feature, CategoryFeature) or added[column].isna().all():
            continue
        ours = list(spellings.get(column, ()))
        if not set(added[column].dropna().str.casefold()) <= {one.casefold() for one in ours}:
            ours += feature_column(known(), feature).dropna().unique().tolist()
        added[column] = to_categories(added[column], ours)
    return added


def clean_added_movies(
    movies: pd.DataFrame,
    movie_ids: IdIndex,
    embeddings: Mapping[str, Any],
    known: Mapping[str, ContentEmbeddings],
) -> tuple[pd.DataFrame, dict[str, ContentEmbeddings]]:
    """Return clean new movies for a `Dataset`, and their embeddings by modality.

    Parameters
    ----------
    movies : pandas.DataFrame
    movie_ids : IdIndex
        Movies of the dataset.
    embeddings : mapping of str to ContentEmbeddings or array_like
        See `Dataset.add_movies`.
    known : mapping of str to ContentEmbeddings
        Embeddings of the dataset's movies by modality.
    """
    if not isinstance(embeddings, Mapping):
        raise DataError(f"features must be a mapping {{modality: embeddings}}, not {shown(embeddings)}")
    if unknown := [name for name in embeddings if not isinstance(name, str) or name not in known]:
        modalities = ", ".join(known) or "none"
        raise DataError(f"unknown modality {', '.join(map(str, unknown))}; the dataset has {modalities}")
    with _relocated_to_added():
        added = clean_movies(movies)
    _check_id_type(added["movie_id"], movie_ids, "movies")
    listed = movie_ids.rows(pd.Index(added["movie_id"])) >= 0
    raise_at_first_added(listed, added, "movies", "movie {movie_id} is already in the dataset")
    made = {name: _embeddings_of(values, added, name) for name, values in embeddings.items()}
    for name, values in made.items():
        known[name].check_dim(values)
    return added, made


def append_ratings(
    table: RatingTable,
    added: pd.DataFrame,
    user: np.ndarray,
    movie: np.ndarray,
    num_users: int,
    num_movies: int,
    *,
    update: bool,
) -> RatingTable:
    """Return a table of ratings with the added ones at its end.

    Parameters
    ----------
    table : RatingTable
    added : pandas.DataFrame
        Checked ratings. Without ``rating`` the movie counts as liked, without ``timestamp`` as rated at the time of the
        latest rating.
    user, movie : numpy.ndarray
        ``[len(added)]`` int64, rows of their users and movies.
    num_users, num_movies : int
        Of the dataset; users from `num_users` on are new.
    update : bool
        Drop the earlier rating of the same user and movie; otherwise that is an error.

    Raises
    ------
    DataError
        A pair is added twice, or has a rating already (without `update`).
    """
    rated = _find_rated(added, user, movie, table, num_users, num_movies)
    columns, before = table.columns, table
    if update:
        table = table.remove(user[rated], movie[rated])
    else:
        problem = "user {user_id} has rated movie {movie_id} already; drop the row, or pass update=True to replace it"
        raise_at_first_added(rated, added, "ratings", problem)
    if "rating" in columns and "rating" not in added:
        added = added.assign(rating=np.float32(DEFAULT_RATING))
    if "weight" in columns and "weight" not in added:
        added = added.assign(weight=np.float32(np.log1p(1.0)))
    if "timestamp" in columns and "timestamp" not in added:
        added = added.assign(timestamp=before.latest)
    return table.append(added[columns], user, movie)


def append_movies(rows: Parts[pd.DataFrame], added: pd.DataFrame, num_movies: int) -> Parts[pd.DataFrame]:
    """Return a table of `num_movies` movies with the added ones at its end; columns that either lacks are filled in."""
    columns = rows.first.columns
    if only_added := missing_movie_columns(added.columns.difference(columns), num_movies):
        rows = Parts([rows.joined.assign(**only_added)], concat_rows)
    return rows.append(added.assign(**missing_movie_columns(columns.difference(added.columns), len(added))))


def unlisted_users(added: pd.DataFrame, user_ids: IdIndex) -> pd.Series:
    """Return the ids of users in added ratings that are not in the dataset, each once."""
    ids = added["user_id"]
    return pd.Series(ids[user_ids.rows(pd.Index(ids)) < 0].unique(), name="user_id", dtype=ids.dtype)


def find_user(user_ids: IdIndex, user_id: Any) -> int:
    """Return the row of a user; raise `DataError` if there is none."""
    user_id = plain_id(user_id, "user", NO_USER)
    row = int(user_ids.rows(pd.Index([user_id]))[0])
    if row < 0:
        raise DataError(f"user {format_id(user_id)} is not in the dataset")
    return row


def without_ratings(
    table: RatingTable, user: int, movie_ids: Iterable[Any], known: IdIndex, user_id: Any
) -> RatingTable:
    """Return a table without a user's ratings of some movies.

    Parameters
    ----------
    table : RatingTable
    user : int
        Row of the user.
    movie_ids : iterable
    known : IdIndex
        Movies of the dataset.
    user_id : int or str
        For messages.

    Raises
    ------
    DataError
        The user has not rated one of the movies.
    """
    wanted = list(dict.fromkeys(plain_ids(movie_ids, "movie", NO_MOVIE)))
    movies = known.rows(pd.Index(wanted, dtype=object if not wanted else None))
    rated, _ = table.histories_of(np.array([user]))
    for movie_id, missing in zip(wanted, ~np.isin(movies, rated.movie), strict=True):
        if missing:
            raise DataError(f"user {format_id(user_id)} has not rated movie {format_id(movie_id)}")
    return table.remove(np.full(len(movies), user), movies)


def _find_rated(
    added: pd.DataFrame, user: np.ndarray, movie: np.ndarray, table: RatingTable, num_users: int, num_movies: int
) -> np.ndarray:
    """Return which added rows are of a movie that the user has rated, bool; a pair that is added twice is an error."""
    pairs = pd.Series(user * np.int64(num_movies) + movie)
    check_unique_pairs(pairs, added, "added ratings")
    people = np.unique(user)
    rated, _ = table.histories_of(people[people < num_users])
    known: np.ndarray = pairs.isin(rated.user * np.int64(num_movies) + rated.movie).to_numpy()
    return known


def raise_at_first_added(bad: np.ndarray | pd.Series, added: pd.DataFrame, table: str, problem: str) -> None:
    """Raise for the first row where `bad` holds; `problem` may name id columns in braces."""

    def text(row: int) -> str:
        return problem.format(**{str(name): format_id(added[name].iloc[row]) for name in added.filter(like="_id")})

    raise_at_first(bad, f"added {table}", text)


def _embeddings_of(values: Any, movies: pd.DataFrame, name: str) -> ContentEmbeddings:
    """Return embeddings that come as a table, a row for each row of `movies`, or as one vector of a single movie."""
    if isinstance(values, ContentEmbeddings):
        return values
    try:
        single = np.ndim(values) == 1 and len(movies) == 1
        return ContentEmbeddings(movies["movie_id"], [values] if single else values)
    except (TypeError, ValueError, RuntimeError) as error:  # DataError is a ValueError
        raise DataError(f"the {name} embeddings of the added movies: {error}") from None


def _check_user_ids(ids: pd.Series, known: IdIndex, table: str) -> None:
    """Raise a `DataError` for ids of another type; text that does not spell a number may be added to whole numbers."""
    if not known.are_numbers or ids.dtype == "int64":
        _check_id_type(ids, known, table)
        return
    for row, one in enumerate(ids):
        if spells_integer(one):
            problem = (
                f"user_id must be whole numbers, as in the dataset, not text: {one!r} is text that spells a "
                "number; only names, such as 'anna', may be text"
            )
            raise DataError(problem, at=(f"added {table}", row))


def _check_id_type(ids: pd.Series, known: IdIndex, table: str) -> None:
    is_number = ids.dtype == "int64"
    if is_number != known.are_numbers:
        ours, theirs = ("text", "whole numbers") if is_number else ("whole numbers", "text")
        raise DataError(f"{ids.name} must be {ours}, as in the dataset, not {theirs}", at=(f"added {table}", None))


@contextlib.contextmanager
def _relocated_to_added() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise error.relocated(lambda table, row: (f"added {table}", row)) from None
