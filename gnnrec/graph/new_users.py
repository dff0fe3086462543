"""`encode_users`: from ids, new users, ratings by movie, lists of these or frames to a `UserBatch`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import groupby
from numbers import Rational
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from gnnrec._checks import NO_MOVIE, NO_USER, entries, is_listing, plain, plain_id, plain_ids, raise_at_first, shown
from gnnrec.data.convert import to_timestamps
from gnnrec.data.schema import COLUMNS, DEFAULT_RATING, canonical_names
from gnnrec.errors import DataError
from gnnrec.graph.graph import Graph
from gnnrec.graph.new_user import NewUser, as_mapping, encode_new_users, parse_request_time
from gnnrec.graph.titles import check_unknown
from gnnrec.graph.users import UserBatch


def encode_users(graph: Graph, users: Any, *, unknown: str = "error", at: Any = None) -> tuple[UserBatch, pd.Index]:
    """Return users as a `UserBatch`, and their ids or names in the same order.

    Parameters
    ----------
    graph : Graph
        With the stored users, and the movies and their titles.
    users : NewUser, mapping, id, list of these, array, Series, or DataFrame
        A mapping is ``{movie id or title: rating}``. In a frame without ``movie_id``, each ``user_id`` is a known user
        or, if unknown, a new user with that ``age``, ``gender``, ``occupation`` or other user feature (at least one of
        these columns is required).
        With ``movie_id`` (and optionally ``rating``, ``weight`` and ``timestamp``) every distinct ``user_id`` is a new
        user with just that history. A series of ratings with movies as its index is a mapping; a series with the
        default index, or with the name ``user_id``, is a list of user ids.
    unknown : str
        ``"error"``; or ``"skip"`` to leave out ratings of unknown movies by new users, which are logged.
    at : time, optional
        Time of the request: seconds since 1970 or anything that `pandas.Timestamp` reads. Later ratings are ignored.
        `NewUser.at` takes precedence.

    Raises
    ------
    DataError
        A user, movie or category is unknown, a rating is not finite, times are invalid or do not match the
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
    elif isinstance(users, (NewUser, Mapping, str, bytes)) or np.isscalar(users) or getattr(users, "ndim", None) == 0:
        users = [users]
    if users is None or not isinstance(users, Iterable):
        raise DataError(f"expected a user id, a NewUser, ratings by movie, or a list of these, not {shown(users)}")
    given = [as_mapping(user) if isinstance(user, pd.Series) else user for user in entries(users, "users")]
    if not given:
        raise DataError("the list of users is empty")
    is_new = [isinstance(user, (NewUser, Mapping)) for user in given]
    for place, (user, new) in enumerate(zip(given, is_new, strict=True)):
        if not new and type(user) is not int and type(user) is not str:
            given[place] = plain_id(user, "user", "is neither a user id, a NewUser nor ratings by movie")
    if not any(is_new):
        return asked_at(graph.user_batch(graph.user_nodes(given)), at), pd.Index(given)
    names = [
        _name(user, position, len(given)) if new else user
        for position, (user, new) in enumerate(zip(given, is_new, strict=True))
    ]
    has_text = any(isinstance(name, str) for name in names)
    return asked_at(_encode(graph, given, is_new, unknown), at), pd.Index(names, dtype=object if has_text else None)


def _encode(graph: Graph, users: list[Any], is_new: list[bool], unknown: str) -> UserBatch:
    """Return new users and ids as a `UserBatch`, in order."""
    batches = []
    for new, group in groupby(range(len(users)), key=is_new.__getitem__):
        some = [users[place] for place in group]
        batches.append(encode_new_users(graph, some, unknown) if new else graph.user_batch(graph.user_nodes(some)))
    return batches[0] if len(batches) == 1 else UserBatch.concatenate(batches)


def asked_at(batch: UserBatch, at: Any) -> UserBatch:
    """Return users with a request time; users who already have one keep it.

    Examples
    --------
    >>> asked_at(graph.users.slice(0, 2), "2003-01-01").request_time.tolist()
    [1041379200, 1041379200]
    """
    if at is None:
        return batch
    time = torch.full_like(batch.node_id, parse_request_time(at))
    own = batch.request_time
    return batch.at(time if own is None else torch.where(own > 0, own, time))


def _is_ratings(series: pd.Series) -> bool:
    """Return whether a series holds ratings by movie rather than user ids; raise `DataError` if ambiguous."""
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


def _name(user: NewUser | Mapping[Any, float], position: int, num_users: int) -> Hashable:
    name = user.name if isinstance(user, NewUser) else None
    if name is not None:
        return _label(plain(name))
    return "new user" if num_users == 1 else f"new user {position + 1}"


def _label(name: Any) -> Hashable:
    """Return a name as it stands in tables: a number of any type that is whole as an int."""
    if isinstance(name, str):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"the name {shown(name)} of a new user is not valid text") from None
    elif isinstance(name, Rational) and not isinstance(name, int) and name.denominator == 1:
        return int(cast(Any, name))
    return cast(Hashable, name)


def _users_in_frame(graph: Graph, frame: pd.DataFrame) -> list[Any]:
    frame = frame.rename(
        columns={**canonical_names(frame.columns, "users"), **canonical_names(frame.columns, "ratings")}
    )
    if "user_id" not in frame:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(f"a frame of users needs a user_id column; found {found}")
    if twice := [
        name for name in ("user_id", "movie_id", *COLUMNS["users"]) if isinstance(frame.get(name), pd.DataFrame)
    ]:
        raise DataError(f"two columns {twice[0]}; keep one of them")
    if "movie_id" not in frame:
        ids = frame["user_id"]
        missing = _are_missing(ids)
        raise_at_first(missing, "users", lambda row: "user_id is missing; every row needs one")
        if ids.dtype == object:
            frame = frame.assign(user_id=pd.Series(plain_ids(ids, "user", NO_USER), index=ids.index, dtype=object))
            ids = frame["user_id"]
        known = ids.isin(graph.ids["user"])
        graph.check_user_type(ids[~known])
        if not known.all() and not graph.user_values.keys() & set(frame.columns):
            new_id, (*others, last) = ids[~known].tolist()[0], graph.user_values
            raise DataError(
                f"user {shown(new_id)} is not in the graph, and there is no column {', '.join(others)} or {last} to "
                "describe a new user; correct the id, or pass a NewUser"
            )
        return [
            user_id if stored else NewUser(profile=_profile(graph, frame.iloc[[row]]), name=user_id)
            for row, (user_id, stored) in enumerate(zip(frame["user_id"], known, strict=True))
        ]
    checked = {"user_id": ("user", NO_USER), "movie_id": ("movie", NO_MOVIE)}
    for column, (what, problem) in checked.items():
        if frame[column].dtype == object and not _are_missing(frame[column]).any():
            whole = plain_ids(frame[column], what, problem)
            frame = frame.assign(**{column: pd.Series(whole, index=frame.index, dtype=object)})
    pairs = frame[["user_id", "movie_id"]]
    for bad, problem in (
        (pairs.isna().any(axis=1), "is missing an id"),
        (pairs.duplicated(), "repeats an earlier one"),
    ):

        def text(row: int, problem: str = problem) -> str:
            user, movie = (pairs[column].tolist()[row] for column in pairs)
            return f"the row of user {shown(user)} and movie {shown(movie)} {problem}; drop it"

        raise_at_first(bad, "users", text)
    if "timestamp" in frame:
        frame = frame.assign(timestamp=to_timestamps(frame["timestamp"], "users"))
    users = []
    for user_id, rows in frame.groupby("user_id", sort=False):
        ratings = rows["rating"] if "rating" in rows else [DEFAULT_RATING] * len(rows)
        history = dict(zip(rows["movie_id"], ratings, strict=True))
        times = rows["timestamp"].tolist() if "timestamp" in rows else None
        weights = rows["weight"].tolist() if "weight" in rows and graph.has_weights else None
        profile = _profile(graph, rows)
        users.append(NewUser(profile=profile, ratings=history, timestamps=times, weights=weights, name=user_id))
    return users


def _are_missing(ids: pd.Series) -> np.ndarray:
    """Return which ids are missing; pandas would fail on objects that cannot be compared."""
    if ids.dtype != object:
        return ids.isna().to_numpy()
    missing = (None, pd.NA, pd.NaT)
    return np.array([any(one is none for none in missing) or (isinstance(one, float) and one != one) for one in ids])


def _profile(graph: Graph, rows: pd.DataFrame) -> dict[str, Any]:
    given = {column: rows[column].tolist()[0] for column in graph.user_values if column in rows}
    if wrong := [column for column, value in given.items() if is_listing(value)]:
        raise DataError(f"{wrong[0]} must be a single value, not {shown(given[wrong[0]])}")
    return {column: None if pd.isna(value) else value for column, value in given.items()}
