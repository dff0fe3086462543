"""Lists of recommendations as the API and the pages show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gnnrec._torch import check_scores, stable_topk
from gnnrec.explanations import explain
from gnnrec.graph import NewUser
from gnnrec.graph.new_user import encode_user
from gnnrec.models.filters import movie_mask
from gnnrec.reranking import Reranking, RerankingOptions
from gnnrec.service.served import MovieInfo, ServedModel
from gnnrec.service.store import Entry, Profile

RECENT = 300
"""Ratings of a profile that reasons are looked for in: the latest."""


Ranked = list[tuple[MovieInfo, float, int]]
"""Movies with scores and ranks, best first."""


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
        ``diversity, novelty, calibration, max_per_genre``, as for `gnnrec.recommend`.
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
    model = served.model
    if isinstance(user, NewUser):
        batch = encode_user(model.graph, user, unknown)
    else:
        batch = model.graph.user_batch(model.graph.user_nodes([user]))
    allowed = movie_mask(model.graph, unknown=unknown, **filters)
    scores = model.score(batch).cpu()
    check_scores(scores, model.name, lambda: [user])
    scores = scores.clone()
    scores[0, batch.movie_index] = -torch.inf
    if allowed is not None:
        scores[0, ~allowed] = -torch.inf
    reranker = model.reranker(Reranking(**reranking)) if reranking else None
    if reranker is None:
        nodes = stable_topk(scores, k + offset)[1][0]
    else:
        nodes = reranker.rank(scores[0], batch.movie_index, k + offset)
    nodes = nodes[offset:]
    return [
        (served.movies[node], value, offset + place + 1)
        for place, (node, value) in enumerate(zip(nodes.tolist(), scores[0, nodes].tolist(), strict=True))
        if value > -math.inf
    ]


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
    served: ServedModel, profile: Profile, history: Sequence[Entry], not_wanted: Sequence[Entry], **options: Any
) -> tuple[NewUser, Ranked]:
    """Return a profile as a user, and the recommendations, without movies that it rated or does not want."""
    user = served.user(profile, history)
    known = [movie.id for entry in (*history, *not_wanted) if (movie := served.find(entry.movie_id)) is not None]
    return user, recommend(served, user, exclude=known or None, **options)
