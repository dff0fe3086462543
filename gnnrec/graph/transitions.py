"""Transition counts: how often users rated one movie soon after another."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gnnrec.errors import DataError
from gnnrec.graph.users import UserBatch

if TYPE_CHECKING:
    from gnnrec._pyg import HeteroData

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
        Maximum time between the two ratings; no limit if times are unknown (all 0).

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
    histories = users.user_index, users.movie_index, users.timestamp
    return _count(*histories, users.num_movies, window, decay, max_days)


def add_transitions(
    data: HeteroData, window: int = 10, decay: float = 3.0, max_days: float = float("inf")
) -> HeteroData:
    """Add edges between movies that were rated soon after each other, computed from the ratings in the data.

    The relation depends on all ratings. Split the ratings first, for example by PyG's ``RandomLinkSplit``, and then add
    it to each part; otherwise information about held-out ratings would leak into the training part.

    Parameters
    ----------
    data : HeteroData
        As of `Graph.hetero_data`, with times of the ratings. Equal times are in the order of the edges.
    window, decay, max_days
        As for `transition_counts`.

    Returns
    -------
    HeteroData
        A shallow copy with ``("movie", "followed_by", "movie")`` and ``("movie", "rev_followed_by", "movie")``, both
        with a ``count``.

    Raises
    ------
    DataError
        The ratings have no times.

    Examples
    --------
    >>> import torch_geometric.transforms as T
    >>> split = T.RandomLinkSplit(
    ...     num_val=0.0,
    ...     num_test=0.5,
    ...     edge_types=[("user", "rated", "movie")],
    ...     rev_edge_types=[("movie", "rev_rated", "user")],
    ...     neg_sampling_ratio=0.0,
    ... )
    >>> train, _, test = split(graph.hetero_data)
    >>> train = add_transitions(train)
    >>> ("movie", "followed_by", "movie") in train.edge_types, ("movie", "followed_by", "movie") in test.edge_types
    (True, False)
    """
    ratings = data["user", "rated", "movie"]
    if "time" not in ratings or not ratings.time.any():
        raise DataError("the ratings have no times, so their order is unknown")
    by_time = ratings.time.argsort(stable=True)
    order = by_time[ratings.edge_index[0][by_time].argsort(stable=True)]
    user, movie = ratings.edge_index[:, order]
    num_movies = data["movie"].num_nodes
    source, target, count = _count(user, movie, ratings.time[order], num_movies, window, decay, max_days)
    data = copy.copy(data)
    for relation, edges in (("followed_by", (source, target)), ("rev_followed_by", (target, source))):
        data["movie", relation, "movie"].edge_index = torch.stack(edges)
        data["movie", relation, "movie"].count = count
    return data


def _count(
    user: Tensor, movie: Tensor, timestamp: Tensor, num_movies: int, window: int, decay: float, max_days: float
) -> tuple[Tensor, Tensor, Tensor]:
    pairs, weights = [], []
    for gap in range(1, window + 1):
        soon = user[gap:] == user[:-gap]
        soon &= timestamp[gap:] - timestamp[:-gap] <= max_days * SECONDS_PER_DAY
        every = movie[:-gap][soon] * num_movies + movie[gap:][soon]
        pair, times = torch.unique(every, return_counts=True)  # gap by gap, to save memory
        pairs.append(pair)
        weights.append(times * math.exp(-(gap - 1) / decay))
    found, place = torch.unique(torch.cat(pairs), return_inverse=True)
    count = torch.zeros(len(found), device=found.device).index_add_(0, place, torch.cat(weights))
    return found // num_movies, found % num_movies, count
