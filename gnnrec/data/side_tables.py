"""Side tables of a movies table: plots, OMDb's columns and links to other databases, joined by movie id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from gnnrec.data.schema import OPTIONAL_MOVIE_COLUMNS, canonical_columns, clean_movies
from gnnrec.data.tables import Table, locator, read_folder
from gnnrec.errors import DataError

SIDE_TABLES = ("fullplot", "omdb", "links")
"""File names without suffix; if two have a value for the same movie and column, the first is used."""


def read_side_tables(folder: Path) -> dict[str, Table]:
    """Read the side tables in a folder."""
    found: dict[str, Table] = {}
    for name in SIDE_TABLES:  # one by one, so that text ids in one file do not turn ids in the others into text
        found |= read_folder(folder, {name: "movies"}, required=())
    return found


def add_side_tables(movies: Table, side_tables: Mapping[str, Table]) -> Table:
    """Return a movies table with the columns of its side tables; values of the table itself are kept.

    Rows of other movies are ignored; a side table with none of the movies is a `DataError`.
    """
    frame = movies.frame.copy()
    for name, table in side_tables.items():
        added = _clean_side_table(name, table)
        if len(added):
            _check_ids(added.index, movies, table)
        for column, values in added.items():
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
        raise DataError(f"none of the movies in {movies.path.name} is in this file; check its ids", at=str(table.path))


def _clean_side_table(name: str, table: Table) -> pd.DataFrame:
    """Return the recognized columns of a side table, checked, with movie ids as index."""
    try:
        frame = canonical_columns(table.frame, "movies", ("movie_id",))
        known = [column for column in OPTIONAL_MOVIE_COLUMNS if column in frame]
        frame = frame[["movie_id", *known]]
        if name == "omdb":
            frame = frame.assign(
                **{name: _split_names(frame[name]) for name in ("directors", "actors") if name in known}
            )
        return clean_movies(frame).set_index("movie_id")[known]
    except DataError as error:
        raise error.relocated(locator({"movies": table})) from None


def _split_names(values: pd.Series) -> pd.Series:
    """Convert names from the format of OMDb, ``"Don Bluth, Gary Goldman(co-director)"``."""
    names = values.astype("string").str.replace(r"\s*\([^)]*\)", "", regex=True)
    return names.str.replace(r"\s*,(?!\s*(?:Jr|Sr)\b)\s*", "|", regex=True)
