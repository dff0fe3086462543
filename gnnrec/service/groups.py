"""One list for several people, and how well each movie suits each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from gnnrec._torch import check_scores, stable_topk
from gnnrec.graph import NewUser, UserBatch
from gnnrec.graph.new_user import encode_user
from gnnrec.models.filters import movie_mask
from gnnrec.service.served import MovieInfo, ServedModel

Strategy = Literal["average", "least_misery"]


@dataclass(frozen=True)
class GroupMovie:
    """A movie for a group.

    Attributes
    ----------
    movie : MovieInfo
    score : float
        Of the group.
    suits : tuple of float
        For each person, the share of the movies that suit them less, in ``[0, 1]``.
    """

    movie: MovieInfo
    score: float
    suits: tuple[float, ...]


def recommend(
    served: ServedModel,
    users: Sequence[Any],
    k: int = 10,
    *,
    strategy: Strategy = "average",
    family_friendly: bool = False,
    unknown: str = "error",
    **filters: Any,
) -> list[GroupMovie]:
    """Recommend movies to several people together; what any of them has rated is left out.

    The scores of each person are standardized first, so that nobody counts more because their scores spread more.

    Parameters
    ----------
    served : ServedModel
    users : sequence
        User ids and new users.
    k : int
    strategy : str
        ``"average"`` of the scores; or ``"least_misery"``, the score of whoever likes a movie least.
    family_friendly, unknown, **filters
        As for `gnnrec.service.listing.recommend`.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> found = recommend(served, [NewUser(ratings={1: 5, 2: 4}), NewUser(ratings={3: 5})], 2)
    >>> len(found), {movie.movie.id for movie in found} & {1, 2, 3}, len(found[0].suits)
    (2, set(), 2)
    """
    graph = served.model.graph
    batch = UserBatch.concatenate(
        [
            encode_user(graph, user, unknown)
            if isinstance(user, NewUser)
            else graph.user_batch(graph.user_nodes([user]))
            for user in users
        ]
    )
    scores = served.model.score(batch).cpu()
    check_scores(scores, served.model.name, lambda: list(users))
    spread = scores.std(dim=1, keepdim=True).clamp(min=1e-9)
    standard = (scores - scores.mean(dim=1, keepdim=True)) / spread  # [num_users, num_movies]
    group = standard.mean(0) if strategy == "average" else standard.min(0).values
    group = group.clone()
    group[batch.movie_index] = -torch.inf
    allowed = movie_mask(graph, unknown=unknown, **filters)
    if allowed is not None:
        group[~allowed] = -torch.inf
    if family_friendly:
        group[~served.family_friendly] = -torch.inf
    values, nodes = (best[0].tolist() for best in stable_topk(group.unsqueeze(0), k))
    below = (standard.unsqueeze(1) < standard[:, nodes].unsqueeze(2)).float().mean(2)  # [num_users, k]
    return [
        GroupMovie(served.movies[node], value, tuple(below[:, place].tolist()))
        for place, (value, node) in enumerate(zip(values, nodes, strict=True))
        if value > -torch.inf
    ]
