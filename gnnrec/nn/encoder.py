"""`Encoder`: the interface of all encoders, from the graph to movie embeddings and from these to user embeddings.

Users only receive messages from movies. A user embedding is computed from the profile and the movie embeddings of the
history by the same method in training, for stored users and for new ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.config import ModelConfig
from gnnrec.graph import Graph, UserBatch
from gnnrec.graph.dislikes import MARGINS, below_baseline, rating_baseline, rating_statistics, short_history_weight
from gnnrec.nn.ease import EASEPart, sum_of_history
from gnnrec.nn.features import DropMask, FeatureSizes, NodeEncoder, NodeFeatures
from gnnrec.nn.temporal import TemporalPooling

MAX_REPEATED = 10_000
"""Maximum number of ratings of users who are embedded with and without their dislikes at once."""


@dataclass(frozen=True, eq=False)
class GraphTensors:
    """The tensors of a graph that an encoder reads, on one device.

    Attributes
    ----------
    movie_features : NodeFeatures
    users : UserBatch
        All users. ``users.user_movie`` is the adjacency from movies to users.
    movie_degree : Tensor
        ``[num_movies]``, number of ratings of each movie.
    rating_scale : tuple of float or None
        Lowest and highest possible rating; None without ratings.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7]})
    >>> tensors = GraphTensors.from_graph(Graph.from_dataset(Dataset(ratings)))
    >>> tensors.movie_degree.tolist(), tensors.users.user_movie.num_edges
    ([2.0, 1.0], 3)
    """

    movie_features: NodeFeatures
    users: UserBatch
    movie_degree: Tensor
    rating_scale: tuple[float, float] | None = None

    @classmethod
    def from_graph(cls, graph: Graph, device: torch.device | str = "cpu") -> GraphTensors:
        """Return the tensors of a graph."""
        users = graph.users.to(device)
        movie_features = NodeFeatures.from_movies(graph.movies, device)
        return cls(movie_features, users, users.user_movie.degrees()[1], graph.dataset.rating_scale)


@dataclass(frozen=True, eq=False)
class MovieEmbeddings:
    """All movies after propagation.

    Attributes
    ----------
    messages : list of Tensor
        By layer, ``[num_movies, embedding_dim]``: the message from each movie to the users who rated it. Of an
        `Ensemble`, those of all its members, one member after another.
    targets : Tensor
        ``[num_movies, embedding_dim]``: a score is the inner product of a user embedding and a target.
    degree : Tensor
        ``[num_movies]``, the degree by which the messages of each movie are normalized.
    ease : Tensor, optional
        ``[num_movies, ease_dim]``: messages of the `EASEPart`, whose targets are the last columns of `targets`.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> config = Config().override(["model.embedding_dim=8", "model.num_layers=2", "model.encoder=graphsage"])
    >>> movies = make_encoder(config, graph).embed_movies(GraphTensors.from_graph(graph))
    >>> len(movies.messages), tuple(movies.targets.shape), tuple(movies.degree.shape)
    (2, (12, 8), (12,))
    """

    messages: list[Tensor]
    targets: Tensor
    degree: Tensor
    ease: Tensor | None = None


class BaseEncoder(nn.Module, ABC):
    """What an `Encoder` and an `Ensemble` of encoders share: the embeddings that recommendations are made from.

    Attributes
    ----------
    ease : EASEPart or None
        Its scores are added to those of the network. It takes no part in training.
    dislike_weight : float
        How strongly disliked movies count against similar ones, in evaluation mode; see `embed_users`.
    rating_mean, rating_std : Tensor
        Scalars, statistics of the training ratings.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.models.gnn import make_encoder
    >>> encoder = make_encoder(Config().override(["model.embedding_dim=8"]), graph)
    >>> isinstance(encoder, BaseEncoder), encoder.members == (encoder,)
    (True, True)
    """

    rating_mean: Tensor
    rating_std: Tensor
    dislike_weight: float = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.ease: EASEPart | None = None
        self.register_buffer("rating_mean", torch.zeros(()))
        self.register_buffer("rating_std", torch.zeros(()))

    @property
    @abstractmethod
    def members(self) -> Sequence[Encoder]:
        """The encoders that are trained, each with a loss of its own: those of an ensemble, or the encoder itself."""

    @torch.no_grad()
    def prepare(self, graph: GraphTensors) -> None:
        """Set the constants of the training graph, such as statistics of its ratings."""
        mean, std = rating_statistics(graph.users.rating, graph.rating_scale)
        self.rating_mean.copy_(mean)
        self.rating_std.copy_(std)

    @abstractmethod
    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """Propagate through the graph.

        Parameters
        ----------
        graph : GraphTensors
        edge_mask : Tensor, optional
            ``[num_edges]`` float, 1 for ratings that carry messages; all by default. In training the others are
            supervision edges and must not influence the result.
        drop_mask : DropMask, optional
            Movie inputs to hide, in training.
        """

    @abstractmethod
    def embed_new_movies(self, features: NodeFeatures) -> Tensor:
        """Return the targets of movies outside the graph, from features alone, ``[num_movies, embedding_dim]``."""

    @abstractmethod
    def embed_histories(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """Return user embeddings without dislikes and `EASEPart`; arguments and shape as in `embed_users`."""

    def embed_catalog(self, graph: GraphTensors) -> MovieEmbeddings:
        """Propagate through the graph and append the embeddings of the `EASEPart`, as used for recommendations."""
        movies = self.embed_movies(graph)
        if self.ease is None:
            return movies
        size = len(movies.targets)
        targets = torch.cat([movies.targets, self.ease.targets(size)], dim=1)
        return replace(movies, targets=targets, ease=self.ease.messages(size))

    def embed_users(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        r"""Return user embeddings, ``[num_users, embedding_dim]``; from `embed_catalog` with those of the `EASEPart`.

        In evaluation mode, disliked movies count against similar ones: with :math:`z` the embedding from the whole
        history and :math:`z_{-m}` that without the ratings that are :math:`m` standard deviations below the user's
        baseline (see `gnnrec.graph.dislikes`), it is

        .. math:: z + \lambda \frac{20}{20 + n} \left( \tfrac{1}{2} (z_{-0.5} - z) + (z_{-1.5} - z) \right)

        where :math:`\lambda` is the `dislike_weight` and :math:`n` the number of ratings. With :math:`\lambda = 1` and
        few ratings a mild dislike counts half, and a strong one minus one half. The longer the history, the weaker the
        effect, because even movies that heavy users dislike reflect what they watch. In training every rating counts
        equally, and without dislikes the result is :math:`z`.

        Parameters
        ----------
        users : UserBatch
        movies : MovieEmbeddings
        edge_mask : Tensor, optional
            ``[num_edges of the batch]`` float, as in `embed_movies`.
        """
        if self.training or not self.dislike_weight:
            return self._embed_users(users, movies, edge_mask)
        baseline = rating_baseline(users, self.rating_mean, self.rating_std, edge_mask)
        dislikes = []  # each [num_edges]
        for margin in MARGINS:
            edges = below_baseline(users, baseline, self.rating_std, margin)
            if not torch.compiler.is_exporting() and not edges.any():
                break  # larger margins have fewer still
            dislikes.append(edges)
        masks = [(~edges).float() if edge_mask is None else edge_mask * ~edges for edges in dislikes]
        z, *without = self._embed_for_masks(users, movies, [edge_mask, *masks])
        pushed = z
        weight = self.dislike_weight * short_history_weight(users, edge_mask)
        for share, edges, other in zip(MARGINS.values(), dislikes, without, strict=False):
            number = z.new_zeros(users.num_users).index_add(0, users.user_index, edges.to(z.dtype))
            affected = share * (number > 0).unsqueeze(1)  # the others remain bit-identical
            pushed = pushed + weight[:, None] * affected * (other - z)
        return pushed

    def _embed_for_masks(
        self, users: UserBatch, movies: MovieEmbeddings, edge_masks: list[Tensor | None]
    ) -> Sequence[Tensor]:
        """Return the embeddings of users for each of several edge masks.

        Small batches are embedded at once, as so many more users: most of the cost of a pass does not depend on their
        number.
        """
        num_edges, num_masks = len(users.user_index), len(edge_masks)
        if num_masks == 1 or torch.compiler.is_exporting() or num_edges > MAX_REPEATED:
            return [self._embed_users(users, movies, mask) for mask in edge_masks]
        masks = [torch.ones_like(users.rating) if mask is None else mask for mask in edge_masks]
        return self._embed_users(users.repeat(num_masks), movies, torch.cat(masks)).chunk(num_masks)

    def _embed_users(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None) -> Tensor:
        z = self.embed_histories(users, movies, edge_mask)
        return z if movies.ease is None else torch.cat([z, sum_of_history(users, movies.ease, edge_mask)], dim=1)

    def forward(self, graph: GraphTensors) -> dict[str, Tensor]:
        """Return all embeddings: ``{"user": [num_users, embedding_dim], "movie": [num_movies, embedding_dim]}``."""
        movies = self.embed_catalog(graph)
        return {"user": self.embed_users(graph.users, movies), "movie": movies.targets}


class Encoder(BaseEncoder):
    """Computes movie embeddings from a graph, and user embeddings from movie embeddings.

    An encoder of your own implements `from_config`, `embed_movies` and `aggregate`, and is registered with
    ``@register_encoder("name", config=...)``.

    Parameters
    ----------
    movie_features, user_features : FeatureSizes
        Sizes of the features of movies and users.
    num_movies : int
        Number of movies with an id embedding.
    embedding_dim : int
        Dimension of all embeddings.
    movie_degree_smoothing : float
        Pseudo-count added to every movie's degree, in units of the mean degree.
    temporal : TemporalPooling, optional
        Added to user embeddings; depends on the order and dates of the history.

    Attributes
    ----------
    message, target, profile : NodeEncoder
        Embeddings before propagation: of movies as senders of messages, of movies as targets, and of users.
    degree_pseudocount : Tensor
        Scalar, number of ratings added to every movie's degree. Otherwise, the rarest movies, about which
        the least is known, would have the largest weights.
    mean_degree : Tensor
        Scalar, mean degree of a rated movie, `degree_pseudocount` included.
    edge_weights : bool
        Whether weights of interactions scale their messages; setting ``model.edge_weights``.
    temporal : TemporalPooling or None
        None if the encoder treats the history as a set.

    Further attributes are those of `BaseEncoder`.

    Examples
    --------
    >>> from gnnrec.config import Config
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models.gnn import make_encoder
    >>> graph = Graph.from_dataset(make_sample(20, 12))
    >>> encoder = make_encoder(Config().override(["model.embedding_dim=8"]), graph)
    >>> tensors = GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> {kind: tuple(embeddings.shape) for kind, embeddings in encoder(tensors).items()}
    {'user': (20, 8), 'movie': (12, 8)}
    """

    degree_pseudocount: Tensor
    mean_degree: Tensor
    edge_weights: bool = False

    def __init__(
        self,
        movie_features: FeatureSizes,
        user_features: FeatureSizes,
        num_movies: int,
        embedding_dim: int,
        movie_degree_smoothing: float = 0.0,
        temporal: TemporalPooling | None = None,
    ) -> None:
        super().__init__()
        self.movie_degree_smoothing = movie_degree_smoothing
        self.temporal = temporal
        self.register_buffer("degree_pseudocount", torch.zeros(()))
        self.register_buffer("mean_degree", torch.zeros(()))
        self.message = NodeEncoder(movie_features, embedding_dim, num_movies)
        self.target = NodeEncoder(movie_features, embedding_dim, num_movies)
        self.profile = NodeEncoder(user_features, embedding_dim)

    @classmethod
    @abstractmethod
    def from_config(
        cls, config: ModelConfig, movie_features: FeatureSizes, user_features: FeatureSizes, num_movies: int
    ) -> Self:
        """Return an untrained encoder.

        Parameters
        ----------
        config : ModelConfig
            The model section of the config: an instance of the settings class that is registered with the encoder.
        movie_features, user_features : FeatureSizes
        num_movies : int
            Number of movies with an id embedding.
        """

    @torch.no_grad()
    def prepare(self, graph: GraphTensors) -> None:
        """Set the constants of the training graph: movies with an id embedding, mean degree, ratings, time span."""
        super().prepare(graph)
        rated = graph.movie_degree > 0
        for node_encoder in (self.message, self.target):
            node_encoder.prepare(graph.movie_features, rated)
        mean = graph.movie_degree[rated].mean()
        self.degree_pseudocount.copy_(self.movie_degree_smoothing * mean)
        self.mean_degree.copy_(mean + self.degree_pseudocount)
        if self.temporal is not None and self.temporal.dates is not None:
            self.temporal.dates.prepare(graph.users.timestamp)

    @property
    def movies_receive_messages(self) -> bool:
        """Whether `embed_movies` depends on the ratings of the graph; True unless an encoder overrides it."""
        return True

    @property
    def uses_request_time(self) -> bool:
        """Whether user embeddings depend on the time of the request."""
        return self.temporal is not None and self.temporal.request_times is not None

    @property
    def members(self) -> Sequence[Encoder]:
        """See `BaseEncoder.members`: itself."""
        return (self,)

    def embed_new_movies(self, features: NodeFeatures) -> Tensor:
        """See `BaseEncoder.embed_new_movies`."""
        return self.target.embed_features(features)

    @abstractmethod
    def aggregate(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """Return user embeddings from profiles and histories as sets; arguments and shape as in `embed_users`.

        The targets of `movies` must not matter: an export and an `Ensemble` do not have those of this encoder.
        """

    def embed_histories(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """See `BaseEncoder.embed_histories`: `aggregate`, and the temporal pooling."""
        z = self.aggregate(users, movies, edge_mask)
        if self.temporal is not None:
            z = z + self.temporal(users, movies.messages[0], movies.degree, self.mean_degree, edge_mask)
        return z

    def movie_degrees(self, graph: GraphTensors) -> Tensor:
        """Return the degree that normalizes the messages of each movie, ``[num_movies]``.

        A movie without id embedding counts as one of mean degree: its own small degree would let its features dominate
        the history of a user.
        """
        degree = graph.movie_degree + self.degree_pseudocount
        has_id = nn.functional.pad(self.message.has_id, (0, len(degree) - len(self.message.has_id)))
        return torch.where(has_id, degree, degree.clamp(min=float(self.mean_degree)))
