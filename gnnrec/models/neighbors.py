"""Models that are one movie-to-movie matrix: item-kNN, EASE and SLIM.

A user's scores are the sum of the matrix rows of the rated movies. Nothing is stored per user, so new users and new
ratings need no training. All of them are fitted to the binary user-movie matrix, as in the papers; interaction weights
are not used.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from gnnrec._torch import stable_topk
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import check_square, cooccurrence_counts, id_order, movie_counts, padded
from gnnrec.models.estimator import Estimator
from gnnrec.models.saved_state import check_shapes
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun

POPULARITY_WEIGHT = 1e-6
"""Weight of the popularity term; small enough to break ties only."""

BLOCK = 256
"""Matrix columns per product; fits the processor cache, which is several times faster."""

ADAPT_EVERY, ADAPT_FACTOR = 10, 3.0
"""Iterations of SLIM between changes of its penalty, and the minimum factor of a change, which costs two iterations."""


@dataclass(frozen=True, eq=False, repr=False)
class ItemSimilarityModel(Recommender):
    r"""Fitted movie-to-movie model: scores a movie by its weights from the movies of the history.

    .. math:: s_{uj} = \sum_{i \in H_u} W_{ij} + 10^{-6} \, p_j

    with :math:`p_j` the fraction of users with a training rating of movie `j`. The last term matters only where the
    first is zero: an empty history gets the most popular movies.

    Attributes
    ----------
    graph : Graph
    weights : Tensor
        ``[num_movies, num_movies]`` float32, from movie (row) to movie (column).
    share : Tensor
        ``[num_movies]`` float32, fraction of the training users who rated each movie.
    estimator : Estimator
    """

    graph: Graph
    weights: Tensor
    share: Tensor
    estimator: Estimator

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {"weights": self.weights, "share": self.share}

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32, from the histories alone."""
        ones = torch.ones(users.user_index.numel())
        blocks = [users.user_movie.matmul(ones, block) for block in self.weights.split(BLOCK, dim=1)]
        return torch.cat(blocks, dim=1) + POPULARITY_WEIGHT * self.share

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; movies added later have no weights."""
        size = graph.num_movies
        return replace(self, graph=graph, weights=padded(self.weights, size), share=padded(self.share, size))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, num_movies]``: the weights, with a diagonal of 1.

        With that diagonal two movies are similar when they predict each other, not only when they predict the same
        other movies.
        """
        return self.weights + torch.eye(self.graph.num_movies)

    def __repr__(self) -> str:
        return f"ItemSimilarityModel({self.name}, {self.graph.num_movies:,} movies)"


class ItemSimilarityEstimator(Estimator):
    """Base of the models that are one movie-to-movie matrix."""

    matrices: ClassVar[int]
    """Matrices of that size that `weights` has at once."""

    @abstractmethod
    def weights(self, graph: Graph) -> Tensor:
        """Return ``[num_movies, num_movies]`` float32 weights, from movie (row) to movie (column)."""

    def fit_graph(self, graph: Graph, run: FitRun) -> ItemSimilarityModel:
        """See `Estimator.fit_graph`; an `OutOfMemoryError` if the matrices do not fit."""
        check_square(graph.num_movies, self.matrices, self.name)
        return ItemSimilarityModel(graph, self.weights(graph), movie_counts(graph) / graph.num_users, self)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> ItemSimilarityModel:
        """See `Estimator.restore`."""
        check_shapes(state, weights="mm", share="m")
        size = graph.num_movies
        return ItemSimilarityModel(graph, padded(state["weights"], size), padded(state["share"], size), self)


@register_model("itemknn", grid=[{"num_neighbors": 50}, {"num_neighbors": 200}])
class ItemKNN(ItemSimilarityEstimator):
    r"""Item-based nearest neighbors by cosine (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004).

    With :math:`c_{ij}` the number of users who rated both movies and a shrinkage :math:`h` against pairs with few
    users,

    .. math:: S_{ij} = \frac{c_{ij}}{\sqrt{c_{ii} c_{jj}} + h} \; (i \ne j), \qquad S_{jj} = 0

    and each column `j` keeps only its largest values: the nearest neighbors of movie `j`, equal ones by movie id.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = ItemKNN().fit(Dataset(ratings))
    >>> model.recommend({40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    matrices: ClassVar[int] = 3

    num_neighbors: int = Field(200, ge=1)
    """Neighbors kept per movie."""
    shrink: float = Field(0.0, ge=0)
    """Shrinkage of the cosine, in numbers of ratings."""

    def weights(self, graph: Graph) -> Tensor:
        """Return the cosines of each movie's nearest neighbors."""
        norm = movie_counts(graph).clamp(min=1).sqrt()  # unrated movies have no neighbors for any divisor
        cosine = cooccurrence_counts(graph) / (norm.unsqueeze(1) * norm + self.shrink)
        cosine.fill_diagonal_(0.0)
        order = id_order(graph)  # equal cosines are chosen by movie id
        weights = torch.zeros_like(cosine)
        for columns in torch.arange(graph.num_movies).split(BLOCK):
            values, place = stable_topk(cosine[columns][:, order], self.num_neighbors)  # cosine is symmetric
            weights[order[place], columns.unsqueeze(1)] = values
        return weights


@register_model("ease", grid=[{"reg": 200.0}, {"reg": 1000.0}, {"reg": 5000.0}])
class EASE(ItemSimilarityEstimator):
    r"""Embarrassingly Shallow AutoEncoder (Steck, WWW 2019).

    Minimizes :math:`\|X - XB\|_F^2 + \lambda \|B\|_F^2` with a zero diagonal, by equation 8 of the paper:

    .. math:: P = (X^T X + \lambda I)^{-1}, \qquad B_{ij} = -P_{ij} / P_{jj} \; (i \ne j), \quad B_{jj} = 0

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = EASE(reg=1.0).fit(Dataset(ratings))
    >>> model.recommend({40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    matrices: ClassVar[int] = 3

    reg: float = Field(1000.0, gt=0)
    r"""L2 regularization :math:`\lambda`, in numbers of ratings."""

    def weights(self, graph: Graph) -> Tensor:
        """Solve for :math:`B`."""
        gram = cooccurrence_counts(graph).clone()
        gram.diagonal().add_(self.reg)
        factor = torch.linalg.cholesky(gram)
        del gram  # its memory is needed for the inverse
        inverse = torch.cholesky_inverse(factor)
        weights = inverse.div_(-inverse.diagonal().clone())  # [num_movies, num_movies], column j by -P_jj
        return weights.fill_diagonal_(0.0)


@register_model("slim", grid=[{"l1": 5.0, "l2": 500.0}, {"l1": 1.0, "l2": 200.0}])
class SLIM(ItemSimilarityEstimator):
    r"""Sparse linear method (Ning & Karypis, ICDM 2011), solved by ADMM (Steck et al., WSDM 2020).

    .. math::
        \min_B \tfrac{1}{2} \|X - XB\|_F^2 + \tfrac{\lambda_2}{2} \|B\|_F^2 + \lambda_1 \|B\|_1
        \quad \text{with } B_{jj} = 0 \text{ and, optionally, } B \ge 0

    All columns are solved together: the squared terms and the diagonal constrain `B`, the L1 term and the sign its copy
    `C`, and the multiplier makes both equal. The weights are `C`. With :math:`\lambda_1 = 0` and weights of either sign
    the solution is that of EASE.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = SLIM(l1=0.1, l2=1.0, rho=1.0).fit(Dataset(ratings))
    >>> model.recommend({40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    matrices: ClassVar[int] = 11

    l1: float = Field(5.0, ge=0)
    r"""L1 regularization :math:`\lambda_1`, in numbers of ratings."""
    l2: float = Field(500.0, ge=0)
    r"""L2 regularization :math:`\lambda_2`, in numbers of ratings."""
    rho: float = Field(3000.0, gt=0)
    r"""First penalty :math:`\rho` of ADMM, which adapts; changes how fast the solution is reached, not the solution."""
    iterations: int = Field(500, ge=1)
    """Maximum number of ADMM iterations; each costs one product of two ``[num_movies, num_movies]`` matrices."""
    tolerance: float = Field(1e-5, gt=0)
    """Relative residual at which the iterations end; a fit that does not reach it warns."""
    non_negative: bool = False
    """Whether weights must be non-negative, as in the original SLIM."""

    def weights(self, graph: Graph) -> Tensor:
        """Solve for :math:`B`."""
        counts = cooccurrence_counts(graph)
        weights, distance = _admm(
            counts, self.l1, self.l2, self.rho, self.iterations, self.tolerance, self.non_negative
        )
        if distance > self.tolerance:
            warnings.warn(
                f"slim did not converge in {self.iterations} iterations: its relative residual is {distance:.1g}, "
                f"above the tolerance of {self.tolerance:g}; raise iterations",
                stacklevel=2,
            )
        return weights


def _admm(
    counts: Tensor, l1: float, l2: float, rho: float, iterations: int, tolerance: float, non_negative: bool
) -> tuple[Tensor, float]:
    """Return `C` ``[num_movies, num_movies]`` by the paper's updates, and how far it is from the solution.

    The distance is the larger one of the primal and the dual residual, relative to what they compare; the iterations
    end when it is below `tolerance`. The penalty adapts to keep both residuals alike (Boyd et al. 2011, sec. 3.3, 3.4).
    """

    def factorize(penalty: float) -> tuple[Tensor, Tensor, Tensor]:
        shifted = counts.clone()
        shifted.diagonal().add_(l2 + penalty)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(shifted))
        ridge = inverse * -(l2 + penalty)  # inverse @ X.T @ X = I - (l2 + penalty) * inverse
        ridge.diagonal().add_(1.0)
        return inverse, ridge, inverse.diagonal().clone()

    inverse, ridge, scale = factorize(rho)
    copy, multiplier = torch.zeros_like(counts), torch.zeros_like(counts)
    distance = math.inf
    for iteration in range(1, iterations + 1):
        weights = torch.addmm(ridge, inverse, copy * rho - multiplier)
        weights -= inverse * (weights.diagonal() / scale)  # makes the diagonal zero, column by column
        before = copy
        copy = weights + multiplier / rho
        size = (copy.abs() - l1 / rho).clamp_(min=0)
        copy = torch.where(copy > 0, size, 0.0 if non_negative else -size)
        multiplier += rho * (weights - copy)
        primal = _ratio((weights - copy).norm(), torch.maximum(weights.norm(), copy.norm()))
        dual = _ratio(rho * (copy - before).norm(), multiplier.norm())
        distance = max(primal, dual)
        if distance <= tolerance:
            break
        change = math.sqrt(primal / dual) if primal and dual else 1.0
        if iteration % ADAPT_EVERY == 0 and not 1 / ADAPT_FACTOR < change < ADAPT_FACTOR:
            rho *= change
            inverse, ridge, scale = factorize(rho)
    return copy.fill_diagonal_(0.0), distance


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if float(whole) > 0 else float(part)
