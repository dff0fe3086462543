"""Contents of a history file: entries, skipped rows, and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gnnrec.errors import DataError
from gnnrec.registry import HISTORY_FORMATS, listed_sites


def find_reader(kind: str, contents: Any) -> Callable[[Any], HistoryFile] | None:
    """Return the reader of the registered format that matches, None if there is none.

    Formats registered later are tried first, so that plugins can add more specific ones; generic formats
    (``"other: ..."``) are tried last.

    Parameters
    ----------
    kind : str
        ``"table"`` or ``"json"``.
    contents : tuple of str or list of dict
        Columns of the table, or items of the JSON file.
    """
    names = HISTORY_FORMATS.names()[::-1]
    general = [name for name in names if name.startswith("other: ")]
    for name in [*(name for name in names if name not in general), *general]:
        about = HISTORY_FORMATS.metadata(name)
        if about["kind"] == kind and about["matches"](contents):
            reader: Callable[[Any], HistoryFile] = HISTORY_FORMATS.get(name)
            return reader
    return None


def known_formats() -> str:
    """Return a list of the supported formats, for messages."""
    return f"known are exports of {listed_sites('and')}, tables with a column of titles, and lists of titles"


class UnknownFormatError(DataError):
    """A file that is not a history."""


@dataclass(frozen=True)
class HistoryEntry:
    """A movie in a history file, as the source describes it.

    Parameters
    ----------
    title : str
        Title, with or without a year; empty if only ids are known.
    year : int, optional
        Release year.
    rating : float, optional
        Rating on `scale`.
    scale : tuple of float
        Lowest and highest possible rating.
    is_liked : bool
        Whether it is marked as liked.
    is_current : bool
        Whether this is the current rating, not that of one viewing.
    time : int, optional
        When it was watched or rated, in seconds since 1970.
    other_names : tuple of str
        Further titles, such as the original one.
    imdb_id, tmdb_id, movielens_id : optional
        Ids.
    at : str
        File and line.
    """

    title: str
    year: int | None = None
    rating: float | None = None
    scale: tuple[float, float] = (1.0, 5.0)
    is_liked: bool = False
    is_current: bool = False
    time: int | None = None
    other_names: tuple[str, ...] = ()
    imdb_id: str | None = None
    tmdb_id: int | None = None
    movielens_id: int | None = None
    at: str = ""


class LeftOut(NamedTuple):
    """A row that is not a movie that was watched, and why."""

    title: str
    reason: str
    at: str


@dataclass
class HistoryFile:
    """The contents of an export.

    Parameters
    ----------
    source : str
        Site, for reports.
    entries : list of HistoryEntry
        In the order of the file.
    left_out : list of LeftOut
        Rows that are not used.
    notes : list of str
        What else was guessed or ignored.
    is_handwritten : bool
        Whether people wrote the titles themselves.
    """

    source: str
    entries: list[HistoryEntry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_handwritten: bool = False

    def add(self, other: HistoryFile) -> None:
        """Add the contents of another file of the same export."""
        if other.source not in self.source.split(", "):
            self.source = ", ".join(filter(None, (self.source, other.source)))
        self.entries += other.entries
        self.left_out += other.left_out
        self.notes += [note for note in other.notes if note not in self.notes]
        self.is_handwritten |= other.is_handwritten


def without_duplicates(entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """Return one entry per movie: with the current rating and the latest time, and liked if any entry is.

    Entries are of the same movie if title, year and ids are equal.

    Examples
    --------
    >>> first = HistoryEntry("Heat", 1995, 3.0, time=10)
    >>> again = HistoryEntry("Heat", 1995, 4.0, time=20)
    >>> [(entry.rating, entry.time) for entry in without_duplicates([first, again])]
    [(4.0, 20)]
    """
    groups: dict[Any, list[HistoryEntry]] = {}
    for entry in entries:
        key = entry.imdb_id or entry.tmdb_id or (entry.title.casefold(), entry.year, entry.movielens_id)
        groups.setdefault(key, []).append(entry)
    return [merge_entries(group) for group in groups.values()]


def merge_entries(entries: list[HistoryEntry]) -> HistoryEntry:
    """Return one entry for several of the same movie."""
    rated = [entry for entry in entries if entry.rating is not None]
    # Current ratings first, then the latest; equal ones in the order of the file.
    best = (
        max(enumerate(rated), key=lambda pair: (pair[1].is_current, pair[1].time or 0, pair[0]))[1] if rated else None
    )
    times = [entry.time for entry in entries if entry.time is not None]
    main = best or entries[0]
    return replace(main, time=max(times, default=None), is_liked=any(entry.is_liked for entry in entries))
