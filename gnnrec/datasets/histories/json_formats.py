"""JSON: Trakt, movies as TMDB returns them, lists of titles."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from gnnrec.datasets.histories.entries import KNOWN, HistoryEntry, HistoryFile, LeftOut, UnknownFormatError
from gnnrec.datasets.histories.times import iso_time
from gnnrec.errors import DataError


def parse_json(text: str, label: str, name: str) -> HistoryFile:
    """Read an export in JSON."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not JSON: {getattr(error, 'msg', 'nested too deeply')}", at=f"{label}{line}") from None
    if isinstance(value, dict) and _are_ratings(value):
        return _read_ratings_by_title(value, label)
    keys = ("results", "movies", "ratings", "Items")
    items = next((value[key] for key in keys if value.get(key)), None) if isinstance(value, dict) else value
    if not isinstance(items, list) or not items:
        raise UnknownFormatError(f"{label} is not a known history file; {KNOWN}")
    if all(isinstance(item, str) for item in items):
        entries = [HistoryEntry(item.strip(), is_liked=True, at=f"{label}[{n}]") for n, item in enumerate(items)]
        return HistoryFile("list of titles", [entry for entry in entries if entry.title], is_handwritten=True)
    if not all(isinstance(item, dict) for item in items):
        raise UnknownFormatError(f"{label} is not a known history file; {KNOWN}")
    if any(isinstance(item.get(key), dict) for item in items for key in ("movie", "show", "episode")):
        return _read_trakt(items, label, name)
    if any(isinstance(item.get("UserData"), dict) and "Name" in item for item in items):
        return _read_media_server(items, label)
    if any(isinstance(item.get("title", item.get("original_title")), str) for item in items):
        return _read_json_movies(items, label)
    raise UnknownFormatError(f"{label} is not a known history file; {KNOWN}")


def _read_trakt(items: list[dict[str, Any]], label: str, name: str) -> HistoryFile:
    found = HistoryFile("Trakt")
    stem = PurePosixPath(name.lower()).name
    for number, item in enumerate(items):
        at, movie = f"{label}[{number}]", item.get("movie")
        if not isinstance(movie, dict):
            show = item.get("show")
            title = show.get("title") if isinstance(show, dict) else None
            found.left_out.append(LeftOut(str(title or "?"), "an episode of a series", at))
            continue
        title, ids = str(movie.get("title") or ""), movie.get("ids")
        ids = ids if isinstance(ids, dict) else {}
        is_favorite = "favorite" in stem
        watched = any(item.get(key) is not None for key in ("watched_at", "last_watched_at", "plays"))
        rating = item.get("rating", item.get("user_rating"))  # of Trakt or of Simkl
        if not is_favorite and not watched and rating is None:
            reason = "collected, not watched" if "collected_at" in item else "on a list, not watched"
            found.left_out.append(LeftOut(title, reason, at))
            continue
        times = [iso_time(item[key]) for key in ("watched_at", "last_watched_at", "rated_at") if item.get(key)]
        found.entries.append(
            HistoryEntry(
                title,
                _integer(movie.get("year")),
                _json_rating(rating, (1.0, 10.0), at),
                (1.0, 10.0),
                is_liked=is_favorite,
                is_current=True,
                time=next((time for time in times if time is not None), None),
                imdb_id=str(ids["imdb"]) if ids.get("imdb") else None,
                tmdb_id=_integer(ids.get("tmdb")),
                at=at,
            )
        )
    return found


def _read_media_server(items: list[dict[str, Any]], label: str) -> HistoryFile:
    """Read a list of items as the API of Jellyfin or Emby returns it."""
    found = HistoryFile("Jellyfin")
    for number, item in enumerate(items):
        at, title, user = f"{label}[{number}]", str(item.get("Name") or ""), item.get("UserData")
        user, ids = (part if isinstance(part, dict) else {} for part in (user, item.get("ProviderIds")))
        rating = _json_rating(user.get("Rating"), (0.0, 10.0), at)
        if item.get("Type", "Movie") != "Movie":
            found.left_out.append(LeftOut(title, "not a movie", at))
        elif not (user.get("Played") or user.get("IsFavorite") or rating):
            found.left_out.append(LeftOut(title, "not watched", at))
        else:
            found.entries.append(
                HistoryEntry(
                    title,
                    _integer(item.get("ProductionYear")),
                    rating or None,
                    (1.0, 10.0),
                    is_liked=bool(user.get("IsFavorite")),
                    is_current=True,
                    time=iso_time(user["LastPlayedDate"]) if user.get("LastPlayedDate") else None,
                    imdb_id=str(ids["Imdb"]) if ids.get("Imdb") else None,
                    tmdb_id=_integer(ids.get("Tmdb")),
                    at=at,
                )
            )
    return found


def _are_ratings(value: dict[str, Any]) -> bool:
    """Return whether an object maps titles to ratings; titles have blanks or capitals, unlike keys."""
    numbers = [one for one in value.values() if isinstance(one, (int, float)) and not isinstance(one, bool)]
    titles = [key for key in value if " " in key.strip() or key[:1].isupper()]
    return bool(value) and len(numbers) == len(titles) == len(value) and all(0 <= one <= 100 for one in numbers)


def _read_ratings_by_title(value: dict[str, Any], label: str) -> HistoryFile:
    highest = next(top for top in (5.0, 10.0, 100.0) if max(value.values()) <= top)
    found = HistoryFile("list of titles", is_handwritten=True, notes=[f"ratings are taken to be out of {highest:g}"])
    for title, rating in value.items():
        found.entries.append(HistoryEntry(title, None, float(rating), (highest / 10, highest), at=label))
    return found


def _read_json_movies(items: list[dict[str, Any]], label: str) -> HistoryFile:
    """Read a list of movies as TMDB's API returns it."""
    is_tmdb = any("release_date" in item and "id" in item for item in items)
    found = HistoryFile("TMDB" if is_tmdb else "list of movies", is_handwritten=not is_tmdb)
    for number, item in enumerate(items):
        at, title = f"{label}[{number}]", item.get("title") or item.get("original_title") or item.get("name")
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
                int(released[0]) if released else _integer(item.get("year")),
                _json_rating(rating, (0.5, 10.0), at),
                (1.0, 10.0),
                is_liked=rating is None,
                is_current=True,
                other_names=(original,) if isinstance(original, str) and original != title else (),
                imdb_id=str(item["imdb_id"]) if item.get("imdb_id") else None,
                tmdb_id=_integer(item.get("tmdb_id", item.get("id") if is_tmdb else None)),
                at=at,
            )
        )
    return found


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**12 else None
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= 12 else None


def _json_rating(value: Any, scale: tuple[float, float], at: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not scale[0] <= value <= scale[1]:
        raise DataError(f"rating {value!r} is not a number between {scale[0]:g} and {scale[1]:g}", at=at)
    return float(value)
