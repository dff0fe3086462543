"""Parquet: tables in one file, or in a folder of files that are its parts, read and written."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._io import atomic_file
from gnnrec.data.plain_text import NotPlainError
from gnnrec.data.text_files import suffix_of
from gnnrec.errors import DataError

SUFFIXES = (".parquet", ".pq")
READ_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, NotImplementedError)
"""What pyarrow and pandas raise for a damaged file, besides errors of pyarrow's own."""
MIN_ROWS, ROWS_PER_BYTE = 1_000_000, 16
"""Rows that a Parquet file may have, and more if it is itself large: no two ratings are alike."""
ROWS_AT_ONCE = 1 << 20
"""Rows that are read, and written, at once."""
_PART = re.compile(r"(part|data|chunk|file|block)?[-_.]?\d.*", re.IGNORECASE)
"""Names of files that are parts of one table, as Spark, Dask, DuckDB, Polars and Arrow write them."""
MISSING = "needs pyarrow; install it with: pip install 'gnnrec[parquet]'"


def is_parquet_folder(path: Path) -> bool:
    """Return whether a folder has only Parquet files, apart from markers such as ``_SUCCESS``."""
    if not path.is_dir():
        return False
    names = [entry.name for entry in path.iterdir() if not entry.name.startswith((".", "_"))]
    return bool(names) and all(Path(name).suffix.lower() in SUFFIXES for name in names)


def is_table_in_parts(path: Path) -> bool:
    """Return whether a folder is a table whose parts have numbers, such as ``part-00000.parquet``."""
    return is_parquet_folder(path) and all(_PART.fullmatch(part.stem) for part in parts_of(path))


def parts_of(path: Path) -> list[Path]:
    """Return the files of a table: those in a folder in the order of their numbers, or the file itself.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in (2, 10, 1):
    ...     (folder / f"part-{number}.parquet").touch()
    >>> [part.stem for part in parts_of(folder)]
    ['part-1', 'part-2', 'part-10']
    """
    if not path.is_dir():
        return [path]
    found = [one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith((".", "_"))]
    return sorted(found, key=lambda one: [int(word) if word.isdecimal() else word for word in _words(one.name)])


def _words(name: str) -> list[str]:
    """Split a name into alternating text and numbers, for sorting."""
    return re.split(r"(\d+)", name)


def table_suffix(path: Path) -> str:
    """Return the suffix of a file without that of its compression; that of Parquet for a folder of such files."""
    return SUFFIXES[0] if is_parquet_folder(path) else suffix_of(path)


def is_parquet(path: Path) -> bool:
    """Return whether a path is a folder of Parquet files, or a file that is one by its name or its first bytes."""
    if path.suffix.lower() in SUFFIXES or is_parquet_folder(path):
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def check_parquet(path: Path) -> int:
    """Return the number of rows of a file; a `DataError` if it declares more than it can hold."""
    import pyarrow.parquet

    if not path.is_file():
        raise DataError(f"{path} does not exist")
    found, size = pyarrow.parquet.read_metadata(path), path.stat().st_size
    if found.num_rows > max(MIN_ROWS, ROWS_PER_BYTE * size):
        raise DataError(f"{path} has {size:,} bytes and declares {found.num_rows:,} rows, too many for a table")
    return int(found.num_rows)


def read_schema(path: Path) -> list[str]:
    """Return the names of the columns of a table; raise `DataError` if its parts have different ones."""
    import pyarrow.parquet

    names: list[str] = []
    for number, part in enumerate(parts_of(path)):
        check_parquet(part)
        here = [str(name) for name in pyarrow.parquet.read_schema(part).names]
        if number and set(here) != set(names):
            raise DataError(
                f"it has the columns {', '.join(here)}, and the first part {', '.join(names)}", at=str(part)
            )
        names = names or here
    return names


def read_columns(path: Path, columns: Sequence[str] | None, compact: bool = False) -> pd.DataFrame:
    """Read a table of a file or a folder.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        All by default.
    compact : bool
        Whether numbers may be of another type that holds them: whole ones become int64, fractions float32 where that
        changes none of them. It takes half of the memory, and the order of the columns is that of `columns`.

    Returns
    -------
    pandas.DataFrame
        Rows of all parts, one after the other, with a fresh index.
    """
    if compact and columns is not None and (frame := _read_numbers(parts_of(path), list(columns))) is not None:
        return frame
    frames = [_read_part(part, None if columns is None else list(columns)) for part in parts_of(path)]
    frames = [
        one.reset_index(drop=True) if isinstance(one.index, pd.RangeIndex) else one.reset_index() for one in frames
    ]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _read_part(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """Read a file; bytes that are no text are an error here, not where a column is first used."""
    frame = pd.read_parquet(path, columns=columns)
    for _, column in frame.items():
        if isinstance(column.dtype, pd.StringDtype):
            column.tolist()
    return frame


def _read_numbers(parts: Sequence[Path], columns: list[str]) -> pd.DataFrame | None:
    """Return columns of numbers, or None if a column has other values or gaps."""
    total, row = sum(map(check_parquet, parts)), 0
    found: dict[str, np.ndarray] = {}
    try:
        for block in number_blocks(parts, columns):
            for name, values in block.items():
                column = found.setdefault(name, np.empty(total, dtype=values.dtype))
                column[row : row + len(values)] = values
            row += len(values)
    except NotPlainError:
        return None
    if row != total:
        raise ValueError(f"{total:,} rows were declared and {row:,} found")
    return pd.DataFrame(found, copy=False) if total else None


def number_blocks(parts: Sequence[Path], columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Yield columns of numbers, some rows at a time: whole numbers as int64, others as float32.

    Raises
    ------
    NotPlainError
        A column has anything else, a gap, or a number that is not a float32.
    """
    import pyarrow
    import pyarrow.parquet

    types: dict[str, Any] = {}
    for part in parts:
        schema = pyarrow.parquet.read_schema(part)
        for name in columns:
            kind = schema.field(name).type
            is_whole = pyarrow.types.is_signed_integer(kind)
            if not is_whole and kind not in (pyarrow.float32(), pyarrow.float64()):
                raise NotPlainError
            if types.setdefault(name, is_whole) != is_whole:
                raise NotPlainError
    for part in parts:
        with pyarrow.parquet.ParquetFile(part, pre_buffer=False) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns), use_threads=False):
                block = {}
                for name in columns:
                    if batch.column(name).null_count:
                        raise NotPlainError
                    numbers = batch.column(name).to_numpy(zero_copy_only=False)
                    with np.errstate(over="ignore"):
                        block[name] = numbers.astype(np.int64 if types[name] else np.float32, copy=False)
                    if numbers.dtype == np.float64 and not (block[name] == numbers).all():
                        raise NotPlainError
                yield block


def row_namer(path: Path) -> Callable[[int], str] | None:
    """Return the function that names the file of a row of a folder and its row there; None for a file."""
    if not path.is_dir():
        return None
    parts = parts_of(path)
    ends = list(accumulate(check_parquet(part) for part in parts))

    def name(row: int) -> str:
        number = bisect_right(ends, row)
        return f"{parts[number]} row {row - (ends[number - 1] if number else 0)}"

    return name


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame atomically, some rows at a time. Whole numbers beside texts become texts.

    Raises
    ------
    DataError
        pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path} {MISSING}") from None
    mixed = [name for name in frame if frame[name].dtype == object and frame[name].map(type).nunique() > 1]
    texts = {name: str for name in mixed if frame[name].map(lambda value: isinstance(value, (str, int))).all()}
    frame = frame.astype(texts) if texts else frame
    schema = pyarrow.Schema.from_pandas(frame, preserve_index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
            rows = frame.iloc[start : start + ROWS_AT_ONCE]
            writer.write_table(pyarrow.Table.from_pandas(rows, schema=schema, preserve_index=False))
