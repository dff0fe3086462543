"""The one interface of all encoders: movies to states, then people to vectors.

People only read from movies. A person's vector is made from their profile and the states of the movies they watched, by
the same function in training, for stored users and for someone who arrives later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, device, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import Graph, UserBatch
from gnnrec.nn.features import DropMask, FeatureSizes, NodeEncoder, NodeFeatures
from gnnrec.nn.temporal import TemporalPooling


@dataclass(frozen=True, eq=False)
class GraphTensors:
    """What an encoder needs of a graph, on one device.

    Attributes
    ----------
    content : NodeFeatures
        What is known of the movies.
    users : UserBatch
        Everyone in the graph; ``users.user_movie`` brings movies to users, its transpose users to movies.
    movie_degree : Tensor
        ``[num_movies]`` ratings of each movie.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> tensors = GraphTensors.of(Graph.from_dataset(Dataset(ratings)))
    >>> tensors.movie_degree.tolist(), tensors.users.user_movie.num_edges
    ([2.0, 1.0], 3)
    """

    content: NodeFeatures
    users: UserBatch
    movie_degree: Tensor

    @classmethod
    def of(cls, graph: Graph, on: device | str = "cpu") -> GraphTensors:
        """Take the tensors of a graph."""
        users = graph.users.to(on)
        return cls(NodeFeatures.from_movies(graph.movies, on), users, movie_degree=users.user_movie.degrees()[1])


@dataclass(frozen=True, eq=False)
class MovieEmbeddings:
    """All movies after propagation.

    Attributes
    ----------
    messages : list of Tensor
        Each ``[num_movies, dim]``: what a person who watched the movie receives, by layer.
    targets : Tensor
        ``[num_movies, dim]``: what a person's vector is compared with.
    degree : Tensor
        ``[num_movies]``, the degree that normalises each movie.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> config = Config().override(["model.embedding_dim=8", "model.num_layers=2", "model.encoder=graphsage"])
    >>> states = make_encoder(config, graph).movies(GraphTensors.of(graph))
    >>> len(states.messages), tuple(states.targets.shape), tuple(states.degree.shape)
    (2, (12, 8), (12,))
    """

    messages: list[Tensor]
    targets: Tensor
    degree: Tensor


class Encoder(nn.Module, ABC):
    """Computes movie states from a graph, and people's vectors from movie states.

    Parameters
    ----------
    movie, person : FeatureSizes
        Of what is known of movies and people.
    num_movies : int
        Movies with an id vector.
    dim : int
        Width of all vectors.
    movie_degree_smoothing : float
        `extra_degree` in units of the mean number of ratings of a movie.
    views : TemporalPooling, optional
        Adds to people's vectors what the order and the dates of the history say.

    Attributes
    ----------
    message, target, profile : NodeEncoder
        First vectors: what a movie tells its viewers, whom it is for, and what is known of a person.
    extra_degree : Tensor
        Scalar, ratings that every movie is taken to have besides its own wherever degrees normalize. Dividing by the
        root of a small degree makes the rarest movies speak loudest; they are those of which least is known.
    typical_degree : Tensor
        Scalar, the mean degree of a rated movie, `extra_degree` included.
    views : TemporalPooling or None
        What reads the order and the dates of a history; None for an encoder to which a history is a set.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> encoder = make_encoder(Config().override(["model.embedding_dim=8"]), graph)
    >>> tensors = GraphTensors.of(graph)
    >>> encoder.prepare(tensors)
    >>> {kind: tuple(vectors.shape) for kind, vectors in encoder(tensors).items()}
    {'user': (20, 8), 'movie': (12, 8)}
    """

    extra_degree: Tensor
    typical_degree: Tensor

    def __init__(
        self,
        movie: FeatureSizes,
        person: FeatureSizes,
        num_movies: int,
        dim: int,
        movie_degree_smoothing: float = 0.0,
        views: TemporalPooling | None = None,
    ) -> None:
        super().__init__()
        self.movie_degree_smoothing = movie_degree_smoothing
        self.views = views
        self.register_buffer("extra_degree", torch.zeros(()))
        self.register_buffer("typical_degree", torch.zeros(()))
        self.message = NodeEncoder(movie, dim, num_movies)
        self.target = NodeEncoder(movie, dim, num_movies)
        self.profile = NodeEncoder(person, dim)

    @classmethod
    @abstractmethod
    def from_config(cls, model: ModelConfig, movie: FeatureSizes, person: FeatureSizes, num_movies: int) -> Self:
        """Return an encoder with the settings it understands, for what is known of movies and people."""

    @torch.no_grad()
    def prepare(self, graph: GraphTensors) -> None:
        """Take from the training graph what is fixed before training: ids and typical degrees."""
        rated = graph.movie_degree > 0
        for movies in (self.message, self.target):
            movies.prepare(graph.content, rated)
        mean = graph.movie_degree[rated].mean()
        self.extra_degree.copy_(self.movie_degree_smoothing * mean)
        self.typical_degree.copy_(mean + self.extra_degree)
        if self.views is not None and self.views.dates is not None:
            self.views.dates.prepare(graph.users.timestamp)

    @abstractmethod
    def movies(
        self, graph: GraphTensors, keep: Tensor | None = None, dropped: DropMask | None = None
    ) -> MovieEmbeddings:
        """Propagate through the graph.

        Parameters
        ----------
        graph : GraphTensors
        keep : Tensor, optional
            ``[num_edges]`` float, 1 for ratings that may carry messages. In training the others are to be
            predicted and must not be seen.
        dropped : DropMask, optional
            Which movies have to do without their id vectors, or without a modality.
        """

    @abstractmethod
    def aggregate(self, batch: UserBatch, movies: MovieEmbeddings, keep: Tensor | None = None) -> Tensor:
        """Return what `users` does, of the history as a set: without its order and dates."""

    def users(self, batch: UserBatch, movies: MovieEmbeddings, keep: Tensor | None = None) -> Tensor:
        """Return the vectors of people, ``[batch.num_users, dim]``.

        Parameters
        ----------
        batch : UserBatch
        movies : MovieEmbeddings
        keep : Tensor, optional
            ``[num_edges of the batch]`` float, see `movies`.
        """
        z = self.aggregate(batch, movies, keep)
        if self.views is None:
            return z
        return z + self.views(batch, movies.messages[0], movies.degree, self.typical_degree, keep)

    def degrees(self, graph: GraphTensors) -> Tensor:
        """Return the degree that normalises each movie, ``[num_movies]``.

        A movie without an id vector is taken for one with the mean number of ratings: it has only its content to tell,
        and must not drown what is known of a person because nobody else has seen it.
        """
        degree = graph.movie_degree + self.extra_degree
        has_id = nn.functional.pad(self.message.has_id, (0, len(degree) - len(self.message.has_id)))
        return torch.where(has_id, degree, degree.clamp(min=self.typical_degree.item()))

    def forward(self, graph: GraphTensors) -> dict[str, Tensor]:
        """Return the vectors of every node: ``{"user": [num_users, dim], "movie": [num_movies, dim]}``."""
        movies = self.movies(graph)
        return {"user": self.users(graph.users, movies), "movie": movies.targets}
