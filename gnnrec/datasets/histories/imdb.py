"""Exports of IMDb."""

from __future__ import annotations

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.tables import HistoryTable, column_key, times_of
from gnnrec.registry import register_history_format

_IMDB_OTHERS = {
    "tvseries": "a series",
    "tvminiseries": "a series",
    "tvepisode": "an episode of a series",
    "videogame": "a video game",
    "podcastseries": "a podcast",
    "podcastepisode": "a podcast",
    "musicvideo": "a music video",
}


@register_history_format("IMDb", kind="table", matches=lambda columns: "const" in columns)
def read_imdb(table: HistoryTable) -> HistoryFile:
    """Read ratings, or a list."""
    found, (times, notes) = HistoryFile("IMDb"), times_of(table.rows, "daterated", "youratedon", "created", "modified")
    found.notes += notes
    rated = [column for column in ("yourrating", "yourated") if column in table.columns]
    is_watchlist = "watchlist" in table.name.lower() and not any(row[column] for column in rated for row in table.rows)
    for row, time in zip(table.rows, times, strict=True):
        kind = column_key(row["titletype"])
        if kind in _IMDB_OTHERS:
            found.left_out.append(LeftOut(row["title"], _IMDB_OTHERS[kind], row.at))
            continue
        if is_watchlist:
            found.left_out.append(LeftOut(row["title"], "on the watchlist, not watched", row.at))
            continue
        original = row["originaltitle"]
        found.entries.append(
            HistoryEntry(
                row["title"],
                row.year("year", "releasedate"),
                row.number(rated[0], (1.0, 10.0)) if rated else None,
                (1.0, 10.0),
                is_liked=not rated,
                is_current=True,
                time=time,
                other_names=(original,) if original and original != row["title"] else (),
                imdb_id=row["const"] or None,
                at=row.at,
            )
        )
    return found
