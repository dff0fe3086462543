"""Matrix factorisation of the ratings themselves: squared error, biases, and a vector for anyone by least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.counts import padded
from gnnrec.baselines.peers.tables import zeros_for_added
from gnnrec.baselines.peers.training import Watch, check_at_least, check_rated, seeded, train
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.recommend import Recommender

CHUNK = 256
"""Systems of equations solved at once."""


@dataclass(frozen=True, eq=False, repr=False)
class BiasedMF(Recommender):
    r"""Biased matrix factorisation (Koren, Bell & Volinsky, IEEE Computer 2009, eq. 4 and 5).

    .. math:: \hat r_{ui} = \mu + b_u + b_i + p_u \cdot q_i

    with the squared error and a regularisation that grows with the number of ratings, solved by turns for users
    and movies (ALS-WR, Zhou et al., AAIM 2008). Scores are ratings. Bias and vector of a person are solved for
    from their ratings when they are scored, which is the very step of training; so new people are no different.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    movies : Tensor
        ``[num_movies, dim]`` float32, :math:`q`.
    bias : Tensor
        ``[num_movies]`` float32, :math:`b_i`.
    mean : float
        :math:`\mu`.
    reg : float
        :math:`\lambda`.
    """

    graph: Graph
    movies: Tensor
    bias: Tensor
    mean: float
    reg: float
    name = "biasedmf"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 32,
        reg: float = 0.1,
        epochs: int = 40,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        r"""Solve by turns.

        Parameters
        ----------
        graph : Graph
            With ratings.
        dim : int
            Width of a vector.
        reg : float
            :math:`\lambda`, above 0, for each rating.
        epochs : int
            At most so many; both sides are solved in each.
        seed : int
            Of the first movie vectors.
        watch : Watch, optional
            Stops early.
        """
        check_rated(cls.name, graph)
        check_at_least(1, epochs=epochs)
        if not reg > 0:
            raise ConfigError(f"reg must be above 0, not {reg}")
        users, mean = graph.users, float(graph.users.rating.mean())
        with seeded(seed) as generator:
            start = torch.randn(graph.num_movies, dim, generator=generator) * 0.1
        state = [torch.cat([start, torch.zeros(graph.num_movies, 1)], dim=1)]  # vector and bias of each movie

        def epoch() -> float:
            left = users.rating - mean
            people = ridge(users.row, users.movie, left, graph.num_users, state[0], reg)
            state[0] = ridge(users.movie, users.row, left, graph.num_movies, people, reg)
            predicted = (people[users.row, :-1] * state[0][users.movie, :-1]).sum(1)
            predicted += people[users.row, -1] + state[0][users.movie, -1]
            return float((left - predicted).square().mean())

        return train(epoch, lambda: cls(graph, state[0][:, :-1], state[0][:, -1], mean, reg), epochs, watch)

    def score(self, users: UserBatch) -> Tensor:
        """Return predicted ratings ``[num_users, num_movies]`` float32 from the ratings in `users`."""
        others = torch.cat([self.movies, self.bias.unsqueeze(1)], dim=1)
        people = ridge(users.row, users.movie, users.rating - self.mean, users.num_users, others, self.reg)
        return self.mean + people[:, -1:] + self.bias + people[:, :-1] @ self.movies.T

    def with_graph(self, graph: Graph) -> Self:
        """Return the same movies on a larger graph; one added later has no bias and a vector of zeros."""
        bias = padded(self.bias, graph.num_movies)
        return replace(self, graph=graph, bias=bias, movies=zeros_for_added(self.movies, graph.num_movies))

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]``."""
        return self.movies

    def __repr__(self) -> str:
        return f"BiasedMF({self.graph.num_movies:,} movies)"


def ridge(row: Tensor, col: Tensor, values: Tensor, num_rows: int, others: Tensor, reg: float) -> Tensor:
    r"""Solve for vector and bias of each row, given those of the columns.

    .. math:: \min_{p, b} \sum_{c} (v_c - b_c - b - p \cdot q_c)^2 + \lambda n (\|p\|^2 + b^2)

    over the `n` values of the row; `others` ``[num_cols, dim + 1]`` holds :math:`q` and, last, :math:`b_c`.

    Returns
    -------
    Tensor
        ``[num_rows, dim + 1]``, zeros for a row without values.
    """
    order = row.argsort(stable=True)
    counts = torch.bincount(row, minlength=num_rows)
    starts = counts.cumsum(0) - counts
    left = values - others[col, -1]
    known = others.clone()
    known[:, -1] = 1.0
    solved = torch.zeros(num_rows, others.size(1))
    # Rows with about as many values share a block, so that little of it is filler.
    for rows in counts.argsort().split(CHUNK):
        place = torch.arange(int(counts[rows].max()))
        real = place < counts[rows].unsqueeze(1)  # [chunk, most values]
        edges = order[(starts[rows].unsqueeze(1) + place)[real]]
        known_here = torch.zeros(*real.shape, others.size(1))
        known_here[real] = known[col[edges]]
        left_here = torch.zeros(*real.shape, 1)
        left_here[real] = left[edges].unsqueeze(1)
        gram = known_here.mT @ known_here  # [chunk, dim + 1, dim + 1]
        gram.diagonal(dim1=1, dim2=2).add_(reg * counts[rows].clamp(min=1).unsqueeze(1))
        solved[rows] = torch.linalg.solve(gram, known_here.mT @ left_here).squeeze(2)
    return solved
