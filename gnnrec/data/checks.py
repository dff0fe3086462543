"""Finds the line at fault in a text file that could not be read: slow, thorough, run only after a failure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from gnnrec.errors import DataError

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
    """Stop at a file that is missing, empty, or not text in UTF-8."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; its first line must name the columns")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise DataError("the file is UTF-16 or no text; save it as UTF-8", at=f"{path}:1")


def check_encoding(path: Path) -> None:
    """Name the first byte that is not UTF-8."""
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
    if again := [name for place, name in enumerate(names) if name in names[:place]]:
        raise DataError(f"two columns {again[0]}; keep one of them", at=f"{path}:{number}")
    return separator, names, number


def find_fault(path: Path, separator: str, num_columns: int, *, strict: bool = False) -> None:
    """Stop at the first byte that is not UTF-8 or the first line with too few or too many fields.

    `strict` stops at odd quotes too, which are a fault only where pandas could not read the file.
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
    """Tell whether an id such as 007 stands in one of the columns; a number would lose its zeros."""
    # A cheap look at the bytes rules out nearly all files; only a hit needs the columns told apart.
    return _may_have_leading_zeros(path) and any(
        re.match(r"\s*[+-]?0\d", fields[position])
        for _, fields in islice(records(path, separator), 1, None)
        for position in positions
    )


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
