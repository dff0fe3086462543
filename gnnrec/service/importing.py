"""Uploaded history files."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gnnrec.datasets.histories import read_history_file
from gnnrec.errors import GnnrecError
from gnnrec.graph import read_history
from gnnrec.service.errors import InvalidFieldError, NotFoundError
from gnnrec.service.records import Entry
from gnnrec.service.served import ServedModel, now
from gnnrec.service.tables import MAX_ID

MAX_MOVIES_OF_FILE = 5_000
"""Maximum number of movies in a file."""
_READING = threading.Lock()
MAX_SHOWN = 200
"""Maximum number of movies of each kind that a report lists."""


@dataclass(frozen=True)
class Imported:
    """The movies of a file, and the rows that were not imported."""

    source: str
    entries: list[Entry]
    ambiguous: list[str]
    missing: list[tuple[str, list[str]]]
    notes: list[str]


def read_upload(served: ServedModel, file: BinaryIO, name: str, netflix_profile: str | None = None) -> Imported:
    """Read an uploaded file.

    Raises
    ------
    InvalidFieldError
        It cannot be read, or has no movie of the catalog.
    """
    ending = Path(name.replace("\\", "/")).suffix.lower()
    ending = ending if re.fullmatch(r"\.[a-z0-9]{1,5}", ending) else ".txt"
    with tempfile.TemporaryDirectory(prefix="gnnrec-") as folder:
        path = Path(folder) / f"upload{ending}"
        with path.open("wb") as target:
            shutil.copyfileobj(file, target)
        try:
            # Movies that are not in the catalog take longest to look up, so only one large file is read at a time.
            num = len(read_history_file(path, netflix_profile=netflix_profile or None).entries)
            if num > MAX_MOVIES_OF_FILE:
                raise InvalidFieldError(
                    "file", f"it has {num:,} movies; the limit is {MAX_MOVIES_OF_FILE:,}. Split the file"
                )
            with _READING:
                user, report = read_history(path, served.model, netflix_profile=netflix_profile or None)
        except InvalidFieldError:
            raise
        except GnnrecError as error:
            raise InvalidFieldError("file", str(error).replace(str(path), "the file")) from None
    times = user.timestamps if isinstance(user.timestamps, dict) else {}
    rated = dict(user.ratings)
    latest = now()
    entries = [
        Entry(str(movie.id), movie.title, int(times.get(movie.id, latest)), served.stars(rating))
        for movie_id, rating in rated.items()
        if (movie := served.find(movie_id)) is not None
    ]
    missing = list(zip(report.missing["title"].tolist(), report.missing["nearest"].tolist(), strict=True))
    if not entries:
        shown = ", ".join(str(title) for title, _ in missing[:5])
        raise InvalidFieldError("file", f"none of its movies is in the catalog{f': {shown}' if shown else ''}")
    return Imported(
        report.source,
        entries,
        [str(title) for title in report.ambiguous["title"].tolist()[:MAX_SHOWN]],
        [(str(title), [str(one) for one in nearest]) for title, nearest in missing[:MAX_SHOWN]],
        [str(note).replace(str(path), "the file") for note in report.notes],
    )


def stored_id(movie_id: str) -> str:
    """Return an id from a request if it can be stored; raise `NotFoundError` otherwise."""
    if "\0" in movie_id or len(movie_id) > MAX_ID:
        raise NotFoundError("there is no such movie")
    return movie_id
