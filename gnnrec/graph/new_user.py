"""`NewUser`: a user without training ratings, and `encode_new_users`, which makes a `UserBatch` of some."""

from __future__ import annotations

import datetime
import difflib
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch

from gnnrec._checks import LONGEST_NAME, NO_MOVIE, choose_from, is_listing, plain, plain_ids, shown
from gnnrec.data import Dataset
from gnnrec.data.convert import LATEST_TIMESTAMP
from gnnrec.data.schema import DEFAULT_RATING
from gnnrec.data.user_columns import clean_feature
from gnnrec.errors import DataError
from gnnrec.graph.titles import check_unknown
from gnnrec.graph.users import NODE_FEATURE, UserBatch, UserProfiles
from gnnrec.user_features import NumberFeature, UserFeature, user_features


class Catalog(Protocol):
    """The part of a `Graph` that new users need.

    Examples
    --------
    >>> catalog: Catalog = graph
    >>> catalog.movie_nodes_by_name([1, 2]), catalog.num_movies
    ([0, 1], 40)
    """

    @property
    def user_values(self) -> Mapping[str, pd.Index]:
        """User features that a model sees, and the known values of those that are categories."""
        ...

    @property
    def num_movies(self) -> int:
        """Number of movies."""
        ...

    @property
    def dataset(self) -> Dataset:
        """The dataset; only its rating scale is used."""
        ...

    @property
    def has_weights(self) -> bool:
        """Whether ratings have weights."""
        ...

    def movie_nodes_by_name(self, movies: Iterable[Any], *, unknown: str = "error") -> list[int | None]:
        """Return the node of each movie, given by id or by title."""
        ...


MAX_NUMBER = float(np.finfo(np.float32).max)
"""Larger numbers are infinite in the tensors of a model."""


def parse_numbers(what: str, movies: Iterable[Any], values: Iterable[Any]) -> np.ndarray:
    """Return the ratings or weights of movies, ``[n]`` float64; raise `DataError` unless all are finite numbers."""
    given = list(values)
    numbers = np.array([_number(value) for value in given], dtype=np.float64)
    if not (np.abs(numbers) <= MAX_NUMBER).all():
        place = int(np.argmin(np.abs(numbers) <= MAX_NUMBER))
        movie = list(movies)[place]
        raise DataError(f"the {what} of {shown(movie)} is {shown(given[place])}; give a finite number")
    return numbers


def _number(value: Any) -> float:
    """Return a value as a number, NaN if it is not numeric."""
    if type(value) not in (int, float):
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, (Real, Decimal, str)):
            return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError):
        return float("nan")


def parse_time(movie: Any, value: Any, what: str = "") -> float:
    """Return seconds since 1970; dates without a time zone are UTC, as in the data."""
    given, value = value, plain(value) if not isinstance(value, np.datetime64) else value
    try:
        if isinstance(value, (Real, Decimal)):
            seconds = _number(value)
        elif isinstance(value, (str, np.datetime64, datetime.date)):
            seconds = pd.Timestamp(value).timestamp()
        else:
            seconds = float("nan")
    except (TypeError, ValueError, ArithmeticError):
        seconds = float("nan")
    if not 0 <= seconds <= LATEST_TIMESTAMP:
        raise DataError(
            f"the time of {what or shown(movie)} is {shown(given)}; give seconds since 1970, a datetime, or text "
            "such as 2001-03-09T12:00"
        )
    return seconds


def parse_request_time(value: Any) -> int:
    """Return the time of a request in whole seconds since 1970, at least 1."""
    return max(int(parse_time(None, value, "request")), 1)


def parse_feature(feature: UserFeature, value: Any, known: pd.Index) -> float:
    """Return the value of a user feature as `gnnrec.graph.users.encode_feature` takes it."""
    value = plain(value)
    missing = value is None or value is pd.NA
    if not missing and type(feature).convert is not UserFeature.convert:
        value = clean_feature(feature, pd.Series([value])).iloc[0]
        missing = value is pd.NA
    if not isinstance(feature, NumberFeature):
        return category_code(None if missing else value, known, feature.name)
    if missing:
        return np.nan
    number = _number(value)
    is_nan = isinstance(value, float) and value != value
    if not is_nan and not (np.isfinite(number) and feature.is_valid(np.array([number])).all()):
        raise DataError(f"{feature.name} {shown(value)} is not {feature.bounds}")
    return number


def category_code(value: str | None, known: pd.Index, what: str) -> int:
    """Return the position of a value among the known ones, -1 if not given."""
    if value is None:
        return -1
    if not isinstance(value, (str, int, float)) or (isinstance(value, int) and abs(value) > 2**63):
        raise DataError(f"{what} must be a string, not {shown(value)}")
    value = str(value)[:LONGEST_NAME]
    for code, candidate in enumerate(known):
        if str(candidate).casefold() == str(value).strip().casefold():
            return code
    close = difflib.get_close_matches(str(value), list(known), n=3, cutoff=0.3) or list(known)
    hint = f"choose, for example, from {', '.join(close)}" if close else f"the training data has no {what}"
    raise DataError(f"unknown {what} {shown(value)}; {hint}")


@dataclass(frozen=True)
class NewUser:
    """A user without training ratings. Everything is optional.

    Parameters
    ----------
    age : float, optional
        In years.
    gender, occupation : str, optional
        As in the training data, in upper or lower case.
    profile : mapping, optional
        Values of other user features by name, ``{"tenure": 3}``; see `gnnrec.user_features`.
    ratings : mapping or iterable
        ``{movie id or title: rating}``; or a list of liked movies. Oldest first, unless there are `timestamps`.
    timestamps : mapping or sequence, optional
        Time of each rating: ``{movie as in ratings: time}``, or the times in the order of `ratings`, as seconds since
        1970 or anything that `pandas.Timestamp` reads, such as ``"2000-12-31"``. Ratings are sorted by time; equal
        times keep their order.
    weights : mapping or sequence, optional
        How much each rating counts, given like `timestamps`, for a graph with weights: in the unit of the column
        ``weight`` of the dataset, log(1 + count) for files with counts. Without weights, all ratings count equally.
    name : hashable, optional
        Value of the ``user_id`` column in the result of `recommend`.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out ratings of unknown movies, which are logged.
    disliked : iterable
        Ids or titles of disliked movies: they count as rated with the lowest rating, before all `ratings`.
    at : time, optional
        Time of the request, given like one of the `timestamps`; later ratings are ignored. Models that use the request
        time assume the current time if it is not given.

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
    profile: Mapping[str, Any] = field(default_factory=dict, kw_only=True, repr=False)
    weights: Mapping[Any, float] | Iterable[float] | None = field(default=None, kw_only=True, repr=False)
    name: Hashable | None = None
    unknown: str = field(default="error", kw_only=True, repr=False)
    disliked: Iterable[Any] = field(default=(), kw_only=True, repr=False)
    at: Any = field(default=None, kw_only=True, repr=False)

    @property
    def features(self) -> dict[str, Any]:
        """Values of all user features by name, without those that are not given.

        Raises
        ------
        DataError
            `profile` names a feature that is not registered, or gives an age, gender or occupation a second time.

        Examples
        --------
        >>> NewUser(age=25, profile={"gender": "F"}).features
        {'age': 25, 'gender': 'F'}
        """
        named = {"age": self.age, "gender": self.gender, "occupation": self.occupation}
        named = {name: value for name, value in named.items() if value is not None}
        if not isinstance(self.profile, Mapping):
            raise DataError(f"profile must be a mapping {{user feature: value}}, not {shown(self.profile)}")
        known = user_features() if self.profile else {}
        for name in self.profile:
            if name not in known:
                raise DataError(f"unknown user feature {shown(name)}{choose_from(shown(name), known)}")
            if name in named:
                raise DataError(f"{name} is given twice, by itself and in profile; give it once")
        return named | {name: value for name, value in self.profile.items() if value is not None}


def as_mapping(ratings: pd.Series) -> dict[Any, Any]:
    """Return a series of ratings by movie as a mapping; raise `DataError` for a repeated movie."""
    if not ratings.index.is_unique:
        raise DataError(f"movie {shown(ratings.index[ratings.index.duplicated()].tolist()[0])} is rated twice")
    return ratings.to_dict()


class _History(NamedTuple):
    """Ratings of one user, each ``[num_ratings]``, oldest first."""

    nodes: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    weights: np.ndarray | None


def encode_new_users(
    graph: Catalog, users: Sequence[NewUser | Mapping[Any, float]], unknown: str = "error"
) -> UserBatch:
    """Return new users as a `UserBatch`; `unknown` as for `encode_users`.

    Examples
    --------
    >>> batch = encode_new_users(graph, [NewUser(ratings={1: 5, 2: 3}), {3: 4}])
    >>> batch.user_index.tolist(), batch.movie_index.tolist(), batch.rating.tolist()
    ([0, 0, 1], [0, 1, 2], [5.0, 3.0, 4.0])
    """
    given = [user if isinstance(user, NewUser) else NewUser(ratings=user) for user in users]
    histories = [_history(graph, user, unknown) for user in given]
    profiles = UserProfiles.from_values(_feature_values(graph, given), graph.user_values)
    nodes, ratings, times = (
        torch.from_numpy(np.concatenate([history[column] for history in histories])) for column in range(3)
    )
    weights = [history.weights for history in histories if history.weights is not None]
    batch = UserBatch(
        x=profiles.x,
        occupation=profiles.occupation_edges(),
        user_index=torch.from_numpy(np.repeat(np.arange(len(given)), [len(history.nodes) for history in histories])),
        movie_index=nodes,
        rating=ratings,
        timestamp=times,
        node_id=torch.full((len(given),), -1),
        num_movies=graph.num_movies,
        num_occupations=len(graph.user_values[NODE_FEATURE]),
        weight=torch.from_numpy(np.concatenate(weights)) if weights else None,
    )
    if all(user.at is None for user in given):
        return batch
    return batch.at(torch.tensor([0 if user.at is None else parse_request_time(user.at) for user in given]))


def _feature_values(graph: Catalog, users: Sequence[NewUser]) -> dict[str, np.ndarray]:
    """Return the values of users by feature, ``[num_users]``; raise `DataError` for one that the model does not see."""
    features, given = user_features(), [user.features for user in users]
    for name in (name for values in given for name in values):
        if name not in graph.user_values:
            raise DataError(f"no user of the graph has a {name}, so the model cannot use it; leave it out")
    return {
        name: np.array([parse_feature(features[name], values.get(name), known) for values in given])
        for name, known in graph.user_values.items()
    }


def _history(graph: Catalog, user: NewUser, unknown: str) -> _History:
    check_unknown(user.unknown)
    given = user.ratings
    if isinstance(given, pd.Series):
        given = as_mapping(given)
    if not is_listing(given):
        raise DataError(f"ratings must be a mapping {{movie: rating}} or a list of movies, not {shown(given)}")
    ratings = dict(given) if isinstance(given, Mapping) else dict.fromkeys(_movies(given), DEFAULT_RATING)
    seconds, weights = _times(user, list(ratings)), _weights(graph, user, list(ratings))
    if disliked := _disliked(graph, user, ratings):
        ratings = {**disliked, **ratings}
        seconds = np.concatenate([np.full(len(disliked), seconds.min() if len(seconds) else 0), seconds])
        if weights is not None:
            weights = np.concatenate([np.ones(len(disliked)), weights])
    found = graph.movie_nodes_by_name(ratings, unknown="skip" if "skip" in (unknown, user.unknown) else "error")
    known = [node for node in found if node is not None]
    if len(set(known)) < len(known):
        twice = next(movie for movie, node in zip(ratings, found, strict=True) if known.count(node) > 1)  # type: ignore[arg-type]
        raise DataError(f"movie {shown(twice)} is rated twice (by id and by title?)")
    values = parse_numbers("rating", ratings, ratings.values())
    if len(known) < len(found):
        is_known = np.array([node is not None for node in found])
        values, seconds = values[is_known], seconds[is_known]
        weights = None if weights is None else weights[is_known]
    order = np.argsort(seconds, kind="stable")
    return _History(
        np.array(known, dtype=np.int64)[order],
        values[order].astype(np.float32),
        seconds[order].astype(np.int64),
        None if weights is None else weights[order].astype(np.float32),
    )


def _disliked(graph: Catalog, user: NewUser, ratings: Mapping[Any, Any]) -> dict[Any, float]:
    """Return the disliked movies of a user with the lowest rating of the graph."""
    given = user.disliked
    if isinstance(given, Mapping) or not is_listing(given):
        raise DataError(f"disliked must be a list of movies, not {shown(given)}")
    movies = _movies(given)
    if both := [movie for movie in movies if movie in ratings]:
        raise DataError(f"movie {shown(both[0])} is rated and disliked; give it once")
    scale = graph.dataset.rating_scale
    return dict.fromkeys(movies, DEFAULT_RATING - 1 if scale is None else min(scale[0], DEFAULT_RATING - 1))


def _weights(graph: Catalog, user: NewUser, movies: list[Any]) -> np.ndarray | None:
    """Return weights ``[num_ratings]`` float64 in the order of the ratings, ones if not given; None if unused."""
    if user.weights is None:
        return np.ones(len(movies)) if graph.has_weights else None
    if not graph.has_weights:
        raise DataError("the ratings of this graph have no weights, so a new user can have none; leave them out")
    weights = parse_numbers("weight", movies, _in_order(user.weights, user, movies, "weight"))
    for movie, weight in zip(movies, weights, strict=True):
        if weight < 0:
            raise DataError(f"the weight of {shown(movie)} is {weight:g}; give a number of at least 0")
    return weights


def _times(user: NewUser, movies: list[Any]) -> np.ndarray:
    """Return seconds ``[num_ratings]`` float64 in the order of the ratings; zeros if none are given."""
    if user.timestamps is None:
        return np.zeros(len(movies))
    values = _in_order(user.timestamps, user, movies, "time")
    return np.array([parse_time(movie, value) for movie, value in zip(movies, values, strict=True)])


def _movies(given: Iterable[Any]) -> list[Any]:
    """Return ids and titles; raise an error for anything else before it is looked up."""
    return plain_ids(given, "movie", NO_MOVIE)


def _in_order(given: Any, user: NewUser, movies: list[Any], what: str) -> list[Any]:
    """Return the times or weights of the ratings, given by movie or as a list, in the order of the ratings."""
    name = {"time": "timestamps"}.get(what, f"{what}s")
    if isinstance(given, pd.Series) and isinstance(user.ratings, pd.Series):
        given = given.to_dict()
    if not is_listing(given):
        raise DataError(f"{name} must be a mapping {{movie: {what}}} or a list of {what}s, not {shown(given)}")
    if isinstance(given, Mapping):
        for one, other, problem in (
            (given, movies, f"has a {what} but is not rated"),
            (movies, given, f"has no {what}"),
        ):
            if missing := [movie for movie in one if movie not in other]:
                raise DataError(f"movie {shown(missing[0])} {problem}; {name} must have the same keys as ratings")
        values = [given[movie] for movie in movies]
    else:
        values = list(itertools.islice(given, len(movies) + 1))
    if len(values) > len(movies):
        raise DataError(f"there are more {name} than the {len(movies)} ratings; give one per rating")
    if len(values) < len(movies):
        raise DataError(f"there are {len(values)} {name} for {len(movies)} ratings; give one per rating")
    return values
