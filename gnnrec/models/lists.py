"""From scores to ranked lists: seen and filtered movies are masked, the best are taken or re-ranked."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec._torch import stable_topk
from gnnrec.graph import UserBatch
from gnnrec.reranking import Reranker


def best_movies(
    scores: Tensor,
    users: UserBatch,
    k: int,
    *,
    offset: int = 0,
    exclude_seen: bool = True,
    allowed: Tensor | None = None,
    reranker: Reranker | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the best movies of each user as row, movie node, score and rank, each ``[num_listed]``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``; not changed.
    users : UserBatch
        The users that were scored, with the histories that `exclude_seen` excludes.
    k, offset, exclude_seen
        As for `recommend`.
    allowed : Tensor, optional
        ``[num_movies]`` bool, see `gnnrec.models.filters.movie_mask`.
    reranker : Reranker, optional
        As of `Recommender.reranker`.
    """
    if exclude_seen or allowed is not None:
        scores = scores.clone()
    if exclude_seen:
        scores[users.user_index, users.movie_index] = -torch.inf
    if allowed is not None:
        scores[:, ~allowed] = -torch.inf
    if reranker is None:
        values, movies = stable_topk(scores, k + offset)
    else:
        values, movies = _reranked(reranker, scores, users, k + offset)
    values, movies = values[:, offset:], movies[:, offset:]
    row, place = torch.nonzero(values > -torch.inf, as_tuple=True)
    return row, movies[row, place], values[row, place], place + 1 + offset


def _reranked(reranker: Reranker, scores: Tensor, users: UserBatch, k: int) -> tuple[Tensor, Tensor]:
    """Return scores and movies of re-ranked lists, ``[num_users, k]``; the end of short lists is ``-inf``."""
    values = torch.full((users.num_users, k), -torch.inf)
    movies = torch.zeros(users.num_users, k, dtype=torch.int64)
    order = users.user_index.argsort(stable=True)
    histories = users.movie_index[order].split(torch.bincount(users.user_index, minlength=users.num_users).tolist())
    for row, history in enumerate(histories):
        found = reranker.rank(scores[row], history, k)
        movies[row, : len(found)] = found
        values[row, : len(found)] = scores[row, found]
    return values, movies
