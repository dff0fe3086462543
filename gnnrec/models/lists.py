"""From scores to ranked lists: seen and filtered movies are masked, the best are taken or re-ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnrec._torch import check_scores, stable_topk
from gnnrec.graph import UserBatch
from gnnrec.reranking import Reranker

if TYPE_CHECKING:
    from gnnrec.models.index import MovieIndex

MAX_INDEXED = 2048
"""Maximum number of movies that an index is searched for; beyond it, users are ranked exactly."""


def best_movies(
    scores: Tensor,
    users: UserBatch,
    k: int,
    *,
    offset: int = 0,
    exclude_seen: bool = True,
    allowed: Tensor | None = None,
    reranker: Reranker | None = None,
    in_place: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the best movies of each user as row, movie node, score and rank, each ``[num_listed]``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``; changed only with `in_place`.
    users : UserBatch
        The users that were scored, with the histories that `exclude_seen` excludes.
    k, offset, exclude_seen
        As for `recommend`.
    allowed : Tensor, optional
        ``[num_movies]`` bool, see `gnnrec.models.filters.movie_mask`.
    reranker : Reranker, optional
        As of `Recommender.reranker`.
    in_place : bool
        Mask the scores themselves instead of a copy.
    """
    with torch.inference_mode():  # which scores may come from
        if (exclude_seen or allowed is not None) and not in_place:
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


def best_indexed_movies(
    index: MovieIndex,
    model: Any,
    users: UserBatch,
    k: int,
    *,
    offset: int = 0,
    exclude_seen: bool = True,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what `best_movies` returns, with the movies that an index finds.

    More movies are searched for than are asked for: as many as the longest history has. Users who are left with too few
    are ranked exactly.
    """
    wanted = min(k + offset, model.graph.num_movies if allowed is None else int(allowed.sum()))
    longest = int(torch.bincount(users.user_index, minlength=1).max()) if exclude_seen else 0
    embeddings = model.embed(users)
    check_scores(embeddings, model.name, lambda: list(range(users.num_users)))
    values, movies = index.search(embeddings, min(wanted + longest, MAX_INDEXED, model.graph.num_movies), allowed)
    if exclude_seen:
        pair = movies + torch.arange(users.num_users).unsqueeze(1) * users.num_movies
        values[torch.isin(pair, users.user_index * users.num_movies + users.movie_index)] = -torch.inf
        values, order = values.sort(dim=1, stable=True, descending=True)
        movies = movies.gather(1, order)
    values, movies = values[:, :wanted], movies[:, :wanted]
    parts = []
    short = (values > -torch.inf).sum(1) < wanted
    for row in torch.nonzero(short).squeeze(1).tolist():
        one = users.slice(row, row + 1)
        found = best_movies(model.score(one).cpu(), one, k, offset=offset, exclude_seen=exclude_seen, allowed=allowed)
        parts.append((found[0] + row, *found[1:]))
    values[short] = -torch.inf
    row, place = torch.nonzero(values[:, offset:] > -torch.inf, as_tuple=True)
    place = place + offset
    parts.append((row, movies[row, place], values[row, place], place + 1))
    rows, *columns = (torch.cat(column) for column in zip(*parts, strict=True))
    order = rows.argsort(stable=True)
    return rows[order], columns[0][order], columns[1][order], columns[2][order]
