"""Ratings of a file, or of a folder of Parquet files, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec.data.dialects import find_layout, names_of
from gnnrec.data.parquet import MISSING, READ_ERRORS, check_parquet, is_parquet, number_blocks, parts_of, read_schema
from gnnrec.data.plain_text import SEPARATORS, NotPlainError, plain_blocks
from gnnrec.data.provenance import ReadLog
from gnnrec.data.read_options import DEFAULT_OPTIONS
from gnnrec.data.schema import ORIGINAL_NAMES
from gnnrec.data.text_files import open_text
from gnnrec.errors import DataError

NUMBERS = {"user_id": "int64", "movie_id": "int64", "rating": "float32", "timestamp": "int64"}
"""Columns that are read, and their types; weights are missing, because converting them takes the whole column."""
SAMPLE_BYTES = 1 << 18


class PlainRatings:
    """Ratings that consist of numbers only.

    Parameters
    ----------
    path : Path
    remedy : str
        What helps for other ratings, for messages.

    Attributes
    ----------
    columns : tuple of str
        Canonical names.
    unused : tuple of str
        Columns of the file that are not read.
    estimated_rows : int
    attrs : dict
        Attributes of a frame of these ratings.

    Raises
    ------
    DataError
        The ratings have no ids, or weights.
    """

    def __init__(self, path: Path, remedy: str) -> None:
        try:
            import pyarrow.csv  # noqa: F401
        except ImportError:
            raise DataError(f"{path} {MISSING}") from None
        self.path, self._remedy = path, remedy
        self._layout: Any = None
        if is_parquet(path):
            header = read_schema(path)
            self.estimated_rows = sum(check_parquet(part) for part in parts_of(path))
        else:
            self._layout = find_layout(open_text(path), "ratings", DEFAULT_OPTIONS)
            header = list(self._layout.header)
            with self._layout.source.file.open("rb") as file:
                start = file.read(SAMPLE_BYTES)
            size = self._layout.source.file.stat().st_size
            self.estimated_rows = -(-size * max(start.count(b"\n"), 1) // max(len(start), 1))
        names = names_of(header, "ratings", DEFAULT_OPTIONS)
        self._renamed = {old: new for old, new in names.items() if new in NUMBERS}
        self._all = [names.get(name, name) for name in header]
        self.columns = tuple(name for name in NUMBERS if name in self._all)
        self._given = {name: header[self._all.index(name)] for name in self.columns}
        self.unused = tuple(name for name, new in zip(header, self._all, strict=True) if new not in NUMBERS)
        self.attrs = {ORIGINAL_NAMES: header}
        if not {"user_id", "movie_id"} <= set(self.columns):
            raise DataError(f"{path} has no columns of users and movies; columns found: {', '.join(header)}; {remedy}")
        if "weight" in self._all:
            raise DataError(f"{path} has a column of weights or counts; {remedy}")

    def note(self, log: ReadLog) -> None:
        """Record in a log how the ratings are read."""
        if self._layout is None:
            log.read(self.path, ["Parquet files"] if self.path.is_dir() else [])
        else:
            log.read(self.path, [*self._layout.source.notes, *self._layout.notes])
            if not self._layout.has_header:
                log.assume(f"{self.path.name} has no header; its columns are {', '.join(self._all)}")
        log.rename(self.path, self._renamed)

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in blocks of rows: ids and times int64, ratings float32.

        Raises
        ------
        DataError
            A value is not a number, or missing.
        """
        try:
            if self._layout is None:
                for given in number_blocks(parts_of(self.path), list(self._given.values())):
                    block = {name: given[column] for name, column in self._given.items()}
                    if any(block[name].dtype.kind != "i" for name in block if name != "rating"):
                        raise NotPlainError
                    yield {
                        name: block[name].astype(kind, copy=False) for name, kind in NUMBERS.items() if name in block
                    }
                return
            if self._layout.dialect.separator not in SEPARATORS:
                raise NotPlainError
            yield from plain_blocks(self._layout, self._all, self.columns)
        except NotPlainError:
            problem = "has other values than numbers, ids with leading zeros, or rows without an id or a rating"
            raise DataError(f"{self.path} {problem}; {self._remedy}") from None
        except READ_ERRORS as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.path} cannot be read: {error}") from error
