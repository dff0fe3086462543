"""JSON: lists of titles, and lists of mappings for the formats of sites."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from gnnrec.datasets.histories.entries import (
    HistoryEntry,
    HistoryFile,
    UnknownFormatError,
    find_reader,
    known_formats,
)
from gnnrec.datasets.histories.written_ratings import infer_top
from gnnrec.errors import DataError


class HistoryItems(NamedTuple):
    """The items of a JSON file, all of them mappings; `label` is for messages."""

    name: str
    items: list[dict[str, Any]]
    label: str


def parse_json(text: str, label: str, name: str) -> HistoryFile:
    """Read an export in JSON."""
    try:
        value = _read_lines(text, label) if _are_lines(text) else json.loads(text)
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


def _are_lines(text: str) -> bool:
    """Return whether a text has one object per line."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines)


def _read_lines(text: str, label: str) -> list[Any]:
    """Read JSON lines."""
    values = []
    for number, line in enumerate(text.split("\n"), 1):  # a string may have other line separators
        if line.strip():
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"not JSON: {error.msg}", at=f"{label}:{number}") from None
    return values


def _are_ratings(value: dict[str, Any]) -> bool:
    """Return whether an object maps titles to ratings; titles have spaces or capitals, unlike keys."""
    numbers = [one for one in value.values() if isinstance(one, (int, float)) and not isinstance(one, bool)]
    titles = [key for key in value if " " in key.strip() or key[:1].isupper()]
    return bool(value) and len(numbers) == len(titles) == len(value) and all(0 <= one <= 100 for one in numbers)


def _read_ratings_by_title(value: dict[str, Any], label: str) -> HistoryFile:
    highest = infer_top(value.values())
    found = HistoryFile("list of titles", is_handwritten=True, notes=[f"ratings are taken to be out of {highest:g}"])
    for title, rating in value.items():
        found.entries.append(HistoryEntry(title, None, float(rating), (highest / 10, highest), at=label))
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
