"""ADMM-SLIM: a sparse linear model of movies, and with EASE the strongest linear baseline."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.counts import times_watched, watched_together
from gnnrec.baselines.itemitem import ItemItem
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph


class SLIM(ItemItem):
    r"""Sparse linear method (Ning & Karypis, ICDM 2011), solved by ADMM (Steck et al., WSDM 2020).

    .. math::
        \min_B \tfrac{1}{2} \|X - XB\|_F^2 + \tfrac{\lambda_2}{2} \|B\|_F^2 + \lambda_1 \|B\|_1
        \quad \text{with } B_{jj} = 0 \text{ and, if asked for, } B \ge 0

    All columns are solved together: `B` carries the squares and the diagonal, its copy `C` the absolute values and the
    sign, and the multiplier brings the two together. `C` is what is kept. With :math:`\lambda_1 = 0` and weights
    of either sign the answer is that of EASE.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = SLIM.fit(Graph.from_dataset(Dataset(ratings)), l1=0.1, l2=1.0, rho=1.0)
    >>> recommend(model, {40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    name = "slim"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        l1: float = 5.0,
        l2: float = 500.0,
        rho: float = 3000.0,
        iterations: int = 20,
        non_negative: bool = False,
    ) -> Self:
        r"""Solve for the weights.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        l1, l2 : float
            :math:`\lambda_1` and :math:`\lambda_2`, 0 or more; in numbers of ratings.
        rho : float
            :math:`\rho` of ADMM, above 0. It changes how fast the answer is reached, not the answer.
        iterations : int
            At least 1. Each costs one product of two matrices ``[num_movies, num_movies]``.
        non_negative : bool
            Only weights of 0 or more, as in the first SLIM.
        """
        for setting, value in (("l1", l1), ("l2", l2)):
            if not value >= 0:
                raise ConfigError(f"{setting} must be 0 or more, not {value}")
        if not rho > 0:
            raise ConfigError(f"rho must be above 0, not {rho}")
        if iterations < 1:
            raise ConfigError(f"iterations must be at least 1, not {iterations}")
        weights = _admm(watched_together(graph), l1, l2, rho, iterations, non_negative)
        return cls(graph, weights, times_watched(graph) / graph.num_users)


def _admm(gram: Tensor, l1: float, l2: float, rho: float, iterations: int, non_negative: bool) -> Tensor:
    """Return `C` ``[num_movies, num_movies]`` by the paper's updates; `gram` is used up."""
    gram.diagonal().add_(l2 + rho)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    ridge = inverse * -(l2 + rho)  # inverse @ X.T @ X = I - (l2 + rho) * inverse
    ridge.diagonal().add_(1.0)
    scale = inverse.diagonal().clone()
    copy, multiplier = torch.zeros_like(gram), torch.zeros_like(gram)
    for _ in range(iterations):
        weights = torch.addmm(ridge, inverse, copy * rho - multiplier)
        weights -= inverse * (weights.diagonal() / scale)  # makes the diagonal zero, column by column
        copy = weights + multiplier / rho
        size = (copy.abs() - l1 / rho).clamp_(min=0)
        copy = torch.where(copy > 0, size, 0.0 if non_negative else -size)
        multiplier += rho * (weights - copy)
    return copy.fill_diagonal_(0.0)
