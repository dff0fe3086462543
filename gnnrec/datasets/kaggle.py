"""Kaggle's "The Movies Dataset": ``movies_metadata.csv`` and ``credits.csv``, whose movie ids are TMDB ids."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.provenance import ReadLog
from gnnrec.data.text_files import open_text
from gnnrec.errors import DataError

METADATA_FILES = ("moviesmetadata", "credits", "keywords")
"""Names of the files in lower case, without punctuation."""
MAX_ACTORS = 4
_COLUMNS = ("genres", "id", "imdb_id", "overview", "release_date", "runtime", "title")


def read_metadata(metadata: Path, credits: Path | None, log: ReadLog) -> pd.DataFrame:
    """Return movies by TMDB id: ``tmdb_id, title, genres, year, plot, runtime, imdb_id[, directors, actors]``.

    Three rows of the published file are broken across lines, so that their id is not a number; about thirty movies
    occur twice. Both are left out.
    """
    frame = _read(metadata, _COLUMNS, log)
    whole = frame["id"].str.fullmatch(r"\d+", na=False)
    if not whole.all():
        log.note(f"{counted(int((~whole).sum()), 'row')} of {metadata.name} broken across lines")
    frame = frame[whole].assign(tmdb_id=lambda rows: rows["id"].astype("int64"))
    again = frame["tmdb_id"].duplicated()
    if again.any():
        log.note(f"{counted(int(again.sum()), 'row')} of {metadata.name} about a movie of an earlier row")
    frame = frame[~again]
    years = frame["release_date"].str.extract(r"^(\d{4})-")[0]
    movies = frame[["tmdb_id", "title", "genres"]].assign(
        year=pd.to_numeric(years),
        plot=frame["overview"],
        runtime=pd.to_numeric(frame["runtime"], errors="coerce"),
        imdb_id=frame["imdb_id"].where(frame["imdb_id"].str.fullmatch(r"tt\d+", na=False)),
    )
    if credits is not None:
        people = _read(credits, ("cast", "crew", "id"), log)
        people = people[people["id"].str.fullmatch(r"\d+", na=False)]
        people = people.assign(tmdb_id=people["id"].astype("int64")).drop_duplicates("tmdb_id").set_index("tmdb_id")
        movies["directors"] = movies["tmdb_id"].map(people["crew"].map(_directors))
        movies["actors"] = movies["tmdb_id"].map(people["cast"].map(_actors))
    return movies.reset_index(drop=True)


def _read(path: Path, columns: tuple[str, ...], log: ReadLog) -> pd.DataFrame:
    source = open_text(path)
    try:
        frame = pd.read_csv(source.file, dtype=str, usecols=list(columns), on_bad_lines="skip", engine="python")
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} lacks columns of The Movies Dataset ({', '.join(columns)}): {error}") from error
    log.read(path, [*source.notes, "The Movies Dataset"])
    return frame


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
