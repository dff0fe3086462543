"""From whatever a caller has to a `UserBatch`: known ids, a `NewUser`, ratings by movie, a list of these, a frame."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data.schema import DEFAULT_RATING, LATEST_TIMESTAMP, canonical_names, to_timestamps
from gnnrec.errors import DataError
from gnnrec.graph.movies import profile_features
from gnnrec.graph.users import UserBatch

if TYPE_CHECKING:
    from gnnrec.graph.graph import Graph


def parse_rating(movie: Any, value: Any) -> float:
    """Return a rating, which must be finite."""
    try:
        rating = float(value)
    except (TypeError, ValueError):
        rating = float("nan")
    if not np.isfinite(rating):
        raise DataError(f"the rating of {movie!r} is {value!r}; give a finite number")
    return rating


def parse_time(movie: Any, value: Any) -> float:
    """Return seconds since 1970; dates without a time zone are UTC, as in the data."""
    try:
        seconds = float(value) if isinstance(value, (int, float, np.number)) else pd.Timestamp(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if not 0 <= seconds <= LATEST_TIMESTAMP:
        raise DataError(
            f"the time of {movie!r} is {value!r}; give seconds since 1970, a datetime, or text such as 2001-03-09T12:00"
        )
    return seconds


def parse_age(value: Any) -> float:
    """Return years, NaN when not given."""
    if value is None or value is pd.NA:
        return float("nan")
    try:
        age = float(value)
    except (TypeError, ValueError):
        age = -1.0
    if age < 0 or age > 150:
        raise DataError(f"age {value!r} is not an age in years")
    return age


def category_code(value: str | None, known: pd.Index, what: str) -> np.ndarray:
    """Return ``[1]`` int64, the place of a value among the known ones, -1 when not given."""
    if value is None:
        return np.array([-1])
    for code, candidate in enumerate(known):
        if str(candidate).casefold() == str(value).strip().casefold():
            return np.array([code])
    close = difflib.get_close_matches(str(value), list(known), n=3, cutoff=0.3) or list(known)
    hint = f"known are, for example: {', '.join(close)}" if close else f"the training data names no {what} at all"
    raise DataError(f"{what} {value!r} is not known; {hint}")


@dataclass(frozen=True)
class NewUser:
    """Someone the model has never met. Everything is optional.

    Parameters
    ----------
    age : float, optional
        In years.
    gender, occupation : str, optional
        As they are spelled in the data the model was trained on (upper and lower case do not matter).
    ratings : mapping or iterable
        ``{movie id or title: rating}``; or just the movies, when they are simply liked. Oldest first, unless there are
        `timestamps`.
    timestamps : mapping or sequence, optional
        When each rating was made: ``{movie as in ratings: time}``, or the times in the order of `ratings`. A time is
        seconds since 1970 or what `pandas.Timestamp` reads, such as ``"2000-12-31"``. Ratings are sorted by it; equal
        times keep their order.
    name : hashable, optional
        Stands in the ``user_id`` column of what `recommend` returns.

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


def encode_users(graph: Graph, who: Any) -> tuple[UserBatch, pd.Index]:
    """Return people as a `UserBatch` and, in the same order, what to call them.

    Parameters
    ----------
    graph : Graph
        Knows the stored users, the movies and their titles.
    who : NewUser, mapping, id, list of these, array, or DataFrame
        A mapping is ``{movie id or title: rating}``. In a frame without ``movie_id``, each ``user_id`` is a known user
        or, if unknown, a new person with that ``age``, ``gender`` and ``occupation``. With ``movie_id`` (and optionally
        ``rating`` and ``timestamp``) every distinct ``user_id`` is a new person with just that history.

    Raises
    ------
    DataError
        An unknown user, movie, gender or occupation, a rating that is not finite, times that cannot be read or do not
        fit the ratings, or nobody at all.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(60, 40))
    >>> users, names = encode_users(graph, [7, NewUser(ratings={1: 5, 2: 3}, name="ann")])
    >>> names.tolist(), users.movie_index[users.user_index == 1].tolist(), users.rating[users.user_index == 1].tolist()
    ([7, 'ann'], [0, 1], [5.0, 3.0])
    """
    if isinstance(who, pd.DataFrame):
        who = _users_in_frame(graph, who)
    elif isinstance(who, (NewUser, Mapping, str, bytes)) or np.isscalar(who):
        who = [who]
    if who is None or not isinstance(who, Iterable):
        raise DataError(f"cannot recommend to {who!r}; give a user id, a NewUser, ratings by movie, or a list of these")
    people = list(who)
    if wrong := [p for p in people if not isinstance(p, (NewUser, Mapping, Hashable))]:
        raise DataError(f"cannot recommend to {wrong[0]!r}; each must be a user id, a NewUser or ratings by movie")
    if not people:
        raise DataError("nobody to recommend to: the list of users is empty")
    new = [isinstance(person, (NewUser, Mapping)) for person in people]
    if not any(new):
        return graph.user_batch(graph.user_nodes(people)), pd.Index(people)
    batches = [
        _new_batch(graph, p) if n else graph.user_batch(graph.user_nodes([p])) for p, n in zip(people, new, strict=True)
    ]
    names = [
        _name(person, i, len(people)) if n else person for i, (person, n) in enumerate(zip(people, new, strict=True))
    ]
    return UserBatch.concatenate(batches), pd.Index(names, dtype=None if not any(map(_is_text, names)) else object)


def _is_text(name: Any) -> bool:
    return isinstance(name, str)


def _name(person: NewUser | Mapping, position: int, of: int) -> Hashable:
    given = person.name if isinstance(person, NewUser) else None
    if given is not None:
        return given
    return "new user" if of == 1 else f"new user {position + 1}"


def _users_in_frame(graph: Graph, frame: pd.DataFrame) -> list[Any]:
    frame = frame.rename(
        columns={**canonical_names(frame.columns, "users"), **canonical_names(frame.columns, "ratings")}
    )
    if "user_id" not in frame:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(f"a frame of users needs a user_id column; found {found}")
    if "movie_id" not in frame:
        known = frame["user_id"].isin(graph.ids["user"])
        return [
            user_id if stored else NewUser(**_profile(frame.iloc[[row]]), name=user_id)
            for row, (user_id, stored) in enumerate(zip(frame["user_id"], known, strict=True))
        ]
    pairs = frame[["user_id", "movie_id"]]
    for wrong, problem in (
        (pairs.isna().any(axis=1), "is missing an id"),
        (pairs.duplicated(), "repeats an earlier one"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            user, movie = (pairs[column].tolist()[row] for column in pairs)
            raise DataError(f"the row of user {user!r} and movie {movie!r} {problem}; drop it", at=("users", row))
    if "timestamp" in frame:
        frame = frame.assign(timestamp=to_timestamps(frame["timestamp"], "users"))
    people = []
    for user_id, rows in frame.groupby("user_id", sort=False):
        rated = rows["rating"] if "rating" in rows else [DEFAULT_RATING] * len(rows)
        history = dict(zip(rows["movie_id"], rated, strict=True))
        times = rows["timestamp"].tolist() if "timestamp" in rows else None
        people.append(NewUser(**_profile(rows), ratings=history, timestamps=times, name=user_id))
    return people


def _profile(rows: pd.DataFrame) -> dict[str, Any]:
    given = {column: rows[column].iloc[0] for column in ("age", "gender", "occupation") if column in rows}
    return {column: None if pd.isna(value) else value for column, value in given.items()}


def _new_batch(graph: Graph, person: NewUser | Mapping) -> UserBatch:
    if not isinstance(person, NewUser):
        person = NewUser(ratings=person)
    nodes, ratings, times = _history(graph, person)
    age, gender = np.array([parse_age(person.age)]), category_code(person.gender, graph.genders, "gender")
    occupation = torch.from_numpy(category_code(person.occupation, graph.occupations, "occupation"))
    occupation = occupation[occupation >= 0]
    return UserBatch(
        x=profile_features(age, gender, len(graph.genders)),
        occupation=(torch.zeros_like(occupation), occupation),
        user_index=torch.zeros_like(nodes),
        movie_index=nodes,
        rating=ratings,
        timestamp=times,
        node_id=torch.tensor([-1]),
        num_movies=graph.num_movies,
        num_occupations=len(graph.occupations),
    )


def _history(graph: Graph, person: NewUser) -> tuple[Tensor, Tensor, Tensor]:
    """Return movie nodes, ratings and times, each ``[num_ratings]``, oldest first."""
    given = person.ratings
    if isinstance(given, pd.Series):
        given = given.to_dict()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        what = "one text" if isinstance(given, str) else repr(given)
        raise DataError(f"ratings must be a mapping {{movie: rating}} or a list of movies, not {what}")
    rated = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, DEFAULT_RATING)
    nodes = [graph.movie_node(movie) for movie in rated]
    if len(set(nodes)) < len(nodes):
        twice = next(movie for movie, node in zip(rated, nodes, strict=True) if nodes.count(node) > 1)
        raise DataError(f"movie {twice!r} is rated twice (by id and by title?)")
    values = [parse_rating(movie, value) for movie, value in rated.items()]
    times = _times(person, list(rated))
    order = torch.from_numpy(np.argsort(times, kind="stable"))
    return (
        torch.tensor(nodes, dtype=torch.int64)[order],
        torch.tensor(values, dtype=torch.float32)[order],
        torch.from_numpy(times.astype(np.int64))[order],
    )


def _times(person: NewUser, movies: list[Any]) -> np.ndarray:
    """Return seconds ``[num_ratings]`` float64 in the order of the ratings; zeros when none are given."""
    given = person.timestamps
    if given is None:
        return np.zeros(len(movies))
    if isinstance(given, pd.Series) and isinstance(person.ratings, pd.Series):
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
