"""Exports of TMDB, and movies as its API returns them."""

from __future__ import annotations

from typing import Any

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems, have_titles, read_movies
from gnnrec.datasets.histories.tables import HistoryTable, times_of
from gnnrec.registry import register_history_format


@register_history_format(
    "TMDB", kind="table", matches=lambda columns: {"tmdbid", "type"} <= set(columns) and "movieid" not in columns
)
def read_table(table: HistoryTable) -> HistoryFile:
    """Read the CSV export."""
    found, (times, notes) = HistoryFile("TMDB"), times_of(table.rows, "daterated", "date", "createdat")
    found.notes += notes
    for row, time in zip(table.rows, times, strict=True):
        title = row.first("name", "title")
        if row["type"].lower() not in ("", "movie", "film") or row["seasonnumber"] or row["episodenumber"]:
            found.left_out.append(LeftOut(title, "a series", row.at))
            continue
        column = "yourrating" if "yourrating" in table.columns else "rating"
        found.entries.append(
            HistoryEntry(
                title,
                row.year("releasedate", "year"),
                row.number(column, (0.5, 10.0)),
                (0.5, 10.0),
                is_current=True,
                time=time,
                other_names=(row["originaltitle"],) if row["originaltitle"] else (),
                imdb_id=row["imdbid"] or None,
                tmdb_id=row.id("tmdbid"),
                at=row.at,
            )
        )
    return found


def is_tmdb(items: list[dict[str, Any]]) -> bool:
    """Return whether items are movies of TMDB's API."""
    return have_titles(items) and any("release_date" in item and "id" in item for item in items)


@register_history_format("TMDB: JSON", kind="json", matches=is_tmdb)
def read_json(items: HistoryItems) -> HistoryFile:
    """Read a list of movies as the API returns it."""
    return read_movies(items, HistoryFile("TMDB"), id_key="id")
