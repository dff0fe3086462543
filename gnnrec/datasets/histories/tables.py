"""Tables, read into rows for the formats of sites, and lists of titles."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from gnnrec._checks import shown
from gnnrec.datasets.histories.entries import HistoryFile, UnknownFormatError, find_reader, known_formats
from gnnrec.datasets.histories.lists import read_lines
from gnnrec.datasets.histories.times import are_dates, parse_times
from gnnrec.datasets.histories.written_ratings import parse_rating
from gnnrec.errors import DataError
from gnnrec.registry import HISTORY_FORMATS

csv.field_size_limit(2**31 - 1)  # reviews may be long

_NOTHING = frozenset({"", "null", "none", "nan", "n/a", "-", "–", "—"})
"""Cells without a value."""
_MARKDOWN_RULE = re.compile(r"\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?)?")
"""The line below the header of a table in Markdown."""


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
        """Return a number, None for an empty cell; raise `DataError` if it is outside the scale."""
        text = self[column]
        if text.lower() in _NOTHING:
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            raise DataError(f"{column} {shown(text)} is not a number", at=self.at) from None
        if scale is not None and not scale[0] <= value <= scale[1]:
            raise DataError(f"{column} {text} is not between {scale[0]:g} and {scale[1]:g}", at=self.at)
        return value

    def rating(self, column: str) -> tuple[float, float | None] | None:
        """Return a rating as people write it and the highest possible one, as `parse_rating` does."""
        text = self[column]
        if text.lower() in _NOTHING:
            return None
        found = parse_rating(text)
        if found is None:
            raise DataError(f"{column} {shown(text)} is not a rating", at=self.at)
        if found[0] < 0:
            raise DataError(f"{column} {text} is negative", at=self.at)
        return found

    def year(self, *columns: str) -> int | None:
        """Return the year in the first of some columns that is not empty."""
        found = re.search(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)", self.first(*columns))
        return int(found[1]) if found else None

    def id(self, column: str) -> int | None:
        """Return a whole number, None for anything else."""
        text = self[column].removesuffix(".0")
        return int(text) if text.isdecimal() and len(text) <= 12 else None


class HistoryTable(NamedTuple):
    """A table of a history, for the formats of sites; names of columns are lower-case and without punctuation."""

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
    if len(lines) > first + 1 and "|" in lines[first] and _MARKDOWN_RULE.fullmatch(lines[first + 1].strip()):
        lines = _without_markdown(lines)
        text = "\n".join(lines)
    if re.fullmatch(r"sep=.", lines[first].strip()) and first + 1 < len(lines):  # written by Excel
        first += 1
    if lines[first].startswith("Letterboxd list export"):
        header = (place for place, line in enumerate(lines) if "Letterboxd" not in line and "Name,Year" in line)
        first = next(header, first)
    start = [line for line in lines[first : first + 5] if line.strip()]
    # A decimal comma may be in some lines; the separator is in all.
    delimiter = max(",;\t|", key=lambda mark: (all(mark in line for line in start), lines[first].count(mark)))
    columns = _read_columns(lines[first], delimiter)
    reader = find_reader("table", columns)
    if reader is None and len(columns) > 1 and (assumed := _without_header(text, label, first, delimiter)) is not None:
        columns, skip, reader = assumed
        table = HistoryTable(name, columns, list(_rows(text, label, skip, delimiter, columns)), netflix_profile)
        found = reader(table)
        found.notes.append(f"{label}: columns taken as {', '.join(columns)}")
        return found
    if reader is None:
        if name.lower().endswith((".txt", ".md")) or lines[first].count(delimiter) == 0 or len(columns) == 1:
            return read_lines(lines, label)
        columns_found = ", ".join(repr(column) for column in lines[first].split(delimiter)[:8])
        raise UnknownFormatError(
            f"{label} is not a known history file; its columns are {columns_found}; {known_formats()}"
        )
    rows = list(_rows(text, label, first, delimiter, columns))
    return reader(HistoryTable(name, columns, rows, netflix_profile))


def _without_markdown(lines: list[str]) -> list[str]:
    """Return the lines of a table in Markdown as separated by tabs; lines keep their numbers."""
    cells = [
        []
        if _MARKDOWN_RULE.fullmatch(line.strip())
        else re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
        for line in lines
    ]
    return ["\t".join(cell.strip().replace("\\|", "|") for cell in row) for row in cells]


def _without_header(
    text: str, label: str, first: int, delimiter: str
) -> tuple[tuple[str, ...], int, Callable[[HistoryTable], HistoryFile]] | None:
    """Recognize the columns of a table by its values; return columns, lines to skip and reader, or None.

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
        return ("title", "date"), first, HISTORY_FORMATS.get("Netflix")
    names = [_column_of(values) for values in columns]
    titles = [place for place, name in enumerate(names) if name == "text"]
    if len(titles) > 1 or (not titles and "imdbid" not in names) or len(set(names)) < len(names) or width > 4:
        return None
    if not {"rating", "year", "date", "imdbid"} & set(names):
        return None
    return tuple("title" if name == "text" else name for name in names), first - 1, HISTORY_FORMATS.get("other: table")


def _column_of(values: list[str]) -> str:
    """Return the common kind of the values of an unnamed column."""
    known = [value for value in values if value]
    if known and all(re.fullmatch(r"tt\d{5,12}", value) for value in known):
        return "imdbid"
    if known and all(re.fullmatch(r"(18|19|20)\d\d", value) for value in known):
        return "year"
    ratings = [rating for value in known if (rating := parse_rating(value)) is not None]
    if known and len(ratings) == len(known) and all(0 <= value <= (top or 100) for value, top in ratings):
        return "rating"
    return "date" if are_dates(known) else "text"


def times_of(rows: list[Row], *columns: str) -> tuple[list[int | None], list[str]]:
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
