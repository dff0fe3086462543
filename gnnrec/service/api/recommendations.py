"""Recommendations to known and new users, and reasons."""

from __future__ import annotations

import math
import time
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import TypeAdapter

from gnnrec.graph import NewUser
from gnnrec.service import groups, listing
from gnnrec.service.api.json_route import JSONRoute
from gnnrec.service.api.locating import naming_fields
from gnnrec.service.api.schemas import (
    ExplainInput,
    Explanation,
    GroupInput,
    GroupOutput,
    GroupRecommendation,
    Reason,
    RecommendInput,
    RecommendOutput,
    UserInput,
)
from gnnrec.service.batching import MAX_BATCH
from gnnrec.service.context import ContextNow, Served
from gnnrec.service.errors import InvalidFieldError
from gnnrec.service.served import ServedModel

router = APIRouter(tags=["recommendations"])
JSON: TypeAdapter[Any] = TypeAdapter(Any)

FEW_RATINGS = 200
"""A request for a single user with at most this many ratings is computed inline, which is faster than in a thread."""


def new_user(
    served: ServedModel, given: Any, position: int, unknown: str = "error", at: int | None = None, field: str = ""
) -> Any:
    """Convert a user of a request to the input of the library, without ratings after `at`; `field` is for errors."""
    if not isinstance(given, UserInput):
        return listing.as_of(served, given, at)
    ratings: dict[Any, float] = {}
    times: dict[Any, int | None] = {}
    for place, one in enumerate(given.ratings):
        if one.movie in ratings:
            raise InvalidFieldError(
                f"{field or f'users.{position}'}.ratings.{place}.movie", f"movie {one.movie!r} is rated twice"
            )
        ratings[one.movie], times[one.movie] = one.rating, one.time
    moment = int(time.time()) if at is None else at
    is_timed = any(when is not None for when in times.values())
    user = NewUser(
        None if given.age is None else float(given.age),
        given.gender,
        given.occupation,
        ratings=ratings,
        timestamps={movie: moment if when is None else when for movie, when in times.items()} if is_timed else None,
        profile=given.profile,
        name=given.name if given.name is not None else f"user {position + 1}",
        unknown=unknown,
    )
    return listing.as_of(served, user, at)


def check_titles(served: ServedModel, given: RecommendInput | GroupInput) -> None:
    """Reject a request that gives too many movies by title."""
    served.check_titles([*(movie for user in given.users for movie in _rated(user)), *given.named()])


def _rated(user: Any) -> list[int | str]:
    return [one.movie for one in user.ratings] if isinstance(user, UserInput) else []


def as_list(user: Any, movies: listing.Ranked, why: Any = None) -> dict[str, Any]:
    """Return a `RecommendationList` as plain JSON values, which is faster than using the class."""
    found = why or {}
    return {
        "user": user,
        "movies": [
            {
                **movie.fields,
                "rank": rank,
                "score": round(score, 6),
                "reasons": [{"because": because, "effect": effect} for because, effect in found.get(movie.id, ())],
            }
            for movie, score, rank in movies
        ],
    }


async def recommend(given: RecommendInput, context: ContextNow) -> Response:
    """Recommend movies to users of the training data, or to new users. New users are not stored."""
    served = context.holder.served
    check_titles(served, given)
    options: dict[str, Any] = {"k": given.k, "offset": given.offset, "unknown": given.unknown}
    options |= {**given.filters(), "reranking": given.reranking()}

    with naming_fields(served, given):
        if len(given.users) == 1 and not given.named() and len(_rated(given.users[0])) <= FEW_RATINGS:
            user = new_user(served, given.users[0], 0, given.unknown, given.at)
            lists = [as_list(_name(user), await context.batcher.recommend(served, user, options))]
        else:
            lists = await run_in_threadpool(_compute, served, given, options)
    return json_response({"lists": lists})


router.add_api_route(
    "/recommend", recommend, methods=["POST"], response_model=RecommendOutput, route_class_override=JSONRoute
)


def _compute(served: ServedModel, given: RecommendInput, options: dict[str, Any]) -> list[dict[str, Any]]:
    users = [new_user(served, user, place, given.unknown, given.at) for place, user in enumerate(given.users)]
    lists: list[listing.Ranked] = []
    for start in range(0, len(users), MAX_BATCH):
        lists += listing.recommend_many(served, users[start : start + MAX_BATCH], **options)
    return [as_list(_name(user), found) for user, found in zip(users, lists, strict=True)]


def _name(user: Any) -> Any:
    return user.name if isinstance(user, NewUser) else user


def json_response(content: Any) -> Response:
    """Return plain values as JSON, which pydantic writes several times faster than `json`."""
    return Response(JSON.dump_json(content), media_type="application/json")


@router.post("/recommend/group", response_model=GroupOutput)
def recommend_group(given: GroupInput, served: Served) -> Any:
    """Recommend movies to a group, with the suitability of each movie for each member."""
    check_titles(served, given)
    with naming_fields(served, given):
        found = groups.recommend(
            served,
            [new_user(served, user, position, given.unknown, given.at) for position, user in enumerate(given.users)],
            given.k,
            strategy=given.strategy,
            offset=given.offset,
            unknown=given.unknown,
            **given.filters(),
            **given.reranking(),
        )
    movies = [
        GroupRecommendation(**one.movie.fields, rank=one.rank, score=one.score, suits=list(one.suits)) for one in found
    ]
    return GroupOutput(movies=movies)


@router.post("/explain", response_model=list[Explanation])
def explain(given: ExplainInput, served: Served) -> Any:
    """Explain which parts of the history or profile raise the score of each movie."""
    served.check_titles([*given.movies, *_rated(given.user)])
    with naming_fields(served, given):
        nodes = served.model.graph.movie_nodes_by_name(given.movies)
        movies = [served.movies[node] for node in nodes if node is not None]
        user = new_user(served, given.user, 0, at=given.at, field="user")
        why = listing.reasons(served, user, [movie.id for movie in movies], given.k)
    return [
        Explanation(
            id=movie.id,
            title=movie.title,
            reasons=[Reason(because=text, effect=effect) for text, effect in why[movie.id] if math.isfinite(effect)],
        )
        for movie in movies
    ]
