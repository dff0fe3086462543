"""Mult-VAE and RecVAE: their objectives on hand-made input, annealing, the composite prior, alternating updates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributions

from gnnrec import ConfigError, Dataset, NewUser
from gnnrec.graph import Graph
from gnnrec.models import MultVAE, RecVAE, autoencoders
from gnnrec.models.autoencoders import (
    AutoencoderNetwork,
    MultVAEEncoder,
    RecVAEEncoder,
    composite_prior,
    multinomial_log_likelihood,
    sample,
    standard_kl,
)
from gnnrec.sparse import Adjacency
from tests.helpers.graphs import dataset_of

SMALL: dict[str, Any] = {"embedding_dim": 3, "hidden_dim": 4}
NUM_MOVIES = 6
HISTORIES = [[0, 1, 2, 5], [3], [1, 4]]


def histories() -> Adjacency:
    row, movie = dense().nonzero().T
    return Adjacency(row, movie, len(HISTORIES), NUM_MOVIES)


def dense() -> Tensor:
    x = torch.zeros(len(HISTORIES), NUM_MOVIES)
    for row, movies in zip(x, HISTORIES, strict=True):
        row[movies] = 1.0
    return x


def two_groups() -> Dataset:
    """Return users who rated all movies of their group of four but one."""
    user, movie = np.divmod(np.arange(16 * 8), 8)
    rated = (user % 2 == movie % 2) & (user // 2 % 4 != movie // 2)
    return dataset_of(user_id=user[rated], movie_id=movie[rated])


def network_of(estimator: MultVAE | RecVAE, seed: int = 0) -> AutoencoderNetwork:
    torch.manual_seed(seed)
    network = estimator.build_network(NUM_MOVIES)
    for weights in network.parameters():  # biases are zero and layer norms are one at first
        torch.nn.init.normal_(weights, std=0.5)
    return network


@pytest.fixture
def draws_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoders, "sample", lambda mean, log_variance: mean)


# Parts of the objectives


def test_the_multinomial_likelihood() -> None:
    """As in the authors' code: the sum of ``log_softmax(logits) * x``."""
    logits = torch.randn(3, NUM_MOVIES, generator=torch.Generator().manual_seed(0))
    expected = (logits.log_softmax(1) * dense()).sum(1)
    torch.testing.assert_close(multinomial_log_likelihood(logits, histories()), expected)
    counted = multinomial_log_likelihood(torch.zeros(3, NUM_MOVIES), histories())
    torch.testing.assert_close(counted, -math.log(6) * torch.tensor([4.0, 1.0, 2.0]))


def test_the_divergence_from_the_standard_gaussian() -> None:
    mean, log_variance = torch.tensor([[0.5, -1.0], [0.0, 0.0]]), torch.tensor([[0.2, -0.7], [0.0, 0.0]])
    q = distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = distributions.kl_divergence(q, distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(standard_kl(mean, log_variance), expected)
    assert standard_kl(mean, log_variance)[1] == 0


def test_draws_have_the_mean_and_the_variance() -> None:
    torch.manual_seed(0)
    log_variance = torch.tensor([0.0, math.log(4.0)], requires_grad=True)
    drawn = sample(torch.tensor([1.0, -2.0]).expand(40_000, 2), log_variance.expand(40_000, 2))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.var(0), torch.tensor([1.0, 4.0]), atol=0.1, rtol=0)
    assert drawn.requires_grad


def test_the_composite_prior_is_a_mixture_in_each_dimension() -> None:
    z = torch.tensor([[0.3, -2.0], [4.0, 40.0]])
    mean, log_variance = torch.tensor([[0.1, -1.0], [3.5, 0.0]]), torch.tensor([[-1.0, 0.5], [0.0, 1.0]])
    weights = (0.15, 0.75, 0.1)
    means = torch.stack([torch.zeros_like(z), mean, torch.zeros_like(z)], dim=-1)
    scales = torch.stack([torch.ones_like(z), (0.5 * log_variance).exp(), torch.full_like(z, math.exp(5))], dim=-1)
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(torch.tensor(weights)), distributions.Normal(means, scales)
    )
    torch.testing.assert_close(composite_prior(z, (mean, log_variance), weights), mixture.log_prob(z))


# The encoders


@pytest.mark.parametrize("cls", [MultVAEEncoder, RecVAEEncoder])
def test_histories_have_length_one(cls: Any) -> None:
    encoder = cls(NUM_MOVIES, 4, 3)
    torch.nn.init.normal_(encoder.bias)
    expected = dense() / dense().norm(dim=1, keepdim=True) @ encoder.movies + encoder.bias
    torch.testing.assert_close(encoder.first_layer(histories(), 0.0), expected)
    torch.manual_seed(0)
    drawn = torch.stack([encoder.first_layer(histories(), 0.5) for _ in range(4000)])
    torch.testing.assert_close(drawn.mean(0), expected, atol=0.06, rtol=0)
    assert drawn.std(0).min() > 0.01, "dropout of the history"


def test_the_network_of_mult_vae() -> None:
    network = network_of(MultVAE(**SMALL))
    encoder = network.encoder
    assert isinstance(encoder, MultVAEEncoder)
    hidden = torch.tanh(dense() / dense().norm(dim=1, keepdim=True) @ encoder.movies + encoder.bias)
    mean, log_variance = encoder(histories(), 0.0)
    torch.testing.assert_close(mean, encoder.mean(hidden))
    torch.testing.assert_close(log_variance, encoder.log_variance(hidden))
    torch.testing.assert_close(network.decode(mean), network.output(torch.tanh(network.hidden[0](mean))))  # type: ignore[index]
    assert [tuple(weights.shape) for weights in network.parameters()] == [
        (6, 4), (4,), (3, 4), (3,), (3, 4), (3,), (4, 3), (4,), (6, 4), (6,),
    ]  # fmt: skip


def test_the_network_of_recvae() -> None:
    """The encoder as the authors wrote it, and a decoder of one layer."""
    network = network_of(RecVAE(**SMALL))
    encoder = network.encoder
    assert isinstance(encoder, RecVAEEncoder)

    def swish(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    (fc2, fc3, fc4, fc5), (ln1, ln2, ln3, ln4, ln5) = encoder.layers, encoder.norms
    h1 = ln1(swish(dense() / dense().norm(dim=1, keepdim=True) @ encoder.movies + encoder.bias))
    h2 = ln2(swish(fc2(h1) + h1))
    h3 = ln3(swish(fc3(h2) + h1 + h2))
    h4 = ln4(swish(fc4(h3) + h1 + h2 + h3))
    h5 = ln5(swish(fc5(h4) + h1 + h2 + h3 + h4))
    mean, log_variance = encoder(histories(), 0.0)
    torch.testing.assert_close(mean, encoder.mean(h5))
    torch.testing.assert_close(log_variance, encoder.log_variance(h5))
    torch.testing.assert_close(network.decode(mean), mean @ network.output.weight.T + network.output.bias)
    assert all(norm.eps == 0.1 for norm in encoder.norms)


# Mult-VAE


@pytest.mark.usefixtures("draws_the_mean")
def test_the_objective_of_mult_vae() -> None:
    estimator = MultVAE(**SMALL, beta=0.3, anneal_epochs=0, dropout=0.0)
    network = network_of(estimator)
    mean, log_variance = network.encoder(histories(), 0.0)
    likelihood = (network.decode(mean).log_softmax(1) * dense()).sum(1)
    divergence = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
    expected = (0.3 * divergence - likelihood).mean().item()
    assert estimator.epochs_of(network, lambda: [histories()])() == pytest.approx(expected, rel=1e-5)


def test_annealing() -> None:
    estimator = MultVAE(beta=0.4, anneal_epochs=20)
    assert [estimator.beta_at(epoch) for epoch in (0, 5, 10.5, 20, 99)] == pytest.approx([0, 0.1, 0.21, 0.4, 0.4])
    assert MultVAE(beta=0.4, anneal_epochs=0).beta_at(0) == 0.4


def test_training_anneals(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a divergence of a million for everyone, the loss says how it is weighted: more from step to step."""
    monkeypatch.setattr(autoencoders, "standard_kl", lambda mean, log_variance: torch.full((len(mean),), 1e6))
    losses: list[float] = []
    monkeypatch.setattr(autoencoders, "step", lambda optimizer, loss: losses.append(loss.item()) or 0.0)
    run_epoch = MultVAE(**SMALL, beta=0.5, anneal_epochs=2).epochs_of(
        network_of(MultVAE(**SMALL)), lambda: [histories(), histories()]
    )
    for _ in range(3):
        run_epoch()
    assert [loss / 1e6 for loss in losses] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5], abs=1e-4)


# RecVAE


@pytest.mark.usefixtures("draws_the_mean")
def test_the_divergence_of_recvae_counts_by_the_size_of_the_history() -> None:
    estimator = RecVAE(**SMALL, gamma=0.02, dropout=0.0)
    network, old = network_of(estimator), network_of(estimator, seed=1).encoder
    mean, log_variance = network.encoder(histories(), 0.0)
    likelihood = (network.decode(mean).log_softmax(1) * dense()).sum(1)
    posterior = distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(mean)
    prior = composite_prior(mean, old(histories(), 0.0), (0.15, 0.75, 0.1))
    beta = 0.02 * torch.tensor([4.0, 1.0, 2.0])
    expected = (beta * (posterior - prior).sum(1) - likelihood).mean()
    torch.testing.assert_close(estimator.encoder_loss(network, old, histories()), expected)
    unweighted = RecVAE(**SMALL, gamma=0.0, dropout=0.0).encoder_loss(network, old, histories())
    torch.testing.assert_close(unweighted, -likelihood.mean())
    torch.testing.assert_close(estimator.decoder_loss(network, histories()), -likelihood.mean())


def weights_of(module: torch.nn.Module) -> Tensor:
    return torch.cat([weights.detach().flatten().clone() for weights in module.parameters()])


def test_recvae_trains_encoder_and_decoder_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = RecVAE(**SMALL, encoder_passes=3, decoder_passes=2, dropout=0.4)
    network = network_of(estimator)
    encoder, decoder = network.encoder, network.output
    changed: list[str] = []
    seen: list[float] = []
    old_weights: list[Tensor] = []
    step: Callable[..., float] = autoencoders.step

    def recorded_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
        before = weights_of(encoder), weights_of(decoder)
        value = step(optimizer, loss)
        moved = (not torch.equal(was, weights_of(m)) for was, m in zip(before, (encoder, decoder), strict=True))
        changed.append({(True, False): "encoder", (False, True): "decoder"}.get(tuple(moved), "both"))  # type: ignore[call-overload]
        return value

    def recorded_loss(self: RecVAE, of: AutoencoderNetwork, old: torch.nn.Module, history: Adjacency) -> Tensor:
        old_weights.append(weights_of(old))
        return encoder_loss(self, of, old, history)

    encoder_loss = RecVAE.encoder_loss
    monkeypatch.setattr(autoencoders, "step", recorded_step)
    monkeypatch.setattr(RecVAE, "encoder_loss", recorded_loss)
    at_start = weights_of(encoder)
    run_epoch = estimator.epochs_of(network, lambda: [histories()])
    encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[1]))
    run_epoch()
    assert changed == ["encoder"] * 3 + ["decoder"] * 2
    assert seen == [0.4] * 3 + [0.0] * 2, "the decoder is trained on complete histories"
    after_first = weights_of(encoder)
    run_epoch()
    # The prior is the encoder at the end of the epoch before, in all passes of an epoch.
    assert all(torch.equal(weights, at_start) for weights in old_weights[:3])
    assert all(torch.equal(weights, after_first) for weights in old_weights[3:])
    assert not torch.equal(at_start, after_first)
    assert all(weights.requires_grad for weights in network.parameters())


@pytest.mark.parametrize("weights", [(0.5, 0.5, 0.0), (0.5, 0.5, 0.5), (0.2, 0.9, -0.1)])
def test_prior_weights_are_shares(weights: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="prior_weights must be three numbers above 0 that sum to 1, not"):
        RecVAE(prior_weights=weights)


# Fitted models


@pytest.mark.parametrize("cls", [MultVAE, RecVAE])
def test_groups_are_learned(cls: Any) -> None:
    model = cls(embedding_dim=4, hidden_dim=8, epochs=60, learning_rate=0.02).fit(two_groups())
    missing = [2 * (user // 2 % 4) + user % 2 for user in range(16)]
    assert model.recommend(list(range(16)), k=1)["movie_id"].tolist() == missing
    assert model.recommend({1: 5, 3: 5}, k=2)["movie_id"].sort_values().tolist() == [5, 7]  # a new user
    assert model.history[-1]["loss"] < model.history[0]["loss"]


@pytest.mark.parametrize("cls", [MultVAE, RecVAE])
def test_scores_use_the_mean_and_no_dropout(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cls(**SMALL, epochs=2).fit(two_groups())
    users = model.graph.users
    scores = model.score(users)
    mean, _ = model.network.encoder(users.user_movie, 0.0)
    torch.testing.assert_close(scores, model.network.decode(mean))
    assert torch.equal(scores, model.score(users))
    monkeypatch.setattr(autoencoders, "CHUNK", 5)
    torch.testing.assert_close(model.score(users), scores)
    empty = model.score(model.graph.user_batch(torch.tensor([], dtype=torch.int64)))
    assert tuple(empty.shape) == (0, 8)
    assert np.isfinite(model.recommend(NewUser(), k=8)["score"]).all(), "a user without ratings"


@pytest.mark.parametrize("cls", [MultVAE, RecVAE])
def test_users_without_ratings_are_not_trained_on(cls: Any) -> None:
    dataset = two_groups()
    more = Dataset(dataset.ratings, users=dataset_of(user_id=range(40), movie_id=[0] * 40).users)
    graphs = [Graph.from_dataset(one) for one in (dataset, more)]
    assert [graph.num_users for graph in graphs] == [16, 40]
    one, other = (cls(**SMALL, epochs=2).fit(data) for data in (dataset, more))
    torch.testing.assert_close(one.score(graphs[0].users), other.score(graphs[0].users))


def test_unusable_devices() -> None:
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used"):
        MultVAE(device="quantum").fit(two_groups())
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used"):
        MultVAE(**SMALL, epochs=1).fit(two_groups()).to("quantum")
