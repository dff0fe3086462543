"""Popularity: recommends the most rated movies to everyone; the simplest baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import movie_counts, padded
from gnnrec.models.estimator import Estimator
from gnnrec.models.saved_state import check_shapes
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun


@register_model("popularity")
class Popularity(Estimator):
    """Scores each movie by its number of ratings, for every user.

    Equal counts are in the order of the movie table. Movies added after fitting count 0.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3, 3], "movie_id": [20, 20, 20, 10]})
    >>> Popularity().fit(Dataset(ratings)).recommend({})["movie_id"].tolist()
    [20, 10]
    """

    def fit_graph(self, graph: Graph, run: FitRun) -> PopularityModel:
        """See `Estimator.fit_graph`."""
        return PopularityModel(graph, movie_counts(graph), self)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> PopularityModel:
        """See `Estimator.restore`."""
        check_shapes(state, counts="m")
        return PopularityModel(graph, padded(state["counts"], graph.num_movies), self)


@dataclass(frozen=True, eq=False, repr=False)
class PopularityModel(Recommender):
    """Fitted `Popularity`.

    Attributes
    ----------
    graph : Graph
    counts : Tensor
        ``[num_movies]`` float32, training ratings of each movie.
    estimator : Popularity
    """

    graph: Graph
    counts: Tensor
    estimator: Popularity

    def score(self, users: UserBatch) -> Tensor:
        """Return the counts ``[num_users, num_movies]``, the same for every user."""
        return self.counts.repeat(users.num_users, 1)

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`."""
        return replace(self, graph=graph, counts=padded(self.counts, graph.num_movies))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, 1]`` of ones: popularity says nothing about similarity."""
        return torch.ones(self.graph.num_movies, 1)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {"counts": self.counts}

    def __repr__(self) -> str:
        return f"PopularityModel({self.graph.num_movies:,} movies)"
