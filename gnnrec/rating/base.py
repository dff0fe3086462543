"""What everything that predicts ratings can do; predictors take in new ratings and movies without training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch

CHUNK = 512
"""People predicted for at once; bounds memory."""


class RatingPredictor(ABC):
    """A graph and a way to say how many stars its movies would get from people.

    Examples
    --------
    >>> from gnnrec.rating.baselines import Biases
    >>> rows = [(1, 7, 5), (1, 8, 3), (2, 7, 4), (2, 8, 2)]
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"]))
    >>> model = Biases.fit(Graph.from_dataset(dataset), movie_reg=0, user_reg=0)
    >>> pairs = torch.tensor([0, 0]), torch.tensor([0, 1])  # the first person and both movies
    >>> model.predict(model.graph.users, *pairs).tolist()  # each told by the other one alone
    [5.0, 3.0]
    """

    name: str
    graph: Graph

    @abstractmethod
    def predict(self, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
        """Return the rating ``[num_pairs]`` that person ``row[p]`` of `users` would give ``movie[p]``.

        If the person has rated that movie, this rating is left out of what is known about them.
        """

    @abstractmethod
    def with_graph(self, graph: Graph) -> Self:
        """Return the same predictor on a graph that holds more users, ratings or movies; nothing is trained."""

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        """Return the predictor on a graph with more ratings; see `Graph.add_ratings`."""
        return self.with_graph(self.graph.add_ratings(ratings, users))

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, ContentEmbeddings] | None = None) -> Self:
        """Return the predictor on a graph with more movies; see `Graph.add_movies`."""
        return self.with_graph(self.graph.add_movies(movies, features))


def predict_pairs(model: RatingPredictor, users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
    """Return what `RatingPredictor.predict` does, for any number of people; pairs may be in any order."""
    predicted = torch.empty(len(row))
    for start in range(0, users.num_users, CHUNK):
        end = min(start + CHUNK, users.num_users)
        if len(mine := torch.nonzero((row >= start) & (row < end)).squeeze(1)):
            predicted[mine] = model.predict(users.slice(start, end), row[mine] - start, movie[mine])
    return predicted


def rated(users: UserBatch, row: Tensor, movie: Tensor) -> Tensor:
    """Return which rating of the batch each pair is, ``[num_pairs]`` int64; -1 where there is none."""
    edge = users.user_index * users.num_movies + users.movie_index
    if not len(edge):
        return torch.full_like(row, -1)
    edge, order = edge.sort()
    pair = row * users.num_movies + movie
    place = torch.searchsorted(edge, pair).clamp(max=len(edge) - 1)
    return torch.where(edge[place] == pair, order[place], -1)


def check_ratings(dataset: Dataset) -> None:
    """Raise a `DataError` where there is nothing to learn ratings from."""
    if "rating" not in dataset.ratings:
        raise DataError(f"{dataset.name} has no column rating; without it there is nothing to predict")
    if dataset.ratings["rating"].nunique() < 2:
        value = dataset.ratings["rating"].iloc[0]
        raise DataError(f"every rating of {dataset.name} is {value:g}; there is nothing to learn")


def check_predictor(model: Any) -> None:
    """Raise a `DataError` unless `model` predicts ratings."""
    if not isinstance(model, RatingPredictor):
        hint = "a model that fit_ratings or load_ratings returns"
        raise DataError(f"predicting ratings takes {hint}, not {type(model).__name__}")
