"""Lists of recommendations as the API and the pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnnrec.explanations import explain
from gnnrec.graph import NewUser
from gnnrec.service.served import MovieInfo, ServedModel
from gnnrec.service.store import Entry, Profile

RECENT = 300
"""Ratings of a profile that reasons are looked for in: the latest."""


def recommend(
    served: ServedModel, users: Sequence[Any], *, family_friendly: bool = False, **options: Any
) -> list[tuple[Any, list[tuple[MovieInfo, float, int]]]]:
    """Return for each user their name and ``(movie, score, rank)``, best first.

    Parameters
    ----------
    served : ServedModel
    users : sequence
        As `Recommender.recommend` takes them.
    family_friendly : bool
        Only movies that have a genre for families, and none for adults.
    **options
        Of `Recommender.recommend`.
    """
    if family_friendly:
        allowed: list[Any] = served.family_friendly
        if (candidates := options.get("candidates")) is not None:
            nodes = served.model.graph.movie_nodes_by_name(candidates, unknown=options.get("unknown", "error"))
            named = {served.movies[node].id for node in nodes if node is not None}
            allowed = [movie_id for movie_id in allowed if movie_id in named]
        options["candidates"] = allowed
    lists: list[tuple[Any, list[tuple[MovieInfo, float, int]]]] = []
    for user in users:
        found = served.model.recommend([user], **options)
        rows = zip(found["movie_id"].tolist(), found["score"].tolist(), found["rank"].tolist(), strict=True)
        name = user.name if isinstance(user, NewUser) else user
        lists.append((name, [(served.movie(movie_id), score, rank) for movie_id, score, rank in rows]))
    return lists


def reasons(served: ServedModel, user: Any, movies: Sequence[Any], k: int = 2) -> Mapping[Any, list[tuple[str, float]]]:
    """Return for each movie id what raises its score, and by how much."""
    if isinstance(user, NewUser) and isinstance(user.ratings, Mapping) and len(user.ratings) > RECENT:
        recent = list(user.ratings)[-RECENT:]
        times: Any = user.timestamps
        user = NewUser(
            user.age,
            user.gender,
            user.occupation,
            ratings={movie: user.ratings[movie] for movie in recent},
            timestamps={movie: times[movie] for movie in recent} if isinstance(times, Mapping) else None,
            name=user.name,
        )
    found: dict[Any, list[tuple[str, float]]] = {movie: [] for movie in movies}
    if movies:
        rows = explain(served.model, user, movies, k)
        for movie_id, because, effect in zip(
            rows["movie_id"].tolist(), rows["because"].tolist(), rows["effect"].tolist(), strict=True
        ):
            found.setdefault(movie_id, []).append((because, effect))
    return found


def for_profile(
    served: ServedModel,
    profile: Profile,
    history: Sequence[Entry],
    not_wanted: Sequence[Entry],
    **options: Any,
) -> tuple[NewUser, list[tuple[MovieInfo, float, int]]]:
    """Return a profile as a user, and the recommendations, without movies that it rated or does not want."""
    user = served.user(profile, history)
    known = [movie.id for entry in (*history, *not_wanted) if (movie := served.find(entry.movie_id)) is not None]
    (_, movies), *_ = recommend(served, [user], exclude=known or None, **options)
    return user, movies
