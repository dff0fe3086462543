"""An extension module as a user would write it: one of everything that can be registered.

Tests copy this file out of the package and load it by its path or name; it is not imported from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Generator, Tensor

import gnnrec
from gnnrec import Dataset, Graph, Protocol, Recommender, Split
from gnnrec.config import ModelConfig
from gnnrec.datasets.histories import HistoryEntry, HistoryFile
from gnnrec.explore import Finding
from gnnrec.features import FeatureEncoder
from gnnrec.graph import UserBatch
from gnnrec.metadata import MovieMetadata, MovieQuery, NotFoundError, RequestPolicy
from gnnrec.models import Estimator
from gnnrec.nn import DropMask, Encoder, FeatureSizes, GraphTensors, MovieEmbeddings, NodeFeatures, TemporalPooling
from gnnrec.sparse import Adjacency
from gnnrec.training.loop import FitRun
from gnnrec.user_features import NumberFeature


class MeanEncoderConfig(ModelConfig):
    """Settings of `MeanEncoder`."""

    encoder: str = "plugin-mean"
    history_weight: float = Field(1.0, gt=0)
    """Weight of the history relative to the profile."""


@gnnrec.register_encoder("plugin-mean", config=MeanEncoderConfig)
class MeanEncoder(Encoder):
    """Averages the messages of a history; no propagation between movies."""

    def __init__(self, *sizes: Any, history_weight: float, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.history_weight = history_weight

    @classmethod
    def from_config(
        cls, config: ModelConfig, movie_features: FeatureSizes, user_features: FeatureSizes, num_movies: int
    ) -> Self:
        assert isinstance(config, MeanEncoderConfig)
        return cls(
            movie_features,
            user_features,
            num_movies,
            config.embedding_dim,
            history_weight=config.history_weight,
            temporal=TemporalPooling.from_config(config),
        )

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        messages = self.message(graph.movie_features, drop_mask)
        targets = self.target(graph.movie_features, drop_mask)
        return MovieEmbeddings([messages], targets, self.movie_degrees(graph))

    def aggregate(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(users.rating) if edge_mask is None else edge_mask
        weight = mask / users.user_movie.degrees(mask)[0].clamp(min=1)[users.user_index]
        history = users.user_movie.matmul(weight, movies.messages[0])
        profile: Tensor = self.profile(NodeFeatures.from_users(users))
        return profile + self.history_weight * history


@gnnrec.register_loss("plugin-hinge")
def hinge(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    observed: Adjacency,
    supervision: Tensor,
    generator: Generator | None = None,
    margin: float = 1.0,
) -> Tensor:
    """Return the hinge loss of each supervision edge against one random movie."""
    user, movie = observed.row[supervision], observed.col[supervision]
    negative = torch.randint(len(movie_embeddings), (len(user),), generator=generator).to(user.device)
    difference = (user_embeddings[user] * (movie_embeddings[movie] - movie_embeddings[negative])).sum(1)
    return (margin - difference).clamp(min=0).sum() / max(len(user), 1)


@gnnrec.register_metric("plugin-first-hit")
def first_hit(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Return 1 where the first movie of the list is relevant."""
    return hits[:, 0].float()


@gnnrec.register_model("plugin-counts")
class Counts(Estimator):
    """Scores movies by a power of their number of ratings."""

    power: float = Field(1.0, ge=-2, le=2)

    def fit_graph(self, graph: Graph, run: FitRun) -> FittedCounts:
        counts = torch.bincount(graph.users.movie_index, minlength=graph.num_movies).float()
        return FittedCounts(graph, self, (counts + 1) ** self.power)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> FittedCounts:
        return FittedCounts(graph, self, state["scores"])


@dataclass(frozen=True, eq=False)
class FittedCounts(Recommender):
    """A fitted `Counts`."""

    graph: Graph
    estimator: Counts
    scores: Tensor

    def score(self, users: UserBatch) -> Tensor:
        return self.scores.repeat(users.num_users, 1)

    def with_graph(self, graph: Graph) -> Self:
        missing = graph.num_movies - len(self.scores)
        return replace(self, graph=graph, scores=torch.nn.functional.pad(self.scores, (0, missing)))

    def similarity_embeddings(self) -> Tensor:
        return torch.stack([self.scores, torch.ones_like(self.scores)], dim=1)

    def state(self) -> dict[str, Tensor]:
        return {"scores": self.scores}


@gnnrec.register_dataset("plugin-blocks")
def blocks(num_users: int = 40) -> Dataset:
    """Return users who rate 10 of the 15 movies of one of two genres."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(1, num_users + 1), 10)
    movie = np.concatenate([1 + 15 * (u % 2) + rng.permutation(15)[:10] for u in range(num_users)])
    ratings = pd.DataFrame({"user_id": user, "movie_id": movie, "rating": 4.0, "timestamp": np.arange(len(user))})
    table = pd.DataFrame({"movie_id": range(1, 31), "genres": ["Drama"] * 15 + ["Comedy"] * 15})
    table["title"] = [f"Movie {i}" for i in range(1, 31)]
    return Dataset(ratings, table.assign(plot=["word " * i for i in range(1, 31)]), name="plugin-blocks")


@gnnrec.register_splitter("plugin-every")
def every(dataset: Dataset, step: int = 4) -> Split:
    """Return a split whose every n-th row is for testing, and the row before for validation."""
    place = np.arange(dataset.num_ratings) % step
    parts = [dataset.ratings[mask] for mask in (place < step - 2, place == step - 2, place == step - 1)]
    return Split(*parts, dataset.movies, dataset.users, dataset.name, f"every {step} rows", features=dataset.features)


gnnrec.register_protocol("plugin-fives")(Protocol("plugin-every", "every fifth row", {"step": 5}, mask="train+valid"))


@gnnrec.register_feature_encoder("plugin-length", modality="text")
class LengthEncoder(FeatureEncoder):
    """Encodes a plot by its length."""

    name = "plugin-length"
    cache_key = {"encoder": "plugin-length"}  # noqa: RUF012

    def encode(self, batch: Any) -> np.ndarray:
        return np.array([[len(text), 1] for text in batch], dtype="float32")


@gnnrec.register_finding("plugin-titles", title="Lengths of titles")
def titles(dataset: Dataset) -> Finding:
    """Describe the lengths of titles."""
    table = pd.DataFrame({"length": dataset.movies["title"].str.len()})

    def plot() -> Any:
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots().hist(table["length"])
        return figure

    return Finding(f"The longest has {table['length'].max()}.", "Histogram.", table, plot)


@gnnrec.register_user_feature("plugin_tenure")
class Tenure(NumberFeature):
    """Years since a user joined."""

    help = "Years since a new user joined."
    aliases = ("membersince",)
    minimum = 0

    def encode(self, values: np.ndarray) -> np.ndarray:
        return np.stack([np.ones_like(values), values / 10], axis=1)


@gnnrec.register_history_format("Plugin", kind="table", matches=lambda columns: "pluginid" in columns)
def read_plugin(table: Any) -> HistoryFile:
    """Read an export of hearts."""
    entries = [HistoryEntry(row["title"], rating=row.number("hearts"), scale=(0, 4), at=row.at) for row in table.rows]
    return HistoryFile("Plugin", entries)


@gnnrec.register_metadata_provider("plugin-shelf")
class Shelf:
    """Knows the plots of all movies."""

    name = "plugin-shelf"

    @classmethod
    def from_environment(cls, policy: RequestPolicy | None = None) -> Self:
        return cls()

    def find(self, query: MovieQuery) -> MovieMetadata:
        return MovieMetadata(str(query.movie_id), query.title, query.year, "title", 1.0, f"About {query.title}.", None)

    def poster(self, url: str) -> bytes:
        raise NotFoundError("there are no posters")
