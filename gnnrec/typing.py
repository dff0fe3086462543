"""Types that several parts of the package share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, Union

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from gnnrec.graph import Graph, NewMovie, NewUser, UserBatch

UserInput: TypeAlias = Union["NewUser", Mapping[Any, float], Hashable, "pd.DataFrame", Iterable[Any]]
"""Users as a caller has them: a user id, a `NewUser`, ``{movie: rating}``, a list of these, or a frame."""

MovieInput: TypeAlias = Union["NewMovie", Hashable]
"""A movie as a caller has it: a movie id, a title, or a `NewMovie`."""


class Scorer(Protocol):
    """What evaluation needs of a model: a graph, and scores of all its movies for a batch of users."""

    @property
    def graph(self) -> Graph:
        """Users, movies and ratings of the model."""
        ...

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32."""
        ...

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        """Return the model with more ratings in its graph."""
        ...
