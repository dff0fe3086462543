"""What was asked and answered, a line of JSON each: nothing is asked twice, and a run can stop at any time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from gnnrec.errors import DataError
from gnnrec.features.fetch.sources import Found

Key = tuple[str, Any]
"""A source's name and a movie's id."""


@dataclass(frozen=True)
class Entry:
    """What a source said about a movie.

    Parameters
    ----------
    source, movie_id, title
        Who was asked about what; the title is the dataset's.
    status : str
        "found", "missing" (the source says so) or "failed" (there was no answer).
    why : str or None
        Why it is not found.
    found : Found or None
        The answer.
    poster : str or None
        "kept", "missing" or "failed"; None where the source has none, or it was not needed.
    poster_why : str or None
        Why there is no poster.
    """

    source: str
    movie_id: Any
    title: str
    status: Literal["found", "missing", "failed"]
    why: str | None = None
    found: Found | None = None
    poster: Literal["kept", "missing", "failed"] | None = None
    poster_why: str | None = None

    @property
    def key(self) -> Key:
        """Return source and movie."""
        return self.source, self.movie_id

    @property
    def plot(self) -> str | None:
        """Return the plot, if there is one."""
        return self.found.plot if self.found else None

    def with_poster(self, poster: Literal["kept", "missing", "failed"], why: str | None = None) -> Entry:
        """Return the entry with what became of the poster."""
        return replace(self, poster=poster, poster_why=why)


class Journal:
    """The entries in a file; the last one about a movie counts.

    Parameters
    ----------
    path : Path
        Read if it is there. A last line that was never finished is dropped.

    Raises
    ------
    DataError
        Another line is damaged; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[Key, Entry] = {}
        if not path.exists():
            return
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        for number, line in enumerate(lines, start=1):
            entry = _read(line, f"{path}:{number}")
            self.entries[entry.key] = entry
        if rest:  # the process was killed while it wrote this
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - len(rest))

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        """Write an entry down."""
        line = json.dumps(asdict(entry), ensure_ascii=False, allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
        self.entries[entry.key] = entry

    def plots(self) -> dict[Any, tuple[str, str]]:
        """Return plot and source of each movie that has one, of the source that was asked first."""
        found: dict[Any, tuple[str, str]] = {}
        for entry in self.entries.values():
            if entry.plot:
                found.setdefault(entry.movie_id, (entry.plot, entry.source))
        return found


def _read(line: bytes, place: str) -> Entry:
    try:
        values = json.loads(line)
        if values["found"] is not None:
            values["found"] = Found(**values["found"])
        entry = Entry(**{name: values[name] for name in (field.name for field in fields(Entry))})
        if entry.status not in ("found", "missing", "failed") or (entry.status == "found") != (entry.found is not None):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise DataError("this is no line of a fetch; remove it, and the movie is asked for again", at=place) from None
    return entry
