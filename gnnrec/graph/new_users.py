"""`NewUser`, and `encode_users`: from ids, new users, ratings by movie, lists of these or frames to a `UserBatch`."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import raise_at_first
from gnnrec.data.schema import (
    DEFAULT_RATING,
    LATEST_TIMESTAMP,
    MAX_AGE,
    PROFILE_COLUMNS,
    canonical_names,
    to_timestamps,
)
from gnnrec.errors import DataError
from gnnrec.graph.graph import Graph
from gnnrec.graph.titles import check_unknown
from gnnrec.graph.users import UserBatch, UserProfiles, profile_features


def parse_rating(movie: Any, value: Any) -> float:
    """Return a rating; a `DataError` unless it is a finite number."""
    try:
        rating = float(value)
    except (TypeError, ValueError, OverflowError):
        rating = float("nan")
    if not np.isfinite(rating):
        raise DataError(f"the rating of {movie!r} is {reprlib.repr(value)}; give a finite number")
    return rating


def parse_time(movie: Any, value: Any) -> float:
    """Return seconds since 1970; dates without a time zone are UTC, as in the data."""
    try:
        seconds = float(value) if isinstance(value, (int, float, np.number)) else pd.Timestamp(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if not 0 <= seconds <= LATEST_TIMESTAMP:
        raise DataError(
            f"the time of {movie!r} is {reprlib.repr(value)}; give seconds since 1970, a datetime, or text such as "
            "2001-03-09T12:00"
        )
    return seconds


def parse_age(value: Any) -> float:
    """Return an age in years, NaN if not given."""
    if value is None or value is pd.NA:
        return float("nan")
    try:
        age = float(value)
    except (TypeError, ValueError, OverflowError):
        age = -1.0
    if not (0 <= age <= MAX_AGE or np.isnan(age)):
        raise DataError(f"age {reprlib.repr(value)} is not between 0 and {MAX_AGE} years")
    return age


def category_code(value: str | None, known: pd.Index, what: str) -> np.ndarray:
    """Return ``[1]`` int64, the position of a value among the known ones, -1 if not given."""
    if value is None:
        return np.array([-1])
    for code, candidate in enumerate(known):
        if str(candidate).casefold() == str(value).strip().casefold():
            return np.array([code])
    close = difflib.get_close_matches(str(value), list(known), n=3, cutoff=0.3) or list(known)
    hint = f"choose, for example, from {', '.join(close)}" if close else f"the training data has no {what}"
    raise DataError(f"unknown {what} {value!r}; {hint}")


@dataclass(frozen=True)
class NewUser:
    """A user without training ratings. Everything is optional.

    Parameters
    ----------
    age : float, optional
        In years.
    gender, occupation : str, optional
        As in the training data, in upper or lower case.
    ratings : mapping or iterable
        ``{movie id or title: rating}``; or a list of liked movies. Oldest first, unless there are `timestamps`.
    timestamps : mapping or sequence, optional
        Time of each rating: ``{movie as in ratings: time}``, or the times in the order of `ratings`, as seconds since
        1970 or anything that `pandas.Timestamp` reads, such as ``"2000-12-31"``. Ratings are sorted by time; equal
        times keep their order.
    name : hashable, optional
        Value of the ``user_id`` column in the result of `recommend`.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out ratings of unknown movies, which are logged.
    disliked : iterable
        Ids or titles of disliked movies: they count as rated with the lowest rating, before all `ratings`.

    Examples
    --------
    >>> NewUser(age=25, gender="F", ratings={"Toy Story (1995)": 5, 260: 4})
    NewUser(age=25, gender='F', occupation=None, ratings={'Toy Story (1995)': 5, 260: 4}, timestamps=None, name=None)
    """

    age: float | None = None
    gender: str | None = None
    occupation: str | None = None
    ratings: Mapping[Any, float] | Iterable[Any] = field(default_factory=dict)
    timestamps: Mapping[Any, Any] | Iterable[Any] | None = field(default=None, kw_only=True)
    name: Hashable | None = None
    unknown: str = field(default="error", kw_only=True, repr=False)
    disliked: Iterable[Any] = field(default=(), kw_only=True, repr=False)


def encode_users(graph: Graph, users: Any, *, unknown: str = "error") -> tuple[UserBatch, pd.Index]:
    """Return users as a `UserBatch`, and their ids or names in the same order.

    Parameters
    ----------
    graph : Graph
        With the stored users, and the movies and their titles.
    users : NewUser, mapping, id, list of these, array, Series, or DataFrame
        A mapping is ``{movie id or title: rating}``. In a frame without ``movie_id``, each ``user_id`` is a known user
        or, if unknown, a new user with that ``age``, ``gender`` and ``occupation``, of which there must be a column.
        With ``movie_id`` (and optionally ``rating`` and ``timestamp``) every distinct ``user_id`` is a new user with
        just that history. A series of ratings with movies as its index is a mapping; a series with the default index,
        or with the name ``user_id``, is a list of user ids.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out ratings of unknown movies by new users, which are logged.

    Raises
    ------
    DataError
        A user, movie, gender or occupation is unknown, a rating is not finite, times are invalid or do not match the
        ratings, or there are no users.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(60, 40))
    >>> batch, names = encode_users(graph, [7, NewUser(ratings={1: 5, 2: 3}, name="ann")])
    >>> names.tolist(), batch.movie_index[batch.user_index == 1].tolist(), batch.rating[batch.user_index == 1].tolist()
    ([7, 'ann'], [0, 1], [5.0, 3.0])
    """
    check_unknown(unknown)
    if isinstance(users, pd.DataFrame):
        users = _users_in_frame(graph, users)
    elif isinstance(users, pd.Series):
        users = [users] if _is_ratings(users) else users.tolist()
    elif isinstance(users, (NewUser, Mapping, str, bytes)) or np.isscalar(users):
        users = [users]
    if users is None or not isinstance(users, Iterable):
        raise DataError(f"expected a user id, a NewUser, ratings by movie, or a list of these, not {users!r}")
    given = [_as_mapping(user) if isinstance(user, pd.Series) else user for user in users]
    if invalid := [user for user in given if not isinstance(user, (NewUser, Mapping, Hashable))]:
        raise DataError(f"each user must be a user id, a NewUser or ratings by movie, not {invalid[0]!r}")
    if not given:
        raise DataError("the list of users is empty")
    is_new = [isinstance(user, (NewUser, Mapping)) for user in given]
    if not any(is_new):
        return graph.user_batch(graph.user_nodes(given)), pd.Index(given)
    batches, names = [], []
    for position, (user, new) in enumerate(zip(given, is_new, strict=True)):
        batches.append(_new_batch(graph, user, unknown) if new else graph.user_batch(graph.user_nodes([user])))
        names.append(_name(user, position, len(given)) if new else user)
    has_text = any(isinstance(name, str) for name in names)
    return UserBatch.concatenate(batches), pd.Index(names, dtype=object if has_text else None)


def _is_ratings(series: pd.Series) -> bool:
    """Return whether a series is ratings by movie, and not user ids; a `DataError` if it may be either."""
    names = {**canonical_names([series.name], "users"), **canonical_names([series.name], "ratings")}
    by_movie = canonical_names([series.index.name], "movies").get(series.index.name) in ("movie_id", "title")
    meaning = names.get(series.name, series.name)
    if meaning == "user_id":
        return False
    if by_movie or meaning == "rating":
        return True
    is_default = isinstance(series.index, pd.RangeIndex) and (series.index.start, series.index.step) == (0, 1)
    if is_default != pd.api.types.is_float_dtype(series.dtype):
        return not is_default
    raise DataError(
        "a series of users may be user ids or ratings by movie; pass series.tolist() for ids, series.to_dict() for "
        "ratings"
    )


def _as_mapping(ratings: pd.Series) -> dict[Any, Any]:
    if not ratings.index.is_unique:
        raise DataError(f"movie {ratings.index[ratings.index.duplicated()].tolist()[0]!r} is rated twice")
    return ratings.to_dict()


def _name(user: NewUser | Mapping[Any, float], position: int, num_users: int) -> Hashable:
    name = user.name if isinstance(user, NewUser) else None
    if name is not None:
        return name
    return "new user" if num_users == 1 else f"new user {position + 1}"


def _users_in_frame(graph: Graph, frame: pd.DataFrame) -> list[Any]:
    frame = frame.rename(
        columns={**canonical_names(frame.columns, "users"), **canonical_names(frame.columns, "ratings")}
    )
    if "user_id" not in frame:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(f"a frame of users needs a user_id column; found {found}")
    if "movie_id" not in frame:
        ids = frame["user_id"]
        raise_at_first(ids.isna(), "users", lambda row: "user_id is missing; every row needs one")
        known = ids.isin(graph.ids["user"])
        graph.check_user_type(ids[~known])
        if not known.all() and not {"age", "gender", "occupation"} & set(frame.columns):
            stranger = ids[~known].tolist()[0]
            raise DataError(
                f"user {stranger!r} is not in the graph, and there is no column age, gender or occupation that would "
                "describe a new user; correct the id, or pass a NewUser"
            )
        return [
            user_id if stored else NewUser(**_profile(frame.iloc[[row]]), name=user_id)
            for row, (user_id, stored) in enumerate(zip(frame["user_id"], known, strict=True))
        ]
    pairs = frame[["user_id", "movie_id"]]
    for bad, problem in (
        (pairs.isna().any(axis=1), "is missing an id"),
        (pairs.duplicated(), "repeats an earlier one"),
    ):

        def text(row: int, problem: str = problem) -> str:
            user, movie = (pairs[column].tolist()[row] for column in pairs)
            return f"the row of user {user!r} and movie {movie!r} {problem}; drop it"

        raise_at_first(bad, "users", text)
    if "timestamp" in frame:
        frame = frame.assign(timestamp=to_timestamps(frame["timestamp"], "users"))
    users = []
    for user_id, rows in frame.groupby("user_id", sort=False):
        ratings = rows["rating"] if "rating" in rows else [DEFAULT_RATING] * len(rows)
        history = dict(zip(rows["movie_id"], ratings, strict=True))
        times = rows["timestamp"].tolist() if "timestamp" in rows else None
        users.append(NewUser(**_profile(rows), ratings=history, timestamps=times, name=user_id))
    return users


def _profile(rows: pd.DataFrame) -> dict[str, Any]:
    given = {column: rows[column].iloc[0] for column in PROFILE_COLUMNS if column in rows}
    return {column: None if pd.isna(value) else value for column, value in given.items()}


def _new_batch(graph: Graph, user: NewUser | Mapping[Any, float], unknown: str) -> UserBatch:
    if not isinstance(user, NewUser):
        user = NewUser(ratings=user)
    check_unknown(user.unknown)
    nodes, ratings, times = _history(graph, user, "skip" if "skip" in (unknown, user.unknown) else "error")
    age, gender = np.array([parse_age(user.age)]), category_code(user.gender, graph.genders, "gender")
    occupation = torch.from_numpy(category_code(user.occupation, graph.occupations, "occupation"))
    profile = UserProfiles(profile_features(age, gender, len(graph.genders)), occupation)
    return UserBatch(
        x=profile.x,
        occupation=profile.occupation_edges(),
        user_index=torch.zeros_like(nodes),
        movie_index=nodes,
        rating=ratings,
        timestamp=times,
        node_id=torch.tensor([-1]),
        num_movies=graph.num_movies,
        num_occupations=len(graph.occupations),
    )


def _history(graph: Graph, user: NewUser, unknown: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return movie nodes, ratings and times, each ``[num_ratings]``, oldest first."""
    given = user.ratings
    if isinstance(given, pd.Series):
        given = _as_mapping(given)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise DataError(f"ratings must be a mapping {{movie: rating}} or a list of movies, not {given!r}")
    ratings = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, DEFAULT_RATING)
    seconds = _times(user, list(ratings))
    disliked = _disliked(graph, user, ratings)
    ratings = {**disliked, **ratings}
    seconds = np.concatenate(
        [np.full(len(disliked), seconds.min(initial=LATEST_TIMESTAMP) if len(seconds) else 0), seconds]
    )
    found = graph.movie_nodes_by_name(ratings, unknown=unknown)
    known = [place for place, node in enumerate(found) if node is not None]
    nodes = [node for node in found if node is not None]
    if len(set(nodes)) < len(nodes):
        twice = next(movie for movie, node in zip(ratings, found, strict=True) if nodes.count(node) > 1)  # type: ignore[arg-type]
        raise DataError(f"movie {twice!r} is rated twice (by id and by title?)")
    values = [parse_rating(movie, value) for movie, value in ratings.items()]
    values, times = [values[place] for place in known], seconds[known]
    order = torch.from_numpy(np.argsort(times, kind="stable"))
    return (
        torch.tensor(nodes, dtype=torch.int64)[order],
        torch.tensor(values, dtype=torch.float32)[order],
        torch.from_numpy(times.astype(np.int64))[order],
    )


def _disliked(graph: Graph, user: NewUser, ratings: Mapping[Any, Any]) -> dict[Any, float]:
    """Return the disliked movies of a user with the lowest rating of the graph."""
    given = user.disliked
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise DataError(f"disliked must be a list of movies, not {given!r}")
    movies = list(given)
    if both := [movie for movie in movies if movie in ratings]:
        raise DataError(f"movie {both[0]!r} is rated and disliked; give it once")
    scale = graph.dataset.rating_scale
    return dict.fromkeys(movies, DEFAULT_RATING - 1 if scale is None else min(scale[0], DEFAULT_RATING - 1))


def _times(user: NewUser, movies: list[Any]) -> np.ndarray:
    """Return seconds ``[num_ratings]`` float64 in the order of the ratings; zeros if none are given."""
    given = user.timestamps
    if given is None:
        return np.zeros(len(movies))
    if isinstance(given, pd.Series) and isinstance(user.ratings, pd.Series):
        given = given.to_dict()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise DataError(f"timestamps must be a mapping {{movie: time}} or a list of times, not {given!r}")
    if isinstance(given, Mapping):
        for one, other, problem in ((given, movies, "has a time but is not rated"), (movies, given, "has no time")):
            if missing := [movie for movie in one if movie not in other]:
                raise DataError(f"movie {missing[0]!r} {problem}; timestamps need the keys of ratings")
        values = [given[movie] for movie in movies]
    else:
        values = list(given)
    if len(values) != len(movies):
        raise DataError(f"there are {len(values)} timestamps for {len(movies)} ratings; give each rating one")
    return np.array([parse_time(movie, value) for movie, value in zip(movies, values, strict=True)])
