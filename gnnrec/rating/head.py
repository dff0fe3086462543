"""`RatingHead`: from vectors and ratings to more ratings. What training found, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnrec.graph import Graph, UserBatch
from gnnrec.rating.base import rated
from gnnrec.rating.gaussian import Gaussians, conditional, with_one
from gnnrec.sparse import Adjacency


@dataclass(frozen=True, eq=False)
class MovieTastes:
    """All movies of a graph as the head sees them, once per draw.

    Attributes
    ----------
    vectors : Tensor
        ``[num_samples, num_movies, 1 + dim]``, bias first.
    weight : Tensor
        ``[num_samples, num_movies]``, precision of a rating of each movie as news about the person who gave it.
    """

    vectors: Tensor
    weight: Tensor


class RatingHead(nn.Module):
    r"""Predicts ratings from the vectors of a graph and a person's ratings, by Bayesian matrix factorisation.

    For each draw `s` of the movies' vectors a person's is the posterior mean given their ratings (`conditional`); the
    draws' answers are averaged:

    .. math:: \hat r_{ui} = \mu + \sigma \frac{1}{S} \sum_s (b_i^s + \bar b_u^s + q_i^s \cdot \bar z_u^s)

    Before the ratings, a person of profile :math:`p` and :math:`n` ratings is expected at what the graph's vector
    :math:`g` says, or, the fewer ratings that vector is made of, at what the profile says:

    .. math:: \tau W^T [p, g] + (1 - \tau) W_p^T p, \qquad \tau = \frac{n}{n + c}

    A movie's draws know its training ratings. A movie without any has the vector that its content makes likely, and
    is moved from there by the ratings that the graph has of it now.

    A rating that is itself asked about is taken out of what the person is made of, exactly.

    Parameters
    ----------
    num_samples, num_movies, dim : int
        Number of draws, of movies in training, width of the vectors without the bias.
    num_user_features, num_content_features : int
        Width of what is known of people (`person_features`) and of movies (`content_features`).
    vector_dim : int
        Width of the graph's vectors, 0 where they are not used.

    Examples
    --------
    >>> head = RatingHead(
    ...     num_samples=2, num_movies=3, dim=4, num_user_features=5, num_content_features=6, vector_dim=0
    ... )
    >>> tuple(head.movies.shape), head.sizes == RatingHead(**head.sizes).sizes
    ((2, 3, 5), True)
    """

    movies: Tensor
    is_rated: Tensor
    noise_precision: Tensor
    user_link: Tensor
    profile_link: Tensor
    user_precision: Tensor
    content_link: Tensor
    content_precision: Tensor
    content_variance: Tensor
    center: Tensor
    scale: Tensor
    half_trust: Tensor
    mean_rating: Tensor
    rating_sd: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(
        self,
        *,
        num_samples: int,
        num_movies: int,
        dim: int,
        num_user_features: int,
        num_content_features: int,
        vector_dim: int,
    ) -> None:
        super().__init__()
        width = 1 + dim
        self.register_buffer("movies", torch.zeros(num_samples, num_movies, width))
        self.register_buffer("is_rated", torch.zeros(num_movies, dtype=torch.bool))
        self.register_buffer("noise_precision", torch.ones(num_samples))
        self.register_buffer("user_link", torch.zeros(num_samples, num_user_features, width))
        self.register_buffer("profile_link", torch.zeros(num_samples, num_user_features - vector_dim, width))
        self.register_buffer("user_precision", torch.eye(width).repeat(num_samples, 1, 1))
        self.register_buffer("content_link", torch.zeros(num_samples, num_content_features, width))
        self.register_buffer("content_precision", torch.eye(width).repeat(num_samples, 1, 1))
        self.register_buffer("content_variance", torch.zeros(num_samples))
        self.register_buffer("center", torch.zeros(vector_dim))
        self.register_buffer("scale", torch.ones(()))
        for name in ("half_trust", "mean_rating", "rating_sd", "lowest", "highest"):
            self.register_buffer(name, torch.ones(()))

    @property
    def sizes(self) -> dict[str, int]:
        """What the head was made with; the arguments of its constructor."""
        return {
            "num_samples": self.movies.size(0),
            "num_movies": self.movies.size(1),
            "dim": self.movies.size(2) - 1,
            "num_user_features": self.user_link.size(1),
            "num_content_features": self.content_link.size(1),
            "vector_dim": len(self.center),
        }

    @property
    def num_samples(self) -> int:
        """Number of draws."""
        return self.movies.size(0)

    def people(self, users: UserBatch, vectors: Tensor) -> Tensor:
        """Return what the prior of people is made from; `vectors` ``[num_users, vector_dim]`` are the graph's."""
        return person_features(users, (vectors - self.center) / self.scale)

    def tastes(self, graph: Graph, vectors: Tensor) -> MovieTastes:
        """Place all movies of a graph, whose people have the graph vectors ``[num_users, vector_dim]``."""
        late = graph.num_movies - self.movies.size(1)
        known = nn.functional.pad(self.is_rated, (0, late))
        every = nn.functional.pad(self.movies, (0, 0, 0, late))
        weight = self.noise_precision.unsqueeze(1).repeat(1, graph.num_movies)
        if bool(known.all()):
            return MovieTastes(every, weight)
        # From content alone, one movie is worth less than one that many have rated: its own vector is uncertain.
        content = content_features(graph)[~known]
        every[:, ~known] = content @ self.content_link
        degree = torch.bincount(graph.users.movie_index, minlength=graph.num_movies)[~known]
        noise, doubt = 1 / self.noise_precision.unsqueeze(1), self.content_variance.unsqueeze(1)
        weight[:, ~known] = 1 / (noise + doubt / (1 + degree * doubt / noise))
        if int(degree.sum()):
            every[:, ~known] = self._moved(graph, vectors, MovieTastes(every, weight), ~known)
        return MovieTastes(every, weight)

    def forward(self, users: UserBatch, vectors: Tensor, tastes: MovieTastes, row: Tensor, movie: Tensor) -> Tensor:
        """Return ratings ``[num_pairs]`` for pairs of a person of `users` and a movie; see `RatingPredictor.predict`.

        Parameters
        ----------
        users : UserBatch
        vectors : Tensor
            ``[num_users, vector_dim]``, the graph's vectors of these people.
        tastes : MovieTastes
        row, movie : Tensor
            ``[num_pairs]`` int64.
        """
        features, history = self.people(users, vectors), _History.of(users)
        own = rated(users, row, movie)
        again = torch.nonzero(own >= 0).squeeze(1)  # pairs whose rating has to be left out
        total = torch.zeros(len(row))
        for s in range(self.num_samples):
            x = tastes.vectors[s]
            given = self._people(s, history, features, tastes)
            people = given.mean()  # [num_users, 1 + dim]
            answer = people[row, 0] + x[movie, 0] + (people[row, 1:] * x[movie, 1:]).sum(1)
            if len(again):
                asked = movie[again]
                y, met = self._normalised(users.rating[own[again]]) - x[asked, 0], with_one(x[asked])
                person = given.without(row[again], met, y, tastes.weight[s, asked]).mean()
                answer[again] = x[asked, 0] + (person * met).sum(1)
            total += answer
        stars = self.mean_rating + self.rating_sd * total / self.num_samples
        return stars.clamp(self.lowest, self.highest)

    def _people(self, s: int, history: _History, features: Tensor, tastes: MovieTastes) -> Gaussians:
        """Return people given what they rated, in draw `s`."""
        x = tastes.vectors[s, history.movies]
        number = history.links.degrees()[0].unsqueeze(1)
        trust = number / (number + self.half_trust)
        profile = features[:, : self.profile_link.size(1)]
        return conditional(
            history.links,
            with_one(x),
            self._normalised(history.rating) - x[history.links.col, 0],
            tastes.weight[s, history.movies][history.links.col],
            trust * (features @ self.user_link[s]) + (1 - trust) * (profile @ self.profile_link[s]),
            self.user_precision[s],
        )

    def _moved(self, graph: Graph, vectors: Tensor, tastes: MovieTastes, late: Tensor) -> Tensor:
        """Return the movies `late` ``[num_samples, num_late, 1 + dim]``, moved by the ratings the graph has of them."""
        edges = torch.nonzero(late[graph.users.movie_index]).squeeze(1)
        raters, row = graph.users.user_index[edges].unique(return_inverse=True)
        column = late.cumsum(0) - 1
        links = Adjacency(row, column[graph.users.movie_index[edges]], len(raters), int(late.sum()))
        y = self._normalised(graph.users.rating[edges])
        users = graph.user_batch(raters)
        # Who the raters are, told by the other movies: a movie must not move to where it has put its raters.
        history = _History.of(users, ~late[users.movie_index])
        features = self.people(users, vectors[raters])
        moved = []
        for s in range(self.num_samples):
            people = self._people(s, history, features, tastes).mean()
            given = conditional(
                links, with_one(people), y - people[row, 0], self.noise_precision[s].expand(len(y)),
                tastes.vectors[s, late], self.content_precision[s], transposed=True,
            )  # fmt: skip
            moved.append(given.mean())
        return torch.stack(moved)

    def _normalised(self, rating: Tensor) -> Tensor:
        return (rating - self.mean_rating) / self.rating_sd


@dataclass(frozen=True, eq=False)
class _History:
    """Who rated what, with only the movies that occur: one person's ratings must not cost a whole catalogue."""

    links: Adjacency
    movies: Tensor  # [num_distinct], the movie at each column of `links`
    rating: Tensor

    @classmethod
    def of(cls, users: UserBatch, keep: Tensor | None = None) -> _History:
        keep = torch.ones_like(users.user_index, dtype=torch.bool) if keep is None else keep
        movies, column = users.movie_index[keep].unique(return_inverse=True)
        links = Adjacency(users.user_index[keep], column, users.num_users, len(movies))
        return cls(links, movies, users.rating[keep])


def person_features(users: UserBatch, vectors: Tensor) -> Tensor:
    """Return ``[num_users, 1 + num_features + num_occupations + vector_dim]``: a one, the profile and the vector."""
    works = torch.zeros(users.num_users, users.num_occupations)
    works[users.occupation] = 1
    return torch.cat([torch.ones(users.num_users, 1), users.x, works, vectors], dim=1)


def content_features(graph: Graph) -> Tensor:
    """Return ``[num_movies, 1 + num_features + num_genres]``: a one, the decade and the shares of the genres."""
    genres = torch.zeros(graph.num_movies, len(graph.genres))
    genres[graph.movies.attribute_edges["genres"]] = 1
    genres /= genres.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([torch.ones(graph.num_movies, 1), graph.movies.x, genres], dim=1)
