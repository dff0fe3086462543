"""`ContentEmbeddings`: what a picture, a text or anything else says about movies, as one vector each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.schema import format_id
from gnnrec.errors import DataError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ContentEmbeddings:
    """Vectors of movies in one modality: their posters, their plots, or whatever someone brings.

    Movies that are not in it have no picture or text; nothing is made up for them.

    Parameters
    ----------
    movie_ids : iterable
        ``[n]``, each once.
    values : array_like
        ``[n, dim]``, finite; kept as float32.
    about : str
        How they were made, for reports: the encoder and its weights, or the file they came from.

    Raises
    ------
    DataError
        Lengths differ, an id is there twice, a value is not finite, or there are no columns.

    Examples
    --------
    >>> vectors = ContentEmbeddings([10, 20], [[1.0, 0.0], [0.5, 0.5]], about="by hand")
    >>> vectors
    ContentEmbeddings(2 movies, 2 wide: by hand)
    >>> values, known = vectors.aligned([20, 30])
    >>> values.tolist(), known.tolist()
    ([[0.5, 0.5], [0.0, 0.0]], [True, False])
    """

    movie_ids: pd.Index
    values: np.ndarray
    about: str

    def __init__(self, movie_ids: Iterable[Any], values: Any, about: str = "given") -> None:
        ids, array = pd.Index(movie_ids), np.array(values, dtype=np.float32, order="C")
        if array.ndim != 2 or not array.shape[1]:
            raise DataError(
                f"vectors of movies must be a table of numbers, a row per movie, not of shape {array.shape}"
            )
        if len(ids) != len(array):
            raise DataError(f"{len(ids)} movie ids for {len(array)} vectors")
        if ids.has_duplicates:
            raise DataError(f"movie {format_id(ids[ids.duplicated()][0])} has more than one vector")
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise DataError(f"the vector of movie {format_id(ids[row])} has a number that is not finite")
        array.flags.writeable = False
        for field, value in {"movie_ids": ids, "values": array, "about": about}.items():
            object.__setattr__(self, field, value)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.values.shape[1])

    def aligned(self, movie_ids: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors in the order of these movies.

        Parameters
        ----------
        movie_ids : iterable
            ``[num_movies]``.

        Returns
        -------
        values : numpy.ndarray
            ``[num_movies, dim]`` float32, zeros for movies without a vector.
        known : numpy.ndarray
            ``[num_movies]`` bool, which movies have one.
        """
        place = self.movie_ids.get_indexer(pd.Index(movie_ids))
        known = place >= 0
        values = np.zeros((len(place), self.dim), dtype=np.float32)
        values[known] = self.values[place[known]]
        return values, known

    def joined(self, other: ContentEmbeddings) -> ContentEmbeddings:
        """Return these vectors and others of the same modality; `DataError` where widths differ or a movie has two."""
        if self.dim != other.dim:
            raise DataError(
                f"vectors of {other.dim} numbers ({other.about}) do not fit those of {self.dim} ({self.about}); "
                "make them with the same encoder"
            )
        ids = [*self.movie_ids, *other.movie_ids]
        return ContentEmbeddings(ids, np.concatenate([self.values, other.values]), self.about)

    def __len__(self) -> int:
        return len(self.movie_ids)

    def __repr__(self) -> str:
        return f"ContentEmbeddings({len(self):,} movies, {self.dim} wide: {self.about})"
