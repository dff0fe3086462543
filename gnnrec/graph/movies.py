"""`NewMovie`: a movie that is in no graph, described well enough to be placed in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.vectors import MovieVectors


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

    def vectors(self, movie_id: Any) -> dict[str, MovieVectors]:
        """Return its vectors by modality."""
        return {
            name: MovieVectors([movie_id], np.asarray(vector, dtype=np.float32).reshape(1, -1), "given")
            for name, vector in self.features.items()
        }


def _joined(values: str | Iterable[str] | None) -> str | None:
    return values if values is None or isinstance(values, str) else "|".join(values)
