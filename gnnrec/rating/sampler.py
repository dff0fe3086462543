"""Bayesian matrix factorisation with side information, by Gibbs sampling.

Salakhutdinov & Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo"; the side
information as in Macau (Simm et al. 2017, https://arxiv.org/abs/1509.04610), here the vectors of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.rating.gaussian import conditional, normal, with_one
from gnnrec.sparse import Adjacency

EXPLAINED = 0.15
"""Share of the ratings' variance that the first vectors are made for."""
SPREAD = 0.04
"""Prior guess of the variance of each entry of a vector, worth as many vectors as there are entries."""
LEAST_NOISE = 1e-4
"""Added to the variance of the noise; keeps ratings without noise computable in float32."""


@dataclass(frozen=True, eq=False)
class Link:
    """What leads from features to vectors: :math:`v = W^T f + e`, with :math:`e` of a precision of its own."""

    weight: Tensor  # [num_features, dim]
    precision: Tensor  # [dim, dim]

    @classmethod
    def draw(cls, features: Tensor, vectors: Tensor, reg: float, rng: np.random.Generator) -> Link:
        r"""Draw a link given features ``[n, num_features]`` and vectors ``[n, dim]``.

        With a normal-Wishart prior on :math:`(W, \Lambda)`, :math:`K = F^T F + \lambda I` and
        :math:`M = K^{-1} F^T V`:

        .. math:: \Lambda \sim \mathcal{W}((V^T V - M^T K M + S_0)^{-1}, n + d + 1), \qquad
                  W \sim M + K^{-1/2} E \, \Lambda^{-1/2}
        """
        gram, mean, scatter = _regress(features, vectors, reg)
        dim = vectors.size(1)
        scale = torch.linalg.cholesky(torch.linalg.inv(scatter))
        bartlett = torch.tril(normal(rng, dim, dim), -1).double()
        freedom = len(vectors) + dim + 1 - np.arange(dim)
        precision = scale @ (bartlett + torch.diag(torch.from_numpy(rng.chisquare(freedom) ** 0.5)))
        precision = precision @ precision.T
        noise = torch.linalg.solve_triangular(
            torch.linalg.cholesky(gram).T, normal(rng, *mean.shape).double(), upper=True
        )
        noise = torch.linalg.solve_triangular(torch.linalg.cholesky(precision).T, noise.T, upper=True).T
        return cls((mean + noise).float(), precision.float())

    @classmethod
    def fit(cls, features: Tensor, vectors: Tensor, reg: float, weight: Tensor | None = None) -> Link:
        """Return the mean of what `draw` draws from, where row `i` counts `weight` ``[i]``, relative to the mean."""
        root = torch.ones(()) if weight is None else (weight / weight.mean()).sqrt().unsqueeze(1)
        _, mean, scatter = _regress(root * features, root * vectors, reg)
        freedom = len(vectors) + vectors.size(1) + 1
        return cls(mean.float(), (torch.linalg.inv(scatter) * freedom).float())


@dataclass(frozen=True, eq=False)
class Draw:
    """All unknowns at one step of the chain. The first entry of each vector is a bias."""

    movies: Tensor  # [num_movies, 1 + dim]
    people: Tensor  # [num_users, 1 + dim]
    movie_link: Link
    user_link: Link
    noise_precision: float


class Chain:
    r"""Gibbs sampling of biased matrix factorisation whose vectors follow from features as far as they can.

    .. math:: y_{ui} = b_u + b_i + q_i \cdot z_u + \epsilon, \qquad
              (b_u, z_u) \sim N(W_u^T f_u, \Lambda_u^{-1}), \qquad (b_i, q_i) \sim N(W_i^T f_i, \Lambda_i^{-1})

    Parameters
    ----------
    watched : Adjacency
        Movies to people.
    y : Tensor
        ``[num_edges]`` ratings of mean 0 and variance 1.
    people, movies : Tensor
        Features ``[num_users, ...]`` and ``[num_movies, ...]``.
    dim : int
        Width of the vectors, without the bias.
    reg : float
        :math:`\lambda` of the links.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        watched: Adjacency,
        y: Tensor,
        people: Tensor,
        movies: Tensor,
        dim: int,
        reg: float,
        rng: np.random.Generator,
    ) -> None:
        self.user_movie, self.y, self.people, self.movies = watched, y, people, movies
        self.dim, self.reg, self.rng = dim, reg, rng
        user_degree, self.movie_degree = watched.degrees()
        self.active, self.rated = user_degree > 0, self.movie_degree > 0

    def start(self) -> Draw:
        """Return small random vectors without biases."""
        size = (EXPLAINED / self.dim) ** 0.25  # of each entry, were all of the share explained
        vectors = [0.3 * size * normal(self.rng, n, 1 + self.dim) for n in (len(self.movies), len(self.people))]
        for some in vectors:
            some[:, 0] = 0
        precision = torch.eye(1 + self.dim) / size**2
        links = [Link(torch.zeros(x.size(1), 1 + self.dim), precision) for x in (self.movies, self.people)]
        return Draw(vectors[0], vectors[1], links[0], links[1], 1 / (1 - 2 * EXPLAINED))

    def step(self, now: Draw) -> Draw:
        """Draw everything anew, each part given the rest: movies, people, links, noise."""
        row, col = self.user_movie.row, self.user_movie.col
        weight = torch.full_like(self.y, now.noise_precision)
        movies = conditional(
            self.user_movie, with_one(now.people), self.y - now.people[row, 0], weight,
            self.movies @ now.movie_link.weight, now.movie_link.precision, transposed=True,
        ).draw(self.rng)  # fmt: skip
        people = conditional(
            self.user_movie, with_one(movies), self.y - movies[col, 0], weight,
            self.people @ now.user_link.weight, now.user_link.precision,
        ).draw(self.rng)  # fmt: skip
        product = self.user_movie.edge_scores(people[:, 1:].contiguous(), movies[:, 1:].contiguous())
        error = (self.y - people[row, 0] - movies[col, 0] - product).double()
        squares = float(error @ error) + LEAST_NOISE * len(error)
        return Draw(
            movies,
            people,
            # Who and what has no rating teaches nothing about how ratings follow from features.
            Link.draw(self.movies[self.rated], movies[self.rated], self.reg, self.rng),
            Link.draw(self.people[self.active], people[self.active], self.reg, self.rng),
            self.rng.gamma(len(error) / 2) * 2 / squares,
        )


def _regress(features: Tensor, vectors: Tensor, reg: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return gram, mean and scatter of the normal-Wishart posterior, in float64."""
    f, v = features.double(), vectors.double()
    gram = f.T @ f + reg * torch.eye(f.size(1), dtype=f.dtype)
    mean = torch.linalg.solve(gram, f.T @ v)
    scatter = v.T @ v - mean.T @ gram @ mean
    dim = v.size(1)
    return gram, mean, (scatter + scatter.T) / 2 + SPREAD * dim * torch.eye(dim, dtype=f.dtype)
