"""Tables in files: text of any kind, JSON lines and Parquet, with errors that name file and line; and side tables.

Side tables are ``fullplot.csv``, ``omdb.csv`` and ``links.csv`` in the folder of a dataset. Each has a column
``movie_id`` (or one of its usual other names); its other columns are added to the movies table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.column_parts import ColumnParts
from gnnrec.data.compression import BLOCK
from gnnrec.data.convert import UNKNOWN
from gnnrec.data.dialects import Layout, find_layout, names_of, records
from gnnrec.data.dtypes import kind_of
from gnnrec.data.json_lines import is_json, read_json
from gnnrec.data.number_texts import COMMAS, convert_numbers
from gnnrec.data.parquet import MISSING, READ_ERRORS, is_parquet, read_columns, read_schema, row_namer
from gnnrec.data.plain_text import read_plain
from gnnrec.data.provenance import ReadLog
from gnnrec.data.read_options import DEFAULT_OPTIONS, ReadOptions
from gnnrec.data.rejected import read_valid_rows
from gnnrec.data.schema import COLUMNS, ORIGINAL_NAMES
from gnnrec.data.text_files import UNIT, open_text, suffix_of
from gnnrec.data.times import iso_seconds
from gnnrec.errors import DataError, Location

CHUNK_BYTES = 1 << 21
"""Number of bytes of a file that are parsed at a time."""
MAX_COMPACT = 1e6
"""Ratings up to this size are kept in half the space from the start; larger ones are checked first."""


def raise_at_first_fault(layout: Layout, *, strict: bool = False) -> None:
    """Raise a `DataError` for the first line with a wrong number of fields.

    `strict` also raises for misplaced quotes, which matter only if pandas could not read the file.
    """
    source = layout.source
    rows = records(source.file, layout.dialect, skip=layout.skip, path=source.path, strict=strict)
    for line, fields in rows:
        if len(fields) != len(layout.header):
            where = "the first line" if layout.has_header else "most lines"
            raise DataError(
                f"expected {len(layout.header)} fields as in {where}, found {len(fields)}",
                at=f"{source.path}:{line}",
            )


def with_leading_zeros(layout: Layout, columns: list[str], candidates: Collection[str]) -> set[str]:
    """Return those of the candidates that have an id such as 007, which would lose its zeros as a number."""
    # A fast scan of the bytes rules out most files; only then are the columns parsed as text.
    if {columns.index(one) for one in candidates} == {0} and layout.source.file.stat().st_size < CHUNK_BYTES:
        may_have_any = _ZERO_AT_LINE_START.search(layout.source.file.read_bytes()) is not None
    else:
        may_have_any = _may_have_leading_zeros(layout.source.file)
    found: set[str] = set()
    for piece in _pieces(layout, columns, candidates, only=candidates) if may_have_any else ():
        for column in set(candidates) - found:
            if pd.Series(piece[column].unique()).str.match(r"\s*[+-]?0\d").any():
                found.add(column)
        if len(found) == len(candidates):
            break
    return found


_ZERO_AT_LINE_START = re.compile(rb'[\r\n][\s"]*[+-]?0\d')


def _may_have_leading_zeros(path: Path) -> bool:
    starts_field, is_digit = np.zeros((2, 256), dtype=bool)
    starts_field[list(b',;|\t\r\n "+-' + UNIT.encode())] = True
    is_digit[list(b"0123456789")] = True
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            text = np.frombuffer(last + block, dtype=np.uint8)
            zeros = np.flatnonzero(text[1:-1] == ord("0"))
            if (starts_field[text[zeros]] & is_digit[text[zeros + 2]]).any():
                return True
            last = block[-2:]
    return False


SUFFIXES = (".csv", ".tsv", ".parquet")
_MISSING = sorted(UNKNOWN)
_LITERAL = frozenset({"user_id", "movie_id", "title", "rating", "weight", "timestamp"})  # a movie may be called "NaN"


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame and its file.

    Attributes
    ----------
    path : Path
    frame : pandas.DataFrame
    line : callable, optional
        Returns the line in `path` of a row of `frame`.
    unused : tuple of str
        Columns of the file that are not in the frame.
    place : callable, optional
        Of a table in several files, returns the file of a row of `frame` and its row there.
    """

    path: Path
    frame: pd.DataFrame
    line: Callable[[int], int] | None = None
    unused: tuple[str, ...] = ()
    place: Callable[[int], str] | None = None

    def locate(self, row: int | None) -> str:
        """Return the location of a row: ``ratings.csv:7``, or ``ratings.parquet row 5`` for files without lines."""
        if row is None:
            return str(self.path)
        if self.place is not None:
            return self.place(row)
        return f"{self.path} row {row}" if self.line is None else f"{self.path}:{self.line(row)}"

    def take(self, rows: np.ndarray) -> Table:
        """Return some of the rows, which keep their lines."""
        line, place = self.line, self.place
        kept = None if line is None else lambda row: line(int(rows[row]))
        kept_place = None if place is None else lambda row: place(int(rows[row]))
        return Table(self.path, self.frame.iloc[rows].reset_index(drop=True), kept, self.unused, kept_place)

    def with_frame(self, frame: pd.DataFrame) -> Table:
        """Return the table with other values in the same rows."""
        return replace(self, frame=frame)


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


def read_files(
    paths: Mapping[str, Path],
    kinds: Mapping[str, str],
    text_ids: Collection[str] = (),
    options: ReadOptions = DEFAULT_OPTIONS,
    log: ReadLog | None = None,
) -> dict[str, Table]:
    """Read files that belong together; an id column is text in all of them or in none."""
    text = set(text_ids)
    logs = {name: ReadLog() for name in paths}
    tables = {name: read_table(path, kinds[name], text, options, logs[name]) for name, path in paths.items()}
    while True:
        found = {
            column
            for table in tables.values()
            for column in ("user_id", "movie_id")
            if column in table.frame and len(table.frame) and not _is_number(table.frame[column])
        }
        if found <= text or all(map(is_parquet, paths.values())):
            if log is not None:
                for each in logs.values():
                    log.extend(each)
            return tables
        text |= found  # "007" in one file: "8" in the others is text, too
        for name, table in tables.items():
            if any(column in table.frame and _is_number(table.frame[column]) for column in text):
                logs[name] = ReadLog()
                tables[name] = read_table(paths[name], kinds[name], text, options, logs[name])


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values.dtype))


def read_table(
    path: Path,
    kind: str,
    text_ids: Collection[str] = (),
    options: ReadOptions = DEFAULT_OPTIONS,
    log: ReadLog | None = None,
) -> Table:
    """Read one file.

    Parameters
    ----------
    path : Path
    kind : str
        "ratings", "movies" or "users". Of ratings only the columns that are understood are kept.
    text_ids : collection of str
        Id columns to read as text even if they look like numbers.
    options : ReadOptions
    log : ReadLog, optional
        Records how the file was read.
    """
    log = ReadLog() if log is None else log
    if is_parquet(path):
        return _read_parquet(path, kind, text_ids, options, log)
    source = open_text(path, options.encoding, lenient=options.skips)
    if suffix_of(path) in (".json", ".jsonl", ".ndjson", ".jl") or is_json(source):
        table = read_json(source, kind, options, log)
        frame = _with_text_ids(table.frame, text_ids)
        return Table(path, frame, table.line, table.unused)
    return _read_text(find_layout(source, kind, options), kind, set(text_ids), options, log)


def _read_text(layout: Layout, kind: str, text_ids: set[str], options: ReadOptions, log: ReadLog) -> Table:
    path, header = layout.source.path, list(layout.header)
    names = names_of(header, kind, options)
    columns = [names.get(name, name) for name in header]
    used = [column in COLUMNS[kind] for column in columns]
    wanted = [column for column, use in zip(columns, used, strict=True) if use or kind != "ratings"]
    commas: set[str] = set()
    can_be_plain = kind == "ratings" and not options.skips and not text_ids.intersection(columns)
    plain = read_plain(layout, columns, wanted) if can_be_plain else None
    if plain is not None:
        frame, line = plain, _line_finder(layout)
    elif options.skips or layout.dialect.max_fields is not None:
        frame, line = read_valid_rows(layout, columns, kind, text_ids, options, log)
    else:
        frame = _parse(layout, columns, wanted, kind, text_ids, options, commas)
        line = _line_finder(layout)
        if _has_blank_rows(frame):
            frame, line = read_valid_rows(layout, columns, kind, text_ids, options, log)
    frame.attrs[ORIGINAL_NAMES] = header  # for messages
    ids = [column for column in ("user_id", "movie_id") if column in frame]
    again = {column for column in ids if column not in text_ids and _must_be_text(frame[column])}
    as_numbers = [column for column in ids if pd.api.types.is_numeric_dtype(frame[column].dtype)]
    candidates = [column for column in as_numbers if plain is None and not again and column not in text_ids]
    if candidates:
        again = with_leading_zeros(layout, columns, candidates)
    if again:
        del frame  # free memory before the next column is converted
        return _read_text(layout, kind, text_ids | again, options, log)
    notes = list(layout.source.notes) + list(layout.notes)
    if not layout.has_header and options.columns is None:
        log.assume(f"{path.name} has no header; its columns are {', '.join(columns)}")
    for column in layout.sequences:
        if (new := names.get(column, column)) in ("genres", "directors", "actors"):
            frame[new] = frame[new].fillna("").str.replace(" ", "|")
    try:
        found = convert_numbers(frame, kind, options)
    except DataError as error:
        raise error.relocated(locator({kind: Table(path, frame, line)})) from None
    notes += dict.fromkeys([*([COMMAS] if commas else []), *found])
    log.read(path, notes)
    log.rename(path, {old: new for old, new in names.items() if new in COLUMNS[kind]})
    unused = tuple(name for name, column in zip(header, columns, strict=True) if column not in frame)
    return Table(path, frame, line, unused)


def _parse(
    layout: Layout,
    columns: list[str],
    wanted: list[str],
    kind: str,
    text_ids: Collection[str],
    options: ReadOptions,
    commas: set[str],
) -> pd.DataFrame:
    """Parse a file piece by piece and keep the wanted columns."""
    as_text = {column for column in columns if column in text_ids}
    while True:
        found = {column: ColumnParts(column) for column in wanted}
        for piece in _pieces(layout, columns, as_text):
            # pandas pads short lines and takes the first fields of long lines for an index; both are errors
            if not isinstance(piece.index, pd.RangeIndex) or _has_gaps(piece.iloc[:, -1]):
                raise_at_first_fault(layout)
            for column in wanted:
                found[column].append(_compact(piece[column], kind, options, commas))
            del piece
        mixed = {column for column in wanted if found[column].is_mixed}
        if not mixed - as_text:
            break
        as_text |= mixed
        kind = ""  # keep strings unchanged
    # Column by column, so that only one column is in memory twice.
    return pd.DataFrame({column: found.pop(column).join() for column in wanted}, copy=False)


def _compact(values: pd.Series, kind: str, options: ReadOptions, commas: set[str]) -> pd.Series:
    """Return a column of a piece of the file in its final form if possible, because strings take much memory.

    Whitespace around text ids is removed, ISO times become seconds, decimal commas become points (the column is added
    to `commas`), and ratings get the precision of a `Dataset`. Anything else needs the whole column.
    """
    name = values.name
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if name in ("user_id", "movie_id"):
            return values if _must_be_text(values) else values.str.strip()  # "ann " and "ann" are the same user
        if kind != "ratings" or kind_of(values) != "string":
            return values
        if name == "timestamp" and options.date_format is None and options.day_first is None:
            return iso_seconds(values)
        if name in ("rating", "weight") and options.decimal != ".":
            numbers = _from_commas(values)
            if numbers is not None:
                commas.add(str(name))
                values = numbers
    if name in ("rating", "weight") and values.dtype in (np.float64, np.int64) and (values.abs() <= MAX_COMPACT).all():
        return values.astype(np.float32)
    return values


def _from_commas(values: pd.Series) -> pd.Series | None:
    """Return numbers with decimal commas as floats, None where there are others or they may be thousands."""
    text = values.str.strip()
    if not text.str.fullmatch(r"[+-]?\d+(?:,\d*)?|[+-]?,\d+").all() or not text.str.contains(r",(?!\d{3}$)").any():
        return None
    return text.str.replace(",", ".", regex=False).astype("float64")


def _pieces(
    layout: Layout, columns: list[str], as_text: Collection[str], only: Collection[str] | None = None
) -> Iterator[pd.DataFrame]:
    file, size = layout.source.file, layout.source.file.stat().st_size
    rows = None
    if size > 2 * CHUNK_BYTES:
        with file.open("rb") as start:
            lines = start.read(1 << 18).count(b"\n") or 1
        rows = max(10_000, CHUNK_BYTES * lines >> 18)
    try:
        reader: Any = pd.read_csv(
            file,
            sep=layout.dialect.separator,
            quoting=layout.dialect.quoting,
            escapechar=layout.dialect.escapechar,
            names=columns,
            header=None,
            skiprows=layout.skip,
            usecols=None if only is None else list(only),
            dtype=dict.fromkeys(as_text, str),
            keep_default_na=False,
            na_values={column: _MISSING for column in columns if column not in _LITERAL},
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
            chunksize=rows,
        )
        if rows is None:
            yield reader
        else:
            with reader:
                yield from reader
    except pd.errors.EmptyDataError:
        yield pd.DataFrame({column: pd.Series(dtype=object) for column in columns})
    except (UnicodeDecodeError, pd.errors.ParserError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise_at_first_fault(layout, strict=True)
        raise DataError(f"{layout.source.path} cannot be read: {error}") from error


def _line_finder(layout: Layout) -> Callable[[int], int]:
    """Return the function that finds the line of a row of the frame."""
    return lambda row: next(islice(records(layout.source.file, layout.dialect, skip=layout.skip), row, None))[0]


def _must_be_text(ids: pd.Series) -> bool:
    """Return whether ids are numbers that 64 bits cannot hold."""
    if ids.dtype == np.uint64:
        return bool((ids > np.iinfo(np.int64).max).any())
    return ids.dtype == object and pd.api.types.infer_dtype(ids, skipna=True) == "integer"


def _with_text_ids(frame: pd.DataFrame, text_ids: Collection[str]) -> pd.DataFrame:
    for column in text_ids:
        if column in frame and pd.api.types.is_integer_dtype(frame[column].dtype):
            frame[column] = frame[column].astype(str)
    return frame


def _has_blank_rows(frame: pd.DataFrame) -> bool:
    """Return whether a row has only separators, as spreadsheets write after the last row."""
    ids = [frame[column] for column in ("user_id", "movie_id") if column in frame]
    if not ids or any(pd.api.types.is_numeric_dtype(values.dtype) for values in ids):
        return False
    blank = np.logical_and.reduce([(values == "").to_numpy(dtype=bool) for values in ids])
    rows = frame[blank]
    return bool(len(rows) and (rows.isna() | (rows == "")).all(axis=1).any())


def _has_gaps(column: pd.Series) -> bool:
    return bool(column.isna().any() or (not pd.api.types.is_numeric_dtype(column.dtype) and (column == "").any()))


def _read_parquet(path: Path, kind: str, text_ids: Collection[str], options: ReadOptions, log: ReadLog) -> Table:
    try:
        import pyarrow

        header = read_schema(path)
        names = names_of(header, kind, options)
        wanted = [name for name in header if kind != "ratings" or names.get(name, name) in COLUMNS[kind]]
        frame = read_columns(
            path, wanted if len(wanted) < len(header) or kind == "ratings" else None, kind == "ratings"
        )
        where = row_namer(path)
    except ImportError as error:
        raise DataError(f"{path} {MISSING}") from error
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except DataError:
        raise
    except (*READ_ERRORS, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a Parquet file, or it is damaged: {error}") from error
    log.read(path, ["Parquet files"] if path.is_dir() else [])
    log.rename(path, {old: new for old, new in names.items() if new in COLUMNS[kind]})
    frame = frame.rename(columns=names)
    frame.attrs[ORIGINAL_NAMES] = header
    unused = tuple(name for name in header if name not in wanted)
    return Table(path, frame, unused=unused, place=where)
