"""Reads the formats of ML-1M and ML-10M (``ratings.dat``) and of ML-100k (``u.data``).

The newer MovieLens sets are ordinary CSV, see `gnnrec.data.files`.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from gnnrec.data.files import Table
from gnnrec.errors import DataError

OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""Names of the codes 0 to 20 in ML-1M."""

GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
"""The flags of ``u.item`` where the folder has no ``u.genre``."""

_RATING_COLUMNS = {"user_id": "int64", "movie_id": "int64", "rating": "float32", "timestamp": "int64"}


def read_1m(folder: Path) -> dict[str, Table]:
    """Read ``ratings.dat`` and, where there, ``movies.dat`` and ``users.dat``."""
    tables = {"ratings": read_ratings(folder / "ratings.dat", "::")}
    if (path := folder / "movies.dat").is_file():
        tables["movies"] = _table(path, _movie_records(path), ["movie_id", "title", "genres"])
    if (path := folder / "users.dat").is_file():
        columns = ["user_id", "gender", "age", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "::", len(columns)), columns)
        frame = tables["users"].frame
        named = frame["occupation"].map({str(code): name for code, name in enumerate(OCCUPATIONS)})
        frame["occupation"] = named.fillna(frame["occupation"])
    return tables


def read_100k(folder: Path) -> dict[str, Table]:
    """Read ``u.data`` and, where there, ``u.item`` and ``u.user``."""
    tables = {"ratings": read_ratings(folder / "u.data", "\t")}
    if (path := folder / "u.item").is_file():
        genres = GENRES_100K.split("|")
        if (names := folder / "u.genre").is_file():
            genres = [fields[0] for _, fields in _records(names, "|", 2)]
        columns = ["movie_id", "title", "release_date", "video_release_date", "imdb_url", *genres]
        table = _table(path, _records(path, "|", len(columns)), columns)
        flags = (table.frame[genres] == "1").drop(columns="unknown", errors="ignore")
        named = [
            "|".join(genre for genre, flag in zip(flags.columns, row, strict=True) if flag) for row in flags.to_numpy()
        ]
        frame = table.frame[["movie_id", "title"]].assign(
            genres=named, release_date=table.frame["release_date"], imdb_url=table.frame["imdb_url"]
        )
        tables["movies"] = Table(path, frame, table.line)
    if (path := folder / "u.user").is_file():
        columns = ["user_id", "age", "gender", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "|", len(columns)), columns)
    return tables


def read_ratings(path: Path, separator: str) -> Table:
    """Read lines of user, movie, rating and seconds."""
    raw = _read_bytes(path)
    try:
        frame = pd.read_csv(
            io.BytesIO(raw.replace(separator.encode(), b"\t")),
            sep="\t",
            header=None,
            names=list(_RATING_COLUMNS),
            dtype=_RATING_COLUMNS,
            na_filter=False,
            quoting=3,
        )
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        _find_fault(path, separator)
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        _find_fault(path, separator)
    return Table(path, frame, lambda row: _records(path, separator, 4)[row][0])


def _find_fault(path: Path, separator: str) -> None:
    """Stop at the first line that does not hold four numbers, three of them whole."""
    for line, fields in _records(path, separator, len(_RATING_COLUMNS)):
        for (column, kind), text in zip(_RATING_COLUMNS.items(), fields, strict=True):
            try:
                number = int(text) if kind == "int64" else float(text)
            except ValueError:
                what = "a whole number" if kind == "int64" else "a number"
                raise DataError(f"{column} {text!r} is not {what}", at=f"{path}:{line}") from None
            if not abs(number) < 2**63:
                raise DataError(f"{column} {text} is not finite or too large", at=f"{path}:{line}")


def _table(path: Path, records: list[tuple[int, list[str]]], columns: list[str]) -> Table:
    frame = pd.DataFrame([fields for _, fields in records], columns=columns)
    for (line, _), text in zip(records, frame[columns[0]], strict=True):
        if not text.strip().isdecimal():
            raise DataError(f"{columns[0]} {text!r} is not a whole number", at=f"{path}:{line}")
    frame[columns[0]] = frame[columns[0]].astype("int64")
    return Table(path, frame, lambda row: records[row][0])


def _records(path: Path, separator: str, num_fields: int) -> list[tuple[int, list[str]]]:
    """Return line number and fields of each line that is not blank."""
    found = [(line, text.split(separator)) for line, text in _lines(path)]
    for line, fields in found:
        if len(fields) != num_fields:
            raise DataError(
                f"expected {num_fields} fields separated by {separator!r}, found {len(fields)}",
                at=f"{path}:{line}",
            )
    return found


def _movie_records(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of ``movies.dat``; a title may hold the separator, id and genres cannot."""
    found = []
    for line, text in _lines(path):
        start, _, rest = text.partition("::")
        title, middle, genres = rest.rpartition("::")
        if not middle:
            count = text.count("::") + 1
            raise DataError(f"expected 3 fields separated by '::', found {count}", at=f"{path}:{line}")
        found.append((line, [start, title, genres]))
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    raw = _read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")  # some copies in circulation were saved again as UTF-8
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} is empty")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError("the file is UTF-16 or no text; save it as UTF-8 or Latin-1", at=f"{path}:{line}")
    return raw
