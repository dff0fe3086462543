"""Replaces titles in a ratings table by ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.id_index import IdIndex
from gnnrec.data.schema import canonical_names
from gnnrec.errors import DataError
from gnnrec.graph.titles import TitleIndex, check_unknown


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
    missing = np.flatnonzero((movie_ids.rows(pd.Index(given)) < 0) & given.notna().to_numpy())
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
