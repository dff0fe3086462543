"""Items of Jellyfin and Emby, as their API returns them."""

from __future__ import annotations

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.items import HistoryItems, integer, json_rating
from gnnrec.datasets.histories.times import iso_time
from gnnrec.registry import register_history_format


@register_history_format(
    "Jellyfin",
    kind="json",
    matches=lambda items: any(isinstance(item.get("UserData"), dict) and "Name" in item for item in items),
)
def read_media_server(items: HistoryItems) -> HistoryFile:
    """Read a list of items as the API of Jellyfin or Emby returns it."""
    found = HistoryFile("Jellyfin")
    for number, item in enumerate(items.items):
        at, title, user = f"{items.label}[{number}]", str(item.get("Name") or ""), item.get("UserData")
        user, ids = (part if isinstance(part, dict) else {} for part in (user, item.get("ProviderIds")))
        rating = json_rating(user.get("Rating"), (0.0, 10.0), at)
        if item.get("Type", "Movie") != "Movie":
            found.left_out.append(LeftOut(title, "not a movie", at))
        elif not (user.get("Played") or user.get("IsFavorite") or rating):
            found.left_out.append(LeftOut(title, "not watched", at))
        else:
            found.entries.append(
                HistoryEntry(
                    title,
                    integer(item.get("ProductionYear")),
                    rating or None,
                    (1.0, 10.0),
                    is_liked=bool(user.get("IsFavorite")),
                    is_current=True,
                    time=iso_time(user["LastPlayedDate"]) if user.get("LastPlayedDate") else None,
                    imdb_id=str(ids["Imdb"]) if ids.get("Imdb") else None,
                    tmdb_id=integer(ids.get("Tmdb")),
                    at=at,
                )
            )
    return found
