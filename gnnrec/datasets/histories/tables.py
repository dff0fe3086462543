"""Rows of tables and lists of titles."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from gnnrec.datasets.histories.entries import KNOWN, HistoryEntry, HistoryFile, LeftOut, UnknownFormatError
from gnnrec.datasets.histories.lists import read_lines
from gnnrec.datasets.histories.times import are_dates, parse_times
from gnnrec.errors import ConfigError, DataError

csv.field_size_limit(2**31 - 1)  # reviews may be long


@dataclass(frozen=True)
class Row:
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
        """Return the year in the first of some columns that is not empty."""
        found = re.search(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)", self.first(*columns))
        return int(found[1]) if found else None

    def id(self, column: str) -> int | None:
        """Return a whole number, None for anything else."""
        text = self[column].removesuffix(".0")
        return int(text) if text.isdecimal() and len(text) <= 12 else None


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    rows: list[Row]
    netflix_profile: str | None


def column_key(name: str) -> str:
    """Return a column name in lower case, without punctuation."""
    return re.sub(r"[\W_]", "", name.lower())


def parse_text(text: str, label: str, name: str, netflix_profile: str | None) -> HistoryFile:
    """Read a table or a list of titles."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line.strip())
    if re.fullmatch(r"sep=.", lines[first].strip()) and first + 1 < len(lines):  # of Excel
        first += 1
    if lines[first].startswith("Letterboxd list export"):
        header = (place for place, line in enumerate(lines) if "Letterboxd" not in line and "Name,Year" in line)
        first = next(header, first)
    start = [line for line in lines[first : first + 5] if line.strip()]
    # A decimal comma may be in the first line; the separator is in all.
    delimiter = max(",;\t", key=lambda mark: (all(mark in line for line in start), lines[first].count(mark)))
    columns = _read_columns(lines[first], delimiter)
    reader = next((read for is_kind, read in _FORMATS if is_kind(columns)), None)
    if reader is None and len(columns) > 1 and (assumed := _without_header(text, label, first, delimiter)) is not None:
        columns, skip, reader = assumed
        table = _Table(name, columns, list(_rows(text, label, skip, delimiter, columns)), netflix_profile)
        found = reader(table)
        found.notes.append(f"{label}: columns taken as {', '.join(columns)}")
        return found
    if reader is None:
        if name.lower().endswith((".txt", ".md")) or lines[first].count(delimiter) == 0 or len(columns) == 1:
            return read_lines(lines, label)
        columns_found = ", ".join(repr(column) for column in lines[first].split(delimiter)[:8])
        raise UnknownFormatError(f"{label} is not a known history file; its columns are {columns_found}; {KNOWN}")
    rows = list(_rows(text, label, first, delimiter, columns))
    return reader(_Table(name, columns, rows, netflix_profile))


def _without_header(
    text: str, label: str, first: int, delimiter: str
) -> tuple[tuple[str, ...], int, Callable[[_Table], HistoryFile]] | None:
    """Return columns, lines to skip and reader of a table whose columns only its values tell; None for any other.

    Two columns of titles and dates are Netflix's, in whatever language its header is. Without a header, titles or IMDb
    ids come with years, dates or ratings.
    """
    source = io.StringIO(text, newline="")
    for _ in range(first):
        source.readline()
    try:
        rows = [cells for cells in islice(csv.reader(source, delimiter=delimiter), 50) if any(map(str.strip, cells))]
    except csv.Error:
        return None
    width = len(rows[0]) if rows else 0
    if width < 2 or any(len(cells) != width for cells in rows):
        return None
    columns = [[cells[place].strip() for cells in rows] for place in range(width)]
    if width == 2 and len(rows) > 1 and are_dates(columns[1][1:]) and not are_dates(columns[1][:1]):
        return ("title", "date"), first, _read_netflix_views
    names = [_column_of(values) for values in columns]
    titles = [place for place, name in enumerate(names) if name == "text"]
    if len(titles) > 1 or (not titles and "imdbid" not in names) or len(set(names)) < len(names) or width > 4:
        return None
    if not {"rating", "year", "date", "imdbid"} & set(names):
        return None
    return tuple("title" if name == "text" else name for name in names), first - 1, _read_other


def _column_of(values: list[str]) -> str:
    """Return what all values of a column without a name are."""
    known = [value for value in values if value]
    if known and all(re.fullmatch(r"tt\d{5,12}", value) for value in known):
        return "imdbid"
    if known and all(re.fullmatch(r"(18|19|20)\d\d", value) for value in known):
        return "year"
    numbers = [value.replace(",", ".") for value in known if re.fullmatch(r"\d{1,3}(?:[.,]\d+)?", value)]
    if known and len(numbers) == len(known) and max(map(float, numbers)) <= 100:
        return "rating"
    return "date" if are_dates(known) else "text"


def _times(rows: list[Row], *columns: str) -> tuple[list[int | None], list[str]]:
    """Return the time of each row, from the first column that has it, and notes."""
    return parse_times([row.first(*columns) for row in rows])


def _read_columns(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(column_key(cell) for cell in next(csv.reader([line], delimiter=delimiter)))
    except (csv.Error, StopIteration):
        return ()


def _rows(text: str, label: str, skip: int, delimiter: str, columns: tuple[str, ...]) -> Iterator[Row]:
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
            yield Row(dict(zip(columns, cells, strict=False)), at)
    except csv.Error as error:
        raise DataError(f"{error}; is a closing quote missing?", at=f"{label}:{skip + 2 + before}") from None


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
        kind = column_key(row["titletype"])
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


_DATES = ("date", "datum", "data", "fecha", "dato", "dátum", "päivä", "tarih")
_NETFLIX_TITLES = ("title", "titel", "titre", "titolo", "título", "titulo", "tittel", "tytuł", "cím", "nimi", "başlık")
_AUTOPLAYED = "autoplayed: user action: none"
_SEASON = re.compile(
    r":\s*(?:the\s+)?(?:(?:complete\s+)?(?:season|series|book|volume|vol\.|collection|staffel|saison|stagione|temporada"
    r"|seizoen|sæson|säsong|sezon|kausi|limited series|miniseries|mini-series|miniserie)\b[^:]*:"
    r"|(?:season|series|staffel|saison|stagione|temporada|seizoen|limited series|miniserie)\s*(?:\d+)?\s*$"
    r"|part\s+\d+\s*:|chapter\s+\w+\s*:|episode\s+\d+\b|\d+\.\s*(?:évad|sezon|sezóna|série)\b[^:]*:"
    r"|(?:시즌|シーズン)\s*\d*[^:]*:)|:[^:]+\(episode \d+\)",
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
        elif row["attributes"].lower().startswith(_AUTOPLAYED):
            found.left_out.append(LeftOut(title, "played by itself", row.at))
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
        thumbs = column_key(row["thumbsvalue"].removesuffix(".0"))
        rating = _THUMBS.get(thumbs) or row.number("starvalue", (0.0, 5.0)) or None  # 0 is no rating
        if _SEASON.search(title):
            found.left_out.append(LeftOut(title, "an episode of a series", row.at))
        elif rating is None:
            found.left_out.append(LeftOut(title, "a rating that was withdrawn", row.at))
        elif title:
            found.entries.append(HistoryEntry(title, rating=rating, is_current=True, time=time, at=row.at))
    return found


def _of_profile(table: _Table) -> list[Row]:
    """Return the rows of one profile; several without a choice are a `ConfigError`."""
    profiles = list(dict.fromkeys(row["profilename"] for row in table.rows if row["profilename"]))
    if table.netflix_profile is not None and profiles:
        if table.netflix_profile not in profiles:
            raise ConfigError(
                f"there is no Netflix profile {table.netflix_profile!r}; choose one of {', '.join(profiles)}"
            )
        return [row for row in table.rows if row["profilename"] == table.netflix_profile]
    if len(profiles) > 1:
        how = "choose one with netflix_profile (--netflix-profile)"
        raise ConfigError(f"{table.name} has {len(profiles)} profiles; {how}: {', '.join(profiles)}")
    return table.rows


def _read_movielens(table: _Table) -> HistoryFile:
    users = {row["userid"] for row in table.rows if row["userid"]}
    if len(users) > 1:
        at = table.rows[0].at.rpartition(":")[0]
        raise DataError(f"the file has ratings of {len(users):,} users; a history must be from a single user", at=at)
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


_TITLES = (
    "title", "name", "movie", "film", "movietitle", "filmtitle", "moviename", "filmname", "titlename", "titel",
    "filmtitel", "titre", "titolo", "título", "titulo", "tytuł", "cím", "nimi", "название",
)  # fmt: skip
_RATINGS = (
    "yourrating", "myrating", "userrating", "yourscore", "rating", "stars", "score", "rating10", "note", "bewertung",
    "wertung", "sterne", "nota", "voto", "valoración", "puntuación", "ocena", "оценка",
)  # fmt: skip
_YEARS = ("year", "releaseyear", "releasedate", "jahr", "année", "annee", "anno", "año", "ano", "rok", "год")
_WATCHED = (
    "date", "watcheddate", "watchedat", "ratedat", "daterated", "datewatched", "lastwatchedat", "lastviewedat",
    "timestamp", "datum", "fecha", "data",
)  # fmt: skip
_STATUSES = ("watchlist", "status", "liststatus", "watchedstatus")
_PLANNED = frozenset({"plantowatch", "planned", "watchlist", "wanttowatch", "wishlist", "unwatched", "notwatched"})
_SEEN = ("checked", "watched", "seen", "played")
_FAVORITE, _DISLIKED = ("favorite", "liked", "like"), ("dislike", "disliked")
_YES, _NO = frozenset({"yes", "true", "1", "x", "y"}), frozenset({"no", "false", "0", "n"})
_OTHER_KINDS = frozenset({"tv", "show", "series", "tvshow", "tvseries", "season", "episode", "game", "book"})


def _read_other(table: _Table) -> HistoryFile:
    """Read any table with a column of titles; the largest rating tells the scale."""
    title = next((column for column in _TITLES if column in table.columns), "")
    rating = next((column for column in _RATINGS if column in table.columns), None)
    found, (times, notes) = HistoryFile("table of titles", is_handwritten=True), _times(table.rows, *_WATCHED)
    found.notes += notes
    values = [None if rating is None else row.number(rating) for row in table.rows]
    known = [value for value in values if value is not None]
    if any(value < 0 for value in known):
        row = next(row for row, value in zip(table.rows, values, strict=True) if value is not None and value < 0)
        raise DataError(f"{rating} {row[rating or '']} is negative", at=row.at)
    highest = next((top for top in (5.0, 10.0, 100.0) if max(known, default=0) <= top), max(known, default=5.0))
    if known:
        found.notes.append(f"ratings are taken to be out of {highest:g}")
    is_wishlist = re.search(r"wish-?list|watch-?list", table.name.lower()) is not None
    for row, time, value in zip(table.rows, times, values, strict=True):
        name, imdb_id = row[title], row.first("imdbid", "imdb", "tconst")
        if linked := re.search(r"tt\d{5,12}", row.first("imdburl", "url")):
            imdb_id = imdb_id or linked[0]
        if not name and not imdb_id:
            continue
        if (reason := _why_left_out(row, value)) or (is_wishlist and value is None):
            found.left_out.append(LeftOut(name, reason or "on the watchlist, not watched", row.at))
            continue
        if value is None and any(row[column].lower() in _YES for column in _DISLIKED):
            value = highest / 10
        is_liked = rating is None if not _has(table, _SEEN) else False
        found.entries.append(
            HistoryEntry(
                name,
                row.year(*_YEARS),
                value,
                (highest / 10, highest),
                is_liked=value is None and (is_liked or any(row[column].lower() in _YES for column in _FAVORITE)),
                is_current=True,
                time=time,
                imdb_id=imdb_id or None,
                tmdb_id=row.id("tmdbid") or row.id("tmdb"),
                at=row.at,
            )
        )
    return found


def _has(table: _Table, columns: tuple[str, ...]) -> bool:
    return any(column in table.columns for column in columns)


def _why_left_out(row: Row, rating: float | None) -> str | None:
    """Return why a row is not a movie that was watched, None if it is."""
    if any(column_key(row[column]) in _OTHER_KINDS for column in ("type", "titletype", "mediatype")):
        return "not a movie"
    if rating is not None:
        return None
    planned = any(column_key(row[column]) in _PLANNED for column in _STATUSES)
    return "not watched" if planned or any(row[column].lower() in _NO for column in _SEEN) else None


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
