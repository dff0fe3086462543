"""Inductive GraphSAGE: messages are aggregated, mixed by learned weights and passed through a non-linearity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import UserBatch
from gnnrec.graph.padded import PaddedUsers
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, FeatureSizes, NodeFeatures
from gnnrec.nn.temporal import TemporalPooling
from gnnrec.registry import register_encoder

if TYPE_CHECKING:
    from gnnrec._pyg import EdgeIndex


class GraphSAGEConfig(ModelConfig):
    """Settings of `GraphSAGE`.

    Examples
    --------
    >>> from gnnrec import Config
    >>> Config(model=GraphSAGEConfig(aggregation="max")).model.encoder
    'graphsage'
    """

    encoder: str = "graphsage"
    """Registered name of the encoder."""
    aggregation: Literal["mean", "max", "min", "sum"] = "mean"
    """Aggregation of the messages of neighbors."""


@register_encoder("graphsage", config=GraphSAGEConfig)
class GraphSAGE(Encoder):
    r"""GraphSAGE on the graph of users and movies (Hamilton et al. 2017, https://arxiv.org/abs/1706.02216, alg. 1).

    .. math:: u^{(k)} = \sigma(W_k \, \mathrm{agg}_{i \in N(u)} m_i^{(k-1)} + V_k u^{(k-1)})

    and the same from users to movies, with PyG's `SAGEConv` in each direction. :math:`u^{(0)}` is the profile,
    :math:`m^{(0)}` the message of a movie. There is no non-linearity after the last layer.

    Parameters
    ----------
    movie_features, user_features : FeatureSizes
        Sizes of the features of movies and users.
    num_movies : int
        Number of movies with an id embedding.
    embedding_dim : int
    num_layers : int
        Number of propagation layers; each additional layer extends the receptive field by two hops.
    aggregation : str
        Any aggregation of PyG, such as ``"mean"`` or ``"max"``.
    movie_degree_smoothing : float
        Matters to `init_from_svd` and `temporal` only; the aggregations do not depend on degrees.
    temporal : TemporalPooling, optional
        Added to user embeddings.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> tensors = GraphTensors.from_graph(graph)
    >>> sizes = tensors.movie_features.sizes, NodeFeatures.from_users(graph.users).sizes
    >>> encoder = GraphSAGE(*sizes, num_movies=12, embedding_dim=8, aggregation="max")
    >>> encoder.prepare(tensors)
    >>> movies = encoder.embed_movies(tensors)
    >>> len(movies.messages), tuple(encoder.embed_users(graph.users.slice(3, 5), movies).shape)
    (2, (2, 8))
    """

    def __init__(
        self,
        movie_features: FeatureSizes,
        user_features: FeatureSizes,
        num_movies: int,
        embedding_dim: int = 128,
        *,
        num_layers: int = 2,
        aggregation: str = "mean",
        movie_degree_smoothing: float = 0.0,
        temporal: TemporalPooling | None = None,
    ) -> None:
        from gnnrec._pyg import SAGEConv

        super().__init__(movie_features, user_features, num_movies, embedding_dim, movie_degree_smoothing, temporal)
        self.aggregation = aggregation
        self.to_users = nn.ModuleList(
            SAGEConv((embedding_dim, embedding_dim), embedding_dim, aggr=aggregation) for _ in range(num_layers)
        )
        self.to_movies = nn.ModuleList(
            SAGEConv((embedding_dim, embedding_dim), embedding_dim, aggr=aggregation) for _ in range(num_layers - 1)
        )
        self.reset_parameters()

    @classmethod
    def from_config(
        cls, config: ModelConfig, movie_features: FeatureSizes, user_features: FeatureSizes, num_movies: int
    ) -> Self:
        """See `Encoder.from_config`."""
        assert isinstance(config, GraphSAGEConfig)
        return cls(
            movie_features,
            user_features,
            num_movies,
            config.embedding_dim,
            num_layers=config.num_layers,
            aggregation=config.aggregation,
            movie_degree_smoothing=config.movie_degree_smoothing,
            temporal=TemporalPooling.from_config(config),
        )

    def reset_parameters(self) -> None:
        """Initialize each layer as the sum of aggregate and node itself, which preserves an SVD initialization."""
        for conv in (*self.to_users, *self.to_movies):
            nn.init.eye_(conv.lin_l.weight)
            nn.init.zeros_(conv.lin_l.bias)
            nn.init.eye_(conv.lin_r.weight)

    @property
    def movies_receive_messages(self) -> bool:
        """See `Encoder.movies_receive_messages`: with two layers or more."""
        return len(self.to_movies) > 0

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.embed_movies`."""
        m = self.message(graph.movie_features, drop_mask)  # [num_movies, embedding_dim]
        targets = self.target(graph.movie_features, drop_mask)
        messages, degree = [m], self.movie_degrees(graph)
        users = graph.users
        for to_movies in self.to_movies:
            u = self.aggregate(users, MovieEmbeddings(messages, targets, degree), edge_mask).relu()  # [num_users, dim]
            edges = _edge_index(users.user_index, users.movie_index, users.num_users, len(m), edge_mask)
            m = to_movies((u, m), edges).relu()
            messages = [*messages, m]
        return MovieEmbeddings(messages, targets, degree)

    def aggregate(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """See `Encoder.aggregate`."""
        u: Tensor = self.profile(NodeFeatures.from_users(users))  # [num_users, embedding_dim]
        if isinstance(users, PaddedUsers):
            return self._aggregate_padded(u, users, movies, edge_mask)
        edges = _edge_index(users.movie_index, users.user_index, users.num_movies, users.num_users, edge_mask)
        for k, m in enumerate(movies.messages):
            u = self.to_users[k]((m, u), edges)
            if k < len(movies.messages) - 1:
                u = u.relu()
        return u

    def _aggregate_padded(
        self, u: Tensor, users: PaddedUsers, movies: MovieEmbeddings, edge_mask: Tensor | None
    ) -> Tensor:
        """Compute the same as `SAGEConv` without edge lists, whose lengths would depend on values."""
        convs: list[Any] = list(self.to_users)
        for k, (conv, m) in enumerate(zip(convs, movies.messages, strict=True)):
            u = conv.lin_l(users.user_movie.pool(self.aggregation, m, edge_mask)) + conv.lin_r(u)
            if k < len(movies.messages) - 1:
                u = u.relu()
        return u


def _edge_index(
    source: Tensor, target: Tensor, num_sources: int, num_targets: int, edge_mask: Tensor | None
) -> EdgeIndex:
    from gnnrec._pyg import EdgeIndex

    edges = torch.stack([source, target])
    if edge_mask is not None:
        edges = edges[:, edge_mask > 0]
    return EdgeIndex(edges, sparse_size=(num_sources, num_targets)).sort_by("col").values
