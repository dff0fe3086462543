"""Converters of single columns: raw values become ids, numbers, times, names or categories of one type.

A value that cannot be converted is a `DataError` that names its row.
"""

from __future__ import annotations

import ast
import datetime
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first, shown
from gnnrec.data.dtypes import is_blank, kind_of, refuse_containers, refuse_others, to_plain
from gnnrec.data.times import UNITS, parse_times, time_unit
from gnnrec.errors import DataError

UNKNOWN = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A", r"\N"})
"""Texts that mean a missing value in optional columns. "none" is not among them: it is an occupation in ML-100k."""
LATEST_TIMESTAMP = 253_402_300_799  # the last second of the year 9999; larger numbers are in another unit
MAX_YEAR, MAX_MINUTES = 9999, 1_000_000
"""Placeholder of MovieLens for movies without genres."""
_NO_NAMES = UNKNOWN | {"(no genres listed)"}
_MAX_ID = 2**63 - 1
_MAX_RATING = float(np.finfo(np.float32).max)  # larger numbers are infinite as float32
_YEAR_IN_TITLE = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\)\s*)?$")  # "(1995)", "(2006–2007)", "(1995) (V)"


def to_ids(values: pd.Series, table: str) -> pd.Series:
    """Return ids as int64 or as text; a mixture or a missing id is an error."""
    column = str(values.name)
    if values.dtype == np.int64 and len(values) and values.to_numpy().min() >= -_MAX_ID:  # the common case
        return values.astype("int64")
    values = to_plain(values, table)
    refuse_containers(values, table)
    missing = values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if not _are_text_or_numbers(values):
            problem = f"{column} is of type {values.dtype}; ids must be whole numbers or text"
            raise DataError(problem, at=(table, None))
        missing |= (values == "").fillna(False).astype(bool)
    raise_at_first(missing, table, lambda row: f"{column} is missing; every row needs one")
    if pd.api.types.is_bool_dtype(values.dtype):
        raise DataError(f"{column} contains booleans; ids must be whole numbers or text", at=(table, None))
    if pd.api.types.is_float_dtype(values.dtype):
        raise_at_first(
            values % 1 != 0,
            table,
            lambda row: f"{column} {values.iloc[row]} is not a whole number",
        )
    kind = kind_of(values)
    if pd.api.types.is_numeric_dtype(values.dtype) or kind == "integer":
        largest = _MAX_ID
        if pd.api.types.is_float_dtype(values.dtype):  # above this, different whole numbers become the same float
            largest = 2 ** (np.finfo(values.to_numpy().dtype).nmant + 1) - 1
        raise_at_first(
            (values > largest) | (values < -largest),
            table,
            lambda row: f"{column} {format_id(values.iloc[row])} is too large for an id; use text",
        )
        return values.astype("int64")
    if kind not in ("string", "empty"):
        text = values.map(lambda value: isinstance(value, str)).astype(bool)
        odd = text if not text.iloc[0] else ~text
        row = int(np.argmax(odd))
        one, other = format_id(values.iloc[row]), format_id(values.iloc[0])
        problem = f"{column} {one} has another type than {other}; make all ids whole numbers or all text"
        raise DataError(problem, at=(table, row))
    return values.astype(str)


def to_numbers(values: pd.Series, table: str, *, optional: bool = False) -> pd.Series:
    """Return float64; missing (unless `optional`), not finite or not a number is an error."""
    column = str(values.name)
    values = to_plain(values, table)
    refuse_others(values, table, "it must be a number", str, int, float, np.integer, np.floating, *_flags(values))
    if values.dtype.kind == "c" or not _are_text_or_numbers(values):
        raise DataError(f"{column} is of type {values.dtype}; it must be a number", at=(table, None))
    raw, missing = values, values.isna()
    if not pd.api.types.is_numeric_dtype(values.dtype):
        if optional:
            missing = missing | values.astype("string").str.strip().isin(UNKNOWN).fillna(False).astype(bool)
        else:
            _raise_at_blank(values, table)
        values = _parse_numbers(values.astype(object).where(~missing, None))
        raise_at_first(
            values.isna() & ~missing & ~_spells_nan(raw),
            table,
            lambda row: f"{column} {shown(raw.iloc[row])} is not a number",
        )
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)  # checks of arrays are faster than those of series
    infinite = ~(np.abs(numbers) <= _MAX_RATING)
    if optional:
        infinite &= ~np.isnan(numbers)
    raise_at_first(infinite, table, lambda row: f"{column} {numbers[row]} is not finite; correct or drop the row")
    return pd.Series(numbers, index=values.index, name=column)


def _parse_numbers(values: pd.Series) -> pd.Series:
    """Return numbers, and NaN for all other values."""
    try:
        return pd.to_numeric(values, errors="coerce")
    except (OverflowError, ValueError):  # whole numbers beyond the range of floats
        items = [np.inf if isinstance(item, int) and abs(item) > _MAX_RATING else item for item in values.tolist()]
        return pd.to_numeric(pd.Series(items, index=values.index, name=values.name), errors="coerce")


def _are_text_or_numbers(values: pd.Series) -> bool:
    """Return whether a column has a dtype of strings or numbers, not of times or intervals."""
    dtype = values.dtype
    return bool(
        pd.api.types.is_object_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype) or isinstance(dtype, pd.StringDtype)
    )


def _flags(values: pd.Series) -> tuple[type, ...]:
    """Return the types of true and false for a column that has nothing else, none for any other column."""
    kinds = {type(item) for item in values[values.notna()].tolist()} if values.dtype == object else set()
    return (bool, np.bool_) if kinds and kinds <= {bool, np.bool_} else ()


def to_timestamps(
    values: pd.Series, table: str, *, day_first: bool | None = None, date_format: str | None = None
) -> pd.Series:
    """Return int64 seconds since 1970.

    Numbers are seconds, or milli-, micro- or nanoseconds if all are large enough; fractions of seconds are cut off.
    Texts are ISO times or dates in one of the usual notations; see `gnnrec.data.times.parse_times`.
    """
    if values.dtype == np.int64 and len(values):  # the usual case
        seconds = values.to_numpy()
        if seconds.min() >= 0 and seconds.max() <= min(LATEST_TIMESTAMP, UNITS[1][2] - 1):
            return values
    values = to_plain(values, table)
    if len(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        values = _parse_times(values, table, day_first, date_format)
    numbers = values if pd.api.types.is_integer_dtype(values.dtype) else to_numbers(values, table)
    raise_at_first(numbers.isna(), table, lambda row: "timestamp is missing; give every row one, or drop the column")
    raise_at_first(numbers < 0, table, lambda row: f"timestamp {numbers.iloc[row]} is negative")
    _, per_second = time_unit(numbers)
    if per_second > 1:
        numbers = numbers // per_second
    late = numbers > LATEST_TIMESTAMP
    raise_at_first(late, table, lambda row: f"timestamp {numbers.iloc[row]} is not in seconds since 1970; convert it")
    return numbers.astype("int64")


def to_names(values: pd.Series) -> pd.Series:
    """Return lists or strings of names, such as directors, as ``"Ann Lee|Bo Ray"``, empty where unknown."""
    return _join_each(values, _join_names)


def to_text(values: pd.Series, unknown: Iterable[str] = UNKNOWN, table: str = "movies") -> pd.Series:
    """Return nullable text; empty text and other spellings of a missing value become `pandas.NA`."""
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # integers in a column with missing values: "4", not "4.0"
    if values.dtype == object:
        values = to_plain(values, table)
        times = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
        refuse_others(values, table, "it must be a string", str, int, float, np.integer, np.floating, *times, bool)
        values = values.map(lambda item: item if isinstance(item, str) or pd.isna(item) else shown(item))
    text = values.astype("string").str.strip()
    missing = text.isin(unknown)
    return text.mask(missing) if missing.any() else text


def to_categories(values: pd.Series, known: Iterable[str] = ()) -> pd.Series:
    """Return nullable text with one spelling for values that differ only in case or surrounding whitespace.

    A `known` spelling is preferred, then the most frequent one, then the first.

    >>> to_categories(pd.Series(["artist", "Nurse", " Artist", "Artist"])).tolist()
    ['Artist', 'Nurse', 'Artist', 'Artist']
    """
    text = to_text(values, table="users")
    found = [spelling for spelling, _ in Counter(text.dropna()).most_common()]
    chosen: dict[str, str] = {}
    for spelling in (*known, *found):
        chosen.setdefault(spelling.casefold(), spelling)
    return text.map({spelling: chosen[spelling.casefold()] for spelling in found}).astype("string")


def to_years(values: pd.Series) -> pd.Series:
    """Return years of release as Int64, missing where unknown or 0.

    >>> to_years(pd.Series([1995.0, 0, "2001", "N/A"], name="year")).tolist()
    [1995, <NA>, 2001, <NA>]
    """
    years = to_numbers(values, "movies", optional=True)
    raise_at_first(
        (years < 0) | (years > MAX_YEAR),
        "movies",
        lambda row: f"year {years.iloc[row]:g} is not a year; correct it or leave it out",
    )
    return years.mask(years == 0).round().astype("Int64")


def years_in(titles: pd.Series) -> pd.Series:
    """Return the year at the end of each title as Int64, missing if there is none.

    >>> years_in(pd.Series(["Toy Story (1995)", "Babylon 5"])).tolist()
    [1995, <NA>]
    """
    found = [_YEAR_IN_TITLE.search(title) for title in titles.tolist()]  # a list is faster than a series
    return pd.Series([int(match[1]) if match else pd.NA for match in found], index=titles.index, dtype="Int64")


def format_id(value: object) -> str:
    """Format a value for an error message: 5, not ``np.int64(5)``."""
    return shown(value.item() if isinstance(value, np.generic) else value)


def to_genres(values: pd.Series) -> pd.Series:
    """Return genres as ``"Comedy|Drama"``, empty where unknown.

    They may be lists, lists written in JSON or Python (of names, or of mappings with a ``name``), or strings with the
    separator ``|``, ``;`` or ``,``. If any string has ``|``, the other separators are part of the names.

    >>> to_genres(pd.Series(["Comedy|Drama", "Comedy; Drama", "['Comedy', 'Drama']", '[{"name": "Comedy"}]'])).tolist()
    ['Comedy|Drama', 'Comedy|Drama', 'Comedy|Drama', 'Comedy']
    """
    texts = {item for item in values.tolist() if isinstance(item, str)}
    texts = {text for text in texts if not _is_literal(text)}
    piped = [text for text in texts if "|" in text]
    others = "".join(mark for mark in ";," if not any(mark in text for text in piped))

    def names(text: str) -> str:
        if "|" not in text and not _is_literal(text):
            mark = next((mark for mark in others if mark in text), None)
            if mark is not None:
                text = text.replace(mark, "|")
        return _join_names(text)

    return _join_each(values, names)


def _join_each(values: pd.Series, join: Callable[[str], str]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values.dtype) and values.notna().any():
        values = to_text(values)  # numbers as names
    plain, wanted = to_plain(values, "movies"), "it must be a string or a list of strings"
    if plain.dtype.kind in "mMc" or isinstance(plain.dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        raise DataError(f"{values.name} is of type {plain.dtype}; {wanted}", at=("movies", None))
    containers = (list, tuple, set, frozenset, np.ndarray, dict)
    refuse_others(plain, "movies", wanted, str, *containers, int, float, np.number)
    items = plain.tolist()
    distinct = {item: join(item) for item in {item for item in items if isinstance(item, str)}}
    joined = []
    for row, item in enumerate(items):
        try:
            joined.append(distinct[item] if isinstance(item, str) else _join_names(item))
        except RecursionError:
            raise DataError(f"{values.name} is nested too deeply", at=("movies", row)) from None
    return pd.Series(joined, index=values.index, dtype=str, name=values.name)


def _is_literal(text: str) -> bool:
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "{}", "()")


def _flatten(value: object) -> list[str]:
    """Return the names in a list, in a list of lists, or in a list of mappings."""
    if isinstance(value, dict):
        named = next((value[key] for key in ("name", "description", "title", "value") if key in value), None)
        return [] if named is None else [str(named)]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = None if np.ma.is_masked(value) else value.item()
    if isinstance(value, (list, tuple, np.ndarray)):
        return [name for part in value for name in _flatten(part)]
    return [] if value is None or (isinstance(value, float) and np.isnan(value)) else [str(value)]


def _join_names(value: object) -> str:
    if isinstance(value, str):
        parts = value.split("|")
        if _is_literal(value):
            for read in (json.loads, ast.literal_eval):
                try:
                    parts = _flatten(read(value.strip()))
                    break
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    continue
    elif isinstance(value, (list, tuple, set, frozenset, np.ndarray, dict)):
        parts = _flatten(value)
    else:
        parts = _number_parts(value)
    parts = [part.strip().replace("|", "/") if not isinstance(value, str) else part.strip() for part in parts]
    names = dict.fromkeys(parts)
    for missing in _NO_NAMES.intersection(names):
        del names[missing]
    return "|".join(names)


def _number_parts(value: Any) -> list[str]:
    """Return a number as text, an empty string if it is missing."""
    if value is None or pd.isna(value):
        return []
    return [str(int(value)) if value % 1 == 0 else f"{value:g}"]


def _parse_times(values: pd.Series, table: str, day_first: bool | None, date_format: str | None) -> pd.Series:
    """Convert datetimes or strings to whole seconds; the first value decides how a column of strings is read."""
    raw = values
    if kind_of(values) == "string":
        _raise_at_blank(values, table)
        if date_format is None and pd.notna(pd.to_numeric(values.iloc[:1], errors="coerce")).all():
            return to_numbers(values, table)
        return parse_times(values, table, day_first=day_first, date_format=date_format)[0]
    refuse_others(values, table, "it must be a time", *_TIMES)
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        if values.dtype != object:
            raise DataError(f"timestamp is of type {values.dtype}; it must be a time", at=(table, None))
        values = _to_datetimes(values)
    raise_at_first(values.isna(), table, lambda row: f"timestamp {shown(raw.iloc[row])} is not a time")
    if values.dt.tz is not None:
        values = values.dt.tz_convert(None)
    return values.astype("datetime64[s]").astype("int64")


_TIMES = (str, int, float, np.integer, np.floating, datetime.date, np.datetime64)


def _to_datetimes(values: pd.Series) -> pd.Series:
    """Convert objects one by one: numbers among dates are seconds, not nanoseconds. Invalid times become missing."""

    def convert(item: object) -> Any:
        try:
            if isinstance(item, (int, float, np.integer, np.floating)):
                return pd.Timestamp(float(item), unit="s", tz="UTC")
            time = pd.Timestamp(item)  # type: ignore[arg-type]
            return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")
        except (ValueError, TypeError, OverflowError):
            return pd.NaT

    found = [convert(item) for item in values.tolist()]
    return pd.Series(found, index=values.index, name=values.name, dtype="datetime64[us, UTC]")


def _spells_nan(values: pd.Series) -> pd.Series:
    return values.astype("string").str.strip().str.lower().isin({"nan", "+nan", "-nan"})


def _raise_at_blank(values: pd.Series, table: str) -> None:
    raise_at_first(
        is_blank(values), table, lambda row: f"{values.name} is missing; give every row one, or drop the column"
    )


_RUNTIME = r"(?:(?P<hours>[0-9]+) ?h(?:ours?)?)? ?(?:(?P<minutes>[0-9][0-9,]*(?:\.[0-9]+)?) ?(?:min(?:utes?)?\.?)?)?"
_IMDB_DIGITS = 7  # minimum number of digits; ids given as numbers have lost their leading zeros


def to_minutes(values: pd.Series) -> pd.Series:
    """Return runtimes as Int64 minutes, missing where unknown or 0.

    >>> to_minutes(pd.Series(["81 min", 90, "2 h 5 min", "N/A", 0])).tolist()
    [81, 90, 125, <NA>, <NA>]
    """
    if not pd.api.types.is_numeric_dtype(values.dtype):
        text = to_text(values)
        raise_at_first(
            text.notna() & ~text.str.fullmatch(_RUNTIME, na=False),
            "movies",
            lambda row: f"runtime {format_id(values.iloc[row])} is not a duration; use minutes (81) or text (81 min)",
        )
        parts = text.str.replace(",", "").str.extract(_RUNTIME).astype("Float64")
        values = (60 * parts["hours"].fillna(0) + parts["minutes"].fillna(0)).rename("runtime")
    numbers = to_numbers(values, "movies", optional=True)
    minutes = numbers.to_numpy()
    raise_at_first(minutes < 0, "movies", lambda row: f"runtime {minutes[row]:g} is negative")
    raise_at_first(minutes > MAX_MINUTES, "movies", lambda row: f"runtime {minutes[row]:g} minutes is too long")
    rounded = np.round(np.where(minutes == 0, np.nan, minutes))
    return pd.Series(rounded, index=numbers.index, name=numbers.name).astype("Int64")


def to_imdb_ids(values: pd.Series) -> pd.Series:
    """Return IMDb title ids as nullable text, missing where unknown.

    >>> to_imdb_ids(pd.Series(["tt0114709", "0114709", "114709", ""])).tolist()
    ['tt0114709', 'tt0114709', 'tt0114709', <NA>]
    """
    text = to_text(values)
    digits = text.str.removeprefix("tt")
    raise_at_first(
        text.notna() & ~digits.str.fullmatch(r"[0-9]{1,12}", na=False),
        "movies",
        lambda row: f"imdb_id {format_id(values.iloc[row])} is not an IMDb title id, such as tt0114709",
    )
    return "tt" + digits.str.zfill(_IMDB_DIGITS)


def to_tmdb_ids(values: pd.Series) -> pd.Series:
    """Return TMDB movie ids as Int64, missing where unknown."""
    numbers = to_numbers(values, "movies", optional=True)
    raise_at_first(
        (numbers % 1 != 0) & numbers.notna() | (numbers < 1) | (numbers > 2**53),
        "movies",
        lambda row: f"tmdb_id {format_id(values.iloc[row])} is not a TMDB movie id, a whole number such as 862",
    )
    return numbers.astype("Int64")


def to_float32(values: pd.Series) -> pd.Series:
    """Return ratings or weights as float32; one that is missing or not finite is an error."""
    if values.dtype == np.float32 and len(values):  # float32, as read from files, without a copy in double precision
        numbers = values.to_numpy()
        if numbers.min() >= -_MAX_RATING and numbers.max() <= _MAX_RATING:  # NaN compares as false
            return values
    return to_numbers(values, "ratings").astype("float32")
