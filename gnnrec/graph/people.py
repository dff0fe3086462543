"""People as every model sees them: a profile and a history, whether they were trained on or arrived just now.

`UserBatch` is that view. `batch_of` makes one from whatever a caller has: known ids, a `NewUser`, a mapping of
ratings, a list of these, or a frame.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.errors import DataError
from gnnrec.propagate import Adjacency

if TYPE_CHECKING:
    from gnnrec.graph.graph import Graph

DEFAULT_RATING = 5.0
"""Rating of a movie that is only named as liked."""


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
        ``{movie id or title: rating}``, oldest first; or just the movies, when they are simply liked.
    name : hashable, optional
        Stands in the ``user_id`` column of what `recommend` returns.

    Examples
    --------
    >>> NewUser(age=25, gender="F", ratings={"Toy Story (1995)": 5, 260: 4})
    NewUser(age=25, gender='F', occupation=None, ratings={'Toy Story (1995)': 5, 260: 4}, name=None)
    """

    age: float | None = None
    gender: str | None = None
    occupation: str | None = None
    ratings: Mapping[Any, float] | Iterable[Any] = field(default_factory=dict)
    name: Hashable | None = None


@dataclass(frozen=True, eq=False)
class UserBatch:
    """Some people as tensors; the only form in which a model ever sees a user.

    Attributes
    ----------
    x : Tensor
        ``[num_users, num_features]`` float32, age group and gender; zeros where not known.
    occupation : tuple of Tensor
        Edges ``(row, occupation node)``, both ``[num_known]`` int64.
    row, movie : Tensor
        ``[num_edges]`` int64: who watched what. Sorted by row, then oldest first.
    rating : Tensor
        ``[num_edges]`` float32.
    time : Tensor
        ``[num_edges]`` int64, seconds since 1970, 0 where not known.
    num_movies, num_occupations : int
        Number of nodes that the edges may lead to.
    """

    x: Tensor
    occupation: tuple[Tensor, Tensor]
    row: Tensor
    movie: Tensor
    rating: Tensor
    time: Tensor
    num_movies: int
    num_occupations: int

    @property
    def num_users(self) -> int:
        """Number of people."""
        return self.x.size(0)

    @cached_property
    def watched(self) -> Adjacency:
        """Movies to the people who watched them."""
        return Adjacency(self.row, self.movie, self.num_users, self.num_movies)

    @cached_property
    def works_as(self) -> Adjacency:
        """Occupations to people."""
        return Adjacency(*self.occupation, self.num_users, self.num_occupations)

    def slice(self, start: int, end: int) -> UserBatch:
        """Return the people ``start`` to ``end - 1``."""
        first, last = torch.searchsorted(self.row, torch.tensor([start, end], device=self.row.device)).tolist()
        row, node = self.occupation
        works = (row >= start) & (row < end)
        return dataclasses.replace(
            self,
            x=self.x[start:end],
            occupation=(row[works] - start, node[works]),
            row=self.row[first:last] - start,
            movie=self.movie[first:last],
            rating=self.rating[first:last],
            time=self.time[first:last],
        )

    def without_profile(self, hidden: Tensor) -> UserBatch:
        """Return the batch with nothing known about some people but their history; `hidden` ``[num_users]`` bool."""
        row, node = self.occupation
        occupation = (row[~hidden[row]], node[~hidden[row]])
        return dataclasses.replace(self, x=self.x.masked_fill(hidden.unsqueeze(1), 0.0), occupation=occupation)

    def to(self, device: torch.device | str) -> UserBatch:
        """Return the batch on another device."""
        tensors = ("x", "row", "movie", "rating", "time")
        moved = {name: getattr(self, name).to(device) for name in tensors}
        row, node = self.occupation
        return dataclasses.replace(self, **moved, occupation=(row.to(device), node.to(device)))


def batch_of(graph: Graph, who: Any) -> tuple[UserBatch, pd.Index]:
    """Return people as a `UserBatch` and, in the same order, what to call them.

    Parameters
    ----------
    graph : Graph
        Knows the stored users, the movies and their titles.
    who : NewUser, mapping, id, list of these, array, or DataFrame
        A mapping is ``{movie id or title: rating}``. A frame with ``user_id`` alone names known users; with
        ``movie_id`` (and optionally ``rating``, ``timestamp``, ``age``, ``gender``, ``occupation``) every
        distinct ``user_id`` in it is a new person with just that history.

    Raises
    ------
    DataError
        An unknown user, movie, gender or occupation, a rating that is not finite, or nobody at all.
    """
    if isinstance(who, pd.DataFrame):
        who = _people_in(who)
    elif isinstance(who, (NewUser, Mapping, str, bytes)) or np.isscalar(who):
        who = [who]
    people = list(who)
    if not people:
        raise DataError("nobody to recommend to: the list of users is empty")
    new = [isinstance(person, (NewUser, Mapping)) for person in people]
    if not any(new):
        return graph.known_users(graph.user_nodes(people)), pd.Index(people)
    batches = [
        _new_batch(graph, p) if n else graph.known_users(graph.user_nodes([p]))
        for p, n in zip(people, new, strict=True)
    ]
    names = [
        _name(person, i, len(people)) if n else person for i, (person, n) in enumerate(zip(people, new, strict=True))
    ]
    return _concatenate(batches), pd.Index(names, dtype=None if not any(map(_is_text, names)) else object)


def _is_text(name: Any) -> bool:
    return isinstance(name, str)


def _name(person: NewUser | Mapping, position: int, of: int) -> Hashable:
    given = person.name if isinstance(person, NewUser) else None
    if given is not None:
        return given
    return "new user" if of == 1 else f"new user {position + 1}"


def _people_in(frame: pd.DataFrame) -> list[Any]:
    if "user_id" not in frame:
        raise DataError(
            f"a frame of users needs a user_id column; found {', '.join(map(str, frame.columns)) or 'none'}"
        )
    if "movie_id" not in frame:
        return list(frame["user_id"])
    pairs = frame[["user_id", "movie_id"]]
    for wrong, problem in (
        (pairs.isna().any(axis=1), "is missing an id"),
        (pairs.duplicated(), "repeats an earlier one"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            user, movie = (pairs[column].tolist()[row] for column in pairs)
            raise DataError(f"the row of user {user!r} and movie {movie!r} {problem}; drop it", at=("users", row))
    order = {user_id: i for i, user_id in enumerate(dict.fromkeys(frame["user_id"]))}
    if "timestamp" in frame:
        frame = frame.sort_values("timestamp", kind="stable")
    people = []
    for user_id, rows in frame.groupby("user_id", sort=False):
        rated = rows["rating"] if "rating" in rows else [DEFAULT_RATING] * len(rows)
        profile = {c: rows[c].iloc[0] for c in ("age", "gender", "occupation") if c in rows}
        profile = {c: None if pd.isna(v) else v for c, v in profile.items()}
        people.append(NewUser(ratings=dict(zip(rows["movie_id"], rated, strict=True)), name=user_id, **profile))
    return sorted(people, key=lambda person: order[person.name])


def _new_batch(graph: Graph, person: NewUser | Mapping) -> UserBatch:
    if not isinstance(person, NewUser):
        person = NewUser(ratings=person)
    given = person.ratings
    if isinstance(given, str):
        raise DataError("ratings must be a mapping {movie: rating} or a list of movies, not one text")
    rated = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, DEFAULT_RATING)
    nodes = [graph.movie_node(movie) for movie in rated]
    if len(set(nodes)) < len(nodes):
        twice = next(movie for movie, node in zip(rated, nodes, strict=True) if nodes.count(node) > 1)
        raise DataError(f"movie {twice!r} is rated twice (by id and by title?)")
    values = [_rating(movie, value) for movie, value in rated.items()]
    profile = pd.DataFrame(
        {
            "age": pd.Series([_age(person.age)], dtype="Float64"),
            "gender": [_known(person.gender, graph.genders, "gender")],
            "occupation": [_known(person.occupation, graph.occupations, "occupation")],
        }
    )
    x, occupation = graph.describe_users(profile)
    return UserBatch(
        x=x,
        occupation=occupation,
        row=torch.zeros(len(nodes), dtype=torch.int64),
        movie=torch.tensor(nodes, dtype=torch.int64),
        rating=torch.tensor(values, dtype=torch.float32),
        time=torch.zeros(len(nodes), dtype=torch.int64),
        num_movies=graph.num_movies,
        num_occupations=len(graph.occupations),
    )


def _rating(movie: Any, value: Any) -> float:
    try:
        rating = float(value)
    except (TypeError, ValueError):
        rating = float("nan")
    if not np.isfinite(rating):
        raise DataError(f"the rating of {movie!r} is {value!r}; give a finite number")
    return rating


def _age(value: Any) -> float | None:
    if value is None:
        return None
    try:
        age = float(value)
    except (TypeError, ValueError):
        age = float("nan")
    if not 0 <= age <= 150:
        raise DataError(f"age {value!r} is not an age in years")
    return age


def _known(value: str | None, known: pd.Index, what: str) -> str | None:
    if value is None:
        return None
    for candidate in known:
        if str(candidate).casefold() == str(value).strip().casefold():
            return candidate
    close = difflib.get_close_matches(str(value), list(known), n=3, cutoff=0.3) or list(known)
    hint = f"known are, for example: {', '.join(close)}" if close else f"the training data names no {what} at all"
    raise DataError(f"{what} {value!r} is not known; {hint}")


def _concatenate(batches: list[UserBatch]) -> UserBatch:
    starts = np.cumsum([0] + [batch.num_users for batch in batches[:-1]])
    rows = [b.row + int(s) for b, s in zip(batches, starts, strict=True)]
    works = [b.occupation[0] + int(s) for b, s in zip(batches, starts, strict=True)]
    return dataclasses.replace(
        batches[0],
        x=torch.cat([b.x for b in batches]),
        occupation=(torch.cat(works), torch.cat([b.occupation[1] for b in batches])),
        row=torch.cat(rows),
        movie=torch.cat([b.movie for b in batches]),
        rating=torch.cat([b.rating for b in batches]),
        time=torch.cat([b.time for b in batches]),
    )
