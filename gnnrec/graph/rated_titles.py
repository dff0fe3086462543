"""Movies given by title or by id, in a ratings table or in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import NO_MOVIE, plain_ids
from gnnrec.data.id_index import IdIndex
from gnnrec.data.schema import canonical_names
from gnnrec.errors import DataError
from gnnrec.graph.titles import TitleIndex, check_unknown
from gnnrec.graph.vocabulary import Vocabulary

FEW = 64
"""Up to this many movies are looked up one by one, which is faster than building an index."""


def replace_titles(
    ratings: pd.DataFrame, movie_ids: IdIndex, titles: Callable[[], TitleIndex], unknown: str
) -> pd.DataFrame:
    """Return ratings with titles replaced by ids; all other checks are left to `Dataset`.

    Parameters
    ----------
    ratings : pandas.DataFrame
        With a column ``movie_id`` of ids and titles, or ``title``.
    movie_ids : IdIndex
        Movies of the graph.
    titles : callable
        Returns the index of their titles; called if there are titles.
    unknown : str
        ``"error"``, or ``"skip"``, which leaves rows of unknown movies out.
    """
    check_unknown(unknown)
    if not isinstance(ratings, pd.DataFrame):
        return ratings
    canonical = canonical_names(ratings.columns, "ratings")
    renamed = ratings.rename(columns=canonical) if canonical else ratings
    if "movie_id" not in renamed and "title" in renamed:
        renamed = renamed.rename(columns={"title": "movie_id"})
    if "movie_id" not in renamed or not renamed.columns.is_unique:
        return ratings
    given = renamed["movie_id"]
    try:
        missing = np.flatnonzero((movie_ids.rows(pd.Index(given)) < 0) & given.notna().to_numpy())
    except ArithmeticError:  # a decimal that cannot be compared; it is refused with the other ids
        return ratings
    names = given.iloc[missing].tolist()
    if unknown == "error" and not any(isinstance(name, str) for name in names):
        return renamed
    nodes: dict[Any, int | None] = dict.fromkeys(names)
    try:
        nodes.update(zip(nodes, titles().nodes(nodes, unknown=unknown), strict=True))
    except DataError:  # add the row to the message
        for row, name in zip(missing, names, strict=True):
            try:
                titles().node(name)
            except DataError as error:
                raise DataError(error.problem, at=("added ratings", int(row))) from None
    skipped = [row for row, name in zip(missing, names, strict=True) if nodes[name] is None]
    ids = given.astype(object)
    for row, name in zip(missing, names, strict=True):
        if (node := nodes[name]) is not None:
            ids.iloc[int(row)] = titles().movie_id(node)
    kept = np.delete(np.arange(len(renamed)), skipped)
    return renamed.iloc[kept].assign(movie_id=ids.iloc[kept].infer_objects())


def find_movies(
    movies: Iterable[Any], known: Vocabulary, titles: Callable[[], TitleIndex], unknown: str
) -> list[int | None]:
    """Return the node of each movie, given by id or by title; see `Graph.movie_nodes_by_name`.

    Parameters
    ----------
    movies : iterable
        Ids and titles.
    known : Vocabulary
        Movies of the graph.
    titles : callable
        Returns the index of their titles.
    unknown : str
        ``"error"``, or ``"skip"``, which returns None for unknown movies.
    """
    wanted = plain_ids(movies, "movie", NO_MOVIE)
    # Ids first; the rest are titles or errors.
    nodes: list[int | None]
    if len(wanted) <= FEW:
        nodes = [known.find(movie) for movie in wanted]
    else:
        nodes = known.ids.rows(pd.Index(wanted, dtype=object)).tolist()
    others = [place for place, node in enumerate(nodes) if node is not None and node < 0]
    found = titles().nodes([wanted[place] for place in others], unknown=unknown)
    for place, node in zip(others, found, strict=True):
        nodes[place] = node
    return nodes
