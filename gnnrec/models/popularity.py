"""Recommends to everyone what most people have watched: the least a model must beat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.neighbors import movie_counts, padded


@dataclass(frozen=True, eq=False, repr=False)
class Popularity(Recommender):
    """Scores a movie by the number of people who rated it, whoever asks.

    Equal counts come in the order of the movie table. A movie added later counts 0.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    counts : Tensor
        ``[num_movies]`` float32, ratings of each movie when it was fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3, 3], "movie_id": [20, 20, 20, 10]})
    >>> model = Popularity.fit(Graph.from_dataset(Dataset(ratings)))
    >>> recommend(model, {})["movie_id"].tolist()
    [20, 10]
    """

    graph: Graph
    counts: Tensor
    name = "popularity"

    @classmethod
    def fit(cls, graph: Graph) -> Self:
        """Count the ratings of each movie of `graph`."""
        return cls(graph, movie_counts(graph))

    def score(self, users: UserBatch) -> Tensor:
        """Return the counts ``[num_movies]`` once per person, ``[num_users, num_movies]``."""
        return self.counts.repeat(users.num_users, 1)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same counts on a larger graph."""
        return replace(self, graph=graph, counts=padded(self.counts, graph.num_movies))

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, 1]`` of ones: how often a movie is watched does not say what it is like."""
        return torch.ones(self.graph.num_movies, 1)

    def __repr__(self) -> str:
        return f"Popularity({self.graph.num_movies:,} movies)"
