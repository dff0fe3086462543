"""Tables in files: CSV, TSV and Parquet, with errors that name file and line; and side tables of the movies.

Side tables are ``fullplot.csv``, ``omdb.csv`` and ``links.csv`` in the folder of a dataset. Each has a column
``movie_id`` (or one of its usual other names); its other columns are added to the movies table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec.data.schema import (
    OPTIONAL_MOVIE_COLUMNS,
    ORIGINAL_NAMES,
    canonical_columns,
    canonical_names,
    clean_movies,
)
from gnnrec.errors import DataError, Location

csv.field_size_limit(2**31 - 1)  # plots may be long


def records(path: Path, separator: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each record; blank lines are skipped, as pandas does."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=strict)
        before = 0
        try:
            for fields in reader:
                if fields and fields != [""]:
                    yield before + 1, fields
                before = reader.line_num
        except csv.Error as error:
            raise DataError(f"{error}; is a closing quote missing?", at=f"{path}:{before + 1}") from error


def check_start(path: Path) -> None:
    """Raise a `DataError` for a file that is missing, empty, or not UTF-8 text."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; its first line must name the columns")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise DataError("the file is UTF-16 or not text; save it as UTF-8", at=f"{path}:1")


def check_encoding(path: Path) -> None:
    """Raise a `DataError` for the first byte that is not UTF-8."""
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"byte 0x{raw[error.start]:02x} at offset {error.start} is not UTF-8; save the file as UTF-8",
            at=f"{path}:{line}",
        ) from None


def read_header(path: Path) -> tuple[str, list[str], int]:
    """Return separator (comma, tab or semicolon), column names and line of the header, blank lines skipped."""
    with path.open("rb") as file:
        lines = ((number, line.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n")) for number, line in enumerate(file, 1))
        number, start = next((number, line) for number, line in lines if line.strip())
    try:
        first = start.decode("utf-8")
    except UnicodeDecodeError:
        check_encoding(path)
        raise
    separator = max(",\t;", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True))]
    if repeated := [name for position, name in enumerate(names) if name in names[:position]]:
        raise DataError(f"two columns {repeated[0]}; keep one of them", at=f"{path}:{number}")
    return separator, names, number


def raise_at_first_fault(path: Path, separator: str, num_columns: int, *, strict: bool = False) -> None:
    """Raise a `DataError` for the first byte that is not UTF-8 or the first line with a wrong number of fields.

    `strict` also raises for misplaced quotes, which matter only if pandas could not read the file.
    """
    check_encoding(path)
    for line, fields in records(path, separator, strict=strict):
        if len(fields) != num_columns:
            raise DataError(
                f"expected {num_columns} fields as in the first line, found {len(fields)}",
                at=f"{path}:{line}",
            )


def line_of_row(path: Path, separator: str, row: int) -> int:
    """Return the line of a row of the frame, which counts from 0 after the header."""
    return next(islice(records(path, separator), row + 1, None))[0]


def has_leading_zeros(path: Path, separator: str, positions: Sequence[int]) -> bool:
    """Return whether one of the columns has an id such as 007, which would lose its zeros as a number."""
    # A fast scan of the bytes rules out nearly all files; only then are the columns parsed.
    if set(positions) == {0}:
        may_have_any = _ZERO_AT_LINE_START.search(path.read_bytes()) is not None
    else:
        may_have_any = _may_have_leading_zeros(path)
    return may_have_any and any(
        re.match(r"\s*[+-]?0\d", fields[position])
        for _, fields in islice(records(path, separator), 1, None)
        for position in positions
    )


_ZERO_AT_LINE_START = re.compile(rb'[\r\n][\s"]*[+-]?0\d')


def _may_have_leading_zeros(path: Path) -> bool:
    starts_field, is_digit = np.zeros((2, 256), dtype=bool)
    starts_field[list(b',;\t\r\n "+-')] = True
    is_digit[list(b"0123456789")] = True
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            text = np.frombuffer(last + block, dtype=np.uint8)
            zeros = np.flatnonzero(text[1:-1] == ord("0"))
            if (starts_field[text[zeros]] & is_digit[text[zeros + 2]]).any():
                return True
            last = block[-2:]
    return False


SUFFIXES = (".csv", ".tsv", ".parquet")
_MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A", r"\N"]


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame and its file: `line` returns the line in `path` of a row of `frame`."""

    path: Path
    frame: pd.DataFrame
    line: Callable[[int], int] | None = None

    def locate(self, row: int | None) -> str:
        """Return the location of a row: ``ratings.csv:7``, or ``ratings.parquet row 5`` for files without lines."""
        if row is None:
            return str(self.path)
        return f"{self.path} row {row}" if self.line is None else f"{self.path}:{self.line(row)}"


def locator(tables: Mapping[str, Table]) -> Callable[[str, int | None], Location]:
    """Return the function that `DataError.relocated` needs to name file and line."""
    return lambda table, row: tables[table].locate(row) if table in tables else (table, row)


def find_table(folder: Path, name: str) -> Path | None:
    """Return the file of the table `name`, e.g. ``ratings.csv``, or None."""
    found = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def read_folder(
    folder: Path, wanted: Mapping[str, str], required: Collection[str], text_ids: Collection[str] = ()
) -> dict[str, Table]:
    """Read the tables in a folder.

    Parameters
    ----------
    folder : Path
        Folder with ``<name>.csv``, ``.tsv`` or ``.parquet``.
    wanted : mapping
        File names without suffix, and the kind of each table: "ratings", "movies" or "users".
    required : collection of str
        Files that must be there.
    text_ids : collection of str
        Id columns to read as text even if they look like numbers.

    Returns
    -------
    dict of str to Table
        The tables found.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    paths = {name: path for name in wanted if (path := find_table(folder, name)) is not None}
    if missing := [name for name in required if name not in paths]:
        raise DataError(f"{folder} has no {', '.join(f'{name}.csv' for name in missing)} (or .tsv, .parquet)")
    return read_files(paths, wanted, text_ids)


def read_files(paths: Mapping[str, Path], kinds: Mapping[str, str], text_ids: Collection[str] = ()) -> dict[str, Table]:
    """Read files that belong together; an id column is text in all of them or in none."""
    text = set(text_ids)
    while True:
        tables = {name: _read(path, kinds[name], text) for name, path in paths.items()}
        found = {
            column
            for table in tables.values()
            for column in ("user_id", "movie_id")
            if column in table.frame
            and len(table.frame)
            and not pd.api.types.is_numeric_dtype(table.frame[column].dtype)
        }
        if found <= text or all(path.suffix == ".parquet" for path in paths.values()):
            return tables
        text |= found  # "007" in one file: "8" in the others is text, too


def _read(path: Path, kind: str, text_ids: Collection[str]) -> Table:
    if path.suffix == ".parquet":
        return Table(path, _read_parquet(path, kind))
    check_start(path)
    separator, header, header_line = read_header(path)
    names = canonical_names(header, kind)
    columns = [names.get(name, name) for name in header]
    literal = {"user_id", "movie_id", "title", "rating", "timestamp"}  # a movie may be called "NaN"
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            names=columns,
            header=None,
            skiprows=header_line,
            dtype={column: str for column in columns if column in text_ids},
            keep_default_na=False,
            na_values={column: _MISSING for column in columns if column not in literal},
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise_at_first_fault(path, separator, len(header), strict=True)
        raise DataError(f"{path} cannot be read: {error}") from error
    frame.attrs[ORIGINAL_NAMES] = header  # for messages
    short = not isinstance(frame.index, pd.RangeIndex) or _has_gaps(frame.iloc[:, -1])
    if short:  # pandas pads short lines and takes the first fields of long lines for an index; both are errors
        raise_at_first_fault(path, separator, len(header))
    ids = [column for column in ("user_id", "movie_id") if column in frame]
    as_numbers = [column for column in ids if pd.api.types.is_numeric_dtype(frame[column].dtype)]
    loses_zeros = [column for column in as_numbers if column not in text_ids]
    if loses_zeros and has_leading_zeros(path, separator, [columns.index(column) for column in loses_zeros]):
        return _read(path, kind, {*text_ids, *loses_zeros})
    for column in set(ids).difference(as_numbers):
        frame[column] = frame[column].str.strip()  # "ann " and "ann" are the same user
    return Table(path, frame, lambda row: line_of_row(path, separator, row))


def _has_gaps(column: pd.Series) -> bool:
    return bool(column.isna().any() or (not pd.api.types.is_numeric_dtype(column.dtype) and (column == "").any()))


def _read_parquet(path: Path, kind: str) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow; install it with: pip install 'gnnrec[parquet]'") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from error
    return frame.rename(columns=canonical_names(frame.columns, kind))


SIDE_TABLES = ("fullplot", "omdb", "links")
"""File names without suffix; if two have a value for the same movie and column, the first is used."""


def read_side_tables(folder: Path) -> dict[str, Table]:
    """Read the side tables in a folder."""
    found: dict[str, Table] = {}
    for name in SIDE_TABLES:  # one by one: text ids in one file must not turn those of the others into text
        found |= read_folder(folder, {name: "movies"}, required=())
    return found


def add_side_tables(movies: Table, side_tables: Mapping[str, Table]) -> Table:
    """Return a movies table with the columns of its side tables; values of the table itself are kept.

    Rows of other movies are ignored; a side table with none of the movies is a `DataError`.
    """
    frame = movies.frame.copy()
    for name, table in side_tables.items():
        added = _clean_side_table(name, table)
        if len(added):
            _check_ids(added.index, movies, table)
        for column, values in added.items():
            found = values.reindex(frame["movie_id"]).set_axis(frame.index)
            if column in frame:
                own = frame[column].astype(object)
                found = own.where(own.notna() & (own != ""), found.astype(object))
            frame[column] = found
    return Table(movies.path, frame, movies.line)


def _check_ids(ids: pd.Index, movies: Table, table: Table) -> None:
    theirs, ours = (
        "whole numbers" if pd.api.types.is_numeric_dtype(these.dtype) else "text"
        for these in (ids, movies.frame["movie_id"])
    )
    if theirs != ours:
        raise DataError(f"movie_id is {theirs} but {ours} in {movies.path.name}; use the same", at=str(table.path))
    if not ids.isin(movies.frame["movie_id"]).any():
        raise DataError(f"it has none of the movies in {movies.path.name}", at=str(table.path))


def _clean_side_table(name: str, table: Table) -> pd.DataFrame:
    """Return the recognized columns of a side table, checked, with movie ids as index."""
    try:
        frame = canonical_columns(table.frame, "movies", ("movie_id",))
        known = [column for column in OPTIONAL_MOVIE_COLUMNS if column in frame]
        frame = frame[["movie_id", *known]]
        if name == "omdb":
            frame = frame.assign(
                **{name: _split_names(frame[name]) for name in ("directors", "actors") if name in known}
            )
        return clean_movies(frame).set_index("movie_id")[known]
    except DataError as error:
        raise error.relocated(locator({"movies": table})) from None


def _split_names(values: pd.Series) -> pd.Series:
    """Convert names from the format of OMDb, ``"Don Bluth, Gary Goldman(co-director)"``."""
    names = values.astype("string").str.replace(r"\s*\([^)]*\)", "", regex=True)
    return names.str.replace(r"\s*,(?!\s*(?:Jr|Sr)\b)\s*", "|", regex=True)
