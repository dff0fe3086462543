"""`ContentEmbeddings`: one embedding per movie, made from its poster, its plot or other content."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import is_listing, plain_ids, shown
from gnnrec.data.convert import format_id
from gnnrec.data.id_index import IdIndex
from gnnrec.errors import DataError


def _as_ids(movie_ids: Any) -> pd.Index:
    """Return ids as an index of whole numbers or strings."""
    if isinstance(movie_ids, Mapping) or not is_listing(movie_ids):
        raise DataError(f"movie ids must be a list of ids, not {shown(movie_ids)}")
    is_array = isinstance(movie_ids, np.ndarray | pd.Series | pd.Index) and movie_ids.ndim == 1
    index: pd.Index
    if is_array and movie_ids.dtype.kind in "iu":
        index = pd.Index(movie_ids)
    else:
        found = plain_ids(movie_ids, "movie", "is not an id; ids are whole numbers or text")
        index = pd.Index(found, dtype=None if found else object)
    return index


def _as_array(values: Any) -> np.ndarray:
    """Return numbers as float32; numbers beyond its range become infinite."""
    try:
        with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")  # warnings about complex numbers and ragged shapes
            raw = values.detach().cpu() if hasattr(values, "detach") else values
            if getattr(getattr(raw, "dtype", None), "is_floating_point", False):  # NumPy has no bfloat16
                raw = raw.float()
            plain = np.asarray(raw)
            if plain.dtype.kind not in "fiubOUS":
                raise TypeError(f"they are {plain.dtype}")
            return np.array(plain, dtype=np.float32, order="C")
    except (TypeError, ValueError, OverflowError, RuntimeError, Warning) as error:
        raise DataError(f"embeddings must be a table of numbers with a row per movie: {error}") from None


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ContentEmbeddings:
    """Embeddings of movies in one modality, such as posters or plots.

    Movies that have no poster or text are left out; models treat their embeddings as missing.

    Parameters
    ----------
    movie_ids : iterable
        ``[n]``, each once.
    values : array_like
        ``[n, dim]``, finite; kept as float32.
    description : str
        Origin, for reports: the encoder and its weights, or the file they were read from.

    Raises
    ------
    DataError
        Lengths differ, an id occurs twice, a value is not finite, or there are no columns.

    Examples
    --------
    >>> embeddings = ContentEmbeddings([10, 20], [[1.0, 0.0], [0.5, 0.5]], description="by hand")
    >>> embeddings
    ContentEmbeddings(2 movies, 2 dimensions: by hand)
    >>> values, known = embeddings.aligned([20, 30])
    >>> values.tolist(), known.tolist()
    ([[0.5, 0.5], [0.0, 0.0]], [True, False])
    """

    movie_ids: pd.Index
    values: np.ndarray
    description: str

    def __init__(self, movie_ids: Iterable[Any], values: Any, description: str = "given") -> None:
        ids, array = _as_ids(movie_ids), _as_array(values)
        if array.ndim != 2 or not array.shape[1]:
            raise DataError(
                f"embeddings must be a table of numbers with a row per movie, not an array of shape {array.shape}"
            )
        if len(ids) != len(array):
            raise DataError(f"{len(ids)} movie ids for {len(array)} embeddings")
        if ids.has_duplicates:
            raise DataError(f"movie {format_id(ids[ids.duplicated()][0])} has more than one embedding")
        if not isinstance(description, str):
            raise DataError(f"the description of embeddings must be a string, not {shown(description)}")
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise DataError(f"the embedding of movie {format_id(ids[row])} is not finite")
        array.flags.writeable = False
        for field, value in {"movie_ids": ids, "values": array, "description": description}.items():
            object.__setattr__(self, field, value)

    @property
    def dim(self) -> int:
        """Dimension of the embeddings."""
        return int(self.values.shape[1])

    def aligned(self, movie_ids: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings in the order of the given movies.

        Parameters
        ----------
        movie_ids : iterable
            ``[num_movies]``.

        Returns
        -------
        values : numpy.ndarray
            ``[num_movies, dim]`` float32, zeros for movies without an embedding.
        known : numpy.ndarray
            ``[num_movies]`` bool, which movies have one.
        """
        rows = self.movie_ids.get_indexer(pd.Index(movie_ids))
        known = rows >= 0
        values = np.zeros((len(rows), self.dim), dtype=np.float32)
        values[known] = self.values[rows[known]]
        return values, known

    def joined(self, other: ContentEmbeddings) -> ContentEmbeddings:
        """Return these embeddings and others; raise `DataError` if dimensions differ or a movie is in both."""
        self.check_dim(other)
        ids = self.movie_ids.append(other.movie_ids)
        return ContentEmbeddings(ids, np.concatenate([self.values, other.values]), self.description)

    def check_dim(self, other: ContentEmbeddings) -> None:
        """Raise a `DataError` unless both have the same dimension."""
        if self.dim != other.dim:
            raise DataError(
                f"embeddings of dimension {other.dim} ({other.description}) do not fit those of dimension {self.dim} "
                f"({self.description}); make them with the same encoder"
            )

    def __len__(self) -> int:
        return len(self.movie_ids)

    def __repr__(self) -> str:
        return f"ContentEmbeddings({len(self):,} movies, {self.dim} dimensions: {self.description})"


def check_overlap(features: Mapping[str, ContentEmbeddings], movie_ids: IdIndex, name: str) -> None:
    """Raise a `DataError` if a modality has an embedding for none of the movies of the dataset `name`."""
    for modality, embeddings in features.items():
        if not (movie_ids.rows(embeddings.movie_ids) >= 0).any():
            raise DataError(
                f"none of the {len(embeddings):,} movies with {modality} embeddings is in {name}; "
                "use the movie ids of the dataset"
            )


def check_features(features: Any) -> None:
    """Raise a `DataError` unless features are content embeddings by name."""
    if features is None:
        return
    if not isinstance(features, Mapping):
        raise DataError(f"features must be a mapping {{modality: ContentEmbeddings}}, not {shown(features)}")
    for name, embeddings in features.items():
        if not isinstance(name, str):
            raise DataError(f"the name of a feature must be a string, not {shown(name)}")
        if not isinstance(embeddings, ContentEmbeddings):
            raise DataError(f"the feature {name!r} must be ContentEmbeddings, not {shown(embeddings)}")
