"""Tables in JSON: an object per line, or one array; also the Python literals of older Amazon and Steam data."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from gnnrec.data.dialects import REQUIRED, names_of
from gnnrec.data.provenance import ReadLog
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.schema import COLUMNS, ORIGINAL_NAMES
from gnnrec.data.text_files import TextFile
from gnnrec.errors import DataError

CHUNK = 50_000
"""Maximum number of records that are held as Python objects."""
_SAMPLE = 100


class JsonTable(NamedTuple):
    """A frame, the function that finds the line of a row, and the keys that are not used."""

    frame: pd.DataFrame
    line: Callable[[int], int] | None
    unused: tuple[str, ...]


def is_json(source: TextFile) -> bool:
    """Return whether the first line of a file is an object, or starts an array of objects."""
    with source.file.open(encoding="utf-8-sig") as file:
        start = file.read(1 << 12).lstrip()
    return start.startswith("{") or (start.startswith("[") and start[1:].lstrip().startswith("{"))


def read_json(source: TextFile, kind: str, options: ReadOptions, log: ReadLog) -> JsonTable:
    """Read a table; lists of objects within a record, such as the reviews of one user, become rows of their own.

    Parameters
    ----------
    source : TextFile
    kind : str
        "ratings", "movies" or "users". For ratings, only recognized keys are kept.
    options : ReadOptions
    log : ReadLog
    """
    sample = [record for _, record in islice(_records(source, options, ReadLog()), _SAMPLE)]
    if not sample:
        raise DataError(f"{source.path} has no records")
    nested = _nested_key(sample, kind, options)
    header = list(dict.fromkeys(key for record in sample for row in _rows(record, nested) for key in row))
    names = names_of(header, kind, options)
    has_objects = any(isinstance(value, dict) for record in sample for value in record.values())
    is_flat = not has_objects or _has_ids(sample, nested, names, kind)
    if not is_flat:
        header = list(dict.fromkeys(key for record in sample for row in _rows(record, nested) for key in _flat(row)))
        names = names_of(header, kind, options)
    wanted = [key for key in header if kind != "ratings" or names.get(key, key) in COLUMNS[kind]]
    pieces, lines, values = [], [], {key: [] for key in wanted}  # type: ignore[var-annotated]
    columns: dict[str, list[Any]] = values
    for line, record in _records(source, options, log):
        for plain in _rows(record, nested):
            row = plain if is_flat else _flat(plain)
            lines.append(line)
            for key, column in columns.items():
                column.append(row.get(key))
        if len(lines) % CHUNK == 0 and columns and len(next(iter(columns.values()))) >= CHUNK:
            pieces.append(pd.DataFrame(columns))
            columns = {key: [] for key in wanted}
    pieces.append(pd.DataFrame(columns))
    frame = pd.concat([piece for piece in pieces if len(piece)] or pieces[-1:], ignore_index=True)
    frame = frame.rename(columns=names)
    frame.attrs[ORIGINAL_NAMES] = header
    log.read(source.path, [*source.notes, "JSON lines"])
    log.rename(source.path, {old: new for old, new in names.items() if new in COLUMNS[kind]})
    unused = tuple(key for key in header if key not in wanted)
    return JsonTable(frame, lines.__getitem__, unused)


def _has_ids(sample: list[dict[str, Any]], nested: str | None, names: Mapping[object, str], kind: str) -> bool:
    """Return whether the id columns are present, and no recognized value is an object."""
    used = [key for record in sample for row in _rows(record, nested) for key, value in row.items()]
    found = {names.get(key, key) for key in used} >= set(REQUIRED[kind])
    objects = {
        names.get(key, key) for record in sample for row in _rows(record, nested)
        for key, value in row.items() if isinstance(value, dict)
    }  # fmt: skip
    return found and not objects & {"user_id", "movie_id", "rating", "timestamp"}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Flatten an object: ``{"user": {"id": 1}}`` becomes ``{"user.id": 1}``, and ``{"$oid": 1}`` becomes 1.

    >>> _flat({"user": {"id": 1}, "rating": {"$numberDouble": "4.5"}, "tags": ["a"]})
    {'user.id': 1, 'rating': '4.5', 'tags': ['a']}
    """
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$"):  # MongoDB's types
            flat[key] = next(iter(value.values()))
            if isinstance(flat[key], dict) and len(flat[key]) == 1:  # {"$date": {"$numberLong": "1577836800000"}}
                flat[key] = next(iter(flat[key].values()))
        elif isinstance(value, dict):
            flat |= {f"{key}.{part}": one for part, one in value.items()}
        else:
            flat[key] = value
    return flat


def _records(source: TextFile, options: ReadOptions, log: ReadLog) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line and content of each record."""
    with source.file.open(encoding="utf-8-sig") as file:
        first = file.read(1)
        while first and first.isspace():
            first = file.read(1)
        file.seek(0)
        if first == "[":
            yield from _array(source, file.read())
            return
        read: Callable[[str], Any] = json.loads
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                record = read(text)
            except (ValueError, RecursionError) as error:
                try:
                    record = ast.literal_eval(text.strip())
                    read = _read_literal
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    record = error
            if isinstance(record, dict):
                rows = _columns(record) if line == 1 else None
                yield from ((line, row) for row in rows) if rows else ((line, record),)
            elif options.skips:
                log.reject(source.path, str(line), "not a JSON object", text.rstrip("\n"))
            else:
                problem = f"not JSON: {record}" if isinstance(record, Exception) else "not a JSON object"
                raise DataError(f"{problem}; every line must be one object", at=f"{source.path}:{line}") from None


def _columns(record: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of an object that holds columns, as lists or by row number; None for any other object."""
    lists = [list(value.values()) if isinstance(value, dict) else value for value in record.values()]
    if len(lists) < 2 or not all(isinstance(values, list) for values in lists) or len(set(map(len, lists))) > 1:
        return None
    return [dict(zip(record, values, strict=True)) for values in zip(*lists, strict=True)]


def _read_literal(text: str) -> Any:
    """Parse a Python literal; raise ValueError for anything else."""
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(str(error)) from None


def _array(source: TextFile, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of an array, with the line where each begins."""
    decoder, at, line = json.JSONDecoder(), text.index("[") + 1, 1
    line += text.count("\n", 0, at)
    while True:
        start = at
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        line += text.count("\n", start, at)
        if at >= len(text) or text[at] == "]":
            return
        try:
            record, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", at=f"{source.path}:{line}") from None
        if not isinstance(record, dict):
            raise DataError("not a JSON object; the array must hold objects", at=f"{source.path}:{line}")
        yield line, record
        line += text.count("\n", at, end)
        at = end


def _nested_key(sample: list[dict[str, Any]], kind: str, options: ReadOptions) -> str | None:
    """Return the key whose value is the list of a user's interactions, if there is one."""
    if kind != "ratings":
        return None
    for record in sample:
        if "movie_id" in {*names_of(list(record), kind, options).values(), *record}:
            return None
        for key, value in record.items():
            first = value[0] if isinstance(value, list) and value else None
            if isinstance(first, dict) and "movie_id" in {*names_of(list(first), kind, options).values(), *first}:
                return key
    return None


def _rows(record: dict[str, Any], nested: str | None) -> Iterator[dict[str, Any]]:
    if nested is None:
        yield record
    elif isinstance(parts := record.get(nested), list):
        own = {key: value for key, value in record.items() if key != nested}
        yield from ({**own, **part} for part in parts if isinstance(part, dict))
