"""Exports of Simkl."""

from __future__ import annotations

from typing import Any

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems, integer, json_rating
from gnnrec.datasets.histories.times import iso_time
from gnnrec.registry import register_history_format

_NOT_WATCHED = {"plantowatch": "on the watchlist, not watched", "notinteresting": "not interesting, not watched"}


def _ids(item: dict[str, Any]) -> dict[str, Any]:
    movie = item.get("movie")
    ids = movie.get("ids") if isinstance(movie, dict) else None
    return ids if isinstance(ids, dict) else {}


def is_simkl(items: list[dict[str, Any]]) -> bool:
    """Return whether items are of Simkl: those of Trakt have other keys for ratings."""
    return any("simkl" in _ids(item) or ("movie" in item and "user_rating" in item) for item in items)


@register_history_format("Simkl", kind="json", matches=is_simkl)
def read_simkl(items: HistoryItems) -> HistoryFile:
    """Read the list of movies, as in the backup and as the API returns it."""
    found = HistoryFile("Simkl")
    for number, item in enumerate(items.items):
        at, movie, ids = f"{items.label}[{number}]", item.get("movie"), _ids(item)
        if not isinstance(movie, dict):
            found.left_out.append(LeftOut("?", "not a movie", at))
            continue
        title = str(movie.get("title") or "")
        if reason := _NOT_WATCHED.get(str(item.get("status"))):
            found.left_out.append(LeftOut(title, reason, at))
            continue
        found.entries.append(
            HistoryEntry(
                title,
                integer(movie.get("year")),
                json_rating(item.get("user_rating"), (1.0, 10.0), at),
                (1.0, 10.0),
                is_current=True,
                time=iso_time(item["last_watched_at"]) if item.get("last_watched_at") else None,
                imdb_id=str(ids["imdb"]) if ids.get("imdb") else None,
                tmdb_id=integer(ids.get("tmdb")),
                at=at,
            )
        )
    return found
