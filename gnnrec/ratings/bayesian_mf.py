r"""Bayesian matrix factorization with side information, fitted by Gibbs sampling.

Salakhutdinov & Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo". Side
information enters as in Macau (Simm et al. 2017, https://arxiv.org/abs/1509.04610); here it includes the graph
embeddings. `GibbsSampler` draws posterior samples during fitting, `RatingHead` stores them and predicts.

Both rest on one computation, `conditional_posterior`: many small Bayesian linear regressions at once, one per row of a
sparse matrix. Their normal equations are two sparse products, of the factors and of their outer products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec._torch import ridge_gram
from gnnrec.errors import DataError
from gnnrec.sparse import Adjacency

BLOCK_SIZE = 4096
"""Maximum number of precision matrices factorized at a time; bounds memory."""
INITIAL_EXPLAINED_VARIANCE = 0.15
"""Fraction of the rating variance that the initial factors are scaled to explain."""
PRIOR_VARIANCE = 0.04
"""Prior guess of the variance of each factor; its weight equals the number of factors, in observations."""
MIN_NOISE_VARIANCE = 1e-4
"""Added to the noise variance; keeps noise-free ratings computable in float32."""


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Independent multivariate Gaussians in natural parameters.

    Attributes
    ----------
    precision : Tensor
        ``[n, dim * (dim + 1) / 2]``, upper triangle of each precision matrix :math:`A`.
    shift : Tensor
        ``[n, dim]``, each precision matrix times its mean.
    """

    precision: Tensor
    shift: Tensor

    def mean(self) -> Tensor:
        """Return the means ``[n, dim]``."""
        means = [_cholesky_solve(root, self.shift[rows]) for rows, root in self._cholesky_blocks()]
        return torch.cat(means) if means else self.shift

    def sample(self, rng: np.random.Generator) -> Tensor:
        """Draw one sample from each Gaussian, ``[n, dim]``."""
        samples = []
        for rows, root in self._cholesky_blocks():
            noise = standard_normal(rng, *root.shape[:2]).unsqueeze(2)
            noise = torch.linalg.solve_triangular(root.transpose(1, 2), noise, upper=True).squeeze(2)
            samples.append(_cholesky_solve(root, self.shift[rows]) + noise)
        return torch.cat(samples) if samples else self.shift

    def without_observation(self, index: Tensor, x: Tensor, y: Tensor, weight: Tensor) -> Gaussians:
        """Return the Gaussians ``index[p]``, each with one of its observations removed.

        Parameters
        ----------
        index : Tensor
            ``[num_pairs]`` int64, Gaussian that each observation is removed from.
        x : Tensor
            ``[num_pairs, dim]``, regressors of the observation.
        y, weight : Tensor
            ``[num_pairs]``, target and precision of the observation.
        """
        removed = weight.unsqueeze(1) * _outer_upper(x)
        return Gaussians(self.precision[index] - removed, self.shift[index] - (weight * y).unsqueeze(1) * x)

    def _cholesky_blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(self.shift), BLOCK_SIZE):
            rows = slice(start, min(start + BLOCK_SIZE, len(self.shift)))
            try:
                root = torch.linalg.cholesky(_unpack_symmetric(self.precision[rows], self.shift.size(1)))
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                raise DataError(
                    "the rating head has a precision matrix that is not positive definite; fit it again"
                ) from None
            yield rows, root


def conditional_posterior(
    adjacency: Adjacency,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    prior_mean: Tensor,
    prior_precision: Tensor,
    *,
    transposed: bool = False,
) -> Gaussians:
    r"""Return the posterior of each row's factors given the factors of its columns.

    With :math:`y_{rc} = v_r \cdot x_c + \epsilon`, noise of precision :math:`w_{rc}` and the prior
    :math:`v_r \sim N(m_r, \Lambda^{-1})`, the factors :math:`v_r` are Gaussian with (Salakhutdinov & Mnih 2008, eq. 11)

    .. math:: A_r = \Lambda + \sum_c w_{rc} x_c x_c^T, \qquad
              \bar v_r = A_r^{-1} \left(\Lambda m_r + \sum_c w_{rc} y_{rc} x_c\right)

    Parameters
    ----------
    adjacency : Adjacency
        Observed pairs of rows and columns.
    x : Tensor
        ``[num_cols, dim]``, factors of the columns.
    y, weight : Tensor
        ``[num_edges]``, targets and their precisions.
    prior_mean : Tensor
        ``[num_rows, dim]``, :math:`m_r`.
    prior_precision : Tensor
        ``[dim, dim]``, :math:`\Lambda`.
    transposed : bool
        Swap the roles of rows and columns.

    Returns
    -------
    Gaussians
        One per row.
    """
    product = adjacency.matmul_transposed if transposed else adjacency.matmul
    upper = torch.triu_indices(x.size(1), x.size(1))
    gram = product(weight, _outer_upper(x))  # [num_rows, dim * (dim + 1) / 2]
    precision = gram + prior_precision[upper[0], upper[1]]
    return Gaussians(precision, product(weight * y, x) + prior_mean @ prior_precision)


def standard_normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Return standard normal samples, float32."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def regressors(factors: Tensor) -> Tensor:
    """Return factors as regressors of the other side: the first column, a bias, is replaced by ones."""
    return torch.cat([torch.ones_like(factors[:, :1]), factors[:, 1:]], dim=1)


def _outer_upper(x: Tensor) -> Tensor:
    """Return the upper triangles of the outer products, ``[n, dim * (dim + 1) / 2]``."""
    upper = torch.triu_indices(x.size(1), x.size(1))
    return x[:, upper[0]] * x[:, upper[1]]


def _cholesky_solve(root: Tensor, right: Tensor) -> Tensor:
    return torch.cholesky_solve(right.unsqueeze(2), root).squeeze(2)


def _unpack_symmetric(packed: Tensor, dim: int) -> Tensor:
    upper = torch.triu_indices(dim, dim)
    full = packed.new_empty(len(packed), dim, dim)
    full[:, upper[0], upper[1]] = packed
    full[:, upper[1], upper[0]] = packed
    return full


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    r"""Linear regression of factors on features, :math:`v \sim N(W^T f, \Lambda^{-1})`; the prior of one side.

    Attributes
    ----------
    weight : Tensor
        ``[num_features, dim]``, :math:`W`.
    precision : Tensor
        ``[dim, dim]``, :math:`\Lambda`.
    """

    weight: Tensor
    precision: Tensor

    @classmethod
    def sample(cls, features: Tensor, factors: Tensor, reg: float, rng: np.random.Generator) -> LinearGaussian:
        r"""Sample from the posterior given features ``[n, num_features]`` and factors ``[n, dim]``.

        With a normal-Wishart prior on :math:`(W, \Lambda)`, :math:`K = F^T F + \lambda I` and
        :math:`M = K^{-1} F^T V`:

        .. math:: \Lambda \sim \mathcal{W}((V^T V - M^T K M + S_0)^{-1}, n + d + 1), \qquad
                  W \sim M + K^{-1/2} E \, \Lambda^{-1/2}
        """
        gram, mean, scatter = _normal_wishart(features, factors, reg)
        dim = factors.size(1)
        scale = torch.linalg.cholesky(torch.linalg.inv(scatter))
        bartlett = torch.tril(standard_normal(rng, dim, dim), -1).double()
        freedom = len(factors) + dim + 1 - np.arange(dim)
        precision = scale @ (bartlett + torch.diag(torch.from_numpy(rng.chisquare(freedom) ** 0.5)))
        precision = precision @ precision.T
        noise = torch.linalg.solve_triangular(
            torch.linalg.cholesky(gram).T, standard_normal(rng, *mean.shape).double(), upper=True
        )
        noise = torch.linalg.solve_triangular(torch.linalg.cholesky(precision).T, noise.T, upper=True).T
        return cls((mean + noise).float(), precision.float())

    @classmethod
    def fit(cls, features: Tensor, factors: Tensor, reg: float, row_weight: Tensor | None = None) -> LinearGaussian:
        """Return the mean of the distribution that `sample` draws from.

        `row_weight` ``[n]`` weights the observations, relative to its mean.
        """
        root = torch.ones(()) if row_weight is None else (row_weight / row_weight.mean()).sqrt().unsqueeze(1)
        _, mean, scatter = _normal_wishart(root * features, root * factors, reg)
        freedom = len(factors) + factors.size(1) + 1
        return cls(mean.float(), (torch.linalg.inv(scatter) * freedom).float())


@dataclass(frozen=True, eq=False)
class GibbsState:
    """All latent variables at one step of the chain. The first column of the factors is the bias."""

    movie_factors: Tensor  # [num_movies, 1 + embedding_dim]
    user_factors: Tensor  # [num_users, 1 + embedding_dim]
    movie_prior: LinearGaussian
    user_prior: LinearGaussian
    noise_precision: float


class GibbsSampler:
    r"""Gibbs sampler of biased matrix factorization whose priors are regressions on features.

    .. math:: y_{ui} = b_u + b_i + q_i \cdot z_u + \epsilon, \qquad
              (b_u, z_u) \sim N(W_u^T f_u, \Lambda_u^{-1}), \qquad (b_i, q_i) \sim N(W_i^T f_i, \Lambda_i^{-1})

    Parameters
    ----------
    adjacency : Adjacency
        Rated pairs; rows are users and columns are movies.
    y : Tensor
        ``[num_edges]``, ratings standardized to mean 0 and variance 1.
    user_features, movie_features : Tensor
        ``[num_users, num_user_features]`` and ``[num_movies, num_movie_features]``.
    embedding_dim : int
        Number of factors, not counting the bias.
    reg : float
        :math:`\lambda` of both regressions.
    rng : numpy.random.Generator
        Source of all random numbers.
    """

    def __init__(
        self,
        adjacency: Adjacency,
        y: Tensor,
        user_features: Tensor,
        movie_features: Tensor,
        embedding_dim: int,
        reg: float,
        rng: np.random.Generator,
    ) -> None:
        self.adjacency, self.y = adjacency, y
        self.user_features, self.movie_features = user_features, movie_features
        self.embedding_dim, self.reg, self.rng = embedding_dim, reg, rng
        user_degree, self.movie_degree = adjacency.degrees()
        self.user_has_ratings, self.movie_has_ratings = user_degree > 0, self.movie_degree > 0

    def initial_state(self) -> GibbsState:
        """Return small random factors without biases."""
        scale = (INITIAL_EXPLAINED_VARIANCE / self.embedding_dim) ** 0.25  # scale of each factor
        features = self.movie_features, self.user_features
        factors = [0.3 * scale * standard_normal(self.rng, len(x), 1 + self.embedding_dim) for x in features]
        for side in factors:
            side[:, 0] = 0
        precision = torch.eye(1 + self.embedding_dim) / scale**2
        priors = [LinearGaussian(torch.zeros(x.size(1), 1 + self.embedding_dim), precision) for x in features]
        return GibbsState(factors[0], factors[1], priors[0], priors[1], 1 / (1 - 2 * INITIAL_EXPLAINED_VARIANCE))

    def step(self, state: GibbsState) -> GibbsState:
        """Sample movies, users, priors and noise in turn, each given the latest values of the others."""
        row, col = self.adjacency.row, self.adjacency.col
        weight = torch.full_like(self.y, state.noise_precision)
        movies = conditional_posterior(
            self.adjacency, regressors(state.user_factors), self.y - state.user_factors[row, 0], weight,
            self.movie_features @ state.movie_prior.weight, state.movie_prior.precision, transposed=True,
        ).sample(self.rng)  # fmt: skip
        users = conditional_posterior(
            self.adjacency, regressors(movies), self.y - movies[col, 0], weight,
            self.user_features @ state.user_prior.weight, state.user_prior.precision,
        ).sample(self.rng)  # fmt: skip
        product = self.adjacency.edge_scores(users[:, 1:].contiguous(), movies[:, 1:].contiguous())
        error = (self.y - users[row, 0] - movies[col, 0] - product).double()
        squared_error = float(error @ error) + MIN_NOISE_VARIANCE * len(error)
        # Without ratings, factors are samples of the prior itself and would only add noise to its regression.
        rated_movies, rated_users = self.movie_has_ratings, self.user_has_ratings
        return GibbsState(
            movies,
            users,
            LinearGaussian.sample(self.movie_features[rated_movies], movies[rated_movies], self.reg, self.rng),
            LinearGaussian.sample(self.user_features[rated_users], users[rated_users], self.reg, self.rng),
            self.rng.gamma(len(error) / 2) * 2 / squared_error,
        )


def _normal_wishart(features: Tensor, factors: Tensor, reg: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return gram, mean and scatter of the normal-Wishart posterior, in float64."""
    f, v = features.double(), factors.double()
    gram = ridge_gram(f, reg)
    mean = torch.linalg.solve(gram, f.T @ v)
    scatter = v.T @ v - mean.T @ gram @ mean
    dim = v.size(1)
    return gram, mean, (scatter + scatter.T) / 2 + PRIOR_VARIANCE * dim * torch.eye(dim, dtype=f.dtype)
