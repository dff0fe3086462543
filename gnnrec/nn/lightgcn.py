"""LightGCN without a user table: nothing but normalized sums, started from people's histories."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import UserBatch
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, FeatureSizes, NodeFeatures
from gnnrec.nn.temporal import TemporalPooling
from gnnrec.registry import register_encoder
from gnnrec.sparse import Adjacency, symmetric_norm


class LightGCNConfig(ModelConfig):
    """Settings of `LightGCN`."""

    user_degree_smoothing: float = Field(10.0, ge=0)
    """Pseudo-count added to every user's degree; users with few ratings then rely more on their profile."""


@register_encoder("lightgcn", config=LightGCNConfig)
class LightGCN(Encoder):
    r"""Inductive LightGCN (after He et al. 2020, https://arxiv.org/abs/2002.02126).

    LightGCN's propagation has no weights and no non-linearity. Here users have no id vector to start from; a layer
    carries the movies' vectors to the people who watched them and from there back to the movies:

    .. math::
        u^{(k)} = \sum_{i \in N(u)} \frac{m_i^{(k-1)}}{\sqrt{d_u + s} \sqrt{d_i + c}}, \qquad
        m_i^{(k)} = \sum_{u \in N(i)} \frac{u^{(k)}}{\sqrt{d_i + c} \sqrt{d_u + s}}

    .. math:: z_u = p_u + \sum_{k=1}^{K} \alpha_k u^{(k)}, \qquad z_i = t_i + \sum_{k=1}^{K-1} \beta_k m_i^{(k)}

    :math:`m_i^{(0)}` (what a movie says of those who watched it), :math:`t_i` (who the movie is for) and :math:`p_u`
    (the profile) come from a `NodeEncoder` each; :math:`\alpha, \beta` are learned. Two movie vectors instead of one
    make the model asymmetric, as item-to-item models are, and cost nothing at serving time.

    Parameters
    ----------
    movie, person : FeatureSizes
        Of what is known of movies and people.
    num_movies : int
        Movies with an id vector.
    dim : int
        Width of all vectors.
    num_layers : int
        :math:`K`. With 1, people gather from their movies only; each further layer goes two hops further.
    movie_degree_smoothing : float
        :math:`c` in units of the mean number of ratings of a movie; 0 is LightGCN's own normalisation.
    user_degree_smoothing : float
        :math:`s`, in ratings; it keeps the first few ratings of somebody from drowning what their profile says.
    views : TemporalPooling, optional
        Adds to :math:`z_u` what the order and the dates of the history say.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> tensors = GraphTensors.of(graph)
    >>> person = NodeFeatures.of_people(graph.users).sizes
    >>> encoder = LightGCN(movie=tensors.content.sizes, person=person, num_movies=12, dim=8, num_layers=2)
    >>> encoder.prepare(tensors)
    >>> states = encoder.movies(tensors)
    >>> alone = encoder.users(graph.users.slice(3, 4), states)  # one person, or everybody: the same vector
    >>> bool(torch.allclose(alone[0], encoder(tensors)["user"][3], atol=1e-6))
    True
    """

    def __init__(
        self,
        *,
        movie: FeatureSizes,
        person: FeatureSizes,
        num_movies: int,
        dim: int = 128,
        num_layers: int = 1,
        movie_degree_smoothing: float = 0.0,
        user_degree_smoothing: float = 0.0,
        views: TemporalPooling | None = None,
    ) -> None:
        super().__init__(movie, person, num_movies, dim, movie_degree_smoothing, views)
        self.user_degree_smoothing = user_degree_smoothing
        self.alpha = nn.Parameter(torch.ones(num_layers) / num_layers)
        self.beta = nn.Parameter(torch.zeros(num_layers - 1))

    @classmethod
    def from_config(cls, model: ModelConfig, movie: FeatureSizes, person: FeatureSizes, num_movies: int) -> Self:
        """See `Encoder.from_config`."""
        assert isinstance(model, LightGCNConfig)
        return cls(
            movie=movie,
            person=person,
            num_movies=num_movies,
            dim=model.embedding_dim,
            num_layers=model.num_layers,
            movie_degree_smoothing=model.movie_degree_smoothing,
            user_degree_smoothing=model.user_degree_smoothing,
            views=TemporalPooling.build(model),
        )

    def movies(
        self, graph: GraphTensors, keep: Tensor | None = None, dropped: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.movies`."""
        m = self.message(graph.content, dropped)  # [num_movies, dim]
        targets = self.target(graph.content, dropped)
        degree = self.degrees(graph)
        message = self.alpha[0] * m
        if len(self.beta):
            weight = self._norm(graph.users.user_movie, degree, keep)
        for k, beta in enumerate(self.beta):
            u = graph.users.user_movie.matmul(weight, m)  # [num_users, dim]
            m = graph.users.user_movie.matmul_transposed(weight, u)  # [num_movies, dim]
            targets = targets + beta * m
            message = message + self.alpha[k + 1] * m
        # A person sums the layers of each movie, so the layers may be summed first: one product per person, not K.
        return MovieEmbeddings([message], targets, degree)

    def aggregate(self, batch: UserBatch, movies: MovieEmbeddings, keep: Tensor | None = None) -> Tensor:
        """See `Encoder.aggregate`."""
        weight = self._norm(batch.user_movie, movies.degree, keep)
        return self.profile(NodeFeatures.of_people(batch)) + batch.user_movie.matmul(weight, movies.messages[0])

    def _norm(self, watched: Adjacency, movie_degree: Tensor, keep: Tensor | None) -> Tensor:
        """Weigh each rating by degrees; the movie's is that of the whole graph, whoever is asked for."""
        user_degree = watched.degrees(keep)[0] + self.user_degree_smoothing
        weight = symmetric_norm(user_degree, movie_degree, watched.row, watched.col)
        return weight if keep is None else weight * keep
