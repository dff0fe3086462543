"""Metrics of the lists themselves, right or wrong: how varied, how surprising, how much of the catalogue they show.

Lists are ``[n, k]`` int64 of movie nodes, best first; -1 marks an empty place at the end of a list that is
too short.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 8192
"""Lists compared pair by pair at once; bounds memory to a few times ``CHUNK * k * k`` floats."""


def coverage(lists: Tensor, num_candidates: int) -> float:
    """Return the share of the candidate movies that are on at least one list ("aggregate diversity").

    Source: Ge, Delgado-Battenfeld & Jannach, "Beyond accuracy", RecSys 2010.

    Examples
    --------
    >>> coverage(torch.tensor([[0, 1], [0, -1]]), num_candidates=4)
    0.5
    """
    return int(torch.count_nonzero(torch.bincount(lists[lists >= 0]))) / num_candidates


def novelty(lists: Tensor, counts: Tensor, num_users: int) -> Tensor:
    r"""Return the mean self-information of each list in bits: :math:`-\log_2(c_i / N)` averaged over its movies.

    Source: Zhou et al., PNAS 2010; Vargas & Castells, RecSys 2011. A movie that nobody has rated would be
    infinitely surprising; it counts as rated once.

    Parameters
    ----------
    lists : Tensor
        ``[n, k]``.
    counts : Tensor
        ``[num_movies]``, how many people rated each movie in training.
    num_users : int
        `N`, how many people rated anything in training.

    Returns
    -------
    Tensor
        ``[n]`` float32, NaN for an empty list.

    Examples
    --------
    >>> novelty(torch.tensor([[0, 1], [1, -1]]), counts=torch.tensor([8, 2]), num_users=8)
    tensor([1., 2.])
    """
    surprise = -torch.log2(counts.clamp(min=1) / num_users)
    filled = lists >= 0
    return (surprise[lists.clamp(min=0)] * filled).sum(1) / filled.sum(1)


def genre_diversity(lists: Tensor, genres: Tensor) -> Tensor:
    r"""Return the mean Jaccard distance between the genres of all pairs of movies of each list.

    .. math:: \operatorname{mean}_{i < j} \; 1 - \frac{|G_i \cap G_j|}{|G_i \cup G_j|}

    The intra-list diversity of Ziegler et al. (WWW 2005) with sets of genres. Pairs in which a movie has no
    known genre are left out: nothing is known about how far apart they are.

    Parameters
    ----------
    lists : Tensor
        ``[n, k]``.
    genres : Tensor
        ``[num_movies, num_genres]`` float32 of 0 and 1.

    Returns
    -------
    Tensor
        ``[n]`` float32, NaN where a list has no pair with known genres.

    Examples
    --------
    >>> genres = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    >>> genre_diversity(torch.tensor([[0, 1, 2], [0, 2, -1]]), genres)
    tensor([0.5000,    nan])
    """
    return torch.cat([_genre_diversity(part, genres) for part in lists.split(CHUNK)])


def _genre_diversity(lists: Tensor, genres: Tensor) -> Tensor:
    own = genres[lists.clamp(min=0)] * (lists >= 0).unsqueeze(2)  # [n, k, num_genres]
    size = own.sum(2)  # [n, k]
    shared = own @ own.transpose(1, 2)  # [n, k, k]
    union = size.unsqueeze(1) + size.unsqueeze(2) - shared
    known = size > 0
    pairs = torch.triu(known.unsqueeze(1) & known.unsqueeze(2), diagonal=1)
    distance = torch.where(pairs, 1 - shared / union.clamp(min=1), 0.0)
    return distance.sum((1, 2)) / pairs.sum((1, 2))
