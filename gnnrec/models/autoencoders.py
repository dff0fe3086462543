"""Variational autoencoders of histories: Mult-VAE and RecVAE.

Nothing is stored per user: a history is encoded as a Gaussian, and its mean is decoded to a score of every movie. So
new users and new ratings need no training.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from gnnrec._torch import pick_device, rows_per_chunk
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import check_grown
from gnnrec.models.estimator import Estimator
from gnnrec.models.factorization import lowest_for_added, zeros_for_added
from gnnrec.registry import register_model
from gnnrec.sparse import Adjacency
from gnnrec.training.loop import FitRun, OptimizerConfig, batches, frozen, seeded, trained_users

CHUNK = 1024
"""Maximum number of users scored at a time; fewer with many movies."""
PATIENCE = 10
"""Epochs without a better validation metric before training stops: these models improve slowly and unevenly."""
WIDE_LOG_VARIANCE = 10.0
"""Logarithm of the variance of the wide Gaussian in the prior of RecVAE, as in the authors' code."""


def multinomial_log_likelihood(logits: Tensor, history: Adjacency) -> Tensor:
    r"""Return the log-likelihood of each history, ``[num_users]``: :math:`\sum_{i \in H_u} \log \pi_i`.

    :math:`\pi` is the softmax of the `logits`, ``[num_users, num_movies]`` (Liang et al. 2018, eq. 2).

    Examples
    --------
    >>> history = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 2]), num_rows=1, num_cols=3)
    >>> likelihood = multinomial_log_likelihood(torch.tensor([[0.25, 0.25, 0.5]]).log(), history)
    >>> round(likelihood.exp().item(), 4)  # 0.25 * 0.5
    0.125
    """
    log_share = logits[history.row, history.col] - logits.logsumexp(1)[history.row]
    return log_share.new_zeros(len(logits)).index_add(0, history.row, log_share)


def standard_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence of Gaussians ``[n, dim]`` from the standard one, ``[n]`` in nats.

    Examples
    --------
    >>> standard_kl(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(1)


def log_normal(z: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    """Return the logarithm of the density of a Gaussian, per dimension.

    Examples
    --------
    >>> log_normal(torch.tensor([1.0]), 0.0, 0.0)  # -0.5 - 0.5 * log(2 * pi)
    tensor([-1.4189])
    """
    log_variance = torch.as_tensor(log_variance)
    return -0.5 * (log_variance + math.log(2 * math.pi) + (z - mean).square() / log_variance.exp())


def composite_prior(z: Tensor, old: tuple[Tensor, Tensor], weights: tuple[float, float, float]) -> Tensor:
    """Return the log-density of the prior of RecVAE, ``[n, dim]`` (Shenbin et al. 2020, sec. 3.3).

    A mixture, in each dimension, of the standard Gaussian, the posterior of the previous epoch's encoder for the same
    history (`old`, mean and log-variance) and a wide Gaussian.

    Examples
    --------
    >>> z, zeros = torch.zeros(1, 1), torch.zeros(1, 1)
    >>> prior = composite_prior(z, (zeros, zeros), (0.15, 0.75, 0.1))
    >>> round(prior.exp().item(), 4)  # 0.9 / sqrt(2 * pi) + 0.1 / sqrt(2 * pi * e^10)
    0.3593
    """
    densities = log_normal(z, 0.0, 0.0), log_normal(z, *old), log_normal(z, 0.0, WIDE_LOG_VARIANCE)
    return torch.stack([d + math.log(w) for d, w in zip(densities, weights, strict=True)]).logsumexp(0)


def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Sample from Gaussians ``[n, dim]`` by the reparameterization trick."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()


class HistoryEncoder(nn.Module, ABC):
    """Encodes histories as Gaussians."""

    def __init__(self, num_movies: int, hidden_dim: int) -> None:
        super().__init__()
        # The first layer: one row per movie, because histories are sparse.
        self.movies = nn.Parameter(torch.empty(num_movies, hidden_dim))
        self.bias = nn.Parameter(torch.zeros(hidden_dim))
        nn.init.xavier_uniform_(self.movies)

    def first_layer(self, history: Adjacency, dropout: float) -> Tensor:
        """Return ``[num_users, hidden_dim]``: the layer applied to histories as vectors of length 1, after dropout."""
        length = history.degrees()[0].clamp(min=1).sqrt()
        value = nn.functional.dropout(1 / length[history.row], dropout)
        return history.matmul(value, self.movies) + self.bias

    @abstractmethod
    def forward(self, history: Adjacency, dropout: float) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, ``[num_users, embedding_dim]`` each."""


class AutoencoderNetwork(nn.Module):
    """An encoder of histories and a decoder, whose last layer has one row per movie."""

    def __init__(self, encoder: HistoryEncoder, hidden: nn.Module, output: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.hidden, self.output = encoder, hidden, output

    @property
    def num_movies(self) -> int:
        """Number of movies that the network was trained on."""
        return self.output.out_features

    def decode(self, z: Tensor) -> Tensor:
        """Return the logits of all movies, ``[num_users, num_movies]``."""
        logits: Tensor = self.output(self.hidden(z))
        return logits


def known_history(users: UserBatch, num_movies: int) -> Adjacency:
    """Return the histories of users without the movies beyond `num_movies`, which were added after training."""
    if users.num_movies == num_movies:
        return users.user_movie
    known = users.movie_index < num_movies
    return Adjacency(users.user_index[known], users.movie_index[known], users.num_users, num_movies)


@dataclass(frozen=True, eq=False, repr=False)
class AutoencoderModel(Recommender):
    """Fitted variational autoencoder. Movies added later get the lowest score.

    Attributes
    ----------
    graph : Graph
    network : AutoencoderNetwork
    estimator : AutoencoderEstimator
    """

    graph: Graph
    network: AutoencoderNetwork
    estimator: Estimator

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32, from the histories alone."""
        step = rows_per_chunk(self.graph.num_movies, CHUNK)
        parts = [users.slice(start, start + step) for start in range(0, users.num_users, step)] or [users]
        with torch.no_grad():
            return torch.cat([self._score(part) for part in parts])

    def _score(self, users: UserBatch) -> Tensor:
        history = known_history(users.to(self.network.output.weight.device), self.network.num_movies)
        mean, _ = self.network.encoder(history, 0.0)
        return lowest_for_added(self.network.decode(mean), self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def to(self, device: str) -> Self:
        """See `Recommender.to`."""
        moved = replace(self, network=copy.deepcopy(self.network).to(pick_device(device)))
        return moved.with_records(self.history, self.report)

    def similarity_embeddings(self) -> Tensor:
        """Return the last layer of the decoder, ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(self.network.output.weight, self.graph.num_movies)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return dict(self.network.state_dict())

    def __repr__(self) -> str:
        return f"AutoencoderModel({self.name}, {self.network.num_movies:,} movies)"


class AutoencoderEstimator(Estimator, OptimizerConfig):
    """Base of the variational autoencoders."""

    trains_in_epochs: ClassVar[bool] = True

    embedding_dim: int = Field(200, ge=1)
    """Dimension of the Gaussians."""
    hidden_dim: int = Field(600, ge=1)
    """Width of the hidden layers."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Fraction of each history that the encoder does not see in training."""
    batch_size: int = Field(500, ge=1)
    """Users per step."""
    seed: int = Field(0, ge=0)
    """Random seed."""
    device: str = "cpu"
    """PyTorch device."""

    @abstractmethod
    def build_network(self, num_movies: int) -> AutoencoderNetwork:
        """Return the untrained network."""

    @abstractmethod
    def epochs_of(self, network: AutoencoderNetwork, histories: Callable[[], list[Adjacency]]) -> Callable[[], float]:
        """Return a function that trains a network for one epoch and returns its mean loss.

        Parameters
        ----------
        network : AutoencoderNetwork
        histories : callable
            Returns the histories of all training users in random batches.
        """

    def fit_graph(self, graph: Graph, run: FitRun) -> AutoencoderModel:
        """See `Estimator.fit_graph`."""
        device = pick_device(self.device)
        active = torch.nonzero(trained_users(graph)).squeeze(1)
        with seeded(self.seed) as generator:
            network = self.build_network(graph.num_movies).to(device)

            def histories() -> list[Adjacency]:
                parts = batches(len(active), self.batch_size, generator)
                return [graph.user_batch(active[part]).to(device).user_movie for part in parts]

            return run.run_epochs(
                self.epochs_of(network, histories),
                lambda: AutoencoderModel(graph, frozen(network), self),
                self.epochs,
                PATIENCE,
            )

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> AutoencoderModel:
        """See `Estimator.restore`."""
        network = self.build_network(len(state["output.weight"]))
        network.load_state_dict(dict(state))
        return AutoencoderModel(graph, frozen(network), self)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Take one step down the gradient of a loss; return the loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class MultVAEEncoder(HistoryEncoder):
    """One hidden layer, then mean and log-variance."""

    def __init__(self, num_movies: int, hidden_dim: int, dim: int) -> None:
        super().__init__(num_movies, hidden_dim)
        self.mean, self.log_variance = (_linear(hidden_dim, dim) for _ in range(2))

    def forward(self, history: Adjacency, dropout: float) -> tuple[Tensor, Tensor]:
        """See `HistoryEncoder.forward`."""
        hidden = torch.tanh(self.first_layer(history, dropout))
        return self.mean(hidden), self.log_variance(hidden)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@register_model("mult-vae")
class MultVAE(AutoencoderEstimator):
    r"""Variational autoencoder with a multinomial likelihood (Liang et al., WWW 2018).

    Histories of length 1, with dropout, are encoded by one hidden layer as a Gaussian and decoded by another (the
    authors' network, ``I -> 600 -> 200 -> 600 -> I``). With :math:`x_u` the history, maximizes

    .. math:: E_{q(z | x_u)} [\log p(x_u | z)] - \beta \, \mathrm{KL}(q(z | x_u) \,\|\, N(0, I))

    (eq. 6), where :math:`\beta` rises linearly from 0 to its final value (sec. 2.2.2). Profiles and rating values are
    not used.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = MultVAE(embedding_dim=4, hidden_dim=8, epochs=60, learning_rate=0.02).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    beta: float = Field(0.2, ge=0)
    r"""Final weight :math:`\beta` of the KL divergence."""
    anneal_epochs: int = Field(50, ge=0)
    r"""Epochs in which :math:`\beta` rises to its final value; 0 starts there."""
    epochs: int = Field(100, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(1e-3, gt=0, le=1e30)
    """Learning rate of AdamW."""

    def build_network(self, num_movies: int) -> AutoencoderNetwork:
        """See `AutoencoderEstimator.build_network`."""
        encoder = MultVAEEncoder(num_movies, self.hidden_dim, self.embedding_dim)
        hidden = nn.Sequential(_linear(self.embedding_dim, self.hidden_dim), nn.Tanh())
        return AutoencoderNetwork(encoder, hidden, _linear(self.hidden_dim, num_movies))

    def beta_at(self, epoch: float) -> float:
        r"""Return :math:`\beta` after a (possibly fractional) number of epochs."""
        return self.beta * min(1.0, epoch / self.anneal_epochs) if self.anneal_epochs else self.beta

    def epochs_of(self, network: AutoencoderNetwork, histories: Callable[[], list[Adjacency]]) -> Callable[[], float]:
        """See `AutoencoderEstimator.epochs_of`."""
        optimizer = self.optimizer(network)
        epoch = 0

        def run_epoch() -> float:
            nonlocal epoch
            parts, total = histories(), 0.0
            for i, history in enumerate(parts):
                mean, log_variance = network.encoder(history, self.dropout)
                logits = network.decode(sample(mean, log_variance))
                beta = self.beta_at(epoch + i / len(parts))
                loss = (beta * standard_kl(mean, log_variance) - multinomial_log_likelihood(logits, history)).mean()
                total += step(optimizer, loss)
            epoch += 1
            return total / len(parts)

        return run_epoch


class RecVAEEncoder(HistoryEncoder):
    """Hidden layers that each see all earlier ones, with swish and layer normalization (Shenbin et al., sec. 3.2)."""

    def __init__(self, num_movies: int, hidden_dim: int, dim: int, num_layers: int = 5) -> None:
        super().__init__(num_movies, hidden_dim)
        self.layers = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(num_layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim, eps=0.1) for _ in range(num_layers))
        self.mean, self.log_variance = nn.Linear(hidden_dim, dim), nn.Linear(hidden_dim, dim)

    def forward(self, history: Adjacency, dropout: float) -> tuple[Tensor, Tensor]:
        """See `HistoryEncoder.forward`."""
        hidden = self.norms[0](nn.functional.silu(self.first_layer(history, dropout)))
        earlier = hidden
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            hidden = norm(nn.functional.silu(layer(hidden) + earlier))
            earlier = earlier + hidden
        return self.mean(hidden), self.log_variance(hidden)


@register_model("recvae")
class RecVAE(AutoencoderEstimator):
    r"""RecVAE (Shenbin et al., WSDM 2020): Mult-VAE with five changes.

    - The encoder is deeper (`RecVAEEncoder`), the decoder is one linear layer (sec. 3.2).
    - The prior :math:`p(z | x_u)` is a mixture with the encoder of the previous epoch (`composite_prior`, sec. 3.3).
    - The weight of the KL divergence is :math:`\beta_u = \gamma |x_u|`, with the size of the history (sec. 3.4).
    - Encoder and decoder are trained in turn (sec. 3.5): an epoch here is `encoder_passes` passes over all users for
      the encoder, then the prior takes its weights, then `decoder_passes` for the decoder.
    - Only the encoder is trained with dropout; the decoder sees complete histories (sec. 3.5).

    .. math:: E_{q(z | x_u)} [\log p(x_u | z) - \beta_u (\log q(z | x_u) - \log p(z | x_u))]

    with one draw of :math:`z` per history and step. Profiles and rating values are not used.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = RecVAE(embedding_dim=4, hidden_dim=8, epochs=60, learning_rate=0.02).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    gamma: float = Field(0.005, ge=0)
    r"""Weight :math:`\gamma` of the KL divergence per rating of the history."""
    prior_weights: tuple[float, float, float] = (0.15, 0.75, 0.1)
    """Shares of the standard Gaussian, the previous encoder and the wide Gaussian in the prior."""
    encoder_passes: int = Field(3, ge=1)
    """Passes over all users in which the encoder is trained, per epoch."""
    decoder_passes: int = Field(1, ge=1)
    """Passes over all users in which the decoder is trained, per epoch."""
    epochs: int = Field(50, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(5e-4, gt=0, le=1e30)
    """Learning rate of AdamW, for encoder and decoder."""

    @field_validator("prior_weights")
    @classmethod
    def _weights_are_shares(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0 or not math.isclose(sum(value), 1):
            raise ValueError(f"prior_weights must be three numbers above 0 that sum to 1, not {value}")
        return value

    def build_network(self, num_movies: int) -> AutoencoderNetwork:
        """See `AutoencoderEstimator.build_network`."""
        encoder = RecVAEEncoder(num_movies, self.hidden_dim, self.embedding_dim)
        return AutoencoderNetwork(encoder, nn.Identity(), nn.Linear(self.embedding_dim, num_movies))

    def encoder_loss(self, network: AutoencoderNetwork, old: nn.Module, history: Adjacency) -> Tensor:
        """Return the negative objective, averaged over users; `old` is the encoder of the previous epoch."""
        mean, log_variance = network.encoder(history, self.dropout)
        z = sample(mean, log_variance)
        prior = composite_prior(z, old(history, 0.0), self.prior_weights)
        divergence = (log_normal(z, mean, log_variance) - prior).sum(1)
        beta = self.gamma * history.degrees()[0]
        return (beta * divergence - multinomial_log_likelihood(network.decode(z), history)).mean()

    def decoder_loss(self, network: AutoencoderNetwork, history: Adjacency) -> Tensor:
        """Return the part of the negative objective that depends on the decoder, averaged over users."""
        with torch.no_grad():
            z = sample(*network.encoder(history, 0.0))
        return -multinomial_log_likelihood(network.decode(z), history).mean()

    def epochs_of(self, network: AutoencoderNetwork, histories: Callable[[], list[Adjacency]]) -> Callable[[], float]:
        """See `AutoencoderEstimator.epochs_of`; the loss is that of the encoder."""
        encoder, decoder = network.encoder, network.output
        optimizers = self.optimizer(encoder), self.optimizer(decoder)
        old = frozen(encoder)

        def run_epoch() -> float:
            losses = []
            decoder.requires_grad_(False)
            for _ in range(self.encoder_passes):
                losses += [step(optimizers[0], self.encoder_loss(network, old, part)) for part in histories()]
            decoder.requires_grad_(True)
            old.load_state_dict(encoder.state_dict())
            for _ in range(self.decoder_passes):
                for part in histories():
                    step(optimizers[1], self.decoder_loss(network, part))
            return sum(losses) / len(losses)

        return run_epoch
