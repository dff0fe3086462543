"""Files beside a movies table that tell more about the movies: ``fullplot.csv``, ``omdb.csv`` and ``links.csv``.

Each is a table of its own with a column ``movie_id`` (or one of its usual other names), and what it knows becomes
columns of the movies. A fault is reported with the file and line it is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from gnnrec.data.clean import clean_movies, with_our_names
from gnnrec.data.facts import FACTS
from gnnrec.data.files import Table, places, read_folder
from gnnrec.errors import DataError

BESIDE = ("fullplot", "omdb", "links")
"""The files, without ending; of two that know the same thing of a movie, the first is believed."""


def read_beside(folder: Path) -> dict[str, Table]:
    """Read the files beside a movies table of another format, whose ids are whole numbers."""
    found: dict[str, Table] = {}
    for name in BESIDE:  # one by one: text among the ids of one file must not make text of the others'
        found |= read_folder(folder, {name: "movies"}, required=())
    return found


def with_facts(movies: Table, beside: Mapping[str, Table]) -> Table:
    """Return a movies table with further columns, filled in where the table itself says nothing.

    Rows about movies that the table lacks are left out; a file about none of its movies is a `DataError`.
    """
    frame = movies.frame.copy()
    for name, table in beside.items():
        facts = _facts(name, table)
        if len(facts):
            _check_ids(facts.index, movies, table)
        for column, values in facts.items():
            found = values.reindex(frame["movie_id"]).set_axis(frame.index)
            if column in frame:
                own = frame[column].astype(object)
                found = own.where(own.notna() & (own != ""), found.astype(object))
            frame[column] = found
    return Table(movies.path, frame, movies.line)


def _check_ids(ids: pd.Index, movies: Table, table: Table) -> None:
    theirs, ours = (
        "whole numbers" if pd.api.types.is_numeric_dtype(these.dtype) else "text"
        for these in (ids, movies.frame["movie_id"])
    )
    if theirs != ours:
        raise DataError(f"movie_id is {theirs} but {ours} in {movies.path.name}; use the same", at=str(table.path))
    if not ids.isin(movies.frame["movie_id"]).any():
        raise DataError(f"it tells of none of the movies in {movies.path.name}", at=str(table.path))


def _facts(name: str, table: Table) -> pd.DataFrame:
    """Return the known columns of a table, checked, with the movie ids as index."""
    try:
        frame = with_our_names(table.frame, "movies", ("movie_id",))
        known = [column for column in FACTS if column in frame]
        frame = frame[["movie_id", *known]]
        if name == "omdb":
            frame = frame.assign(**{who: _people(frame[who]) for who in ("directors", "actors") if who in known})
        return clean_movies(frame).set_index("movie_id")[known]
    except DataError as error:
        raise error.moved(places({"movies": table})) from None


def _people(values: pd.Series) -> pd.Series:
    """Return names as OMDb writes them, ``"Don Bluth, Gary Goldman(co-director)"``, in our way."""
    names = values.astype("string").str.replace(r"\s*\([^)]*\)", "", regex=True)
    return names.str.replace(r"\s*,(?!\s*(?:Jr|Sr)\b)\s*", "|", regex=True)
