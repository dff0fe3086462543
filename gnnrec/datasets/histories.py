"""Reads what people export from the sites where they keep their films: one `HistoryEntry` per rating, view or like.

Letterboxd, IMDb, Netflix, Trakt, MovieLens, TMDB, other tables with a column of titles, and plain lists of titles. A
format is recognized by its columns or keys, not by the name of the file. Nothing here knows a catalog;
`gnnrec.read_history` finds the movies of a graph.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from gnnrec.data.schema import LATEST_TIMESTAMP
from gnnrec.errors import ConfigError, DataError

MAX_BYTES = 64 << 20
"""Largest export that is read, unpacked."""
MAX_MEMBERS = 10_000
"""Largest number of files in a zip file."""
MAX_COMPRESSION_RATIO = 200
_SUFFIXES = (".csv", ".tsv", ".json", ".txt")
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)

csv.field_size_limit(2**31 - 1)  # reviews may be long


@dataclass(frozen=True)
class HistoryEntry:
    """A film in somebody's history, as the source describes it.

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
        Whether the rating is the one that counts now, not that of one viewing.
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
    """A row that is no film that somebody watched, and why."""

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
    is_typed : bool
        Whether people wrote the titles themselves.
    """

    source: str
    entries: list[HistoryEntry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_typed: bool = False

    def add(self, other: HistoryFile) -> None:
        """Add the contents of another file of the same export."""
        if other.source not in self.source.split(", "):
            self.source = ", ".join(filter(None, (self.source, other.source)))
        self.entries += other.entries
        self.left_out += other.left_out
        self.notes += [note for note in other.notes if note not in self.notes]
        self.is_typed |= other.is_typed


def read_history_file(path: str | Path, *, profile: str | None = None) -> HistoryFile:
    """Read an export: a file, a zip file, or the folder of an unpacked one.

    Parameters
    ----------
    path : str or Path
    profile : str, optional
        For exports of Netflix with several profiles: which one.

    Returns
    -------
    HistoryFile
        Entries, rows that are not used, and notes.

    Raises
    ------
    DataError
        The file is missing, too large, damaged, or of no known kind.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        members = _folder_members(path)
    elif not path.is_file():
        raise DataError(f"{path} does not exist")
    elif zipfile.is_zipfile(path):
        members = _zip_members(path)
    elif path.suffix.lower() == ".zip":
        raise DataError(f"{path} is not a zip file, or it is damaged; download it again")
    else:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path} has {size >> 20} MiB; a history is at most {MAX_BYTES >> 20} MiB")
        return _parse(path.read_bytes(), str(path), path.name, profile)
    found, unknown = HistoryFile(""), []
    # A text beside tables is a note; where there are only texts, they are lists of titles.
    for name, data in sorted(members, key=lambda member: member[0].lower().endswith(".txt")):
        if found.source and name.lower().endswith(".txt"):
            unknown.append(name)
            continue
        try:
            found.add(_parse(data, f"{path}/{name}", name, profile))
        except _UnknownFormatError:
            unknown.append(name)
    if not found.source:
        listed = ", ".join(unknown[:5]) or "no .csv, .json or .txt file"
        raise DataError(f"{path} is no known export of films (it has {listed}); {_KNOWN}")
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        found.notes.append(f"files not used: {', '.join(unknown[:3])}{more}")
    return found


_KNOWN = (
    "known are exports of Letterboxd, IMDb, Netflix, Trakt, MovieLens and TMDB, tables with a column of titles, and "
    "lists of titles"
)


class _UnknownFormatError(DataError):
    """A file that is no history."""


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    for path in paths[: MAX_MEMBERS + 1]:
        total += path.stat().st_size
        if total > MAX_BYTES or len(paths) > MAX_MEMBERS:
            raise DataError(f"{folder} has too many or too large files for a history; name the file")
        if not _is_ignored(name := path.relative_to(folder).as_posix()):
            yield name, path.read_bytes()


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the tables in a zip file, which is never unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
            if len(infos) > MAX_MEMBERS:
                raise DataError(f"{path} has {len(infos):,} files; an export has at most {MAX_MEMBERS:,}")
            wanted = [info for info in infos if info.filename.lower().endswith(_SUFFIXES)]
            wanted = [info for info in wanted if not _is_ignored(info.filename)]
            for info in wanted:
                ratio = info.file_size / max(info.compress_size, 1)
                if info.file_size > MAX_BYTES or (info.file_size > 1 << 20 and ratio > MAX_COMPRESSION_RATIO):
                    size = f"unpacks to {info.file_size >> 20:,} MiB"
                    raise DataError(f"{path}: {info.filename} {size}; that is no history of films")
                if info.flag_bits & 1:
                    raise DataError(f"{path}: {info.filename} is encrypted; unpack it and give the folder")
            if sum(info.file_size for info in wanted) > MAX_BYTES:
                raise DataError(f"{path} unpacks to more than {MAX_BYTES >> 20} MiB; name a file of it")
            for info in wanted:
                with file.open(info) as member:
                    yield info.filename, member.read(MAX_BYTES)
    except _ZIP_ERRORS as error:
        raise DataError(f"{path} is a damaged zip file: {error}; download it again") from None


def _is_ignored(name: str) -> bool:
    """Return whether a file of an export is of no interest: hidden, deleted, or what others are made of."""
    parts = [part.lower() for part in PurePosixPath(name.replace("\\", "/")).parts]
    folders = {"__macosx", "deleted", "orphaned", "lists"}
    if parts[-1].endswith(".txt") and _DOCUMENT.match(parts[-1]):
        return True
    return parts[-1].startswith(".") or bool(folders.intersection(parts[:-1])) or parts[-1] in _IGNORED_FILES


_DOCUMENT = re.compile(r"readme|licen[cs]e|notice|changelog|copying|terms|about|privacy|info\b")
_IGNORED_FILES = {"profile.csv", "comments.csv", "reviews.csv"}  # of Letterboxd; the diary has the ratings of reviews


def _parse(data: bytes, label: str, name: str, profile: str | None) -> HistoryFile:
    text = _decode(data, label)
    if not text.strip():
        raise DataError(f"{label} is empty")
    start = text.lstrip()[:1]
    if start in "[{" and (name.lower().endswith(".json") or start == "{" or text.lstrip()[1:].lstrip()[:1] in '{"]'):
        return _parse_json(text, label, name)
    if name.lower().endswith(".json"):
        raise DataError(f"{label} is not JSON")
    return _parse_text(text, label, name, profile)


def _decode(data: bytes, label: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:4096]:
        raise _UnknownFormatError(f"{label} is not text; {_KNOWN}")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if encoding == "utf-16":
            raise DataError(f"{label} is damaged UTF-16; save it as UTF-8") from None
        return data.decode("cp1252", errors="replace")  # older exports of IMDb


# Tables


@dataclass(frozen=True)
class _Row:
    """A row of a table: cells by column, lower-case and without punctuation."""

    cells: Mapping[str, str]
    at: str

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def first(self, *columns: str) -> str:
        """Return the first of some columns that is not empty."""
        return next((self[column] for column in columns if self[column]), "")

    def number(self, column: str, scale: tuple[float, float] | None = None) -> float | None:
        """Return a number, None for an empty cell; outside of the scale it is a `DataError`."""
        text = self[column]
        if not text or text.lower() in ("null", "none", "nan", "n/a", "-"):
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            raise DataError(f"{column} {text!r} is not a number", at=self.at) from None
        if scale is not None and not scale[0] <= value <= scale[1]:
            raise DataError(f"{column} {text} is not between {scale[0]:g} and {scale[1]:g}", at=self.at)
        return value

    def year(self, *columns: str) -> int | None:
        found = re.search(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)", self.first(*columns))
        return int(found[1]) if found else None

    def id(self, column: str) -> int | None:
        text = self[column].removesuffix(".0")
        return int(text) if text.isdecimal() and len(text) <= 12 else None


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    rows: list[_Row]
    profile: str | None


def _column_key(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _parse_text(text: str, label: str, name: str, profile: str | None) -> HistoryFile:
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line.strip())
    if re.fullmatch(r"sep=.", lines[first].strip()) and first + 1 < len(lines):  # of Excel
        first += 1
    if lines[first].startswith("Letterboxd list export"):
        header = (place for place, line in enumerate(lines) if "Letterboxd" not in line and "Name,Year" in line)
        first = next(header, first)
    delimiter = max(",;\t", key=lines[first].count)
    columns = _read_columns(lines[first], delimiter)
    reader = next((read for is_kind, read in _FORMATS if is_kind(columns)), None)
    if reader is None:
        if name.lower().endswith(".txt") or lines[first].count(delimiter) == 0 or len(columns) == 1:
            return _read_lines(lines, label)
        found = ", ".join(repr(column) for column in lines[first].split(delimiter)[:8])
        raise _UnknownFormatError(f"{label} is no known history of films; its columns are {found}; {_KNOWN}")
    rows = list(_rows(text, label, first, delimiter, columns))
    return reader(_Table(name, columns, rows, profile))


def _read_columns(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(_column_key(cell) for cell in next(csv.reader([line], delimiter=delimiter)))
    except (csv.Error, StopIteration):
        return ()


def _rows(text: str, label: str, skip: int, delimiter: str, columns: tuple[str, ...]) -> Iterator[_Row]:
    # Lines are split as `splitlines` did for the header, except inside of quotes.
    source = io.StringIO(text, newline="")
    for _ in range(skip + 1):
        source.readline()
    reader, before = csv.reader(source, delimiter=delimiter), 0
    try:
        for cells in reader:
            at, before = f"{label}:{skip + 2 + before}", reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
                raise DataError(f"expected {len(columns)} fields as in the header, found {len(cells)}", at=at)
            if len(cells) < min(2, len(columns)):
                raise DataError(f"expected {len(columns)} fields as in the header, found {len(cells)}", at=at)
            yield _Row(dict(zip(columns, cells, strict=False)), at)
    except csv.Error as error:
        raise DataError(f"{error}; is a closing quote missing?", at=f"{label}:{skip + 2 + before}") from None


def _read_lines(lines: list[str], label: str) -> HistoryFile:
    """Read a list of titles, one a line; bullets and consecutive numbers before them are removed."""
    numbered = [re.match(r"\s*(\d+)[.)]\s+(?=\S)", line) for line in lines if line.strip()]
    has_numbers = len(numbered) > 1 and all(
        match is not None and int(match[1]) == place for place, match in enumerate(numbered, 1)
    )
    found = HistoryFile("list of titles", is_typed=True)
    for place, line in enumerate(lines, 1):
        title = re.sub(r"^\s*\d+[.)]\s+", "", line) if has_numbers else re.sub(r"^\s*[-*•]\s+", "", line)
        title = title.strip().strip('"').strip()
        if place == 1 and _column_key(title) in ("title", "titles", "name", "movie", "film", "movies", "films"):
            continue
        if title:
            found.entries.append(HistoryEntry(title, is_liked=True, at=f"{label}:{place}"))
    return found


def _read_letterboxd(table: _Table) -> HistoryFile:
    found, (times, notes) = HistoryFile("Letterboxd"), _times(table.rows, "watcheddate", "date")
    found.notes += notes
    parts = PurePosixPath(table.name.lower()).parts
    is_watchlist, is_diary = "watchlist" in parts[-1], "watcheddate" in table.columns
    is_liked = "likes" in parts[:-1] or parts[-1] in ("films.csv", "likes.csv") or "position" in table.columns
    for row, time in zip(table.rows, times, strict=True):
        if is_watchlist:
            found.left_out.append(LeftOut(row["name"], "on the watchlist, not watched", row.at))
            continue
        rating = row.number("rating", (0.5, 5.0))
        found.entries.append(
            HistoryEntry(
                row["name"],
                row.year("year"),
                rating,
                (0.5, 5.0),
                is_liked=is_liked and rating is None,
                is_current=not is_diary,
                time=time,
                at=row.at,
            )
        )
    return found


_IMDB_OTHERS = {
    "tvseries": "a series",
    "tvminiseries": "a series",
    "tvepisode": "an episode of a series",
    "videogame": "a video game",
    "podcastseries": "a podcast",
    "podcastepisode": "a podcast",
    "musicvideo": "a music video",
}


def _read_imdb(table: _Table) -> HistoryFile:
    found, (times, notes) = HistoryFile("IMDb"), _times(table.rows, "daterated", "youratedon", "created", "modified")
    found.notes += notes
    rated = [column for column in ("yourrating", "yourated") if column in table.columns]
    is_watchlist = "watchlist" in table.name.lower() and not any(row[column] for column in rated for row in table.rows)
    for row, time in zip(table.rows, times, strict=True):
        kind = _column_key(row["titletype"])
        if kind in _IMDB_OTHERS:
            found.left_out.append(LeftOut(row["title"], _IMDB_OTHERS[kind], row.at))
            continue
        if is_watchlist:
            found.left_out.append(LeftOut(row["title"], "on the watchlist, not watched", row.at))
            continue
        original = row["originaltitle"]
        found.entries.append(
            HistoryEntry(
                row["title"],
                row.year("year", "releasedate"),
                row.number(rated[0], (1.0, 10.0)) if rated else None,
                (1.0, 10.0),
                is_liked=not rated,
                is_current=True,
                time=time,
                other_names=(original,) if original and original != row["title"] else (),
                imdb_id=row["const"] or None,
                at=row.at,
            )
        )
    return found


_DATES = ("date", "datum", "data", "fecha")
_NETFLIX_TITLES = ("title", "titel", "titre", "titolo", "título", "titulo")
_SEASON = re.compile(
    r":\s*(?:the\s+)?(?:(?:complete\s+)?(?:season|series|book|volume|vol\.|collection|staffel|saison|stagione|temporada"
    r"|seizoen|sæson|säsong|sezon|kausi|limited series|miniseries|mini-series|miniserie)\b[^:]*:"
    r"|(?:season|series|staffel|saison|stagione|temporada|seizoen|limited series|miniserie)\s*(?:\d+)?\s*$"
    r"|part\s+\d+\s*:|chapter\s+\d+\s*:|episode\s+\d+\b)|:[^:]+\(episode \d+\)",
    re.IGNORECASE,
)


def _read_netflix_views(table: _Table) -> HistoryFile:
    """Read ``NetflixViewingHistory.csv``, or ``ViewingActivity.csv`` of the complete export."""
    rows = _of_profile(table)
    found, (times, notes) = HistoryFile("Netflix"), _times(rows, "starttime", *_DATES)
    found.notes += notes
    for row, time in zip(rows, times, strict=True):
        title = row.first(*_NETFLIX_TITLES)
        if _SEASON.search(title):
            found.left_out.append(LeftOut(title, "an episode of a series", row.at))
        elif row["supplementalvideotype"]:
            found.left_out.append(LeftOut(title, "a trailer", row.at))
        elif title:
            found.entries.append(HistoryEntry(title, time=time, at=row.at))
    return found


_THUMBS = {"1": 1.0, "2": 4.0, "3": 5.0, "thumbsdown": 1.0, "thumbsup": 4.0, "twothumbsup": 5.0, "lovethis": 5.0}


def _read_netflix_ratings(table: _Table) -> HistoryFile:
    """Read the ratings of the complete export; a thumb down is one star, a thumb up four, two thumbs up five."""
    rows = _of_profile(table)
    found, (times, notes) = HistoryFile("Netflix"), _times(rows, "eventutcts", "regionviewdate", "date")
    found.notes += notes
    for row, time in zip(rows, times, strict=True):
        title = row.first("titlename", "title")
        thumbs = _column_key(row["thumbsvalue"].removesuffix(".0"))
        rating = _THUMBS.get(thumbs) or row.number("starvalue", (0.0, 5.0)) or None  # 0 is no rating
        if _SEASON.search(title):
            found.left_out.append(LeftOut(title, "an episode of a series", row.at))
        elif rating is None:
            found.left_out.append(LeftOut(title, "a rating that was withdrawn", row.at))
        elif title:
            found.entries.append(HistoryEntry(title, rating=rating, is_current=True, time=time, at=row.at))
    return found


def _of_profile(table: _Table) -> list[_Row]:
    """Return the rows of one profile; several without a choice are a `ConfigError`."""
    profiles = list(dict.fromkeys(row["profilename"] for row in table.rows if row["profilename"]))
    if table.profile is not None and profiles:
        if table.profile not in profiles:
            raise ConfigError(f"there is no profile {table.profile!r}; the profiles are {', '.join(profiles)}")
        return [row for row in table.rows if row["profilename"] == table.profile]
    if len(profiles) > 1:
        raise ConfigError(f"{table.name} has {len(profiles)} profiles; choose one with profile: {', '.join(profiles)}")
    return table.rows


def _read_movielens(table: _Table) -> HistoryFile:
    users = {row["userid"] for row in table.rows if row["userid"]}
    if len(users) > 1:
        at = table.rows[0].at.rpartition(":")[0]
        raise DataError(f"it has ratings of {len(users):,} users; a history is of one", at=at)
    found, (times, notes) = HistoryFile("MovieLens"), _times(table.rows, "timestamp", "date", "tstamp")
    found.notes += notes
    for row, time in zip(table.rows, times, strict=True):
        found.entries.append(
            HistoryEntry(
                row["title"],
                rating=row.number("rating", (0.5, 5.0)),
                scale=(0.5, 5.0),
                is_current=True,
                time=time,
                imdb_id=f"tt{row['imdbid'].removeprefix('tt').zfill(7)}" if row["imdbid"] else None,
                tmdb_id=row.id("tmdbid"),
                movielens_id=row.id("movieid"),
                at=row.at,
            )
        )
    return found


def _read_tmdb(table: _Table) -> HistoryFile:
    found, (times, notes) = HistoryFile("TMDB"), _times(table.rows, "daterated", "date", "createdat")
    found.notes += notes
    for row, time in zip(table.rows, times, strict=True):
        title = row.first("name", "title")
        if row["type"].lower() not in ("", "movie", "film") or row["seasonnumber"] or row["episodenumber"]:
            found.left_out.append(LeftOut(title, "a series", row.at))
            continue
        column = "yourrating" if "yourrating" in table.columns else "rating"
        found.entries.append(
            HistoryEntry(
                title,
                row.year("releasedate", "year"),
                row.number(column, (0.5, 10.0)),
                (0.5, 10.0),
                is_current=True,
                time=time,
                other_names=(row["originaltitle"],) if row["originaltitle"] else (),
                imdb_id=row["imdbid"] or None,
                tmdb_id=row.id("tmdbid"),
                at=row.at,
            )
        )
    return found


_TITLES = ("title", "name", "movie", "film", "movietitle", "filmtitle", "moviename", "titlename")
_RATINGS = ("yourrating", "myrating", "userrating", "rating", "stars", "score", "rating10", "note")


def _read_other(table: _Table) -> HistoryFile:
    """Read any table with a column of titles; the largest rating tells the scale."""
    title = next(column for column in _TITLES if column in table.columns)
    rating = next((column for column in _RATINGS if column in table.columns), None)
    found, (times, notes) = (
        HistoryFile("table of titles", is_typed=True),
        _times(table.rows, "date", "watcheddate", "watchedat", "ratedat", "daterated", "timestamp"),
    )
    found.notes += notes
    values = [None if rating is None else row.number(rating) for row in table.rows]
    known = [value for value in values if value is not None]
    if any(value < 0 for value in known):
        row = next(row for row, value in zip(table.rows, values, strict=True) if value is not None and value < 0)
        raise DataError(f"{rating} {row[rating or '']} is negative", at=row.at)
    highest = next((top for top in (5.0, 10.0, 100.0) if max(known, default=0) <= top), max(known, default=5.0))
    if known:
        found.notes.append(f"ratings are taken to be out of {highest:g}")
    for row, time, value in zip(table.rows, times, values, strict=True):
        if row[title]:
            found.entries.append(
                HistoryEntry(
                    row[title],
                    row.year("year", "releaseyear", "releasedate"),
                    value,
                    (highest / 10, highest),
                    is_liked=rating is None,
                    is_current=True,
                    time=time,
                    imdb_id=row.first("imdbid", "imdb", "tconst") or None,
                    tmdb_id=row.id("tmdbid"),
                    at=row.at,
                )
            )
    return found


_FORMATS: tuple[tuple[Callable[[tuple[str, ...]], bool], Callable[[_Table], HistoryFile]], ...] = (
    (lambda columns: "name" in columns and ("letterboxduri" in columns or "position" in columns), _read_letterboxd),
    (lambda columns: "const" in columns, _read_imdb),
    (lambda columns: {"tmdbid", "type"} <= set(columns) and "movieid" not in columns, _read_tmdb),
    (lambda columns: {"movieid", "rating"} <= set(columns), _read_movielens),
    (lambda columns: {"titlename", "thumbsvalue"} <= set(columns), _read_netflix_ratings),
    (lambda columns: {"title", "thumbsvalue"} <= set(columns), _read_netflix_ratings),
    (lambda columns: {"titlename", "starvalue"} <= set(columns), _read_netflix_ratings),
    (lambda columns: {"profilename", "starttime", "title"} <= set(columns), _read_netflix_views),
    (
        lambda columns: len(columns) == 2 and columns[0] in _NETFLIX_TITLES and columns[1] in _DATES,
        _read_netflix_views,
    ),
    (lambda columns: any(column in _TITLES for column in columns) and len(columns) > 1, _read_other),
)


# JSON


def _parse_json(text: str, label: str, name: str) -> HistoryFile:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"not JSON: {getattr(error, 'msg', 'nested too deeply')}", at=f"{label}{line}") from None
    items = value.get("results", value.get("movies", value.get("ratings"))) if isinstance(value, dict) else value
    if not isinstance(items, list) or not items:
        raise _UnknownFormatError(f"{label} is no known history of films; {_KNOWN}")
    if all(isinstance(item, str) for item in items):
        entries = [HistoryEntry(item.strip(), is_liked=True, at=f"{label}[{n}]") for n, item in enumerate(items)]
        return HistoryFile("list of titles", [entry for entry in entries if entry.title], is_typed=True)
    if not all(isinstance(item, dict) for item in items):
        raise _UnknownFormatError(f"{label} is no known history of films; {_KNOWN}")
    if any(isinstance(item.get(key), dict) for item in items for key in ("movie", "show", "episode")):
        return _read_trakt(items, label, name)
    if any(isinstance(item.get("title", item.get("original_title")), str) for item in items):
        return _read_json_movies(items, label)
    raise _UnknownFormatError(f"{label} is no known history of films; {_KNOWN}")


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
        if not is_favorite and not any(key in item for key in ("rating", "watched_at", "last_watched_at", "plays")):
            reason = "collected, not watched" if "collected_at" in item else "on a list, not watched"
            found.left_out.append(LeftOut(title, reason, at))
            continue
        times = [_iso_time(item[key]) for key in ("watched_at", "last_watched_at", "rated_at") if item.get(key)]
        found.entries.append(
            HistoryEntry(
                title,
                _integer(movie.get("year")),
                _json_rating(item.get("rating"), (1.0, 10.0), at),
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


def _read_json_movies(items: list[dict[str, Any]], label: str) -> HistoryFile:
    """Read a list of movies as TMDB's API returns it."""
    is_tmdb = any("release_date" in item and "id" in item for item in items)
    found = HistoryFile("TMDB" if is_tmdb else "list of movies", is_typed=not is_tmdb)
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


# Times


def _times(rows: list[_Row], *columns: str) -> tuple[list[int | None], list[str]]:
    """Return the time of each row in seconds since 1970, from the first column that has it, and notes."""
    texts = [row.first(*columns) for row in rows]
    is_day_first = _is_day_first(texts)
    times = [_parse_time(text, is_day_first) for text in texts]
    unread = [text for text, time in zip(texts, times, strict=True) if text and time is None]
    notes = [f"{len(unread)} dates cannot be read, such as {unread[0]!r}"] if unread else []
    return times, notes


_SHORT_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{2}|\d{4})\b")


def _is_day_first(texts: list[str]) -> bool:
    """Return whether dates such as 3/4/24 begin with the day: one with a 13 tells; else the full stop does."""
    dates = [match for text in texts if (match := _SHORT_DATE.match(text)) is not None]
    if any(int(date[1]) > 12 for date in dates):
        return True
    if any(int(date[3]) > 12 for date in dates):
        return False
    return any(date[2] == "." for date in dates)


def _parse_time(text: str, is_day_first: bool) -> int | None:
    if not text:
        return None
    if (short := _SHORT_DATE.match(text)) is not None:
        day, month = (short[1], short[3]) if is_day_first else (short[3], short[1])
        year = int(short[4]) + (2000 if len(short[4]) == 2 else 0)
        try:
            return _seconds(datetime(year, int(month), int(day)))
        except ValueError:
            return None
    return _iso_time(text)


def _iso_time(value: Any) -> int | None:
    text = str(value).strip().removesuffix(" UTC")
    if re.fullmatch(r"\d{9,14}(\.\d+)?", text):
        number = float(text)
        return int(number / 1000 if number > LATEST_TIMESTAMP else number)
    for parse in (datetime.fromisoformat, lambda one: datetime.strptime(one, "%a %b %d %H:%M:%S %Y")):
        try:
            return _seconds(parse(text))
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(time: datetime) -> int | None:
    seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    return seconds if 0 <= seconds <= LATEST_TIMESTAMP else None


def without_duplicates(entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """Return one entry per film of the source: the rating that counts, the latest time, liked if it ever was.

    Entries are the same film if title, year and ids are.

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
    """Return one entry for several of the same film."""
    rated = [entry for entry in entries if entry.rating is not None]
    # Current ratings first, then the latest; equal ones in the order of the file.
    best = (
        max(enumerate(rated), key=lambda pair: (pair[1].is_current, pair[1].time or 0, pair[0]))[1] if rated else None
    )
    times = [entry.time for entry in entries if entry.time is not None]
    main = best or entries[0]
    return replace(main, time=max(times, default=None), is_liked=any(entry.is_liked for entry in entries))
