"""Recommendations to known and new users, and reasons."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from gnnrec.graph import NewUser
from gnnrec.service import groups, listing
from gnnrec.service.api.schemas import (
    ExplainInput,
    Explanation,
    GroupInput,
    GroupOutput,
    GroupRecommendation,
    Reason,
    Recommendation,
    RecommendationList,
    RecommendInput,
    RecommendOutput,
    UserInput,
    movie_fields,
)
from gnnrec.service.context import Served
from gnnrec.service.errors import InvalidFieldError
from gnnrec.service.served import MovieInfo, ServedModel

router = APIRouter(tags=["recommendations"])

FEW_RATINGS = 200
"""A single user with at most so many ratings is computed at once, which is quicker than in another thread."""


def new_user(served: ServedModel, given: Any, position: int, unknown: str = "error") -> Any:
    """Return a user of a request as the library takes it."""
    if not isinstance(given, UserInput):
        return given
    ratings: dict[Any, float] = {}
    for place, one in enumerate(given.ratings):
        if one.movie in ratings:
            raise InvalidFieldError(f"users.{position}.ratings.{place}.movie", f"movie {one.movie!r} is rated twice")
        ratings[one.movie] = one.rating
    times = {one.movie: one.time for one in given.ratings}
    now = int(time.time())
    return NewUser(
        None if given.age is None else float(given.age),
        given.gender,
        given.occupation,
        ratings=ratings,
        timestamps={movie: now if when is None else when for movie, when in times.items()}
        if any(when is not None for when in times.values())
        else None,
        name=given.name if given.name is not None else f"user {position + 1}",
        unknown=unknown,
    )


def check_titles(served: ServedModel, given: RecommendInput | GroupInput) -> None:
    """Refuse a request that names too many movies by title."""
    rated = [movie for user in given.users for movie in _rated(user)]
    served.check_titles([*rated, *(given.exclude or ()), *(given.candidates or ())])


def _rated(user: Any) -> list[int | str]:
    return [one.movie for one in user.ratings] if isinstance(user, UserInput) else []


def as_recommendations(movies: Sequence[tuple[MovieInfo, float, int]], why: Any = None) -> list[Recommendation]:
    """Return recommendations with their reasons."""
    return [
        Recommendation.model_construct(
            **movie_fields(movie),
            rank=rank,
            score=round(score, 6),
            reasons=[Reason(because=because, effect=effect) for because, effect in (why or {}).get(movie.id, [])],
        )
        for movie, score, rank in movies
    ]


@router.post("/recommend", response_model=RecommendOutput)
async def recommend(given: RecommendInput, served: Served) -> Any:
    """Recommend movies to users of the training data, or to new users. New users are not stored."""
    check_titles(served, given)
    users = [new_user(served, user, position, given.unknown) for position, user in enumerate(given.users)]
    options = {**given.filters(), "unknown": given.unknown, "reranking": given.reranking()}

    def compute() -> RecommendOutput:
        lists = []
        for user in users:
            movies = as_recommendations(listing.recommend(served, user, given.k, offset=given.offset, **options))
            name: Any = user.name if isinstance(user, NewUser) else user
            lists.append(RecommendationList.model_construct(user=name, movies=movies))
        return RecommendOutput.model_construct(lists=lists)

    is_small = len(users) == 1 and not given.candidates and not given.exclude
    if is_small and (not isinstance(users[0], NewUser) or len(list(users[0].ratings)) <= FEW_RATINGS):
        return compute()
    return await run_in_threadpool(compute)


@router.post("/recommend/group", response_model=GroupOutput)
def recommend_group(given: GroupInput, served: Served) -> Any:
    """Recommend movies to several people together, and say how well each suits whom."""
    check_titles(served, given)
    found = groups.recommend(
        served,
        [new_user(served, user, position, given.unknown) for position, user in enumerate(given.users)],
        given.k,
        strategy=given.strategy,
        offset=given.offset,
        unknown=given.unknown,
        **given.filters(),
        **given.reranking(),
    )
    movies = [
        GroupRecommendation(**movie_fields(one.movie), rank=one.rank, score=one.score, suits=list(one.suits))
        for one in found
    ]
    return GroupOutput(movies=movies)


@router.post("/explain", response_model=list[Explanation])
def explain(given: ExplainInput, served: Served) -> Any:
    """Say why movies suit a user: what in the history, or the profile, raises the score of each."""
    served.check_titles([*given.movies, *_rated(given.user)])
    nodes = served.model.graph.movie_nodes_by_name(given.movies)
    movies = [served.movies[node] for node in nodes if node is not None]
    why = listing.reasons(served, new_user(served, given.user, 0), [movie.id for movie in movies], given.k)
    return [
        Explanation(
            id=movie.id,
            title=movie.title,
            reasons=[Reason(because=text, effect=effect) for text, effect in why[movie.id] if math.isfinite(effect)],
        )
        for movie in movies
    ]
