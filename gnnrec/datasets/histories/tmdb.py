"""Exports of TMDB, and movies as its API returns them."""

from __future__ import annotations

import re
from typing import Any

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems, integer, json_rating
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
    has_titles = any(isinstance(item.get("title", item.get("original_title")), str) for item in items)
    return has_titles and any("account_rating" in item or {"release_date", "id"} <= item.keys() for item in items)


@register_history_format("TMDB: JSON", kind="json", matches=is_tmdb)
def read_json(items: HistoryItems) -> HistoryFile:
    """Read a list of movies as the API returns it."""
    found = HistoryFile("TMDB")
    for number, item in enumerate(items.items):
        at, title = f"{items.label}[{number}]", item.get("title") or item.get("original_title") or item.get("name")
        if not isinstance(title, str) or item.get("media_type", "movie") != "movie":
            found.left_out.append(LeftOut(str(title or "?"), "not a movie", at))
            continue
        rating = item.get("rating", item.get("account_rating"))
        rating = rating.get("value") if isinstance(rating, dict) else rating
        original = item.get("original_title")
        released = re.match(r"\d{4}", str(item.get("release_date") or ""))
        found.entries.append(
            HistoryEntry(
                title,
                int(released[0]) if released else integer(item.get("year")),
                json_rating(rating, (0.5, 10.0), at),
                (1.0, 10.0),
                is_liked=rating is None,
                is_current=True,
                other_names=(original,) if isinstance(original, str) and original != title else (),
                imdb_id=str(item["imdb_id"]) if item.get("imdb_id") else None,
                tmdb_id=integer(item.get("tmdb_id", item.get("id"))),
                at=at,
            )
        )
    return found
