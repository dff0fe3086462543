"""EASE: a linear autoencoder with a closed form, and on MovieLens as good as most networks."""

from __future__ import annotations

from typing import Self

import torch

from gnnrec.baselines.counts import times_watched, watched_together
from gnnrec.baselines.itemitem import ItemItem
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph


class EASE(ItemItem):
    r"""Embarrassingly Shallow AutoEncoder (Steck, WWW 2019).

    Minimises :math:`\|X - XB\|_F^2 + \lambda \|B\|_F^2` with a zero diagonal, by equation 8 of the paper:

    .. math:: P = (X^T X + \lambda I)^{-1}, \qquad B_{ij} = -P_{ij} / P_{jj} \; (i \ne j), \quad B_{jj} = 0

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = EASE.fit(Graph.from_dataset(Dataset(ratings)), reg=1.0)
    >>> recommend(model, {40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    name = "ease"

    @classmethod
    def fit(cls, graph: Graph, reg: float = 1000.0) -> Self:
        r"""Solve for the weights.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        reg : float
            :math:`\lambda`, above 0; in numbers of ratings.
        """
        if not reg > 0:
            raise ConfigError(f"reg must be above 0, not {reg}")
        gram = watched_together(graph)
        gram.diagonal().add_(reg)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse.div_(-inverse.diagonal().clone())  # [num_movies, num_movies], column j by -P_jj
        weights.fill_diagonal_(0.0)
        return cls(graph, weights, times_watched(graph) / graph.num_users)
