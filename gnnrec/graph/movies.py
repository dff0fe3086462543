"""`NewMovie`: a movie that is in no graph, described well enough to be placed in one."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data import ContentEmbeddings

AGE_BINS = (18, 25, 35, 45, 50, 56)
"""Lower ends of the age groups after the first; the groups of MovieLens-1M."""

DECADES = tuple(range(1920, 2030, 10))
"""Decades of release; earlier movies count as the first, later ones as the last."""


def profile_features(ages: np.ndarray, genders: np.ndarray, num_genders: int) -> Tensor:
    """Return ``[n, 7 + num_genders]``, what is known of people besides their occupation.

    Parameters
    ----------
    ages : numpy.ndarray
        ``[n]`` years, NaN where not known.
    genders : numpy.ndarray
        ``[n]`` int64, the place of each among the known genders, -1 where not known.
    num_genders : int
    """
    return torch.cat([age_features(ages), one_hot(genders, num_genders)], dim=1)


def age_features(ages: np.ndarray) -> Tensor:
    """Return ``[n, 7]``, one column per age group; `ages` in years, NaN where not known."""
    codes = np.where(np.isnan(ages), -1, np.digitize(ages, AGE_BINS))
    return one_hot(codes, len(AGE_BINS) + 1)


def decade_features(years: np.ndarray) -> Tensor:
    """Return ``[n, 11]``, one column per decade of release; NaN where not known."""
    decades = np.clip((np.nan_to_num(years) - DECADES[0]) // 10, 0, len(DECADES) - 1)
    return one_hot(np.where(np.isnan(years), -1, decades), len(DECADES))


def one_hot(codes: np.ndarray, width: int) -> Tensor:
    """Return ``[len(codes), width]`` with a one in the column of each code; zeros for -1."""
    x = torch.zeros(len(codes), width)
    rows = np.flatnonzero(codes >= 0)
    x[torch.from_numpy(rows), torch.from_numpy(codes[rows].astype(np.int64))] = 1.0
    return x


def value_edges(values: pd.Series, known: pd.Index, separator: str | None = None) -> tuple[Tensor, Tensor]:
    """Return the edges ``(row, node)`` from each row to the values it names.

    Parameters
    ----------
    values : pandas.Series of str
        One text per row; with a `separator`, several values in one text.
    known : pandas.Index
        The nodes. A value that is not among them makes no edge.
    separator : str, optional
        For example ``"|"`` in ``"Comedy|Drama"``.
    """
    texts = values.reset_index(drop=True).fillna("").astype(object)
    parts = texts.str.split(separator, regex=False).explode() if separator else texts
    node = known.get_indexer(pd.Index(parts))
    row = parts.index.to_numpy()
    return torch.from_numpy(row[node >= 0].astype(np.int64)), torch.from_numpy(node[node >= 0].astype(np.int64))


def distinct_values(values: pd.Series, separator: str | None = None, min_rows: int = 1) -> pd.Index:
    """Return the sorted values that occur in at least `min_rows` rows, as the nodes of a node type."""
    texts = values.dropna().astype(object)
    parts = texts.str.split(separator, regex=False).explode() if separator else texts
    often = (value for value, count in Counter(parts).items() if count >= min_rows)
    return pd.Index(sorted(set(often) - {""}), dtype=object)


def warn_unknown_values(values: pd.Series, known: pd.Index, what: str, separator: str | None = None) -> None:
    """Say which values of a column a graph that is made after training cannot use."""
    new = distinct_values(values, separator).difference(known)
    if len(new):
        warnings.warn(f"{what} {', '.join(map(repr, new))} was not seen in training and is ignored", stacklevel=4)


NUMERIC_FEATURES = {"year": (1985.0, 15.0), "runtime": (100.0, 25.0), "words": (4.0, 1.0)}
"""What is taken off each and what it is divided by: years, minutes, and the logarithm of the plot's number of words."""


def numeric_movie_features(movies: pd.DataFrame) -> Tensor:
    """Return ``[num_movies, 6]``: year, runtime and length of the plot, then which of them are known.

    Each is of a size near 1, and 0 where it is not known.
    """
    nothing = pd.Series(np.nan, index=movies.index)
    words = [len(plot.split()) if isinstance(plot, str) else 0 for plot in movies.get("plot", nothing)]
    with np.errstate(divide="ignore"):
        facts = {"year": movies.get("year", nothing), "runtime": movies.get("runtime", nothing), "words": np.log(words)}
    columns = [
        pd.to_numeric(pd.Series(facts[name]), errors="coerce").to_numpy("float64", na_value=np.nan)
        for name in NUMERIC_FEATURES
    ]
    values = np.stack(columns, axis=1)
    values[np.isinf(values)] = np.nan
    known = ~np.isnan(values)
    centre, unit = np.array(list(NUMERIC_FEATURES.values())).T
    values = np.where(known, ((np.nan_to_num(values) - centre) / unit).clip(-4, 4), 0.0)
    return torch.from_numpy(np.concatenate([values, known], axis=1)).float()


@dataclass(frozen=True)
class MovieAttribute:
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
MOVIE_ATTRIBUTES = {
    GENRES: MovieAttribute("genre", "has"),
    "directors": MovieAttribute("director", "directed_by", people=True),
    "actors": MovieAttribute("actor", "stars", people=True),
}
"""By column of the movies table. Genres are part of every graph."""


def attribute_values(movies: pd.DataFrame, min_movies: int) -> dict[str, pd.Index]:
    """Return the nodes of each kind, by column; people of fewer than `min_movies` movies are left out."""
    found = {
        column: distinct_values(movies[column], side.separator, min_movies if side.people else 1)
        for column, side in MOVIE_ATTRIBUTES.items()
        if column in movies
    }
    return {column: values for column, values in found.items() if len(values) or column == GENRES}


def known_attribute_values(movies: pd.DataFrame, known: Mapping[str, pd.Index]) -> dict[str, pd.Index]:
    """Return the `known` nodes of each kind, and warn of values that are not among them, unless they are people."""
    values = {column: known[column] for column in MOVIE_ATTRIBUTES if column == GENRES or column in known}
    for column in values:
        side = MOVIE_ATTRIBUTES[column]
        if not side.people:
            warn_unknown_values(movies[column], values[column], side.node_type, side.separator)
    return values


def attribute_edges(movies: pd.DataFrame, values: Mapping[str, pd.Index]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the edges ``(movie, value)`` of each kind, by column."""
    nothing = pd.Series("", index=movies.index)
    return {
        column: value_edges(movies.get(column, nothing), nodes, MOVIE_ATTRIBUTES[column].separator)
        for column, nodes in values.items()
    }


@dataclass(frozen=True)
class NewMovie:
    """A movie nobody has rated. All of it is optional: what is not told is not known.

    Parameters
    ----------
    title : str, optional
        A year at its end, as in ``"Night Train (2001)"``, counts as `year`.
    genres, directors, actors : str or list of str, optional
        ``"Comedy|Drama"`` or ``["Comedy", "Drama"]``. Those that the graph does not know count for nothing.
    year, runtime : int, optional
        Year of release, and minutes.
    plot : str, optional
        Its length tells how well known a movie is. For what it says, give its vector in `features`.
    features : mapping of str to array_like, optional
        A vector for each modality of the graph that you have, made by the same encoder as those of the graph.

    Examples
    --------
    >>> NewMovie("Night Train (2001)", genres=["Drama", "Crime"]).row(9001)["genres"].tolist()
    ['Drama|Crime']
    """

    title: str | None = None
    genres: str | Iterable[str] | None = None
    year: int | None = None
    directors: str | Iterable[str] | None = None
    actors: str | Iterable[str] | None = None
    runtime: int | None = None
    plot: str | None = None
    features: Mapping[str, Any] = field(default_factory=dict)

    def row(self, movie_id: Any) -> pd.DataFrame:
        """Return a movies table with this one movie."""
        told: dict[str, Any] = {"movie_id": movie_id, "title": self.title, "year": self.year}
        told |= {"runtime": self.runtime, "plot": self.plot}
        told |= {column: _joined(getattr(self, column)) for column in ("genres", "directors", "actors")}
        return pd.DataFrame([{column: value for column, value in told.items() if value is not None}])

    def vectors(self, movie_id: Any) -> dict[str, ContentEmbeddings]:
        """Return its vectors by modality."""
        return {
            name: ContentEmbeddings([movie_id], np.asarray(vector, dtype=np.float32).reshape(1, -1), "given")
            for name, vector in self.features.items()
        }


def _joined(values: str | Iterable[str] | None) -> str | None:
    return values if values is None or isinstance(values, str) else "|".join(values)
