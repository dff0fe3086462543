"""Movies as models see them: numeric features, links to attribute nodes and content embeddings; and `NewMovie`.

An attribute (a column whose values become nodes) is one line of `MOVIE_ATTRIBUTES`, a numeric feature one line of
`NUMERIC_FEATURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import check_text, entries, is_listing, shown
from gnnrec.data import ContentEmbeddings
from gnnrec.data.id_index import IdIndex
from gnnrec.errors import DataError
from gnnrec.graph.vocabulary import distinct_values, one_hot, value_edges, warn_unknown_values

DECADES = tuple(range(1920, 2030, 10))
"""Decades of release; earlier movies are assigned to the first, later ones to the last."""


def decade_features(movies: pd.DataFrame) -> Tensor:
    """Return ``[num_movies, 11]``, one column per decade of release; zeros where the year is unknown."""
    years = movies["year"].to_numpy(dtype="float64", na_value=np.nan)
    decades = np.clip((np.nan_to_num(years) - DECADES[0]) // 10, 0, len(DECADES) - 1)
    return one_hot(np.where(np.isnan(years), -1, decades), len(DECADES))


def _numbers(column: str, movies: pd.DataFrame) -> np.ndarray:
    if column not in movies:
        return np.full(len(movies), np.nan)
    return movies[column].to_numpy("float64", na_value=np.nan)


def _log_plot_length(movies: pd.DataFrame) -> np.ndarray:
    if "plot" not in movies:
        return np.full(len(movies), np.nan)
    words = np.array([len(plot.split()) if isinstance(plot, str) else 0 for plot in movies["plot"]], dtype="float64")
    lengths = np.full(len(words), np.nan)
    np.log(words, where=words > 0, out=lengths)
    return lengths


NUMERIC_FEATURES: dict[str, tuple[Callable[[pd.DataFrame], np.ndarray], float, float]] = {
    "year": (partial(_numbers, "year"), 1985.0, 15.0),
    "runtime": (partial(_numbers, "runtime"), 100.0, 25.0),
    "plot_length": (_log_plot_length, 4.0, 1.0),
}
"""How each is computed from the movies table (NaN where unknown), and its typical value and spread."""


def numeric_features(movies: pd.DataFrame) -> Tensor:
    """Return ``[num_movies, 6]``: standardized `NUMERIC_FEATURES`, 0 where unknown, then which of them are known."""
    columns = [(compute(movies) - center) / scale for compute, center, scale in NUMERIC_FEATURES.values()]
    values = np.stack(columns, axis=1)  # [num_movies, 3]
    known = ~np.isnan(values)
    values = np.where(known, np.nan_to_num(values).clip(-4, 4), 0.0)
    return torch.from_numpy(np.concatenate([values, known], axis=1)).float()


@dataclass(frozen=True)
class MovieAttribute:
    """A column of the movies table whose values are nodes.

    Attributes
    ----------
    node_type, relation : str
        Names in PyG's `HeteroData`: the edges are ``("movie", relation, node_type)``.
    is_person : bool
        Whether the values are people. People with fewer than `min_movies` movies get no node; unknown people in added
        movies raise no warning.
    separator : str
        Separator between the values of a movie.
    """

    node_type: str
    relation: str
    is_person: bool = False
    separator: str = "|"


USER, MOVIE, OCCUPATION = "user", "movie", "occupation"
"""Node types; those of movie attributes are in `MOVIE_ATTRIBUTES`."""
GENRES = "genres"
MOVIE_ATTRIBUTES = {
    GENRES: MovieAttribute("genre", "has"),
    "directors": MovieAttribute("director", "directed_by", is_person=True),
    "actors": MovieAttribute("actor", "stars", is_person=True),
}
"""By column of the movies table. Every graph has genres."""


def attribute_values(movies: pd.DataFrame, min_movies: int) -> dict[str, pd.Index]:
    """Return the attribute nodes, by column; people with fewer than `min_movies` movies get none."""
    found = {
        column: distinct_values(movies[column], attribute.separator, min_movies if attribute.is_person else 1)
        for column, attribute in MOVIE_ATTRIBUTES.items()
        if column in movies
    }
    return {column: values for column, values in found.items() if len(values) or column == GENRES}


def warn_unknown_attributes(movies: pd.DataFrame, attributes: Mapping[str, pd.Index]) -> None:
    """Warn about attribute values of movies that are not nodes, except people."""
    for column, values in attributes.items():
        attribute = MOVIE_ATTRIBUTES[column]
        if not attribute.is_person:
            warn_unknown_values(movies[column], values, attribute.node_type, attribute.separator)


@dataclass(frozen=True, eq=False)
class MovieFeatures:
    """Features of movies as tensors.

    Attributes
    ----------
    x : Tensor
        ``[num_movies, 11]``, decade of release; see `decade_features`.
    numeric : Tensor
        ``[num_movies, 6]``, see `numeric_features`.
    attribute_edges : dict of str to (Tensor, Tensor)
        By attribute, the edges ``(movie, attribute node)``, each ``[num_edges]`` int64.
    num_attributes : dict of str to int
        By attribute, the number of nodes.
    modalities : dict of str to (Tensor, Tensor)
        By modality, ``[num_movies, dim]`` content embeddings, and ``[num_movies]`` bool, which movies have one.

    Examples
    --------
    >>> movies = pd.DataFrame({"movie_id": [1, 2], "year": [1995, None], "genres": ["Drama", "Drama|War"]})
    >>> features = MovieFeatures.from_table(movies, {}, {"genres": pd.Index(["Drama", "War"])})
    >>> len(features), features.x.nonzero().tolist()  # the 1990s are the eighth decade
    (2, [[0, 7]])
    >>> [end.tolist() for end in features.attribute_edges["genres"]]
    [[0, 1, 1], [0, 0, 1]]
    """

    x: Tensor
    numeric: Tensor
    attribute_edges: dict[str, tuple[Tensor, Tensor]]
    num_attributes: dict[str, int]
    modalities: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def from_table(
        cls,
        movies: pd.DataFrame,
        embeddings: Mapping[str, ContentEmbeddings],
        attributes: Mapping[str, pd.Index],
        base: MovieFeatures | None = None,
    ) -> MovieFeatures:
        """Compute the features of a movies table.

        Parameters
        ----------
        movies : pandas.DataFrame
        embeddings : mapping of str to ContentEmbeddings
            By modality.
        attributes : mapping of str to pandas.Index
            The nodes, by attribute.
        base : MovieFeatures, optional
            Features of the first movies of the table, which need not be computed again.
        """
        aligned = {name: values.aligned(movies["movie_id"]) for name, values in embeddings.items()}
        modalities = {name: (torch.from_numpy(v), torch.from_numpy(known)) for name, (v, known) in aligned.items()}
        start = 0 if base is None else len(base)
        rows = movies.iloc[start:]
        x, numeric = decade_features(rows), numeric_features(rows)
        none = torch.zeros(0, dtype=torch.int64)
        edges = {
            column: value_edges(rows[column], nodes, MOVIE_ATTRIBUTES[column].separator)
            if column in rows and rows[column].notna().any()
            else (none, none)
            for column, nodes in attributes.items()
        }
        if base is not None:
            x, numeric = torch.cat([base.x, x]), torch.cat([base.numeric, numeric])
            for column, (movie, node) in edges.items():
                first_movies, first_nodes = base.attribute_edges[column]
                edges[column] = torch.cat([first_movies, movie + start]), torch.cat([first_nodes, node])
        return cls(x, numeric, edges, {column: len(nodes) for column, nodes in attributes.items()}, modalities)

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class NewMovie:
    """A movie without ratings. Everything is optional; what is not given counts as unknown.

    Parameters
    ----------
    title : str, optional
        A year at its end, as in ``"Night Train (2001)"``, counts as `year`.
    genres, directors, actors : str or list of str, optional
        ``"Comedy|Drama"`` or ``["Comedy", "Drama"]``. Values that are not in the graph are ignored.
    year, runtime : int, optional
        Year of release, and minutes.
    plot : str, optional
        Only its length is used; pass its content embedding in `features`.
    features : mapping of str to array_like, optional
        Content embeddings by modality of the graph, made by the same encoder.

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
        values: dict[str, Any] = {"movie_id": movie_id, "title": self.title, "year": self.year}
        values |= {"runtime": self.runtime, "plot": self.plot}
        values |= {column: _join_names(column, getattr(self, column)) for column in ("genres", "directors", "actors")}
        check_text(**{column: text for column, text in values.items() if column in _TEXTS and text is not None})
        return pd.DataFrame([{column: value for column, value in values.items() if value is not None}])

    def embeddings(self, movie_id: Any) -> dict[str, ContentEmbeddings]:
        """Return its content embeddings by modality."""
        if not isinstance(self.features, Mapping):
            raise DataError(f"features must be a mapping {{modality: embedding}}, not {shown(self.features)}")
        made = {}
        for name, values in self.features.items():
            try:
                numbers = entries(values, "numbers") if is_listing(values) and not hasattr(values, "ndim") else values
                made[name] = ContentEmbeddings([movie_id], [numbers] if np.ndim(numbers) == 1 else numbers)
            except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # a DataError is a ValueError, too
                raise DataError(f"the {shown(name)} embedding of the movie: {error}") from None
        return made


_TEXTS = ("title", "plot", "genres", "directors", "actors")


def unused_movie_id(movie_ids: IdIndex) -> int | str:
    """Return an id that no movie has: a whole number if the others are, else a text."""
    return int(movie_ids.ids.max()) + 1 if movie_ids.are_numbers else "".join(["new movie", *movie_ids.ids])


def _join_names(column: str, values: str | Iterable[str] | None) -> str | None:
    if values is None or isinstance(values, str):
        return values
    names: list[Any] = entries(values, column) if is_listing(values) and not isinstance(values, Mapping) else [values]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise DataError(f"{column} must be a string or a list of strings, not {shown(wrong[0])}")
    return "|".join(names)
