"""Ratings that are written plainly, digits and separators only, parsed by pyarrow.

`gnnrec.data.tables` reads any file, piece by piece and with many checks. This module is its short cut for large files
of numbers. It parses a file only if every byte of it is a digit, a point, a minus sign, a separator or a line end, and
no number has a leading zero; then there are no quotes, blanks, missing values or dates, which the long way looks for.
Where anything else turns up, also an error, the whole file is left to the long way, which names the line. So the result
is the same, whichever of the two read the file.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.dialects import Layout

MIN_BYTES = 1 << 20
"""Smaller files are read the long way, which takes no time there."""
BLOCK_BYTES = 1 << 22
"""Bytes of a file that are parsed at once."""
SEPARATORS = frozenset(",;\t|\x1f")
"""Separators that are no part of a number."""
MAX_PRECISE = 1e6
"""Largest rating that is parsed here; see `_to_float32`."""
_INTEGERS = ("user_id", "movie_id", "timestamp")
_FLOATS = ("rating", "weight")
_ROUNDING = 2.0**-50
"""Relative error that a parser of numbers may make."""


class NotPlainError(Exception):
    """A file has something other than plain numbers."""


def read_plain(layout: Layout, columns: Sequence[str], wanted: Collection[str]) -> pd.DataFrame | None:
    """Return the wanted columns of a file of numbers, None where the file is not plain or pyarrow is not installed.

    Parameters
    ----------
    layout : Layout
    columns : sequence of str
        Canonical names of all columns of the file.
    wanted : collection of str
        Names of the columns to return, of the ratings table.

    Returns
    -------
    pandas.DataFrame or None
        Ids and times int64, ratings and weights float32, in file order.
    """
    dialect = layout.dialect
    if layout.source.file.stat().st_size < MIN_BYTES or len(set(columns)) < len(columns):
        return None
    if dialect.separator not in SEPARATORS or dialect.max_fields is not None or layout.sequences:
        return None
    if not {"user_id", "movie_id"} <= set(wanted) <= {*_INTEGERS, *_FLOATS}:
        return None
    try:
        import pyarrow.csv
    except ImportError:
        return None
    growing = {name: _Column(np.float32 if name in _FLOATS else np.int64) for name in columns if name in wanted}
    size, done = layout.source.file.stat().st_size, 0
    try:
        for length, block in _parsed(layout, columns, wanted):
            done += length
            for name, values in block.items():
                growing[name].append(values, size / done)
    except (NotPlainError, pyarrow.ArrowException):
        return None
    if not len(growing["user_id"]):
        return None
    return pd.DataFrame({name: column.values() for name, column in growing.items()}, copy=False)


def plain_blocks(layout: Layout, columns: Sequence[str], wanted: Collection[str]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the wanted columns in blocks of rows; raise `NotPlainError` at the first value that is not a plain number.

    Parameters are those of `read_plain`. pyarrow is needed.
    """
    import pyarrow

    try:
        for _, block in _parsed(layout, columns, wanted):
            if block:
                yield block
    except pyarrow.ArrowException:
        raise NotPlainError from None


def _parsed(
    layout: Layout, columns: Sequence[str], wanted: Collection[str]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    import pyarrow.csv

    parser = _Parser(pyarrow, layout.dialect.separator, list(columns), [name for name in columns if name in wanted])
    return _in_order(parser, _blocks(layout.source.file, layout.skip), pyarrow.cpu_count())


class _Parser:
    """Checks and parses blocks of whole lines.

    Parameters
    ----------
    arrow : module
        pyarrow, with pyarrow.csv.
    separator : str
    columns : list of str
        All columns of the file.
    wanted : list of str
        Those that are parsed.
    """

    def __init__(self, arrow: Any, separator: str, columns: list[str], wanted: list[str]) -> None:
        self._arrow, self.wanted, self._separator = arrow, wanted, separator.encode()
        types = {name: arrow.float64() if name in _FLOATS else arrow.int64() for name in wanted}
        self._read = arrow.csv.ReadOptions(use_threads=False, block_size=2 * BLOCK_BYTES, column_names=columns)
        self._parse = arrow.csv.ParseOptions(delimiter=separator, quote_char=False)
        self._convert = arrow.csv.ConvertOptions(column_types=types, include_columns=wanted, null_values=[])

    def __call__(self, block: bytes) -> tuple[int, dict[str, np.ndarray]]:
        """Return the length of a block and its columns; raise `NotPlainError` if it is not plain."""
        self._check(block)
        if block.isspace():
            return len(block), {}
        table = self._arrow.csv.read_csv(self._arrow.BufferReader(block), self._read, self._parse, self._convert)
        found: dict[str, np.ndarray] = {}
        for name in self.wanted:
            values = table.column(name)
            if values.null_count:
                raise NotPlainError
            numbers = values.to_numpy()
            found[name] = _to_float32(numbers) if name in _FLOATS else numbers
        return len(block), found

    def _check(self, block: bytes) -> None:
        """Raise a `NotPlainError` for other bytes than those of numbers, leading zeros, or a CR without LF."""
        separator = self._separator[0]
        text = np.frombuffer(block, dtype=np.uint8)
        for start in range(0, len(text), _CACHED):
            part = text[max(start - 2, 0) : start + _CACHED]  # with the end of the last one
            digit = (part - np.uint8(ord("0"))) <= 9  # what is less than "0" becomes large
            ends = part == separator
            ends |= part == ord("\n")
            mark = part == ord("-")
            if not (digit | ends | mark | (part == ord(".")) | (part == ord("\r"))).all():
                raise NotPlainError
            zeros = part[1:-1] == ord("0")
            zeros &= (ends | mark)[:-2]
            zeros &= digit[2:]
            if zeros.any():
                raise NotPlainError
        if block[:1] == b"0" and block[1:2].isdigit():
            raise NotPlainError
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            raise NotPlainError


_CACHED = 1 << 17
"""Bytes that are looked at at once; they fit the cache of a processor."""


def _to_float32(numbers: np.ndarray) -> np.ndarray:
    """Return numbers in single precision; raise `NotPlainError` if the result may depend on the parser.

    Parsers differ in the last bits of double precision. Both neighbors of a number must become the same float32.
    """
    low, high = (numbers * (1 - _ROUNDING)).astype(np.float32), (numbers * (1 + _ROUNDING)).astype(np.float32)
    if not (low == high).all() or not (np.abs(low) <= MAX_PRECISE).all():
        raise NotPlainError
    return low


class _Column:
    """An array that grows to the length that is to be expected."""

    def __init__(self, dtype: type) -> None:
        self._array: np.ndarray = np.empty(0, dtype=dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: np.ndarray, scale: float) -> None:
        """Add values; `scale` times as many as there are now will be needed in the end."""
        length = self._length + len(values)
        if length > len(self._array):  # memory that is not written yet takes no place
            larger = np.empty(int(length * max(scale, 1.0) * 1.02) + 1, dtype=self._array.dtype)
            larger[: self._length] = self._array[: self._length]
            self._array = larger
        self._array[self._length : length] = values
        self._length = length

    def values(self) -> np.ndarray:
        """Return all values."""
        return self._array[: self._length]


def _blocks(file: Path, skip: int) -> Iterator[bytes]:
    """Yield the lines of a file after the first ones, in blocks."""
    start, size = _end_of_lines(file, skip), file.stat().st_size
    with file.open("rb", buffering=0) as source:
        while start < size:
            source.seek(start)
            block = source.read(BLOCK_BYTES)
            if start + len(block) < size:
                block = block[: block.rfind(b"\n") + 1]
            if not block:  # a line as long as that is no row of numbers
                raise NotPlainError
            start += len(block)
            yield block


def _end_of_lines(file: Path, number: int) -> int:
    """Return where in a file the first lines end."""
    with file.open("rb") as source:
        for _ in range(number):
            line = source.readline()
            if line.count(b'"') % 2 or b"\r" in line.rstrip(b"\r\n"):  # goes on in the next line, or ends early
                raise NotPlainError
        return source.tell()


def _in_order(parser: _Parser, blocks: Iterator[bytes], threads: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Parse blocks in threads, and yield the results in the order of the blocks."""
    if (threads := min(threads, os.cpu_count() or 1)) < 2:
        yield from map(parser, blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[tuple[int, dict[str, np.ndarray]]]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(parser, block))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
