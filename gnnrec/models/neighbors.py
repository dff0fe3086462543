"""ADMM-SLIM: a sparse linear model of movies, and with EASE the strongest linear baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender

MAX_MOVIES = 30_000
"""Movie-to-movie matrices are dense: this many movies make 3.6 GB each."""

CHUNK = 2048
"""Users whose rows are made dense at once."""


def movie_counts(graph: Graph) -> Tensor:
    """Return the number of ratings of each movie, ``[num_movies]`` float32."""
    return torch.bincount(graph.users.movie_index, minlength=graph.num_movies).float()


def cooccurrence_counts(graph: Graph) -> Tensor:
    """Return how many people rated both movies of each pair.

    Parameters
    ----------
    graph : Graph
        Ratings of any value count as 1.

    Returns
    -------
    Tensor
        ``[num_movies, num_movies]`` float32, on the diagonal the number of ratings; ``X.T @ X`` of the binary
        user-movie matrix ``X``.

    Raises
    ------
    DataError
        There are more than `MAX_MOVIES` movies.
    """
    size = check_square(graph)
    together = torch.zeros(size, size)
    for start in range(0, graph.num_users, CHUNK):
        users = graph.users.slice(start, min(start + CHUNK, graph.num_users))
        watched = torch.zeros(users.num_users, size)
        watched[users.user_index, users.movie_index] = 1.0
        together.addmm_(watched.T, watched)
    return together


def check_square(graph: Graph) -> int:
    """Return the number of movies, or raise a `DataError` if a movie-to-movie matrix of them would not fit."""
    size = graph.num_movies
    if size > MAX_MOVIES:
        raise DataError(
            f"{size:,} movies make a matrix of {size * size * 4 / 1e9:.0f} GB; item-to-item baselines take at most "
            f"{MAX_MOVIES:,} movies, so leave out the rarely rated ones"
        )
    return size


def padded(values: Tensor, num_movies: int) -> Tensor:
    """Return `values` with every dimension grown to `num_movies` by zeros, for movies added after the fit."""
    check_grown(values.size(0), num_movies)
    more = num_movies - values.size(0)
    return values if more == 0 else torch.nn.functional.pad(values, (0, more) * values.dim())


def check_grown(fitted: int, now: int, what: str = "movies") -> None:
    """Raise a `DataError` if a graph has fewer movies (or users) than a model was fitted on."""
    if now < fitted:
        raise DataError(f"the graph has {now:,} {what} but the model was fitted on {fitted:,}")


PRIOR = 1e-6
"""Score of a movie that everyone has watched, where the matrix says nothing."""

BLOCK = 256
"""Columns of the matrix at a time; so many of its rows stay in the processor's cache, which is several times faster."""


@dataclass(frozen=True, eq=False, repr=False)
class ItemItem(Recommender):
    r"""Scores a movie by its weights from the movies in the history.

    .. math:: s_{uj} = \sum_{i \in H_u} W_{ij} + 10^{-6} \, p_j

    with :math:`p_j` the share of people who rated movie `j` in training. The last term is far below the first
    and decides only where that is zero: with an empty history, or one that the weights know nothing about,
    the list is the most popular movies, the same every time.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    weights : Tensor
        ``[num_movies, num_movies]`` float32, from movie (row) to movie (column).
    share : Tensor
        ``[num_movies]`` float32, share of the users who rated each movie when it was fitted.
    """

    graph: Graph
    weights: Tensor
    share: Tensor

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        ones = torch.ones(users.user_index.numel())
        blocks = [users.user_movie.matmul(ones, block) for block in self.weights.split(BLOCK, dim=1)]
        return torch.cat(blocks, dim=1) + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same weights on a larger graph; a movie added later has none."""
        size = graph.num_movies
        return replace(self, graph=graph, weights=padded(self.weights, size), share=padded(self.share, size))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, num_movies]``: what each movie speaks for, itself (weight 1) included.

        With the 1 on the diagonal two movies are alike when they speak for each other, not only when they
        speak for the same third ones.
        """
        return self.weights + torch.eye(self.graph.num_movies)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.graph.num_movies:,} movies)"


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
    >>> from gnnrec.models.base import recommend
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    >>> model = ItemKNN.fit(Graph.from_dataset(Dataset(ratings)))
    >>> recommend(model, {40: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    name = "itemknn"

    @classmethod
    def fit(cls, graph: Graph, num_neighbors: int = 200, shrink: float = 0.0) -> Self:
        """Compute the neighbours of each movie.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        num_neighbors : int
            How many movies each movie listens to, at least 1. The default did best on validation rows of
            MovieLens-1M.
        shrink : float
            In numbers of ratings, 0 or more.
        """
        if num_neighbors < 1:
            raise ConfigError(f"num_neighbors must be at least 1, not {num_neighbors}")
        if not shrink >= 0:
            raise ConfigError(f"shrink must be 0 or more, not {shrink}")
        cosine = cooccurrence_counts(graph)
        counts = movie_counts(graph)
        norm = counts.clamp(min=1).sqrt()  # a movie nobody rated has no num_neighbors, whatever it is divided by
        cosine.div_(norm.unsqueeze(1) * norm + shrink).fill_diagonal_(0.0)
        values, rows = cosine.topk(min(num_neighbors, graph.num_movies), dim=0)  # [neighbours, num_movies]
        weights = torch.zeros_like(cosine).scatter_(0, rows, values)
        return cls(graph, weights, counts / graph.num_users)


class EASE(ItemItem):
    r"""Embarrassingly Shallow AutoEncoder (Steck, WWW 2019).

    Minimises :math:`\|X - XB\|_F^2 + \lambda \|B\|_F^2` with a zero diagonal, by equation 8 of the paper:

    .. math:: P = (X^T X + \lambda I)^{-1}, \qquad B_{ij} = -P_{ij} / P_{jj} \; (i \ne j), \quad B_{jj} = 0

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
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
        gram = cooccurrence_counts(graph)
        gram.diagonal().add_(reg)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse.div_(-inverse.diagonal().clone())  # [num_movies, num_movies], column j by -P_jj
        weights.fill_diagonal_(0.0)
        return cls(graph, weights, movie_counts(graph) / graph.num_users)


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
    >>> from gnnrec.models.base import recommend
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
        weights = _admm(cooccurrence_counts(graph), l1, l2, rho, iterations, non_negative)
        return cls(graph, weights, movie_counts(graph) / graph.num_users)


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
