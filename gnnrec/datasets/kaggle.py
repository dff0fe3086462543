"""Kaggle's "The Movies Dataset": ``movies_metadata.csv`` and ``credits.csv``, whose movie ids are TMDB ids."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.provenance import MAX_NAMED, ReadLog
from gnnrec.data.text_files import open_text
from gnnrec.errors import DataError

METADATA_FILES = ("moviesmetadata", "credits", "keywords")
"""Names of the files in lower case, without punctuation."""
MAX_ACTORS = 4
MAX_FIELD = 1 << 27
_COLUMNS = ("genres", "id", "imdb_id", "overview", "release_date", "runtime", "title")


def read_metadata(metadata: Path, credits: Path | None, log: ReadLog, *, skips: bool = False) -> pd.DataFrame:
    """Return movies by TMDB id: ``tmdb_id, title, genres, year, plot, runtime, imdb_id[, directors, actors]``.

    Three rows of the published file are broken across lines, so that their id is not a number; about thirty movies
    occur twice. Both are left out and recorded with their lines. A line with more fields than the header is an error
    unless `skips`.
    """
    frame = _read(metadata, _COLUMNS, log, skips)
    years = frame["release_date"].str.extract(r"^(\d{4})-")[0]
    movies = frame[["tmdb_id", "title", "genres"]].assign(
        year=pd.to_numeric(years),
        plot=frame["overview"],
        runtime=pd.to_numeric(frame["runtime"], errors="coerce"),
        imdb_id=frame["imdb_id"].where(frame["imdb_id"].str.fullmatch(r"tt\d+", na=False)),
    )
    if credits is not None:
        people = _read(credits, ("cast", "crew", "id"), log, skips).set_index("tmdb_id")
        movies["directors"] = movies["tmdb_id"].map(people["crew"].map(_directors))
        movies["actors"] = movies["tmdb_id"].map(people["cast"].map(_actors))
    return movies.reset_index(drop=True)


def _read(path: Path, columns: tuple[str, ...], log: ReadLog, skips: bool) -> pd.DataFrame:
    """Return columns of a file, and ``tmdb_id``; a row for each movie."""
    source = open_text(path)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
    rows: list[list[str | None]] = []
    torn: list[int] = []
    again: list[int] = []
    seen: set[int] = set()
    with source.file.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if missing := [name for name in columns if name not in header]:
            raise DataError(f"{path} lacks the columns {', '.join(missing)} of The Movies Dataset")
        places, number = [header.index(name) for name in columns], header.index("id")
        line = reader.line_num + 1
        for fields in reader:
            start, line = line, reader.line_num + 1
            if not fields:
                continue
            if len(fields) > len(header):
                problem = f"{len(fields)} fields but the header has {len(header)}"
                if not skips:
                    raise DataError(
                        f"{problem}; correct the line, or leave it out with errors='skip'", at=f"{path}:{start}"
                    )
                log.reject(path, str(start), problem)
                continue
            fields += [""] * (len(header) - len(fields))
            if not re.fullmatch(r"[0-9]{1,18}", fields[number]):
                torn.append(start)
            elif int(fields[number]) in seen:
                again.append(start)
            else:
                seen.add(int(fields[number]))
                rows.append([fields[place] or None for place in places])
    for lines, what in ((torn, "broken across lines"), (again, "about a movie of an earlier row")):
        if lines:
            named = ", ".join(f"{path.name}:{line}" for line in lines[:MAX_NAMED])
            log.note(f"{counted(len(lines), 'row')} {what} ({named}{', ...' if len(lines) > MAX_NAMED else ''})")
    log.read(path, [*source.notes, "The Movies Dataset"])
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
    return frame.assign(tmdb_id=frame["id"].astype("int64"))


def _literal(text: Any) -> list[dict[str, Any]]:
    for read in (ast.literal_eval, json.loads):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    return []


def _directors(text: Any) -> str:
    return "|".join(str(part.get("name", "")) for part in _literal(text) if part.get("job") == "Director")


def _actors(text: Any) -> str:
    return "|".join(str(part.get("name", "")) for part in _literal(text)[:MAX_ACTORS])
