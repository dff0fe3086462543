"""Inductive LightGCN: normalized sums without user embeddings, weights or non-linearities."""

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
from gnnrec.sparse import symmetric_norm


class LightGCNConfig(ModelConfig):
    """Settings of `LightGCN`.

    Examples
    --------
    >>> from gnnrec import Config
    >>> Config(model=LightGCNConfig(user_degree_smoothing=5)).model.encoder
    'lightgcn'
    """

    user_degree_smoothing: float = Field(10.0, ge=0)
    """Pseudo-count added to every user's degree; users with few ratings then rely more on their profile."""


@register_encoder("lightgcn", config=LightGCNConfig)
class LightGCN(Encoder):
    r"""Inductive LightGCN (after He et al. 2020, https://arxiv.org/abs/2002.02126).

    LightGCN's propagation has no weights and no non-linearity. Here users have no id embedding; a layer sends the
    messages of movies to the users who rated them, and from there back to movies:

    .. math::
        u^{(k)} = \sum_{i \in N(u)} \frac{m_i^{(k-1)}}{\sqrt{d_u + s} \sqrt{d_i + c}}, \qquad
        m_i^{(k)} = \sum_{u \in N(i)} \frac{u^{(k)}}{\sqrt{d_i + c} \sqrt{d_u + s}}

    .. math:: z_u = p_u + \sum_{k=1}^{K} \alpha_k u^{(k)}, \qquad z_i = t_i + \sum_{k=1}^{K-1} \beta_k m_i^{(k)}

    :math:`m_i^{(0)}` (the message of a movie), :math:`t_i` (its target) and :math:`p_u` (the profile) come from a
    `NodeEncoder` each; :math:`\alpha, \beta` are learned. Where interactions have weights, every message is multiplied
    by the weight of its edge relative to the mean of the user, so that :math:`d_u` is the weighted degree,
    too. Separate messages and targets make the model asymmetric, as item-to-item models are, at no cost in serving.

    Parameters
    ----------
    movie_features, user_features : FeatureSizes
        Sizes of the features of movies and users.
    num_movies : int
        Number of movies with an id embedding.
    embedding_dim : int
    num_layers : int
        :math:`K`, number of propagation layers; each additional layer extends the receptive field by two hops.
    movie_degree_smoothing : float
        :math:`c` in units of the mean degree of a movie; 0 is LightGCN's own normalization.
    user_degree_smoothing : float
        :math:`s`, pseudo-count added to every user's degree; users with few ratings then rely more on their profile.
    temporal : TemporalPooling, optional
        Added to :math:`z_u`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> tensors = GraphTensors.from_graph(graph)
    >>> sizes = tensors.movie_features.sizes, NodeFeatures.from_users(graph.users).sizes
    >>> encoder = LightGCN(*sizes, num_movies=12, embedding_dim=8, num_layers=2)
    >>> encoder.prepare(tensors)
    >>> movies = encoder.embed_movies(tensors)
    >>> alone = encoder.embed_users(graph.users.slice(3, 4), movies)  # one user or all: the same embedding
    >>> bool(torch.allclose(alone[0], encoder(tensors)["user"][3], atol=1e-6))
    True
    """

    def __init__(
        self,
        movie_features: FeatureSizes,
        user_features: FeatureSizes,
        num_movies: int,
        embedding_dim: int = 128,
        *,
        num_layers: int = 1,
        movie_degree_smoothing: float = 0.0,
        user_degree_smoothing: float = 0.0,
        temporal: TemporalPooling | None = None,
    ) -> None:
        super().__init__(movie_features, user_features, num_movies, embedding_dim, movie_degree_smoothing, temporal)
        self.user_degree_smoothing = user_degree_smoothing
        self.alpha = nn.Parameter(torch.ones(num_layers).div_(num_layers))
        self.beta = nn.Parameter(torch.zeros(num_layers - 1))

    @classmethod
    def from_config(
        cls, config: ModelConfig, movie_features: FeatureSizes, user_features: FeatureSizes, num_movies: int
    ) -> Self:
        """See `Encoder.from_config`."""
        assert isinstance(config, LightGCNConfig)
        return cls(
            movie_features,
            user_features,
            num_movies,
            config.embedding_dim,
            num_layers=config.num_layers,
            movie_degree_smoothing=config.movie_degree_smoothing,
            user_degree_smoothing=config.user_degree_smoothing,
            temporal=TemporalPooling.from_config(config),
        )

    @property
    def movies_receive_messages(self) -> bool:
        """See `Encoder.movies_receive_messages`: with two layers or more."""
        return len(self.beta) > 0

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.embed_movies`."""
        m = self.message(graph.movie_features, drop_mask)  # [num_movies, embedding_dim]
        targets = self.target(graph.movie_features, drop_mask)
        degree = self.movie_degrees(graph)
        message = self.alpha[0] * m
        if len(self.beta):
            weight = self._edge_weights(graph.users, degree, edge_mask)
        for k, beta in enumerate(self.beta):
            u = graph.users.user_movie.matmul(weight, m)  # [num_users, embedding_dim]
            m = graph.users.user_movie.matmul_transposed(weight, u)  # [num_movies, embedding_dim]
            targets = targets + beta * m
            message = message + self.alpha[k + 1] * m
        # Summing the layers of each movie first leaves one sparse product per user batch instead of K.
        return MovieEmbeddings([message], targets, degree)

    def aggregate(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """See `Encoder.aggregate`."""
        weight = self._edge_weights(users, movies.degree, edge_mask)
        profile: Tensor = self.profile(NodeFeatures.from_users(users))
        return profile + users.user_movie.matmul(weight, movies.messages[0])

    def _edge_weights(self, users: UserBatch, movie_degree: Tensor, edge_mask: Tensor | None) -> Tensor:
        """Return ``[num_edges]``; movie degrees are those of the whole graph, whatever the user batch."""
        user_movie = users.user_movie
        user_degree = user_movie.degrees(edge_mask)[0] + self.user_degree_smoothing
        weight = symmetric_norm(user_degree, movie_degree, user_movie.row, user_movie.col)
        relative = users.relative_weight(edge_mask) if self.edge_weights else None
        if relative is not None:
            weight = weight * relative
        return weight if edge_mask is None else weight * edge_mask
