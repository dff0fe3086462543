"""Times as text or numbers, in any usual notation, as seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import product

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first, shown
from gnnrec.data.dtypes import SLICE
from gnnrec.errors import ConfigError, DataError

UNITS = (
    ("seconds", 1, 0.0),
    ("milliseconds", 10**3, 1e11),
    ("microseconds", 10**6, 1e14),
    ("nanoseconds", 10**9, 1e17),
)
"""Name, number per second, and smallest value that is read in that unit. 1e11 seconds are the year 5138."""

_DAYS = (
    "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%y", "%m %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
    "%B %d %Y", "%Y%m%d", "%a, %d %b %Y", "%A, %B %d, %Y",
)  # fmt: skip
_CLOCKS = ("", "%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%H:%M:%S%z", "%H:%M%z")
_WHOLE = ("%a %b %d %H:%M:%S%z %Y", "%a %b %d %H:%M:%S %Y")
_SAMPLE = 50
LONGEST_FORMAT = 100
"""Characters of a format of dates."""
_MISSING = np.iinfo(np.int64).min
ISO = "ISO"
"""The notation of ISO 8601."""


def time_unit(numbers: pd.Series) -> tuple[str, int]:
    """Return the unit of numeric times, and the number of units per second.

    All values must be in the range of one unit; otherwise they are read, and checked, as seconds.

    >>> time_unit(pd.Series([978300760000, 978302109000]))
    ('milliseconds', 1000)
    >>> time_unit(pd.Series([1, 978300760000]))
    ('seconds', 1)
    """
    if len(numbers) and (low := numbers.min()) > 0:
        for name, per_second, smallest in reversed(UNITS):
            if low >= smallest:
                return name, per_second
    return UNITS[0][:2]


def parse_times(
    values: pd.Series, table: str, *, day_first: bool | None = None, date_format: str | None = None
) -> tuple[pd.Series, str]:
    """Convert text to whole seconds since 1970; also return how it was read.

    Parameters
    ----------
    values : pandas.Series of str
        None is missing. Times without a time zone are UTC.
    table : str
        For messages.
    day_first : bool, optional
        Whether 03/04/2001 is 3 April; by default inferred from a value with a day above 12.
    date_format : str, optional
        Format of `datetime.datetime.strptime`; without it ISO and the usual notations are tried.

    Examples
    --------
    >>> seconds, notation = parse_times(pd.Series(["03/25/2001", "03/04/2001"], name="timestamp"), "ratings")
    >>> pd.to_datetime(seconds, unit="s").dt.date.astype(str).tolist(), notation
    (['2001-03-25', '2001-03-04'], '%m/%d/%Y')
    """
    values = values.astype("string") if len(values) and values.dtype == object else values
    if date_format is not None:
        return _seconds(values, table, date_format), date_format
    first = _tidy(values.iloc[:_SAMPLE]).dropna()
    if day_first is None and (not len(first) or _parse(first, ISO).notna().any()):
        return _seconds(values, table, ISO), ISO
    found = [notation for notation in _notations(day_first) if all(_matches(one, notation) for one in first)]
    if not found and len(first):
        found = [notation for notation in _notations(day_first) if _matches(first.iloc[0], notation)]
    if not found:
        return _seconds(values, table, ISO), ISO
    columns = {notation: _parse_all(values, notation) for notation in found}
    failures = {notation: np.count_nonzero(column == _MISSING) for notation, column in columns.items()}
    best = [notation for notation in found if failures[notation] == min(failures.values())]
    other = next((notation for notation in best[1:] if (columns[notation] != columns[best[0]]).any()), None)
    if other is not None:
        row = int(np.argmax(columns[best[0]] != columns[other]))
        days = [pd.Timestamp(columns[notation][row], unit="s").strftime("%d %B %Y") for notation in (best[0], other)]
        problem = f"timestamp {values.iloc[row]!r} may be {days[0]} or {days[1]}; set day_first or date_format"
        raise DataError(problem, at=(table, row))
    return _seconds(values, table, best[0]), best[0]


def iso_seconds(values: pd.Series) -> pd.Series:
    """Return ISO times as seconds since 1970, or the unchanged text if one of them is not ISO."""
    if not len(values) or _parse(_tidy(values.iloc[:1]), ISO).isna().any():
        return values
    seconds = _parse_all(values, ISO)
    return values if (seconds == _MISSING).any() else pd.Series(seconds, index=values.index, name=values.name)


def check_date_format(date_format: str | None) -> None:
    """Raise a `ConfigError` for a format that `datetime.datetime.strptime` does not support."""
    if date_format is None:
        return
    try:
        if not isinstance(date_format, str) or "%" not in date_format or len(date_format) > LONGEST_FORMAT:
            raise ValueError
        datetime.strptime(datetime(2001, 3, 9).strftime(date_format), date_format)
    except (ValueError, TypeError, re.error, IndexError):
        raise ConfigError(f"date_format {shown(date_format)} is not a format of dates, such as %d.%m.%Y") from None


def _tidy(values: pd.Series) -> pd.Series:
    """Write "UTC" and "GMT" as "Z", and the offset from UTC without a space before it."""
    text = values.astype("string").str.strip()
    if text.str.contains(r"(?:UTC|GMT|[ ][+-]\d\d:?\d\d)", case=False, regex=True, na=False).any():
        text = text.str.replace(r"\s*(?:UTC|GMT|Z)\s*$", "Z", case=False, regex=True)
        text = text.str.replace(r"(\d)\s+([+-]\d\d:?\d\d)\b", r"\1\2", regex=True)
    return text


def _notations(day_first: bool | None) -> Iterator[str]:
    for day, clock in product(_DAYS, _CLOCKS):
        months_first = day.startswith(("%m/", "%m-"))
        days_first = day.startswith(("%d/", "%d-%m"))
        if day_first is None or not (months_first or days_first) or day_first == days_first:
            yield f"{day} {clock}".strip()
    yield from _WHOLE


def _matches(text: str, notation: str) -> bool:
    try:
        datetime.strptime(re.sub(r"(?<=\d)Z$", "" if "%z" not in notation else "Z", text), notation)
    except ValueError:
        return False
    return True


def _parse(text: pd.Series, notation: str) -> pd.Series:
    """Return times; text that is not a time becomes missing."""
    if notation == ISO:
        return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    if "%z" not in notation:
        text = text.str.replace(r"(?<=\d)Z$", "", regex=True)
    return pd.to_datetime(text, format=notation, utc=True, errors="coerce")


def _parse_all(values: pd.Series, notation: str) -> np.ndarray:
    """Return seconds since 1970, `_MISSING` for text that is not a time; in chunks, to save memory."""
    seconds = np.empty(len(values), dtype=np.int64)
    for start in range(0, len(values), SLICE):
        times = _parse(_tidy(values.iloc[start : start + SLICE]), notation)
        part = times.dt.tz_convert(None).astype("datetime64[s]").astype("int64").to_numpy()
        seconds[start : start + SLICE] = np.where(times.isna(), _MISSING, part)
    return seconds


def _seconds(values: pd.Series, table: str, notation: str) -> pd.Series:
    seconds = _parse_all(values, notation)
    known = (
        "use seconds since 1970 or ISO text (2001-03-09T12:00)"
        if notation == ISO
        else f"the column is in the format {notation}"
    )
    raise_at_first(seconds == _MISSING, table, lambda row: f"timestamp {values.iloc[row]!r} is not a time; {known}")
    return pd.Series(seconds, index=values.index, name=values.name)
