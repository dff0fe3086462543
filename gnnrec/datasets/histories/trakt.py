"""Exports of Trakt."""

from __future__ import annotations

from pathlib import PurePosixPath

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems, integer, json_rating
from gnnrec.datasets.histories.times import iso_time
from gnnrec.registry import register_history_format


@register_history_format(
    "Trakt",
    kind="json",
    matches=lambda items: any(
        isinstance(item.get(key), dict) for item in items for key in ("movie", "show", "episode")
    ),
)
def read_trakt(items: HistoryItems) -> HistoryFile:
    """Read ratings, history, watched movies or favorites."""
    found = HistoryFile("Trakt")
    stem = PurePosixPath(items.name.lower()).name
    for number, item in enumerate(items.items):
        at, movie = f"{items.label}[{number}]", item.get("movie")
        if not isinstance(movie, dict):
            show = item.get("show")
            title = show.get("title") if isinstance(show, dict) else None
            found.left_out.append(LeftOut(str(title or "?"), "an episode of a series", at))
            continue
        title, ids = str(movie.get("title") or ""), movie.get("ids")
        ids = ids if isinstance(ids, dict) else {}
        is_favorite = "favorite" in stem
        watched = any(item.get(key) is not None for key in ("watched_at", "last_watched_at", "plays"))
        rating = item.get("rating")
        if not is_favorite and not watched and rating is None:
            reason = "collected, not watched" if "collected_at" in item else "on a list, not watched"
            found.left_out.append(LeftOut(title, reason, at))
            continue
        times = [iso_time(item[key]) for key in ("watched_at", "last_watched_at", "rated_at") if item.get(key)]
        found.entries.append(
            HistoryEntry(
                title,
                integer(movie.get("year")),
                json_rating(rating, (1.0, 10.0), at),
                (1.0, 10.0),
                is_liked=is_favorite,
                is_current=True,
                time=next((time for time in times if time is not None), None),
                imdb_id=str(ids["imdb"]) if ids.get("imdb") else None,
                tmdb_id=integer(ids.get("tmdb")),
                at=at,
            )
        )
    return found
