"""FeatureRidge: where in an SVD does a movie belong by its content? Learned from rated movies, asked for new ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.content import content_matrix
from gnnrec.baselines.counts import check_grown, padded, times_watched
from gnnrec.baselines.itemitem import PRIOR
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.nn.initialise import factorise
from gnnrec.recommend import Recommender


@dataclass(frozen=True, eq=False, repr=False)
class FeatureRidge(Recommender):
    r"""A truncated SVD whose movie vectors are continued to unrated movies by a ridge regression from their content.

    With :math:`n_i` the ratings of movie `i` and :math:`V` the first right singular vectors of
    :math:`X \operatorname{diag}(n)^{-p}`, a rated movie has the vector :math:`v_i`, row `i` of :math:`V`, and any other

    .. math::

        \hat v_j = W^T c_j + b, \qquad
        W, b = \arg\min \sum_{i: n_i > 0} \|W^T c_i + b - v_i\|^2 + \lambda \|W\|_F^2

    with :math:`c_j` its row of `gnnrec.baselines.content.content_matrix` (Gantner et al., ICDM 2010, learn such a map
    for matrix factorisation). People are folded in, known and new alike: :math:`u = \sum_{i \in H} n_i^{-p} v_i`, and
    score a movie by :math:`u \cdot v_j`. Popularity decides where the history says nothing.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    messages : Tensor
        ``[num_movies, dim]`` float32, what a movie adds to the person who watched it; zeros for unrated ones.
    vectors : Tensor
        ``[num_movies, dim]`` float32, :math:`v_i` or :math:`\hat v_j`.
    weight, bias : Tensor
        ``[width, dim]`` and ``[dim]`` float32, :math:`W` and :math:`b`.
    share : Tensor
        ``[num_movies]`` float32, share of the users who rated each movie when it was fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> movies = pd.DataFrame({"movie_id": [1, 2, 3, 4, 5, 6], "genres": ["Horror", "Comedy"] * 3})
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [1, 3, 2, 4, 1, 3]})
    >>> model = FeatureRidge.fit(Graph.from_dataset(Dataset(ratings, movies)), dim=2, reg=0.1)
    >>> recommend(model, {1: 5}, candidates=[5, 6])["movie_id"].tolist()  # nobody has rated either
    [5, 6]
    """

    graph: Graph
    messages: Tensor
    vectors: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor
    name = "ridge"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 128,
        reg: float = 10.0,
        power: float = 0.25,
        by_content: bool = False,
    ) -> Self:
        r"""Factorise and regress.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of a vector, at least 1.
        reg : float
            :math:`\lambda`, above 0; in numbers of movies.
        power : float
            :math:`p`: 0 leaves popular movies their weight, 0.5 gives all movies the same.
        by_content : bool
            Give rated movies :math:`\hat v_i`, too. It is worse for them, but vectors of a regression are shorter than
            those it learns from, and only so does a new movie compete with a rated one on equal terms.
        """
        if dim < 1:
            raise ConfigError(f"dim must be at least 1, not {dim}")
        if not reg > 0:
            raise ConfigError(f"reg must be above 0, not {reg}")
        if not 0 <= power <= 1:
            raise ConfigError(f"power must be between 0 and 1, not {power}")
        counts = times_watched(graph)
        scale = counts.clamp(min=1) ** -power  # [num_movies]
        watched = graph.users.watched
        # Another seed gives the same vectors but for what is rounded off.
        _, _, v = factorise(watched, scale[watched.col], dim, torch.Generator().manual_seed(0))
        rated = counts > 0
        content = content_matrix(graph)
        weight, bias = _regress(content[rated], v[rated], reg)
        vectors = content @ weight + bias
        if not by_content:
            vectors = torch.where(rated.unsqueeze(1), v, vectors)
        messages = v * (scale * rated).unsqueeze(1)
        return cls(graph, messages, vectors, weight, bias, counts / graph.num_users)

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        people = users.watched.matmul(torch.ones(users.row.numel()), self.messages)  # [num_users, dim]
        return people @ self.vectors.T + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a larger graph; a movie added later is placed by its content."""
        fitted = self.graph.num_movies
        check_grown(fitted, graph.num_movies)
        placed = content_matrix(graph)[fitted:] @ self.weight + self.bias
        messages = torch.nn.functional.pad(self.messages, (0, 0, 0, graph.num_movies - fitted))
        share = padded(self.share, graph.num_movies)
        vectors = torch.cat([self.vectors, placed])
        return replace(self, graph=graph, messages=messages, vectors=vectors, share=share)

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]``."""
        return self.vectors

    def __repr__(self) -> str:
        return f"FeatureRidge({self.graph.num_movies:,} movies)"


def _regress(x: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return weight ``[width, dim]`` and bias ``[dim]`` of a ridge regression; the bias is not punished."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = (x - x_mean).double()
    gram = centred.T @ centred
    gram.diagonal().add_(reg)
    weight = torch.linalg.solve(gram, centred.T @ (y - y_mean).double()).float()
    return weight, y_mean - x_mean @ weight
