"""The Gaussian computations behind the rating head, against explicit linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnrec.errors import DataError
from gnnrec.ratings import bayesian_mf
from gnnrec.ratings.bayesian_mf import Gaussians, LinearGaussian, conditional_posterior, standard_normal
from gnnrec.sparse import Adjacency


@pytest.mark.parametrize("block_size", [2, 100])
def test_conditional_posterior_solves_one_regression_per_row(block_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bayesian_mf, "BLOCK_SIZE", block_size)
    g = torch.Generator().manual_seed(0)
    row, col = torch.tensor([0, 0, 0, 2, 2, 3, 3, 3]), torch.tensor([0, 1, 4, 2, 1, 3, 0, 4])
    x, y, w = torch.randn(5, 3, generator=g), torch.randn(8, generator=g), torch.rand(8, generator=g) + 0.5
    prior, root = torch.randn(4, 3, generator=g), torch.randn(3, 3, generator=g)
    precision = root @ root.T + torch.eye(3)
    posterior = conditional_posterior(Adjacency(row, col, 4, 5), x, y, w, prior, precision)
    transposed = conditional_posterior(Adjacency(col, row, 5, 4), x, y, w, prior, precision, transposed=True)
    mean, samples = posterior.mean(), torch.stack([posterior.sample(np.random.default_rng(s)) for s in range(4000)])
    for r in range(4):
        own = row == r
        a = precision + (w[own, None] * x[col[own]]).T @ x[col[own]]
        expected = torch.linalg.solve(a, precision @ prior[r] + (w[own] * y[own]) @ x[col[own]])
        torch.testing.assert_close(mean[r], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(transposed.mean()[r], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(torch.cov(samples[:, r].T), torch.linalg.inv(a), atol=0.05, rtol=0.1)
        torch.testing.assert_close(samples[:, r].mean(0), expected, atol=0.05, rtol=0.05)


def test_without_observation() -> None:
    g = torch.Generator().manual_seed(0)
    row, col = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 2, 0])
    x, y, w = torch.randn(3, 2, generator=g), torch.randn(5, generator=g), torch.rand(5, generator=g) + 0.5
    prior = torch.randn(2, 2, generator=g), torch.eye(2)
    posterior = conditional_posterior(Adjacency(row, col, 2, 3), x, y, w, *prior)
    reduced = posterior.without_observation(row, x[col], y, w).mean()
    for edge in range(5):
        rest = torch.arange(5) != edge
        expected = conditional_posterior(Adjacency(row[rest], col[rest], 2, 3), x, y[rest], w[rest], *prior)
        torch.testing.assert_close(reduced[edge], expected.mean()[row[edge]], atol=1e-5, rtol=1e-5)


def test_a_precision_that_is_not_positive_definite_is_an_error() -> None:
    gaussians = Gaussians(torch.tensor([[1.0, 0.0, 1.0], [1.0, 2.0, 1.0]]), torch.ones(2, 2))
    with pytest.raises(DataError, match="a precision matrix that is not positive definite"):
        gaussians.mean()


def test_linear_gaussian_recovers_weight_and_precision() -> None:
    rng = np.random.default_rng(0)
    weight = torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.5, 0.5]])
    features = standard_normal(rng, 4000, 3)
    root = torch.tensor([[0.5, 0.0], [0.3, 0.2]])
    factors = features @ weight + standard_normal(rng, 4000, 2) @ root.T
    precision = torch.linalg.inv(root @ root.T)
    for fitted in (LinearGaussian.sample(features, factors, 1.0, rng), LinearGaussian.fit(features, factors, 1.0)):
        torch.testing.assert_close(fitted.weight, weight, atol=0.05, rtol=0)
        torch.testing.assert_close(fitted.precision, precision, atol=0, rtol=0.15)


def test_row_weight_two_equals_a_repeated_row() -> None:
    rng = np.random.default_rng(0)
    features, factors = standard_normal(rng, 400, 3), standard_normal(rng, 400, 2)
    repeated = LinearGaussian.fit(torch.cat([features, features[:200]]), torch.cat([factors, factors[:200]]), 1.5)
    row_weight = torch.ones(400)
    row_weight[:200] = 2  # relative to the mean of 1.5, which scales the penalty
    weighted = LinearGaussian.fit(features, factors, 1.0, row_weight)
    torch.testing.assert_close(weighted.weight, repeated.weight, atol=1e-5, rtol=1e-4)
