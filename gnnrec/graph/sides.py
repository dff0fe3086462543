"""What movies are linked to besides people who watch: their genres, who directed them, who plays in them.

A kind of link is one line of `MOVIE_SIDES`: the column of the movies table that names the values, the type of node they
become and what the edge is called. A kind that no movie names is no part of a graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from gnnrec.graph import features


@dataclass(frozen=True)
class Side:
    """A kind of node that movies are linked to.

    Attributes
    ----------
    node_type, relation : str
        Names in PyG's `HeteroData`: the edges are ``("movie", relation, node_type)``.
    people : bool
        Whether these are people: so many that new ones are no surprise, and that those of a single movie, who link it
        to nothing, are better left out.
    separator : str
        Between the values of one movie.
    """

    node_type: str
    relation: str
    people: bool = False
    separator: str = "|"


GENRES = "genres"
MOVIE_SIDES = {
    GENRES: Side("genre", "has"),
    "directors": Side("director", "directed_by", people=True),
    "actors": Side("actor", "stars", people=True),
}
"""By column of the movies table. Genres are part of every graph."""


def values_in(movies: pd.DataFrame, min_movies: int) -> dict[str, pd.Index]:
    """Return the nodes of each kind, by column; people of fewer than `min_movies` movies are left out."""
    found = {
        column: features.distinct(movies[column], side.separator, min_movies if side.people else 1)
        for column, side in MOVIE_SIDES.items()
        if column in movies
    }
    return {column: values for column, values in found.items() if len(values) or column == GENRES}


def values_among(movies: pd.DataFrame, known: Mapping[str, pd.Index]) -> dict[str, pd.Index]:
    """Return the `known` nodes of each kind, and warn of values that are not among them, unless they are people."""
    values = {column: known[column] for column in MOVIE_SIDES if column == GENRES or column in known}
    for column in values:
        side = MOVIE_SIDES[column]
        if not side.people:
            features.warn_of_new(movies[column], values[column], side.node_type, side.separator)
    return values


def links_to(movies: pd.DataFrame, values: Mapping[str, pd.Index]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the edges ``(movie, value)`` of each kind, by column."""
    nothing = pd.Series("", index=movies.index)
    return {
        column: features.links(movies.get(column, nothing), nodes, MOVIE_SIDES[column].separator)
        for column, nodes in values.items()
    }
