"""Reads rows one by one: for files whose last column contains separators, and for ``errors="skip"``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice

import numpy as np
import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.convert import UNKNOWN, to_timestamps
from gnnrec.data.dialects import Dialect, Layout
from gnnrec.data.number_texts import read_numbers
from gnnrec.data.provenance import ReadLog
from gnnrec.data.rating_texts import read_rating_texts
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.schema import COLUMNS
from gnnrec.errors import DataError

MAX_LINES = 1000
"""Maximum number of lines of a quoted field; a quote that is still open then is an error of its first line."""


def read_valid_rows(
    layout: Layout, columns: list[str], kind: str, text_ids: Collection[str], options: ReadOptions, log: ReadLog
) -> tuple[pd.DataFrame, Callable[[int], int]]:
    """Read the valid rows; invalid ones are skipped and recorded, or raise a `DataError`.

    Parameters
    ----------
    layout : Layout
    columns : list of str
        Canonical names.
    kind : str
        "ratings", "movies" or "users".
    text_ids : collection of str
        Id columns to read as text even if they look like numbers.
    options : ReadOptions
    log : ReadLog

    Returns
    -------
    frame : pandas.DataFrame
    line : callable
        Returns the line of a row.
    """
    path = layout.source.path
    wanted = [i for i, column in enumerate(columns) if column in COLUMNS[kind] or kind != "ratings"]
    rows: list[list[str]] = []
    lines: list[int] = []
    blank: list[int] = []
    for line, fields, text in _records(layout):
        problem = None
        if fields is not None and not any(map(str.strip, fields)):
            blank.append(line)
            continue
        if fields is None:
            problem = "a quote is not closed"
        elif len(fields) != len(columns):
            problem = f"expected {len(columns)} fields, found {len(fields)}"
        elif "\ufffd" in text:
            problem = "characters that cannot be decoded"
        if problem is None and fields is not None:
            rows.append([fields[i] for i in wanted])
            lines.append(line)
        elif options.skips:
            log.reject(path, str(line), problem or "", text)
        else:
            raise DataError(str(problem), at=f"{path}:{line}")
    if blank:
        log.note(
            f"{counted(len(blank), 'row')} of separators only ({path.name}:{blank[0]}{', ...' * (len(blank) > 1)})"
        )
    frame = pd.DataFrame(rows, columns=[columns[i] for i in wanted], dtype=str)
    numbers = np.array(lines, dtype=np.int64)
    if options.skips:
        bad = _problems(frame, kind, options)
        for row in np.flatnonzero(bad != ""):
            log.reject(path, str(numbers[row]), str(bad[row]), layout.dialect.separator.join(rows[row]))
        kept = bad == ""
        frame, numbers = frame[kept].reset_index(drop=True), numbers[kept]
    return _typed(frame, text_ids), lambda row: int(numbers[row])


def _records(layout: Layout) -> Iterator[tuple[int, list[str] | None, str]]:
    """Yield line, fields and text of each record; no fields where a quote is not closed."""
    dialect, width = layout.dialect, len(layout.header)
    with layout.source.file.open(encoding="utf-8-sig", newline="") as file:
        pending: list[str] = []
        start = number = layout.skip
        lines = islice(file, layout.skip, None)
        queue: list[str] = []
        while True:
            text = queue.pop(0) if queue else next(lines, None)
            if text is None:
                if not pending:
                    return
                yield start, None, pending[0].rstrip("\r\n")
                queue, pending = pending[1:], []
                number = start
                continue
            number += 1
            if not pending:
                start = number
                if not text.strip("\r\n"):
                    continue
            pending.append(text)
            if dialect.max_fields is None and dialect.quoted and _is_open(pending, dialect):
                if len(pending) > MAX_LINES:
                    yield start, None, pending[0].rstrip("\r\n")
                    queue, pending = [*pending[1:], *queue], []
                    number = start
                continue
            whole = "".join(pending)
            if dialect.max_fields is not None:
                fields = whole.rstrip("\r\n").split(dialect.separator, dialect.max_fields - 1)
                fields = [field.strip().strip('"') if dialect.quoted else field.strip() for field in fields]
            else:
                fields = next(iter(dialect.parse(iter(pending))), [])
            pending = []
            if fields or width == 0:
                yield start, fields, whole.rstrip("\r\n")


def _is_open(lines: list[str], dialect: Dialect) -> bool:
    """Return whether a quoted field continues after these lines."""
    text = "".join(lines)
    if dialect.escaped:
        text = text.replace('\\"', "")
    return text.count('"') % 2 == 1


def _problems(frame: pd.DataFrame, kind: str, options: ReadOptions) -> np.ndarray:
    """Return what is wrong with each row, an empty string if nothing is."""
    found = np.full(len(frame), "", dtype=object)

    def mark(bad: pd.Series, problem: Callable[[str], str], column: str) -> None:
        for row in np.flatnonzero(bad.to_numpy(dtype=bool) & (found == "")):
            found[row] = problem(frame[column].iloc[row])

    for column in ("user_id", "movie_id"):
        if column in frame and column in COLUMNS[kind]:
            mark(frame[column].str.strip().isin(UNKNOWN), lambda text, name=column: f"{name} is missing", column)  # type: ignore[misc]
    if kind != "ratings":
        return found
    for column in ("rating", "weight"):
        if column in frame:
            text = frame[column].str.strip()
            if column == "rating" and (read := read_rating_texts(text)) is not None:
                text = read[0].astype("string")
            if options.decimal != ".":
                text = text.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
            elif (plain := read_numbers(text, options.decimal)) is not None:
                text = plain[0]
            numbers = pd.to_numeric(text, errors="coerce")
            bad = ~np.isfinite(numbers)
            mark(bad, lambda text, name=column: f"{name} {text!r} is not a number", column)  # type: ignore[misc]
    if "timestamp" in frame:
        mark(_bad_times(frame["timestamp"], options), lambda text: f"timestamp {text!r} is not a time", "timestamp")
    return found


def _bad_times(values: pd.Series, options: ReadOptions) -> pd.Series:
    text = values.str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().mean() > 0.5:
        return ~(numbers >= 0)
    bad = text == ""
    # The column has one notation; values in other notations are found by parsing again and again.
    for _ in range(len(values)):
        try:
            to_timestamps(
                text[~bad].reset_index(drop=True),
                "ratings",
                day_first=options.day_first,
                date_format=options.date_format,
            )
            return bad
        except DataError as error:
            if not isinstance(error.at, tuple) or error.at[1] is None or "set day_first" in error.problem:
                raise
            wrong = text[~bad].iloc[error.at[1]]
            bad |= text == wrong
    return bad


def _typed(frame: pd.DataFrame, text_ids: Collection[str]) -> pd.DataFrame:
    """Convert the columns of a frame of strings that are entirely numeric."""
    for column in frame:
        if column == "title":
            continue
        text = frame[column].str.strip()
        if column in ("user_id", "movie_id"):
            frame[column] = text
        if column in text_ids:
            continue
        missing = (
            text.isin(UNKNOWN) if column not in ("user_id", "movie_id", "rating", "weight", "timestamp") else text == ""
        )
        numbers = pd.to_numeric(text.where(~missing), errors="coerce")
        if (numbers.notna() | missing).all() and numbers.notna().any():
            whole = pd.to_numeric(text, errors="coerce") if not missing.any() else numbers
            if column in ("user_id", "movie_id") and not text.str.fullmatch(r"[+-]?\d{1,18}").all():
                continue
            frame[column] = whole
        elif missing.any():
            frame[column] = frame[column].mask(missing)
    return frame
