"""`RatingHead`: predicts ratings from graph embeddings and a user's ratings, given posterior samples of the movies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnrec.graph import Graph, UserBatch
from gnnrec.ratings.base import find_ratings
from gnnrec.ratings.bayesian_mf import Gaussians, conditional_posterior, regressors
from gnnrec.sparse import Adjacency


@dataclass(frozen=True, eq=False)
class MoviePosterior:
    """Factors of all movies of a graph in every posterior sample.

    Attributes
    ----------
    factors : Tensor
        ``[num_samples, num_movies, 1 + embedding_dim]``, bias first.
    rating_precision : Tensor
        ``[num_samples, num_movies]``, weight of a movie's ratings when inferring the factors of its raters.
    """

    factors: Tensor
    rating_precision: Tensor


class RatingHead(nn.Module):
    r"""Predicts ratings from graph embeddings and a user's ratings by Bayesian matrix factorization.

    For each posterior sample `s` of the movie factors, a user's factors are their posterior mean given the user's
    ratings (`conditional_posterior`). The predictions of all samples are averaged:

    .. math:: \hat r_{ui} = \mu + \sigma \frac{1}{S} \sum_s (b_i^s + \bar b_u^s + q_i^s \cdot \bar z_u^s)

    The prior mean of a user with profile :math:`p`, graph embedding :math:`g` and :math:`n` ratings interpolates
    between two regressions; with few ratings the one on the profile alone dominates:

    .. math:: \tau W^T [p, g] + (1 - \tau) W_p^T p, \qquad \tau = \frac{n}{n + c}

    Movies without training ratings get the factors predicted from their content, updated with the ratings that the
    graph holds by now. When the predicted movie is in the user's history, its rating is removed from the user's
    posterior exactly.

    Parameters
    ----------
    num_samples, num_movies, embedding_dim : int
        Number of posterior samples, of training movies and of factors without the bias.
    num_user_features, num_content_features : int
        Width of `user_features` and of `content_features`.
    graph_dim : int
        Width of the graph embeddings, 0 if they are not used.

    Examples
    --------
    >>> head = RatingHead(
    ...     num_samples=2, num_movies=3, embedding_dim=4, num_user_features=5, num_content_features=6, graph_dim=0
    ... )
    >>> tuple(head.movie_factors.shape), head.sizes == RatingHead(**head.sizes).sizes
    ((2, 3, 5), True)
    """

    movie_factors: Tensor
    movie_is_rated: Tensor
    noise_precision: Tensor
    user_weight: Tensor
    profile_weight: Tensor
    user_precision: Tensor
    content_weight: Tensor
    content_precision: Tensor
    content_variance: Tensor
    graph_mean: Tensor
    graph_std: Tensor
    profile_shrinkage: Tensor
    rating_mean: Tensor
    rating_std: Tensor
    min_rating: Tensor
    max_rating: Tensor

    def __init__(
        self,
        *,
        num_samples: int,
        num_movies: int,
        embedding_dim: int,
        num_user_features: int,
        num_content_features: int,
        graph_dim: int,
    ) -> None:
        super().__init__()
        width = 1 + embedding_dim
        self.register_buffer("movie_factors", torch.zeros(num_samples, num_movies, width))
        self.register_buffer("movie_is_rated", torch.zeros(num_movies, dtype=torch.bool))
        self.register_buffer("noise_precision", torch.ones(num_samples))
        self.register_buffer("user_weight", torch.zeros(num_samples, num_user_features, width))
        self.register_buffer("profile_weight", torch.zeros(num_samples, num_user_features - graph_dim, width))
        self.register_buffer("user_precision", torch.eye(width).repeat(num_samples, 1, 1))
        self.register_buffer("content_weight", torch.zeros(num_samples, num_content_features, width))
        self.register_buffer("content_precision", torch.eye(width).repeat(num_samples, 1, 1))
        self.register_buffer("content_variance", torch.zeros(num_samples))
        self.register_buffer("graph_mean", torch.zeros(graph_dim))
        self.register_buffer("graph_std", torch.ones(()))
        for name in ("profile_shrinkage", "rating_mean", "rating_std", "min_rating", "max_rating"):
            self.register_buffer(name, torch.ones(()))

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments of the constructor."""
        return {
            "num_samples": self.movie_factors.size(0),
            "num_movies": self.movie_factors.size(1),
            "embedding_dim": self.movie_factors.size(2) - 1,
            "num_user_features": self.user_weight.size(1),
            "num_content_features": self.content_weight.size(1),
            "graph_dim": len(self.graph_mean),
        }

    @property
    def num_samples(self) -> int:
        """Number of posterior samples."""
        return self.movie_factors.size(0)

    def user_features(self, users: UserBatch, graph_embeddings: Tensor) -> Tensor:
        """Return `user_features` with the graph embeddings ``[num_users, graph_dim]`` standardized."""
        return user_features(users, (graph_embeddings - self.graph_mean) / self.graph_std)

    def movie_posterior(self, graph: Graph, graph_embeddings: Tensor) -> MoviePosterior:
        """Return the factors of all movies of a graph whose users have these embeddings ``[num_users, graph_dim]``."""
        num_added = graph.num_movies - self.movie_factors.size(1)
        rated = nn.functional.pad(self.movie_is_rated, (0, num_added))
        factors = nn.functional.pad(self.movie_factors, (0, 0, 0, num_added))
        precision = self.noise_precision.unsqueeze(1).repeat(1, graph.num_movies)
        if bool(rated.all()):
            return MoviePosterior(factors, precision)
        # Factors predicted from content are uncertain, so ratings of such a movie count for less.
        content = content_features(graph)[~rated]
        factors[:, ~rated] = content @ self.content_weight
        degree = torch.bincount(graph.users.movie_index, minlength=graph.num_movies)[~rated]
        noise, variance = 1 / self.noise_precision.unsqueeze(1), self.content_variance.unsqueeze(1)
        precision[:, ~rated] = 1 / (noise + variance / (1 + degree * variance / noise))
        if int(degree.sum()):
            factors[:, ~rated] = self._update_factors(
                graph, graph_embeddings, MoviePosterior(factors, precision), ~rated
            )
        return MoviePosterior(factors, precision)

    def forward(
        self,
        users: UserBatch,
        graph_embeddings: Tensor,
        movies: MoviePosterior,
        user_index: Tensor,
        movie_index: Tensor,
    ) -> Tensor:
        """Return the predicted ratings ``[num_pairs]``; see `RatingPredictor.predict`.

        Parameters
        ----------
        users : UserBatch
            Users to predict for.
        graph_embeddings : Tensor
            ``[num_users, graph_dim]``, their graph embeddings.
        movies : MoviePosterior
            Factors of all movies.
        user_index, movie_index : Tensor
            ``[num_pairs]`` int64.
        """
        features, history = self.user_features(users, graph_embeddings), _History.from_users(users)
        own_rating = find_ratings(users, user_index, movie_index)
        rated = torch.nonzero(own_rating >= 0).squeeze(1)  # pairs whose own rating has to be excluded
        total = torch.zeros(len(user_index))
        for s in range(self.num_samples):
            x = movies.factors[s]
            posterior = self._user_posterior(s, history, features, movies)
            z = posterior.mean()  # [num_users, 1 + embedding_dim]
            predicted = z[user_index, 0] + x[movie_index, 0] + (z[user_index, 1:] * x[movie_index, 1:]).sum(1)
            if len(rated):
                movie = movie_index[rated]
                y = self._standardize(users.rating[own_rating[rated]]) - x[movie, 0]
                design, weight = regressors(x[movie]), movies.rating_precision[s, movie]
                z = posterior.without_observation(user_index[rated], design, y, weight).mean()
                predicted[rated] = x[movie, 0] + (z * design).sum(1)
            total += predicted
        ratings = self.rating_mean + self.rating_std * total / self.num_samples
        return ratings.clamp(self.min_rating, self.max_rating)

    def _user_posterior(self, s: int, history: _History, features: Tensor, movies: MoviePosterior) -> Gaussians:
        """Return the posterior of the users' factors in sample `s`."""
        x = movies.factors[s, history.movies]
        num_ratings = history.adjacency.degrees()[0].unsqueeze(1)
        graph_share = num_ratings / (num_ratings + self.profile_shrinkage)
        profile = features[:, : self.profile_weight.size(1)]
        return conditional_posterior(
            history.adjacency,
            regressors(x),
            self._standardize(history.rating) - x[history.adjacency.col, 0],
            movies.rating_precision[s, history.movies][history.adjacency.col],
            graph_share * (features @ self.user_weight[s]) + (1 - graph_share) * (profile @ self.profile_weight[s]),
            self.user_precision[s],
        )

    def _update_factors(self, graph: Graph, graph_embeddings: Tensor, movies: MoviePosterior, added: Tensor) -> Tensor:
        """Return the factors of movies `added` after training, ``[num_samples, num_added, 1 + embedding_dim]``.

        Their prior is the content; the observations are the ratings that the graph holds of them.
        """
        edges = torch.nonzero(added[graph.users.movie_index]).squeeze(1)
        raters, rater_index = torch.unique(graph.users.user_index[edges], return_inverse=True)
        added_index = (added.cumsum(0) - 1)[graph.users.movie_index[edges]]
        adjacency = Adjacency(rater_index, added_index, len(raters), int(added.sum()))
        y = self._standardize(graph.users.rating[edges])
        users = graph.user_batch(raters)
        # The raters' factors come from the other movies only, or an added movie would be fitted to its own influence.
        history = _History.from_users(users, ~added[users.movie_index])
        features = self.user_features(users, graph_embeddings[raters])
        updated = []
        for s in range(self.num_samples):
            z = self._user_posterior(s, history, features, movies).mean()
            posterior = conditional_posterior(
                adjacency, regressors(z), y - z[rater_index, 0], self.noise_precision[s].expand(len(y)),
                movies.factors[s, added], self.content_precision[s], transposed=True,
            )  # fmt: skip
            updated.append(posterior.mean())
        return torch.stack(updated)

    def _standardize(self, rating: Tensor) -> Tensor:
        return (rating - self.rating_mean) / self.rating_std


@dataclass(frozen=True, eq=False)
class _History:
    """Ratings of some users and the movies that occur in them, so that the cost does not depend on the catalog."""

    adjacency: Adjacency
    movies: Tensor  # [num_distinct], the movie at each column of `adjacency`
    rating: Tensor  # [num_edges]

    @classmethod
    def from_users(cls, users: UserBatch, keep: Tensor | None = None) -> _History:
        keep = torch.ones_like(users.user_index, dtype=torch.bool) if keep is None else keep
        movies, column = torch.unique(users.movie_index[keep], return_inverse=True)
        adjacency = Adjacency(users.user_index[keep], column, users.num_users, len(movies))
        return cls(adjacency, movies, users.rating[keep])


def user_features(users: UserBatch, graph_embeddings: Tensor) -> Tensor:
    """Return ``[num_users, 1 + num_features + num_occupations + graph_dim]``: intercept, profile and embedding."""
    occupations = torch.zeros(users.num_users, users.num_occupations)
    occupations[users.occupation] = 1
    return torch.cat([torch.ones(users.num_users, 1), users.x, occupations, graph_embeddings], dim=1)


def content_features(graph: Graph) -> Tensor:
    """Return intercept, decade and genre shares, ``[num_movies, 1 + num_features + num_genres]``."""
    genres = torch.zeros(graph.num_movies, len(graph.genres))
    genres[graph.movies.attribute_edges["genres"]] = 1
    genres /= genres.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([torch.ones(graph.num_movies, 1), graph.movies.x, genres], dim=1)
