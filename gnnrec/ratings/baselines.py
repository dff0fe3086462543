"""Baselines of rating prediction: biases, matrix factorization, and attention over the user's history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnrec._torch import pick_device
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.counts import check_grown
from gnnrec.models.sequential import window_columns
from gnnrec.ratings.base import RatingPredictor, find_ratings
from gnnrec.ratings.bayesian_mf import conditional_posterior, regressors, standard_normal
from gnnrec.ratings.estimator import RatingEstimator
from gnnrec.training.loop import DEFAULT_PATIENCE, FitRun, OptimizerConfig, batches, frozen, seeded

CHUNK_SIZE = 32_768
"""Maximum number of pairs that `HistoryAttention` predicts at a time; each has attention weights for a history."""

BIAS_SHRINKAGE = 10.0
"""Pseudo-count of ratings that shrinks the biases of `HistoryAttention` to 0."""


class Biases(RatingEstimator):
    r"""Global mean plus movie and user biases (Koren et al. 2009, "Matrix factorization techniques", eq. 3).

    .. math:: \hat r_{ui} = \mu + b_i + b_u, \qquad
              b_i = \frac{\sum_u (r_{ui} - \mu - b_u)}{n_i + \lambda_i}, \qquad
              b_u = \frac{\sum_i (r_{ui} - \mu - b_i)}{n_u + \lambda_u}

    Both biases are fitted alternately. An infinite :math:`\lambda` removes a bias: without user biases the predictions
    are the movie means, without both the global mean.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> model = Biases(user_reg=float("inf")).fit(load_dataset("sample", num_users=60, num_movies=40))
    >>> model.name, tuple(model.movie_bias.shape)
    ('biases', (40,))
    """

    name: ClassVar[str] = "biases"

    movie_reg: float = Field(3.0, ge=0)
    r"""Pseudo-count of ratings that shrinks movie biases, :math:`\lambda_i`."""
    user_reg: float = Field(6.0, ge=0)
    r"""Pseudo-count of ratings that shrinks user biases, :math:`\lambda_u`."""
    epochs: int = Field(10, ge=1)
    """Number of alternations."""

    def fit_graph(self, graph: Graph, run: FitRun) -> BiasesModel:
        """See `RatingEstimator.fit_graph`."""
        users, mean = graph.users, graph.users.rating.mean()
        movie_bias, user_bias = torch.zeros(graph.num_movies), torch.zeros(graph.num_users)
        for _ in range(self.epochs):
            residual = users.rating - mean - user_bias[users.user_index]
            movie_bias = _shrunk_means(users.movie_index, residual, graph.num_movies, self.movie_reg)
            residual = users.rating - mean - movie_bias[users.movie_index]
            user_bias = _shrunk_means(users.user_index, residual, graph.num_users, self.user_reg)
        return BiasesModel(graph, self, mean, _rating_range(users), movie_bias)


@dataclass(frozen=True, eq=False)
class BiasesModel(RatingPredictor):
    """Fitted `Biases`. User biases are computed from the user's ratings at prediction time.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    estimator : Biases
        Hyperparameters.
    mean : Tensor
        Mean of the training ratings.
    rating_range : tuple of float
        Lowest and highest training rating.
    movie_bias : Tensor
        ``[num_movies]``.
    """

    graph: Graph
    estimator: Biases
    mean: Tensor
    rating_range: tuple[float, float]
    movie_bias: Tensor
    name = Biases.name

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        residual = users.rating - self.mean - self.movie_bias[users.movie_index]
        total = residual.new_zeros(users.num_users).index_add_(0, users.user_index, residual)[user_index]
        count = torch.bincount(users.user_index, minlength=users.num_users)[user_index].float()
        own_rating = find_ratings(users, user_index, movie_index)
        if (rated := own_rating >= 0).any():
            total = total.masked_scatter(rated, total[rated] - residual[own_rating[rated]])
            count = count - rated.float()
        reg = self.estimator.user_reg
        user_bias = total / (count + reg) if reg else total / count.clamp(min=1)
        return (self.mean + self.movie_bias[movie_index] + user_bias).clamp(*self.rating_range)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`; added movies have a bias of 0."""
        num_added = graph.num_movies - len(self.movie_bias)
        return replace(self, graph=graph, movie_bias=nn.functional.pad(self.movie_bias, (0, num_added)))


class BiasedMF(RatingEstimator):
    r"""Biased matrix factorization (Koren et al. 2009, eq. 5) by alternating least squares.

    .. math:: \min \sum_{u,i} (r_{ui} - \mu - b_u - b_i - q_i \cdot p_u)^2
              + \lambda (\sum_u |p_u|^2 + \sum_i |q_i|^2) + \lambda_b (\sum_u b_u^2 + \sum_i b_i^2)

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> BiasedMF(embedding_dim=4).fit(load_dataset("sample", num_users=60, num_movies=40)).movie_factors.shape
    torch.Size([40, 5])
    """

    name: ClassVar[str] = "biased MF"

    embedding_dim: int = Field(16, ge=1)
    """Number of factors."""
    reg: float = Field(12.0, gt=0)
    r"""Penalty of the factors, :math:`\lambda`."""
    bias_reg: float = Field(4.0, gt=0)
    r"""Penalty of the biases, :math:`\lambda_b`."""
    epochs: int = Field(15, ge=1)
    """Number of alternations."""
    seed: int = Field(0, ge=0)
    """Random seed of the initial movie factors."""

    @property
    def penalty(self) -> Tensor:
        r"""Diagonal matrix ``[1 + embedding_dim, 1 + embedding_dim]`` of :math:`\lambda_b` and :math:`\lambda`."""
        return torch.diag(torch.tensor([self.bias_reg, *[self.reg] * self.embedding_dim]))

    def fit_graph(self, graph: Graph, run: FitRun) -> BiasedMFModel:
        """See `RatingEstimator.fit_graph`."""
        users, rng = graph.users, np.random.default_rng(self.seed)
        y, penalty = users.rating - users.rating.mean(), self.penalty
        movie_factors = 0.1 * standard_normal(rng, graph.num_movies, 1 + self.embedding_dim)
        weight = torch.ones_like(y)
        user_prior, movie_prior = torch.zeros(graph.num_users, 1 + self.embedding_dim), torch.zeros_like(movie_factors)
        for _ in range(self.epochs):
            residual = y - movie_factors[users.movie_index, 0]
            user_factors = conditional_posterior(
                users.user_movie, regressors(movie_factors), residual, weight, user_prior, penalty
            ).mean()
            residual = y - user_factors[users.user_index, 0]
            movie_factors = conditional_posterior(
                users.user_movie, regressors(user_factors), residual, weight, movie_prior, penalty, transposed=True
            ).mean()
        return BiasedMFModel(graph, self, users.rating.mean(), _rating_range(users), movie_factors)


@dataclass(frozen=True, eq=False)
class BiasedMFModel(RatingPredictor):
    """Fitted `BiasedMF`. User factors are computed from the user's ratings at prediction time.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    estimator : BiasedMF
        Hyperparameters.
    mean : Tensor
        Mean of the training ratings.
    rating_range : tuple of float
        Lowest and highest training rating.
    movie_factors : Tensor
        ``[num_movies, 1 + embedding_dim]``, bias first.
    """

    graph: Graph
    estimator: BiasedMF
    mean: Tensor
    rating_range: tuple[float, float]
    movie_factors: Tensor
    name = BiasedMF.name

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        residual = users.rating - self.mean - self.movie_factors[users.movie_index, 0]
        prior = torch.zeros(users.num_users, self.movie_factors.size(1))
        x = regressors(self.movie_factors)
        weight, penalty = torch.ones_like(residual), self.estimator.penalty
        posterior = conditional_posterior(users.user_movie, x, residual, weight, prior, penalty)
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
    column = window_columns(row, users.num_users, length)
    row, column, edges = row[column >= 0], column[column >= 0], edges[column >= 0]
    movie = torch.full((users.num_users, length), num_movies)
    rating = torch.zeros(users.num_users, length)
    movie[row, column], rating[row, column] = users.movie_index[edges], users.rating[edges]
    return movie, rating


class HistoryAttention(RatingEstimator, OptimizerConfig):
    r"""Attention of the candidate movie over the user's rated movies.

    .. math::
        \hat r_{ui} = \mu + b_i + b_u + o_i \cdot \sum_{h \in H_u \setminus i}
        \alpha_{ih} \left( (r_{uh} - \mu - b_h) x_h + y_h \right), \; \alpha_{ih} \propto \exp(q_i \cdot k_h / \sqrt{d})

    This is asymmetric SVD (Koren, KDD 2008, eq. 13) with attention (Vaswani et al. 2017, eq. 1) in place of its
    uniform weights; :math:`b_u` is the shrunk mean of the user's residuals. All vectors are linear maps of one
    embedding per movie; there is no user embedding table. The loss is the squared error of each rating given the
    user's other ratings.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> HistoryAttention(embedding_dim=4, epochs=1).fit(load_dataset("sample", num_users=60, num_movies=40))
    HistoryAttentionModel(40 movies)
    """

    name: ClassVar[str] = "history attention"
    trains_in_epochs: ClassVar[bool] = True
    patience: ClassVar[int] = DEFAULT_PATIENCE

    embedding_dim: int = Field(32, ge=1)
    """Dimension of the movie embeddings."""
    length: int = Field(100, ge=1)
    """Maximum number of ratings per user: a new random subset in each training epoch, the latest at prediction."""
    epochs: int = Field(60, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(2e-3, gt=0)
    """Learning rate of AdamW."""
    batch_size: int = Field(32, ge=1)
    """Users per step."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay of AdamW."""
    seed: int = Field(0, ge=0)
    """Random seed."""
    device: str = "cpu"
    """PyTorch device."""

    def fit_graph(self, graph: Graph, run: FitRun) -> HistoryAttentionModel:
        """See `RatingEstimator.fit_graph`."""
        device, length = pick_device(self.device), self.length
        users, mean = graph.users, float(graph.users.rating.mean())
        counts = torch.bincount(users.movie_index, minlength=graph.num_movies)
        sums = torch.bincount(users.movie_index, users.rating - mean, minlength=graph.num_movies)
        with seeded(self.seed) as generator:
            bias = sums / (counts + BIAS_SHRINKAGE)
            network = AttentionNetwork(graph.num_movies, self.embedding_dim, mean, bias).to(device)
            optimizer = self.optimizer(network)

            def run_epoch() -> float:
                shuffle = torch.rand(len(users.user_index), generator=generator, dtype=torch.float64)
                order = (users.user_index + shuffle).argsort()
                history, rating = history_windows(users, order, graph.num_movies, length)
                total = torch.zeros((), device=device)
                for nodes in batches(graph.num_users, self.batch_size, generator):
                    is_movie = (history[nodes] < graph.num_movies).to(device)
                    movies, target = history[nodes].to(device), rating[nodes].to(device)
                    own = torch.arange(length, device=device).expand_as(movies)
                    error = (network(movies, target, movies, own) - target)[is_movie]
                    if not len(error):
                        continue
                    loss = error.square().mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += error.detach().square().sum()
                return total.item() / int((history < graph.num_movies).sum())

            rating_range = _rating_range(users)
            return run.run_epochs(
                run_epoch,
                lambda: HistoryAttentionModel(graph, self, frozen(network), rating_range),
                self.epochs,
                self.patience,
            )


@dataclass(frozen=True, eq=False, repr=False)
class HistoryAttentionModel(RatingPredictor):
    """Fitted `HistoryAttention`. The embeddings of added movies are 0.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings known to the model.
    estimator : HistoryAttention
        Hyperparameters.
    network : AttentionNetwork
        The trained network.
    rating_range : tuple of float
        Lowest and highest training rating.
    """

    graph: Graph
    estimator: HistoryAttention
    network: AttentionNetwork
    rating_range: tuple[float, float]
    name = HistoryAttention.name

    def predict(self, users: UserBatch, user_index: Tensor, movie_index: Tensor) -> Tensor:
        """See `RatingPredictor.predict`."""
        num_movies, device = self.network.num_movies, self.network.bias.device
        # Distinct pairs; a user's candidates form one row, and column 0 is padding.
        keys = user_index * (num_movies + 1) + movie_index.clamp(max=num_movies)
        keys, pair = torch.unique(keys, return_inverse=True)
        row, movie = keys // (num_movies + 1), keys % (num_movies + 1)
        width = int(torch.bincount(row).max()) if len(row) else 0
        cell = row, window_columns(row, users.num_users, width) + 1
        candidates = torch.full((users.num_users, width + 1), num_movies)
        candidates[cell] = movie
        history, rating = history_windows(users, torch.arange(len(users.user_index)), num_movies, self.estimator.length)
        size = max(1, CHUNK_SIZE // (width + 1))
        parts = []
        with torch.no_grad():
            for batch in zip(*(torch.split(part, size) for part in (history, rating, candidates)), strict=True):
                movies, ratings, chunk = (part.to(device) for part in batch)
                # Rated movies that are not candidates point to column 0, which argmax returns if nothing matches.
                own = (movies.unsqueeze(2) == chunk.unsqueeze(1)).int().argmax(2)
                parts.append(self.network(movies, ratings, chunk, own).cpu())
        return torch.cat(parts)[cell][pair].clamp(*self.rating_range)

    def with_graph(self, graph: Graph) -> Self:
        """See `RatingPredictor.with_graph`."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def __repr__(self) -> str:
        return f"HistoryAttentionModel({self.network.num_movies:,} movies)"


def _shrunk_means(group: Tensor, value: Tensor, num_groups: int, reg: float) -> Tensor:
    """Return the mean of each group after adding `reg` zeros to it."""
    total = value.new_zeros(num_groups).index_add_(0, group, value)
    count = torch.bincount(group, minlength=num_groups)
    return torch.zeros(num_groups) if reg == inf else total / (count + reg).clamp(min=1e-12)


def _rating_range(users: UserBatch) -> tuple[float, float]:
    return users.rating.min().item(), users.rating.max().item()
