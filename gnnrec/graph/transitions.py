"""Transition counts: how often users rated one movie soon after another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnrec.graph.users import UserBatch

SECONDS_PER_DAY = 86_400


def transition_counts(
    users: UserBatch, window: int = 10, decay: float = 3.0, max_days: float = float("inf")
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Count how often one movie was rated soon after another by the same user.

    .. math:: F_{ij} = \sum_u \sum_{g=1}^{W} e^{-(g-1)/\delta} \,
        [\text{$u$ rated $j$ as the $g$-th movie after $i$, within max_days}]

    The counts are directed: :math:`F_{ij}` counts what follows movie i, :math:`F_{ji}` what precedes it. Only the given
    histories are counted, so the counts of a training graph contain no test ratings.

    Parameters
    ----------
    users : UserBatch
        Histories, oldest first.
    window : int
        :math:`W`, number of later ratings to count.
    decay : float
        :math:`\delta`, in ratings.
    max_days : float
        Maximal time between the two ratings; no limit where times are unknown (all 0).

    Returns
    -------
    source, target : Tensor
        ``[num_pairs]`` int64, every ordered pair of movies that occurs; sorted by source, then target.
    count : Tensor
        ``[num_pairs]`` float32.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> rows = [("ann", 1, 10), ("ann", 2, 20), ("bob", 1, 10), ("bob", 2, 20), ("bob", 3, 30)]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"]))
    >>> source, target, count = transition_counts(Graph.from_dataset(dataset).users)
    >>> source.tolist(), target.tolist(), [round(c, 2) for c in count.tolist()]
    ([0, 0, 1], [1, 2, 2], [2.0, 0.72, 1.0])
    """
    pairs, weights = [], []
    for gap in range(1, window + 1):
        soon = users.user_index[gap:] == users.user_index[:-gap]
        soon &= users.timestamp[gap:] - users.timestamp[:-gap] <= max_days * SECONDS_PER_DAY
        every = users.movie_index[:-gap][soon] * users.num_movies + users.movie_index[gap:][soon]
        pair, times = torch.unique(every, return_counts=True)  # per gap: all gaps at once do not fit in memory
        pairs.append(pair)
        weights.append(times * math.exp(-(gap - 1) / decay))
    found, place = torch.unique(torch.cat(pairs), return_inverse=True)
    count = torch.zeros(len(found), device=found.device).index_add_(0, place, torch.cat(weights))
    return found // users.num_movies, found % users.num_movies, count
