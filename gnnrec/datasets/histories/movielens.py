"""Exports of MovieLens."""

from __future__ import annotations

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile
from gnnrec.datasets.histories.tables import HistoryTable, times_of
from gnnrec.errors import DataError
from gnnrec.registry import register_history_format


@register_history_format("MovieLens", kind="table", matches=lambda columns: {"movieid", "rating"} <= set(columns))
def read_movielens(table: HistoryTable) -> HistoryFile:
    """Read the export of one's ratings, or the ratings of one user in the layout of MovieLens."""
    users = {row["userid"] for row in table.rows if row["userid"]}
    if len(users) > 1:
        at = table.rows[0].at.rpartition(":")[0]
        raise DataError(f"the file has ratings of {len(users):,} users; a history must be from a single user", at=at)
    found, (times, notes) = HistoryFile("MovieLens"), times_of(table.rows, "timestamp", "date", "tstamp")
    found.notes += notes
    for row, time in zip(table.rows, times, strict=True):
        found.entries.append(
            HistoryEntry(
                row["title"],
                rating=row.number("rating", (0.5, 5.0)),
                scale=(0.5, 5.0),
                is_current=True,
                time=time,
                imdb_id=f"tt{row['imdbid'].removeprefix('tt').zfill(7)}" if row["imdbid"] else None,
                tmdb_id=row.id("tmdbid"),
                movielens_id=row.id("movieid"),
                at=row.at,
            )
        )
    return found
