"""The movie-to-movie relation "followed by": what people watched soon after what."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnrec.graph.users import UserBatch

SECONDS_PER_DAY = 86_400


def transition_counts(
    users: UserBatch, window: int = 10, decay: float = 3.0, max_days: float = float("inf")
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Count how often one movie came soon after another in the same history.

    .. math:: F_{ij} = \sum_u \sum_{g=1}^{W} e^{-(g-1)/\delta} \,
        [\text{$u$ watched $j$ as the $g$-th movie after $i$, within so many days}]

    The counts are directed: :math:`F_{ij}` says what follows, :math:`F_{ji}` what went before. They come from the
    histories given and nothing else, so those of a training graph hold no test rating.

    Parameters
    ----------
    users : UserBatch
        Histories, oldest first.
    window : int
        :math:`W`, how many places later a movie still follows.
    decay : float
        :math:`\delta`, in places.
    max_days : float
        Longest time between the two ratings. Where times are not known they are all 0, and nothing is too long.

    Returns
    -------
    source, target : Tensor
        ``[num_pairs]`` int64, every ordered pair of movies that occurs, once; sorted by source, then target.
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
        pair, times = torch.unique(every, return_counts=True)  # at once, for all gaps together do not fit in memory
        pairs.append(pair)
        weights.append(times * math.exp(-(gap - 1) / decay))
    found, place = torch.unique(torch.cat(pairs), return_inverse=True)
    count = torch.zeros(len(found), device=found.device).index_add_(0, place, torch.cat(weights))
    return found // users.num_movies, found % users.num_movies, count
