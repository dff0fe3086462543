"""Baselines of rating prediction: biases, matrix factorization, and attention over the user's history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.counts import check_grown
from gnnrec.models.sequential import columns
from gnnrec.ratings.base import RatingPredictor, check_ratings, find_ratings
from gnnrec.ratings.bayesian_mf import conditional_posterior, regressors, standard_normal
from gnnrec.training.loop import OptimizerConfig, Watch, batches, check_at_least, frozen, seeded, train

CHUNK_SIZE = 32_768
"""Pairs that `HistoryAttention` predicts at once; each has an attention weight for every rating of the history."""

ATTENTION_OPTIMIZER = OptimizerConfig(epochs=60, learning_rate=2e-3, batch_size=32, weight_decay=0.1)
"""Default optimization of `HistoryAttention`; a batch is a number of users."""

BIAS_SHRINKAGE = 10.0
"""Pseudo-count of ratings that shrinks the biases of `HistoryAttention` to 0."""


@dataclass(frozen=True, eq=False)
class Biases(RatingPredictor):
    r"""Global mean plus movie and user biases (Koren et al. 2009, "Matrix factorization techniques", eq. 3).

    .. math:: \hat r_{ui} = \mu + b_i + b_u, \qquad
              b_i = \frac{\sum_u (r_{ui} - \mu - b_u)}{n_i + \lambda_i}, \qquad
              b_u = \frac{\sum_i (r_{ui} - \mu - b_i)}{n_u + \lambda_u}

    An infinite :math:`\lambda` removes a bias: without user biases the predictions are the movie means, without both
    the global mean.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    mean : Tensor
        Mean of the training ratings.
    rating_range : tuple of float
        Lowest and highest training rating.
    movie_bias : Tensor
        ``[num_movies]``.
    user_reg : float
        :math:`\lambda_u`.
    """

    graph: Graph
    mean: Tensor
    rating_range: tuple[float, float]
    movie_bias: Tensor
    user_reg: float
    name = "biases"

    @classmethod
    def fit(cls, graph: Graph, *, movie_reg: float = 3.0, user_reg: float = 6.0, epochs: int = 10) -> Self:
        r"""Fit both biases alternately.

        Parameters
        ----------
        graph : Graph
            Graph with ratings.
        movie_reg, user_reg : float
            :math:`\lambda_i` and :math:`\lambda_u`, at least 0.
        epochs : int
            Number of alternations.
        """
        check_ratings(graph.dataset)
        check_at_least(0, movie_reg=movie_reg, user_reg=user_reg)
        check_at_least(1, epochs=epochs)
        users, mean = graph.users, graph.users.rating.mean()
        movie_bias, user_bias = torch.zeros(graph.num_movies), torch.zeros(graph.num_users)
        for _ in range(epochs):
            residual = users.rating - mean - user_bias[users.user_index]
            movie_bias = _shrunk_means(users.movie_index, residual, graph.num_movies, movie_reg)
            residual = users.rating - mean - movie_bias[users.movie_index]
            user_bias = _shrunk_means(users.user_index, residual, graph.num_users, user_reg)
        return cls(graph, mean, _rating_range(users), movie_bias, user_reg)

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        residual = users.rating - self.mean - self.movie_bias[users.movie_index]
        total = residual.new_zeros(users.num_users).index_add_(0, users.user_index, residual)[user_index]
        count = torch.bincount(users.user_index, minlength=users.num_users)[user_index].float()
        own_rating = find_ratings(users, user_index, movie_index)
        if (rated := own_rating >= 0).any():
            total = total.masked_scatter(rated, total[rated] - residual[own_rating[rated]])
            count = count - rated.float()
        user_bias = total / (count + self.user_reg) if self.user_reg else total / count.clamp(min=1)
        return (self.mean + self.movie_bias[movie_index] + user_bias).clamp(*self.rating_range)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`; added movies have a bias of 0."""
        num_added = graph.num_movies - len(self.movie_bias)
        return replace(self, graph=graph, movie_bias=nn.functional.pad(self.movie_bias, (0, num_added)))


@dataclass(frozen=True, eq=False)
class BiasedMF(RatingPredictor):
    r"""Biased matrix factorization (Koren et al. 2009, eq. 5) by alternating least squares.

    .. math:: \min \sum_{u,i} (r_{ui} - \mu - b_u - b_i - q_i \cdot p_u)^2
              + \lambda (\sum_u |p_u|^2 + \sum_i |q_i|^2) + \lambda_b (\sum_u b_u^2 + \sum_i b_i^2)

    User factors are recomputed from the user's ratings at prediction time, so new users need no retraining.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    mean : Tensor
        Mean of the training ratings.
    rating_range : tuple of float
        Lowest and highest training rating.
    movie_factors : Tensor
        ``[num_movies, 1 + embedding_dim]``, bias first.
    penalty : Tensor
        ``[1 + embedding_dim, 1 + embedding_dim]``, diagonal matrix of :math:`\lambda_b` and :math:`\lambda`.
    """

    graph: Graph
    mean: Tensor
    rating_range: tuple[float, float]
    movie_factors: Tensor
    penalty: Tensor
    name = "biased MF"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        *,
        embedding_dim: int = 16,
        reg: float = 12.0,
        bias_reg: float = 4.0,
        epochs: int = 15,
        seed: int = 0,
    ) -> Self:
        r"""Solve for user and movie factors alternately.

        Parameters
        ----------
        graph : Graph
            Graph with ratings.
        embedding_dim : int
            Number of factors.
        reg, bias_reg : float
            :math:`\lambda` and :math:`\lambda_b`, above 0.
        epochs : int
            Number of alternations.
        seed : int
            Random seed of the initial movie factors.
        """
        check_ratings(graph.dataset)
        check_at_least(1, embedding_dim=embedding_dim, epochs=epochs)
        for name, value in {"reg": reg, "bias_reg": bias_reg}.items():
            if not value > 0:
                raise ConfigError(f"{name} must be above 0, not {value}")
        users, rng = graph.users, np.random.default_rng(seed)
        y = users.rating - users.rating.mean()
        penalty = torch.diag(torch.tensor([bias_reg, *[reg] * embedding_dim]))
        movie_factors = 0.1 * standard_normal(rng, graph.num_movies, 1 + embedding_dim)
        weight = torch.ones_like(y)
        user_prior, movie_prior = torch.zeros(graph.num_users, 1 + embedding_dim), torch.zeros_like(movie_factors)
        for _ in range(epochs):
            residual = y - movie_factors[users.movie_index, 0]
            user_factors = conditional_posterior(
                users.user_movie, regressors(movie_factors), residual, weight, user_prior, penalty
            ).mean()
            residual = y - user_factors[users.user_index, 0]
            movie_factors = conditional_posterior(
                users.user_movie, regressors(user_factors), residual, weight, movie_prior, penalty, transposed=True
            ).mean()
        return cls(graph, users.rating.mean(), _rating_range(users), movie_factors, penalty)

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        residual = users.rating - self.mean - self.movie_factors[users.movie_index, 0]
        prior = torch.zeros(users.num_users, self.movie_factors.size(1))
        x = regressors(self.movie_factors)
        posterior = conditional_posterior(users.user_movie, x, residual, torch.ones_like(residual), prior, self.penalty)
        predicted = self.movie_factors[movie_index, 0] + (posterior.mean()[user_index] * x[movie_index]).sum(1)
        own_rating = find_ratings(users, user_index, movie_index)
        if len(rated := torch.nonzero(own_rating >= 0).squeeze(1)):
            movie = movie_index[rated]
            without_own = posterior.without_observation(
                user_index[rated], x[movie], residual[own_rating[rated]], torch.ones(len(rated))
            )
            predicted[rated] = self.movie_factors[movie, 0] + (without_own.mean() * x[movie]).sum(1)
        return (self.mean + predicted).clamp(*self.rating_range)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`; the factors of added movies are 0."""
        num_added = graph.num_movies - len(self.movie_factors)
        return replace(self, graph=graph, movie_factors=nn.functional.pad(self.movie_factors, (0, 0, 0, num_added)))


class AttentionNetwork(nn.Module):
    """Predicts ratings of candidate movies from the rated ones; the candidate's own rating is masked."""

    def __init__(self, num_movies: int, embedding_dim: int, mean: float, bias: Tensor) -> None:
        super().__init__()
        self.num_movies, self.mean = num_movies, mean
        self.embedding = nn.Embedding(num_movies + 1, embedding_dim, padding_idx=num_movies)
        self.bias = nn.Parameter(torch.cat([bias, torch.zeros(1)]))
        nn.init.normal_(self.embedding.weight[:num_movies], std=0.1)
        self.query, self.key, self.implicit_value, self.rating_value, self.output = (
            nn.Linear(embedding_dim, embedding_dim, bias=False) for _ in range(5)
        )

    def movie_bias(self, movies: Tensor) -> Tensor:
        """Return the biases of movies; the gradient of an embedding does not depend on the number of threads."""
        bias: Tensor = nn.functional.embedding(movies, self.bias.unsqueeze(1)).squeeze(-1)
        return bias

    def forward(self, history: Tensor, rating: Tensor, candidates: Tensor, own: Tensor) -> Tensor:
        """Return the predicted ratings ``[num_users, num_candidates]``.

        Parameters
        ----------
        history, rating : Tensor
            ``[num_users, length]``, rated movies (`num_movies` is padding) and their ratings.
        candidates : Tensor
            ``[num_users or 1, num_candidates]``, movies to predict.
        own : Tensor
            ``[num_users, length]``, index of the candidate that each rated movie equals; any index for padding.
        """
        is_movie = (history < self.num_movies).float()
        residual = (rating - self.mean - self.movie_bias(history)) * is_movie  # [num_users, length]
        x, candidate = self.embedding(history), self.embedding(candidates)
        value = self.rating_value(x) * residual.unsqueeze(2) + self.implicit_value(x)  # [num_users, length, dim]
        # One more position with logit 0 and value 0 takes the attention when no part of the history is relevant.
        key, value, mask = (
            nn.functional.pad(part, (0, 0, 0, 1)) for part in (self.key(x), value, is_movie.unsqueeze(2))
        )
        mask[:, -1] = 1.0
        query = (self.query(candidate) / x.size(2) ** 0.5).expand(len(history), -1, -1)
        weight = torch.baddbmm(mask.mT.log(), query, key.mT)  # [num_users, num_candidates, length + 1]
        weight = weight.scatter(1, own.unsqueeze(1), -torch.inf).softmax(2)
        total = residual.sum(1, keepdim=True).expand(-1, query.size(1)).scatter_add(1, own, -residual)
        count = is_movie.sum(1, keepdim=True).expand(-1, query.size(1)).scatter_add(1, own, -is_movie)
        user_bias = total / (count + BIAS_SHRINKAGE)  # [num_users, num_candidates]
        interaction: Tensor = (self.output(candidate) * (weight @ value)).sum(2)
        return self.mean + self.movie_bias(candidates) + user_bias + interaction


def history_windows(users: UserBatch, edges: Tensor, num_movies: int, length: int) -> tuple[Tensor, Tensor]:
    """Return movies and ratings ``[num_users, length]`` of each user's last `edges`; `num_movies` is padding."""
    edges = edges[users.movie_index[edges] < num_movies]  # movies added after training have no embedding
    row = users.user_index[edges]
    column = columns(row, users.num_users, length)
    row, column, edges = row[column >= 0], column[column >= 0], edges[column >= 0]
    movie = torch.full((users.num_users, length), num_movies)
    rating = torch.zeros(users.num_users, length)
    movie[row, column], rating[row, column] = users.movie_index[edges], users.rating[edges]
    return movie, rating


@dataclass(frozen=True, eq=False, repr=False)
class HistoryAttention(RatingPredictor):
    r"""Attention of the candidate movie over the user's rated movies.

    .. math::
        \hat r_{ui} = \mu + b_i + b_u + o_i \cdot \sum_{h \in H_u \setminus i}
        \alpha_{ih} \left( (r_{uh} - \mu - b_h) x_h + y_h \right), \; \alpha_{ih} \propto \exp(q_i \cdot k_h / \sqrt{d})

    This is asymmetric SVD (Koren, KDD 2008, eq. 13) with attention (Vaswani et al. 2017, eq. 1) in place of its
    uniform weights; :math:`b_u` is the shrunk mean of the user's residuals. All vectors are linear maps of one
    embedding per movie; there is no user table. The loss is the squared error of each rating given the user's other
    ratings.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    network : AttentionNetwork
        The trained network.
    length : int
        Number of latest ratings per user that are used.
    rating_range : tuple of float
        Lowest and highest training rating.
    """

    graph: Graph
    network: AttentionNetwork
    length: int
    rating_range: tuple[float, float]
    name = "history attention"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        *,
        embedding_dim: int = 32,
        length: int = 100,
        optimizer: OptimizerConfig = ATTENTION_OPTIMIZER,
        seed: int = 0,
        early_stopping: Watch | None = None,
        device: str = "cpu",
    ) -> Self:
        """Train on the ratings of `graph`.

        Parameters
        ----------
        graph : Graph
            Graph with ratings.
        embedding_dim : int
            Width of the movie embeddings.
        length : int
            Maximum number of ratings per user: a new random subset in each training epoch, the latest at prediction.
        optimizer : OptimizerConfig
            Epochs, learning rate, batch size and weight decay.
        seed : int
            Random seed.
        early_stopping : Watch, optional
            Criterion for stopping early and for choosing the best epoch.
        device : str
            PyTorch device.
        """
        check_ratings(graph.dataset)
        check_at_least(1, embedding_dim=embedding_dim, length=length)
        users, mean = graph.users, float(graph.users.rating.mean())
        counts = torch.bincount(users.movie_index, minlength=graph.num_movies)
        sums = torch.bincount(users.movie_index, users.rating - mean, minlength=graph.num_movies)
        with seeded(seed) as generator:
            bias = sums / (counts + BIAS_SHRINKAGE)
            network = AttentionNetwork(graph.num_movies, embedding_dim, mean, bias).to(device)
            adam = optimizer.optimizer(network)

            def run_epoch() -> float:
                shuffle = torch.rand(len(users.user_index), generator=generator, dtype=torch.float64)
                history, rating = history_windows(users, (users.user_index + shuffle).argsort(), graph.num_movies, length)
                total = torch.zeros((), device=device)
                for nodes in batches(graph.num_users, optimizer.batch_size, generator):
                    is_movie = (history[nodes] < graph.num_movies).to(device)
                    movies, target = history[nodes].to(device), rating[nodes].to(device)
                    own = torch.arange(length, device=device).expand_as(movies)
                    error = (network(movies, target, movies, own) - target)[is_movie]
                    if not len(error):
                        continue
                    loss = error.square().mean()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                    total += error.detach().square().sum()
                return total.item() / int((history < graph.num_movies).sum())

            rating_range = _rating_range(users)
            return train(
                run_epoch, lambda: cls(graph, frozen(network), length, rating_range), optimizer.epochs, early_stopping
            )

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`; the embeddings of added movies are 0."""
        num_movies, device = self.network.num_movies, self.network.bias.device
        # Distinct pairs; a user's candidates form one row, and column 0 is padding.
        keys = user_index * (num_movies + 1) + movie_index.clamp(max=num_movies)
        keys, pair = torch.unique(keys, return_inverse=True)
        row, movie = keys // (num_movies + 1), keys % (num_movies + 1)
        width = int(torch.bincount(row).max()) if len(row) else 0
        cell = row, columns(row, users.num_users, width) + 1
        candidates = torch.full((users.num_users, width + 1), num_movies)
        candidates[cell] = movie
        history, rating = history_windows(users, torch.arange(len(users.user_index)), num_movies, self.length)
        size = max(1, CHUNK_SIZE // (width + 1))
        parts = []
        with torch.no_grad():
            for batch in zip(*(torch.split(part, size) for part in (history, rating, candidates)), strict=True):
                movies, ratings, chunk = (part.to(device) for part in batch)
                # Rated movies that are no candidates point to column 0, which argmax returns if nothing matches.
                own = (movies.unsqueeze(2) == chunk.unsqueeze(1)).int().argmax(2)
                parts.append(self.network(movies, ratings, chunk, own).cpu())
        return torch.cat(parts)[cell][pair].clamp(*self.rating_range)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def __repr__(self) -> str:
        return f"HistoryAttention({self.network.num_movies:,} movies)"


def _shrunk_means(group: Tensor, value: Tensor, num_groups: int, reg: float) -> Tensor:
    """Return the mean of each group after adding `reg` zeros to it."""
    total = value.new_zeros(num_groups).index_add_(0, group, value)
    count = torch.bincount(group, minlength=num_groups)
    return torch.zeros(num_groups) if reg == inf else total / (count + reg).clamp(min=1e-12)


def _rating_range(users: UserBatch) -> tuple[float, float]:
    return users.rating.min().item(), users.rating.max().item()
