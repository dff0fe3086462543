"""What predicted ratings must beat: means, biases, and matrix factorisation without a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.rating.base import RatingPredictor, check_ratings, rated
from gnnrec.rating.gaussian import conditional, normal, with_one
from gnnrec.training.loop import check_at_least


@dataclass(frozen=True, eq=False)
class Biases(RatingPredictor):
    r"""A mean, how much better each movie is, and how much more each person gives (Koren 2009, sec. 2).

    .. math:: \hat r_{ui} = \mu + b_i + b_u, \qquad
              b_i = \frac{\sum_u (r_{ui} - \mu - b_u)}{n_i + \lambda_i}, \qquad
              b_u = \frac{\sum_i (r_{ui} - \mu - b_i)}{n_u + \lambda_u}

    An infinite :math:`\lambda` leaves a bias out: without that of people these are the means of the movies, without
    both the mean of all.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    mean : Tensor
        Mean of the training ratings.
    scale : tuple of float
        Lowest and highest of the training ratings.
    movie_bias : Tensor
        ``[num_movies]``.
    user_reg : float
        :math:`\lambda_u`.
    """

    graph: Graph
    mean: Tensor
    scale: tuple[float, float]
    movie_bias: Tensor
    user_reg: float
    name = "biases"

    @classmethod
    def fit(cls, graph: Graph, *, movie_reg: float = 3.0, user_reg: float = 6.0, num_rounds: int = 10) -> Self:
        r"""Find both kinds of biases in turn.

        Parameters
        ----------
        graph : Graph
            With ratings.
        movie_reg, user_reg : float
            :math:`\lambda_i` and :math:`\lambda_u`, 0 or more.
        num_rounds : int
            How often.
        """
        check_ratings(graph.dataset)
        check_at_least(0, movie_reg=movie_reg, user_reg=user_reg)
        check_at_least(1, num_rounds=num_rounds)
        users, mean = graph.users, graph.users.rating.mean()
        movie_bias, user_bias = torch.zeros(graph.num_movies), torch.zeros(graph.num_users)
        for _ in range(num_rounds):
            movie_bias = _shrunk(users.movie_index, users.rating - mean - user_bias[users.user_index], graph.num_movies, movie_reg)
            user_bias = _shrunk(users.user_index, users.rating - mean - movie_bias[users.movie_index], graph.num_users, user_reg)
        return cls(graph, mean, _scale(users.rating), movie_bias, user_reg)

    def predict(self, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        left = users.rating - self.mean - self.movie_bias[users.movie_index]  # what the person's bias is made of
        total = left.new_zeros(users.num_users).index_add_(0, users.user_index, left)[row]
        number = torch.bincount(users.user_index, minlength=users.num_users)[row].float()
        own = rated(users, row, movie)
        if (again := own >= 0).any():
            total = total.masked_scatter(again, total[again] - left[own[again]])
            number = number - again.float()
        bias = total / (number + self.user_reg) if self.user_reg else total / number.clamp(min=1)
        return (self.mean + self.movie_bias[movie] + bias).clamp(*self.scale)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`; a movie added later is taken for an average one."""
        late = graph.num_movies - len(self.movie_bias)
        return replace(self, graph=graph, movie_bias=nn.functional.pad(self.movie_bias, (0, late)))


@dataclass(frozen=True, eq=False)
class BiasedMF(RatingPredictor):
    r"""Biased matrix factorisation (Koren et al. 2009, eq. 5), by alternating least squares.

    .. math:: \min \sum_{u,i} (r_{ui} - \mu - b_u - b_i - q_i \cdot p_u)^2
              + \lambda (\sum_u |p_u|^2 + \sum_i |q_i|^2) + \lambda_b (\sum_u b_u^2 + \sum_i b_i^2)

    A person's vector is the least-squares one given their ratings, so new people need no training here either.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    mean : Tensor
        Mean of the training ratings.
    scale : tuple of float
        Lowest and highest of the training ratings.
    movies : Tensor
        ``[num_movies, 1 + dim]``, bias first.
    penalty : Tensor
        ``[1 + dim, 1 + dim]``, diagonal.
    """

    graph: Graph
    mean: Tensor
    scale: tuple[float, float]
    movies: Tensor
    penalty: Tensor
    name = "biased MF"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        *,
        dim: int = 16,
        reg: float = 12.0,
        bias_reg: float = 4.0,
        num_epochs: int = 15,
        seed: int = 0,
    ) -> Self:
        r"""Solve for people and movies in turn.

        Parameters
        ----------
        graph : Graph
            With ratings.
        dim : int
            Width of a vector.
        reg, bias_reg : float
            :math:`\lambda` and :math:`\lambda_b`, above 0.
        num_epochs : int
            Both attributes are solved in each.
        seed : int
            Of the first movie vectors.
        """
        check_ratings(graph.dataset)
        check_at_least(1, dim=dim, num_epochs=num_epochs)
        for setting, value in {"reg": reg, "bias_reg": bias_reg}.items():
            if not value > 0:
                raise ConfigError(f"{setting} must be above 0, not {value}")
        users, rng = graph.users, np.random.default_rng(seed)
        y = users.rating - users.rating.mean()
        penalty = torch.diag(torch.tensor([bias_reg, *[reg] * dim]))
        movies = 0.1 * normal(rng, graph.num_movies, 1 + dim)
        weight, nobody = torch.ones_like(y), torch.zeros(graph.num_users, 1 + dim)
        nothing = torch.zeros_like(movies)
        for _ in range(num_epochs):
            left = y - movies[users.movie_index, 0]
            people = conditional(users.user_movie, with_one(movies), left, weight, nobody, penalty).mean()
            left = y - people[users.user_index, 0]
            movies = conditional(
                users.user_movie, with_one(people), left, weight, nothing, penalty, transposed=True
            ).mean()
        return cls(graph, users.rating.mean(), _scale(users.rating), movies, penalty)

    def predict(self, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        left = users.rating - self.mean - self.movies[users.movie_index, 0]
        nobody = torch.zeros(users.num_users, self.movies.size(1))
        met = with_one(self.movies)
        given = conditional(users.user_movie, met, left, torch.ones_like(left), nobody, self.penalty)
        answer = self.movies[movie, 0] + (given.mean()[row] * met[movie]).sum(1)
        own = rated(users, row, movie)
        if len(again := torch.nonzero(own >= 0).squeeze(1)):
            asked = met[movie[again]]
            person = given.without(row[again], asked, left[own[again]], torch.ones(len(again))).mean()
            answer[again] = self.movies[movie[again], 0] + (person * asked).sum(1)
        return (self.mean + answer).clamp(*self.scale)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`; a movie added later has a vector of zeros."""
        late = graph.num_movies - len(self.movies)
        return replace(self, graph=graph, movies=nn.functional.pad(self.movies, (0, 0, 0, late)))


def _shrunk(group: Tensor, value: Tensor, size: int, reg: float) -> Tensor:
    """Return the mean of each group as if `reg` more values of 0 were in it."""
    total = value.new_zeros(size).index_add_(0, group, value)
    number = torch.bincount(group, minlength=size)
    return torch.zeros(size) if reg == inf else total / (number + reg).clamp(min=1e-12)


def _scale(rating: Tensor) -> tuple[float, float]:
    return rating.min().item(), rating.max().item()
