"""JSON: lists of titles, and lists of mappings for the formats of sites."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from gnnrec.datasets.histories.entries import (
    HistoryEntry,
    HistoryFile,
    LeftOut,
    UnknownFormatError,
    find_reader,
    known_formats,
)
from gnnrec.errors import DataError


class HistoryItems(NamedTuple):
    """The items of a JSON file, all of them mappings; `label` is for messages."""

    name: str
    items: list[dict[str, Any]]
    label: str


def have_titles(items: list[dict[str, Any]]) -> bool:
    """Return whether some items have a title."""
    return any(isinstance(item.get("title", item.get("original_title")), str) for item in items)


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
        raise UnknownFormatError(f"{label} is not a known history file; {known_formats()}")
    if all(isinstance(item, str) for item in items):
        entries = [HistoryEntry(item.strip(), is_liked=True, at=f"{label}[{n}]") for n, item in enumerate(items)]
        return HistoryFile("list of titles", [entry for entry in entries if entry.title], is_handwritten=True)
    if not all(isinstance(item, dict) for item in items):
        raise UnknownFormatError(f"{label} is not a known history file; {known_formats()}")
    reader = find_reader("json", items)
    if reader is None:
        raise UnknownFormatError(f"{label} is not a known history file; {known_formats()}")
    return reader(HistoryItems(name, items, label))


def _are_ratings(value: dict[str, Any]) -> bool:
    """Return whether an object maps titles to ratings; titles have spaces or capitals, unlike keys."""
    numbers = [one for one in value.values() if isinstance(one, (int, float)) and not isinstance(one, bool)]
    titles = [key for key in value if " " in key.strip() or key[:1].isupper()]
    return bool(value) and len(numbers) == len(titles) == len(value) and all(0 <= one <= 100 for one in numbers)


def _read_ratings_by_title(value: dict[str, Any], label: str) -> HistoryFile:
    highest = next(top for top in (5.0, 10.0, 100.0) if max(value.values()) <= top)
    found = HistoryFile("list of titles", is_handwritten=True, notes=[f"ratings are taken to be out of {highest:g}"])
    for title, rating in value.items():
        found.entries.append(HistoryEntry(title, None, float(rating), (highest / 10, highest), at=label))
    return found


def read_movies(items: HistoryItems, found: HistoryFile, *, id_key: str | None = None) -> HistoryFile:
    """Read movies with the keys of TMDB's API into `found`; `id_key` is that of TMDB's id besides `tmdb_id`."""
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
                tmdb_id=integer(item.get("tmdb_id", item.get(id_key) if id_key else None)),
                at=at,
            )
        )
    return found


def integer(value: Any) -> int | None:
    """Return a whole number, which may be given as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**12 else None
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= 12 else None


def json_rating(value: Any, scale: tuple[float, float], at: str) -> float | None:
    """Return a rating, None if there is none; raise `DataError` unless it is a number on the scale."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not scale[0] <= value <= scale[1]:
        raise DataError(f"rating {value!r} is not a number between {scale[0]:g} and {scale[1]:g}", at=at)
    return float(value)
