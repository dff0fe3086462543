"""Exports of Letterboxd."""

from __future__ import annotations

from pathlib import PurePosixPath

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.tables import HistoryTable, times_of
from gnnrec.registry import register_history_format


@register_history_format(
    "Letterboxd",
    kind="table",
    matches=lambda columns: "name" in columns and {"letterboxduri", "position"} & set(columns),
)
def read_letterboxd(table: HistoryTable) -> HistoryFile:
    """Read ratings, diary, watched films, likes or a list."""
    found, (times, notes) = HistoryFile("Letterboxd"), times_of(table.rows, "watcheddate", "date")
    found.notes += notes
    parts = PurePosixPath(table.name.lower()).parts
    is_watchlist, is_diary = "watchlist" in parts[-1], "watcheddate" in table.columns
    is_liked = "likes" in parts[:-1] or parts[-1] in ("films.csv", "likes.csv") or "position" in table.columns
    for row, time in zip(table.rows, times, strict=True):
        if is_watchlist:
            found.left_out.append(LeftOut(row["name"], "on the watchlist, not watched", row.at))
            continue
        rating = row.number("rating", (0.5, 5.0))
        found.entries.append(
            HistoryEntry(
                row["name"],
                row.year("year"),
                rating,
                (0.5, 5.0),
                is_liked=is_liked and rating is None,
                is_current=not is_diary,
                time=time,
                at=row.at,
            )
        )
    return found
