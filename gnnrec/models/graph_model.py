"""`GraphModel`: base class of fitted models whose graph can be changed without training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, Self

import pandas as pd

from gnnrec.graph import Graph


class GraphModel(ABC):
    """A fitted model on a graph. It is immutable: methods that change the graph return a new model.

    Attributes
    ----------
    graph : Graph
        Users, movies and ratings, from training or added since.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> model = Popularity().fit(dataset)
    >>> larger = model.add_user("anna", {1: 5})
    >>> larger.graph.num_users - model.graph.num_users
    1
    """

    graph: Graph

    @abstractmethod
    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a graph with more users, ratings or movies, without training."""

    def _extended(self, graph: Graph) -> Self:
        return self.with_graph(graph)

    def add_ratings(
        self,
        ratings: pd.DataFrame,
        users: pd.DataFrame | None = None,
        *,
        update: bool = False,
        unknown: str = "error",
    ) -> Self:
        """Return the model with more ratings in its graph; see `Graph.add_ratings`."""
        return self._extended(self.graph.add_ratings(ratings, users, update=update, unknown=unknown))

    def add_user(self, user_id: Hashable, ratings: Any = (), **options: Any) -> Self:
        """Return the model with one more user in its graph, such as ``"anna"``; see `Graph.add_user`."""
        return self._extended(self.graph.add_user(user_id, ratings, **options))

    def remove_ratings(self, user_id: Hashable, movies: Any, *, unknown: str = "error") -> Self:
        """Return the model without a user's ratings of some movies; see `Graph.remove_ratings`."""
        return self._extended(self.graph.remove_ratings(user_id, movies, unknown=unknown))

    def remove_user(self, user_id: Hashable) -> Self:
        """Return the model without a user, their profile and their ratings; see `Graph.remove_user`."""
        return self._extended(self.graph.remove_user(user_id))

    def add_movies(self, movies: pd.DataFrame, features: Mapping[str, Any] | None = None) -> Self:
        """Return the model with more movies in its graph; see `Graph.add_movies`."""
        return self._extended(self.graph.add_movies(movies, features))
