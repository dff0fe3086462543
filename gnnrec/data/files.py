"""Reads tables of one's own: CSV, TSV and Parquet files whose first line names the columns.

pandas reads fast but reports little, so a file is read by pandas and looked at line by line
(`gnnrec.data.checks`) only when something is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gnnrec.data import checks, columns
from gnnrec.data.clean import AS_GIVEN
from gnnrec.errors import DataError, Place

SUFFIXES = (".csv", ".tsv", ".parquet")
_MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A", r"\N"]


@dataclass(frozen=True, eq=False)
class Table:
    """A frame and where it came from: `line` gives the line in `path` of a row of `frame`."""

    path: Path
    frame: pd.DataFrame
    line: Callable[[int], int] | None = None

    def place(self, row: int | None) -> str:
        """Return a row as ``ratings.csv:7``; for files without lines as ``ratings.parquet row 5``."""
        if row is None:
            return str(self.path)
        return f"{self.path} row {row}" if self.line is None else f"{self.path}:{self.line(row)}"


def places(tables: Mapping[str, Table]) -> Callable[[str, int | None], Place]:
    """Return the function that `DataError.moved` needs to name file and line."""
    return lambda table, row: tables[table].place(row) if table in tables else (table, row)


def find_table(folder: Path, name: str) -> Path | None:
    """Return the file that holds the table `name`, e.g. ``ratings.csv``, or None."""
    found = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def read_folder(
    folder: Path, wanted: Mapping[str, str], required: Collection[str], text_ids: Collection[str] = ()
) -> dict[str, Table]:
    """Read the tables in a folder.

    Parameters
    ----------
    folder : Path
        Holds ``<name>.csv``, ``.tsv`` or ``.parquet``.
    wanted : mapping
        File names without ending, and what each holds: "ratings", "movies" or "users".
    required : collection of str
        The files that must be there.
    text_ids : collection of str
        Id columns that are text even where they look like numbers.

    Returns
    -------
    dict of str to Table
        The tables found.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    paths = {name: path for name in wanted if (path := find_table(folder, name)) is not None}
    if lacking := [name for name in required if name not in paths]:
        raise DataError(f"{folder} lacks {', '.join(f'{name}.csv' for name in lacking)} (or .tsv, .parquet)")
    return read_files(paths, wanted, text_ids)


def read_files(paths: Mapping[str, Path], kinds: Mapping[str, str], text_ids: Collection[str] = ()) -> dict[str, Table]:
    """Read files that belong together: an id column is text in all of them or in none."""
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
        text |= found  # "007" in one file: read "8" in the others as text too


def _read(path: Path, kind: str, text_ids: Collection[str]) -> Table:
    if path.suffix == ".parquet":
        return Table(path, _read_parquet(path, kind))
    checks.check_start(path)
    separator, header, header_line = checks.read_header(path)
    names = columns.canonical_names(header, kind)
    ours = [names.get(name, name) for name in header]
    literal = {"user_id", "movie_id", "title", "rating", "timestamp"}  # a movie may be called "NaN"
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            names=ours,
            header=None,
            skiprows=header_line,
            dtype={column: str for column in ours if column in text_ids},
            keep_default_na=False,
            na_values={column: _MISSING for column in ours if column not in literal},
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        checks.find_fault(path, separator, len(header), strict=True)
        raise DataError(f"{path} cannot be read: {error}") from error
    frame.attrs[AS_GIVEN] = header  # for messages
    short = not isinstance(frame.index, pd.RangeIndex) or _has_gaps(frame.iloc[:, -1])
    if short:  # pandas fills short lines up and takes long first lines for an index; both are faults
        checks.find_fault(path, separator, len(header))
    ids = [column for column in ("user_id", "movie_id") if column in frame]
    as_numbers = [column for column in ids if pd.api.types.is_numeric_dtype(frame[column].dtype)]
    loses_zeros = [column for column in as_numbers if column not in text_ids]
    if loses_zeros and checks.has_leading_zeros(path, separator, [ours.index(column) for column in loses_zeros]):
        return _read(path, kind, {*text_ids, *loses_zeros})
    for column in set(ids).difference(as_numbers):
        frame[column] = frame[column].str.strip()  # "ann " is not somebody else
    return Table(path, frame, lambda row: checks.line_of_row(path, separator, row))


def _has_gaps(column: pd.Series) -> bool:
    return bool(column.isna().any() or (not pd.api.types.is_numeric_dtype(column.dtype) and (column == "").any()))


def _read_parquet(path: Path, kind: str) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow; install it with: pip install 'gnnrec[parquet]'") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from error
    return frame.rename(columns=columns.canonical_names(frame.columns, kind))
