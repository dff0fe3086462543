"""GraphSAGE: neighbours are averaged, mixed by learned weights and passed through a non-linearity, layer by layer."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.nn import SAGEConv

from gnnrec.config import ModelConfig
from gnnrec.graph import UserBatch
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, FeatureSizes, NodeFeatures
from gnnrec.nn.temporal import TemporalPooling
from gnnrec.registry import register_encoder


class GraphSAGEConfig(ModelConfig):
    """Settings of `GraphSAGE`."""

    encoder: str = "graphsage"
    """Registered name of the encoder."""
    aggregation: Literal["mean", "max", "min", "sum"] = "mean"
    """How messages of neighbors are aggregated."""


@register_encoder("graphsage", config=GraphSAGEConfig)
class GraphSAGE(Encoder):
    r"""GraphSAGE on the graph of users and movies (Hamilton et al. 2017, https://arxiv.org/abs/1706.02216, alg. 1).

    .. math:: u^{(k)} = \sigma(W_k \, \mathrm{agg}_{i \in N(u)} m_i^{(k-1)} + V_k u^{(k-1)})

    and the same from people to movies, with PyG's `SAGEConv` for each direction. :math:`u^{(0)}` is the profile,
    :math:`m^{(0)}` the movie's content and id. The non-linearity is left out in the last layer.

    Parameters
    ----------
    movie, person : FeatureSizes
        Of what is known of movies and people.
    num_movies : int
        Movies with an id vector.
    dim : int
        Width of all vectors.
    num_layers : int
        Number of times that people gather from their movies.
    aggregation : str
        Any aggregation of PyG, such as ``"mean"`` or ``"max"``.
    movie_degree_smoothing : float
        Matters to the start, see `start_from_svd`, and to the `views`; averages know no degrees.
    views : TemporalPooling, optional
        Adds to people's vectors what the order and the dates of the history say.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> tensors = GraphTensors.of(graph)
    >>> person = NodeFeatures.of_people(graph.users).sizes
    >>> encoder = GraphSAGE(movie=tensors.content.sizes, person=person, num_movies=12, dim=8, aggregation="max")
    >>> encoder.prepare(tensors)
    >>> states = encoder.movies(tensors)
    >>> len(states.messages), tuple(encoder.users(graph.users.slice(3, 5), states).shape)
    (2, (2, 8))
    """

    def __init__(
        self,
        *,
        movie: FeatureSizes,
        person: FeatureSizes,
        num_movies: int,
        dim: int = 128,
        num_layers: int = 2,
        aggregation: str = "mean",
        movie_degree_smoothing: float = 0.0,
        views: TemporalPooling | None = None,
    ) -> None:
        super().__init__(movie, person, num_movies, dim, movie_degree_smoothing, views)
        self.to_users = nn.ModuleList(SAGEConv((dim, dim), dim, aggr=aggregation) for _ in range(num_layers))
        self.to_movies = nn.ModuleList(SAGEConv((dim, dim), dim, aggr=aggregation) for _ in range(num_layers - 1))
        self.reset_parameters()

    @classmethod
    def from_config(cls, model: ModelConfig, movie: FeatureSizes, person: FeatureSizes, num_movies: int) -> Self:
        """See `Encoder.from_config`."""
        assert isinstance(model, GraphSAGEConfig)
        return cls(
            movie=movie,
            person=person,
            num_movies=num_movies,
            dim=model.embedding_dim,
            num_layers=model.num_layers,
            aggregation=model.aggregation,
            movie_degree_smoothing=model.movie_degree_smoothing,
            views=TemporalPooling.build(model),
        )

    def reset_parameters(self) -> None:
        """Start each layer at the plain aggregate plus the node itself, so that what the SVD found goes through."""
        for conv in (*self.to_users, *self.to_movies):
            nn.init.eye_(conv.lin_l.weight)
            nn.init.zeros_(conv.lin_l.bias)
            nn.init.eye_(conv.lin_r.weight)

    def movies(
        self, graph: GraphTensors, keep: Tensor | None = None, dropped: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.movies`."""
        m = self.message(graph.content, dropped)  # [num_movies, dim]
        targets = self.target(graph.content, dropped)
        messages, degree = [m], self.degrees(graph)
        for to_movies in self.to_movies:
            states = MovieEmbeddings(messages, targets, degree)
            u = self.aggregate(graph.users, states, keep).relu()  # [num_users, dim], people after as many layers
            watchers = _edges(graph.users.user_index, graph.users.movie_index, graph.users.num_users, len(m), keep)
            m = to_movies((u, m), watchers).relu()
            messages = [*messages, m]
        return MovieEmbeddings(messages, targets, degree)

    def aggregate(self, batch: UserBatch, movies: MovieEmbeddings, keep: Tensor | None = None) -> Tensor:
        """See `Encoder.aggregate`."""
        u = self.profile(NodeFeatures.of_people(batch))  # [num_users, dim]
        watched = _edges(batch.movie_index, batch.user_index, batch.num_movies, batch.num_users, keep)
        for k, m in enumerate(movies.messages):
            u = self.to_users[k]((m, u), watched)
            if k < len(movies.messages) - 1:
                u = u.relu()
        return u


def _edges(source: Tensor, target: Tensor, num_sources: int, num_targets: int, keep: Tensor | None) -> EdgeIndex:
    edges = torch.stack([source, target])
    if keep is not None:
        edges = edges[:, keep > 0]
    return EdgeIndex(edges, sparse_size=(num_sources, num_targets)).sort_by("col").values
