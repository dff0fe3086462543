"""`RecGraph`: the trained graph neural network together with its graph."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gnnrec._torch import pick_device
from gnnrec.config import Config
from gnnrec.errors import DataError
from gnnrec.graph import Graph, NewMovie, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.nn import (
    BaseEncoder,
    EASEPart,
    Encoder,
    Ensemble,
    GraphTensors,
    MovieEmbeddings,
    NodeFeatures,
    movie_feature_sizes,
)
from gnnrec.registry import ENCODERS
from gnnrec.typing import UserInput


@dataclass(frozen=True, eq=False, repr=False)
class RecGraph(Recommender):
    """The trained graph neural network with its graph. Immutable: methods that add ratings or movies return a new one.

    Attributes
    ----------
    graph : Graph
        Training ratings, and users, ratings and movies added since.
    config : Config
        Its settings.
    encoder : Encoder or Ensemble
        The trained network, in evaluation mode.
    history : list of dict
        One entry per epoch: ``epoch, loss, <metric>, seconds``.
    report : dict
        Recorded results, as plain JSON values.
    name : str
        Registered name of the model.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import fit, load_dataset, recommend
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = fit(load_dataset("sample", num_users=60, num_movies=40), config=config, progress=False)
    >>> tuple(model.user_embeddings([1, {3: 5, 7: 4}]).shape), tuple(model.similarity_embeddings().shape)
    ((2, 8), (40, 8))
    >>> more = model.add_ratings(pd.DataFrame({"user_id": [61], "movie_id": [3], "rating": [5]}))
    >>> model.graph.num_users, more.graph.num_users, len(recommend(more, 61, k=5))
    (60, 61, 5)
    """

    graph: Graph
    config: Config
    encoder: BaseEncoder
    history: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    name: str = "gnn"
    scores_are_new: ClassVar[bool] = True

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.encoder.parameters()).device

    @cached_property
    def movie_embeddings(self) -> MovieEmbeddings:
        """All movies after propagation through the graph; computed once."""
        with torch.inference_mode():
            return self.encoder.embed_catalog(GraphTensors.from_graph(self.graph, self.device))

    @cached_property
    def _user_moment_root(self) -> Tensor:
        """Symmetric root ``[dim, dim]`` of the second moment of the user embeddings."""
        with torch.inference_mode():
            z = self.embed(self.graph.users)
            moment = z.T @ z / len(z)
            if not moment.isfinite().all():
                raise DataError(f"the model {self.name!r} has embeddings that are not finite; train it again")
            values, directions = torch.linalg.eigh(moment)
            root: Tensor = (directions * values.clamp(min=0).sqrt()) @ directions.T
            return root

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]``, inner products of user and movie embeddings."""
        with torch.inference_mode():
            return self.embed(users) @ self.movie_embeddings.targets.T

    def embed(self, users: UserBatch) -> Tensor:
        """Return the embeddings of a batch of users, ``[num_users, dim]``, with those of the `EASEPart`."""
        with torch.inference_mode():
            return self.encoder.embed_users(users.to(self.device), self.movie_embeddings)

    def user_embeddings(self, users: UserInput) -> Tensor:
        """Return the embeddings of known or new users, ``[num_users, dim]``; `users` as in `recommend`."""
        return self.embed(self.encode_users(users)[0])

    @property
    def uses_request_time(self) -> bool:
        """See `Recommender.uses_request_time`: setting ``model.request_time_features``."""
        return self.config.model.request_time_features

    def similarity_embeddings(self) -> Tensor:
        r"""Return ``[num_movies, dim]`` embeddings whose inner products compare the scores of movies across users.

        With :math:`Z` the embeddings of the graph's users and :math:`t_i` the targets of the movies, it is
        :math:`t_i^T Z^T Z \, t_j / n`: movies are similar when the same users are recommended them. Directions in which
        users do not differ have no effect.
        """
        return self.movie_embeddings.targets @ self._user_moment_root

    def embed_movie(self, movie: NewMovie) -> Tensor:
        """Return the target embedding of a new movie, ``[dim]``: computed from its features, as if it were added."""
        features = NodeFeatures.from_movies(self.graph.new_movie_features(movie), self.device)
        with torch.inference_mode():
            embedding = self.encoder.embed_new_movies(features)[0]
        return torch.nn.functional.pad(embedding, (0, self.config.model.ease_dim))

    def similarity_to_new(self, movie: NewMovie) -> Tensor:
        """See `Recommender.similarity_to_new`; the new movie is embedded from its features alone."""
        with torch.inference_mode():
            embedding = (self.embed_movie(movie) @ self._user_moment_root).cpu()
            return self.unit_similarity_embeddings @ torch.nn.functional.normalize(embedding, dim=0)

    def to(self, device: str) -> Self:
        """Return the same model on another device; ``"auto"`` is a GPU if available.

        Raises
        ------
        ConfigError
            The device cannot be used.
        """
        chosen = pick_device(device)
        if chosen == self.device:
            return self
        return dataclasses.replace(self, encoder=copy.deepcopy(self.encoder).to(chosen))

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; the movies of this graph must come first in the other."""
        return dataclasses.replace(self, graph=graph)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """See `Recommender.hyperparameters`: the config as a plain mapping."""
        return self.config.model_dump(mode="json")

    def state(self) -> dict[str, Tensor]:
        """Return the weights of the encoder."""
        return dict(self.encoder.state_dict())

    def __repr__(self) -> str:
        model = self.config.model
        dim = f"{model.num_members} x {model.embedding_dim}" if model.num_members > 1 else f"{model.embedding_dim}"
        return f"RecGraph({model.encoder}, {dim} dimensions, {self.graph!r})"


def make_encoder(config: Config, graph: Graph, num_ids: int | None = None) -> Encoder:
    """Return one untrained encoder for a graph.

    Parameters
    ----------
    config : Config
    graph : Graph
    num_ids : int, optional
        Number of movies with an id embedding; all by default. Fewer if movies were added after training.
    """
    return _encoder_builder(config, graph, graph.num_movies if num_ids is None else num_ids)()


def network_builder(
    config: Config, graph: Graph, num_ids: int, *, with_ease: bool = False
) -> Callable[[], BaseEncoder]:
    """Return the function that makes an untrained encoder or `Ensemble`; it depends on the sizes of the graph only.

    The parameters are those of `make_encoder`; `with_ease` adds an empty `EASEPart` if the config has one.
    """
    build_encoder = _encoder_builder(config, graph, num_ids)

    def build() -> BaseEncoder:
        number = config.model.num_members
        network = build_encoder() if number == 1 else Ensemble([build_encoder() for _ in range(number)])
        if with_ease and config.model.ease_dim:
            network.ease = EASEPart(num_ids, config.model.ease_dim)
        return network

    return build


def _encoder_builder(config: Config, graph: Graph, num_ids: int) -> Callable[[], Encoder]:
    movie_features = movie_feature_sizes(graph, config.model)
    user_features = NodeFeatures.from_users(graph.users).sizes

    def build() -> Encoder:
        encoder: Encoder = ENCODERS.get(config.model.encoder).from_config(
            config.model, movie_features, user_features, num_ids
        )
        encoder.edge_weights = config.model.edge_weights
        encoder.dislike_weight = config.model.dislike_weight
        return encoder

    return build
