"""`search`: movies of a graph by words of their titles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer, shown
from gnnrec.errors import DataError
from gnnrec.graph.titles import TitleIndex


def search(graph: Any, text: str, k: int = 10) -> pd.DataFrame:
    """Search the titles of a graph.

    Case, accents, articles, typing errors and the order of the words do not matter; a year helps.

    Parameters
    ----------
    graph : Graph or Recommender
        A graph, or a fitted model.
    text : str
        Words of a title, ``"matrix"``; or an id.
    k : int
        Maximum number of movies.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, score``, best first. A score of 1 is the same title, apart from its year; of equal scores,
        the movie with more ratings is first.

    Raises
    ------
    ConfigError
        `k` is below 1.
    DataError
        `text` is no text, or `graph` has no movies.

    Examples
    --------
    >>> title = graph.dataset.movies["title"][4]
    >>> gnnrec.search(graph, title.upper(), k=1)["title"][0] == title
    True
    """
    check_integer(k=k)
    graph = getattr(graph, "graph", graph)
    index = getattr(graph, "titles", None)
    if not isinstance(index, TitleIndex):
        raise DataError(f"search needs a graph or a fitted model, not {type(graph).__name__}")
    if not isinstance(text, str):
        raise DataError(f"search needs the words of a title, not {shown(text)}")
    k = min(int(k), len(index))
    counts = np.bincount(graph.dataset.rating_table.movie, minlength=len(index))
    found = index.search(text, k, counts)
    table = graph.dataset.movies.iloc[[node for _, node in found]]
    return pd.DataFrame(
        {
            "movie_id": table["movie_id"].to_numpy(),
            "title": table["title"].to_numpy(),
            "score": np.array([score for score, _ in found], dtype=np.float64),
        }
    )
