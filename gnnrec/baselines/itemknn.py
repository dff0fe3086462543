"""Item-kNN: who watched this also watched that; the oldest item-based recommender and still a hard one to beat."""

from __future__ import annotations

from typing import Self

import torch

from gnnrec.baselines.counts import times_watched, watched_together
from gnnrec.baselines.itemitem import ItemItem
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph


class ItemKNN(ItemItem):
    r"""Item-based neighbours by cosine (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004).

    With :math:`c_{ij}` the number of people who rated both movies and a shrinkage :math:`h` against pairs
    that rest on few people,

    .. math:: S_{ij} = \frac{c_{ij}}{\sqrt{c_{ii} c_{jj}} + h} \; (i \ne j), \qquad S_{jj} = 0

    and each column `j` keeps its largest values only: movie `j` listens to its nearest neighbours.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = ItemKNN.fit(Graph.from_dataset(Dataset(ratings)))
    >>> recommend(model, {40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    name = "itemknn"

    @classmethod
    def fit(cls, graph: Graph, neighbours: int = 200, shrink: float = 0.0) -> Self:
        """Compute the neighbours of each movie.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        neighbours : int
            How many movies each movie listens to, at least 1. The default did best on validation rows of
            MovieLens-1M.
        shrink : float
            In numbers of ratings, 0 or more.
        """
        if neighbours < 1:
            raise ConfigError(f"neighbours must be at least 1, not {neighbours}")
        if not shrink >= 0:
            raise ConfigError(f"shrink must be 0 or more, not {shrink}")
        cosine = watched_together(graph)
        counts = times_watched(graph)
        norm = counts.clamp(min=1).sqrt()  # a movie nobody rated has no neighbours, whatever it is divided by
        cosine.div_(norm.unsqueeze(1) * norm + shrink).fill_diagonal_(0.0)
        values, rows = cosine.topk(min(neighbours, graph.num_movies), dim=0)  # [neighbours, num_movies]
        weights = torch.zeros_like(cosine).scatter_(0, rows, values)
        return cls(graph, weights, counts / graph.num_users)
