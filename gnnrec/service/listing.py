"""Lists of recommendations as the API and the pages show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gnnrec._torch import check_scores
from gnnrec.explanations import explain
from gnnrec.graph import NewUser
from gnnrec.models.filters import movie_mask
from gnnrec.models.lists import best_movies
from gnnrec.reranking import Reranking, RerankingOptions
from gnnrec.service.records import Entry, Profile
from gnnrec.service.served import MovieInfo, ServedModel

RECENT = 300
"""Maximum number of ratings of a profile that are considered as reasons, latest first."""


Ranked = list[tuple[MovieInfo, float, int]]
"""Movies with scores and ranks, best first."""


def as_of(served: ServedModel, user: Any, at: int | None) -> Any:
    """Return a user at the time of a request: without later ratings. Ratings without a time are kept.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> as_of(served, NewUser(ratings={1: 5, 2: 4}, timestamps={1: 10, 2: 20}), 15).ratings
    {1: 5}
    """
    if at is None:
        return user
    if not isinstance(user, NewUser):
        user = _stored(served, user)
    user = dataclasses.replace(user, at=at)
    if not isinstance(user.timestamps, Mapping) or not isinstance(user.ratings, Mapping):
        return user
    kept = [movie for movie in user.ratings if user.timestamps[movie] <= at]
    if len(kept) == len(user.ratings):
        return user
    weights = {movie: user.weights[movie] for movie in kept} if isinstance(user.weights, Mapping) else None
    return dataclasses.replace(
        user,
        ratings={movie: user.ratings[movie] for movie in kept},
        timestamps={movie: user.timestamps[movie] for movie in kept},
        weights=weights,
    )


def _stored(served: ServedModel, user_id: Any) -> NewUser:
    """Return a user of the training data as a `NewUser` with the same recommendations."""
    graph = served.model.graph
    node = graph.user_nodes([user_id])
    batch, row = graph.user_batch(node), graph.dataset.users.iloc[int(node[0])]
    movies = [served.movies[place].id for place in batch.movie_index.tolist()]
    return NewUser(
        profile={name: row[name] for name in graph.user_values if name in row and not pd.isna(row[name])},
        ratings=dict(zip(movies, batch.rating.tolist(), strict=True)),
        timestamps=dict(zip(movies, batch.timestamp.tolist(), strict=True)),
        weights=None if batch.weight is None else dict(zip(movies, batch.weight.tolist(), strict=True)),
        name=user_id,
    )


def recommend(
    served: ServedModel,
    user: Any,
    k: int = 10,
    *,
    offset: int = 0,
    unknown: str = "error",
    reranking: RerankingOptions | None = None,
    **filters: Any,
) -> Ranked:
    """Recommend movies to one user; the same as `gnnrec.recommend`, without frames, which take longer than the rest.

    Parameters
    ----------
    served : ServedModel
    user : user id or NewUser
    k, offset, unknown
        As for `gnnrec.recommend`.
    reranking : mapping, optional
        ``diversity, novelty, calibration, max_per_genre, like, unlike``, as for `gnnrec.recommend`.
    **filters
        ``candidates, exclude, genres, years, min_ratings, family_friendly``, as for `gnnrec.recommend`.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> ours = [(movie.id, rank) for movie, _, rank in recommend(served, 7, 3, offset=1, reranking={"novelty": 0.5})]
    >>> frame = gnnrec.recommend(served.model, 7, 3, offset=1, novelty=0.5)
    >>> ours == list(zip(frame["movie_id"].tolist(), frame["rank"].tolist()))
    True
    """
    (found,) = recommend_many(served, [user], k, offset=offset, unknown=unknown, reranking=reranking, **filters)
    return found


def recommend_many(
    served: ServedModel,
    users: Sequence[Any],
    k: int = 10,
    *,
    offset: int = 0,
    unknown: str = "error",
    reranking: RerankingOptions | None = None,
    **filters: Any,
) -> list[Ranked]:
    """Return a list for each of a few users; the rest as for `recommend`."""
    model = served.model
    batch, names = model.encode_users(users, unknown=unknown)
    scores = model.score(batch).cpu()
    check_scores(scores, model.name, names.tolist)
    found = best_movies(
        scores,
        batch,
        k,
        offset=offset,
        allowed=movie_mask(model.graph, unknown=unknown, **filters),
        reranker=model.reranker(Reranking(**reranking), unknown) if reranking else None,
    )
    lists: list[Ranked] = [[] for _ in users]
    for row, node, score, rank in zip(*(column.tolist() for column in found), strict=True):
        lists[row].append((served.movies[node], score, rank))
    return lists


def reasons(served: ServedModel, user: Any, movies: Sequence[Any], k: int = 2) -> Mapping[Any, list[tuple[str, float]]]:
    """Return the reasons that raise the score of each movie id, and their effects."""
    if isinstance(user, NewUser) and isinstance(user.ratings, Mapping) and len(user.ratings) > RECENT:
        recent = list(user.ratings)[-RECENT:]
        times: Any = user.timestamps
        user = dataclasses.replace(
            user,
            ratings={movie: user.ratings[movie] for movie in recent},
            timestamps={movie: times[movie] for movie in recent} if isinstance(times, Mapping) else None,
            weights=None,
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
    *,
    at: int | None = None,
    exclude: Sequence[Any] | None = None,
    **options: Any,
) -> tuple[NewUser, Ranked]:
    """Return a profile as a user, and its recommendations, without rated and hidden movies.

    With a request time `at`, later entries are ignored.
    """
    if at is not None:
        history, not_wanted = ([entry for entry in entries if entry.time <= at] for entries in (history, not_wanted))
    user = dataclasses.replace(served.user(profile, history), at=at)
    known = [movie.id for entry in (*history, *not_wanted) if (movie := served.find(entry.movie_id)) is not None]
    return user, recommend(served, user, exclude=[*known, *(exclude or ())] or None, **options)
