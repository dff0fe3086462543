"""One list for a group, and how well each movie suits each member."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gnnrec.graph import NewUser
from gnnrec.models import recommend_group
from gnnrec.service.served import MovieInfo, ServedModel

Strategy = Literal["average", "least_misery", "most_pleasure", "fair"]


@dataclass(frozen=True)
class GroupMovie:
    """A movie for a group.

    Attributes
    ----------
    movie : MovieInfo
    score : float
        Of the group.
    rank : int
    suits : tuple of float
        For each person, the share of the movies that suit them less, in ``[0, 1]``.
    """

    movie: MovieInfo
    score: float
    rank: int
    suits: tuple[float, ...]


def recommend(served: ServedModel, users: Sequence[Any], k: int = 10, **options: Any) -> list[GroupMovie]:
    """Recommend movies to a group; `options` are those of `gnnrec.models.recommend_group`.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> found = recommend(served, [NewUser(ratings={1: 5, 2: 4}), NewUser(ratings={3: 5})], 2)
    >>> len(found), {movie.movie.id for movie in found} & {1, 2, 3}, len(found[0].suits)
    (2, set(), 2)
    """
    # People may have the same name; their places do not.
    members = [
        dataclasses.replace(user, name=f"member {place}") if isinstance(user, NewUser) else user
        for place, user in enumerate(users)
    ]
    found = recommend_group(served.model, members, k, **options)
    columns = [found[name].tolist() for name in ("movie_id", "score", "rank")]
    suits = found.filter(like="suits ").to_numpy().tolist()
    return [
        GroupMovie(served.movie(movie_id), score, rank, tuple(row))
        for movie_id, score, rank, row in zip(*columns, suits, strict=True)
    ]
