"""Models that are one movie-to-movie matrix: a person's scores are the sum of the rows of what they watched.

Item-kNN, EASE and SLIM differ only in how they get that matrix. Nothing is stored per user, so new people, new
ratings and stored users take the same path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.counts import padded
from gnnrec.graph import Graph, UserBatch
from gnnrec.recommend import Recommender

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
        ones = torch.ones(users.row.numel())
        blocks = [users.watched.matmul(ones, block) for block in self.weights.split(BLOCK, dim=1)]
        return torch.cat(blocks, dim=1) + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same weights on a larger graph; a movie added later has none."""
        size = graph.num_movies
        return replace(self, graph=graph, weights=padded(self.weights, size), share=padded(self.share, size))

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, num_movies]``: what each movie speaks for, itself (weight 1) included.

        With the 1 on the diagonal two movies are alike when they speak for each other, not only when they
        speak for the same third ones.
        """
        return self.weights + torch.eye(self.graph.num_movies)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.graph.num_movies:,} movies)"
