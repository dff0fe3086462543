"""Types that several parts of the package share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, Union

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from gnnrec.graph import Graph, NewMovie, NewUser, UserBatch

UserInput: TypeAlias = Union["NewUser", Mapping[Any, float], Hashable, "pd.DataFrame", Iterable[Any]]
"""Users to recommend to: a user id, a `NewUser`, ``{movie: rating}``, a list of these, or a DataFrame."""

MovieInput: TypeAlias = Union["NewMovie", Hashable]
"""A movie: its id, its title, or a `NewMovie`."""


class Scorer(Protocol):
    """The interface of a fitted model that evaluation requires.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> model: Scorer = Popularity().fit(dataset)
    >>> model.name, tuple(model.score(model.graph.users).shape)
    ('popularity', (60, 40))
    """

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def graph(self) -> Graph:
        """Users, movies and ratings known to the model."""
        ...

    def score(self, users: UserBatch) -> Tensor:
        """Return scores, ``[num_users, num_movies]`` float32."""
        ...

    def add_ratings(self, ratings: pd.DataFrame, users: pd.DataFrame | None = None) -> Self:
        """Return the model with more ratings."""
        ...


class Hyperparameters(Protocol):
    """The attributes of an estimator that a fitted model requires.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> estimator: Hyperparameters = EASE(reg=500)
    >>> estimator.name, estimator.model_dump()
    ('ease', {'reg': 500.0})
    """

    name: ClassVar[str]

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Return the hyperparameters as a mapping."""
        ...
