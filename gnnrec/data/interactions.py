"""Ratings from files: duplicates, rating scales, and counts that become weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.aliases import COUNTS
from gnnrec.data.convert import format_id, to_numbers
from gnnrec.data.dtypes import is_blank, kind_of
from gnnrec.data.provenance import ReadLog
from gnnrec.data.rating_texts import read_rating_texts
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.scales import SCALES, are_counts, not_given, rating_scale_of
from gnnrec.data.schema import ORIGINAL_NAMES, canonical_columns, canonical_names, clean_ratings
from gnnrec.data.tables import Table, locator
from gnnrec.data.times import UNITS, parse_times, time_unit
from gnnrec.errors import DataError


def prepare_ratings(
    table: Table, options: ReadOptions, log: ReadLog, is_plain: bool = False
) -> tuple[Table, tuple[float, float] | None]:
    """Apply the options to a ratings table and turn counts into weights.

    Parameters
    ----------
    table : Table
    options : ReadOptions
    log : ReadLog
    is_plain : bool
        Whether the table was written by `Dataset.to_folder`, so that numbers are what they are; the rating scale that
        is returned is then None.

    Returns
    -------
    table : Table
    rating_scale : tuple of float, optional
        Lowest and highest rating; None without ratings.
    """
    frame = canonical_columns(table.frame, "ratings", ("user_id", "movie_id"))
    if is_plain:
        return table.with_frame(frame), None
    if "rating" in frame and not _is_number(frame["rating"]):
        frame = _read_texts(frame, table, log)
    counts = "weight" in frame and _is_count_name(table, frame["weight"])
    if "rating" in frame and "weight" not in frame and _rating_is_count(frame["rating"]):
        frame = frame.rename(columns={"rating": "weight"})
        counts = True
        largest = float(pd.to_numeric(frame["weight"], errors="coerce").max())
        log.assume(f"rating of {table.path.name} holds counts (up to {largest:g}), not stars")
    if "timestamp" in frame:
        frame = _convert_times(frame, table, options, log)
    simple = options.duplicates == "error" and not options.skips and "weight" not in frame
    if not simple:
        frame, names = clean_ratings(frame), frame.attrs
        frame.attrs = names
        table = table.with_frame(frame)
        table = _unite_duplicates(table, options, log, counts)
        frame = table.frame
        if counts:
            weight = frame["weight"]
            bad = np.flatnonzero(weight.to_numpy() < 0)
            if len(bad):
                raise DataError(f"weight {weight.iloc[bad[0]]:g} is negative", at=("ratings", int(bad[0])))
            frame = frame.assign(weight=np.log1p(weight.to_numpy(), dtype=np.float64).astype(np.float32))
            log.assume("weight is log(1 + count)")
    table = table.with_frame(frame)
    if "rating" not in frame or not len(frame):
        return table, None
    return _check_scale(table, options, log)


def _read_texts(frame: pd.DataFrame, table: Table, log: ReadLog) -> pd.DataFrame:
    """Convert ratings in words or symbols, such as "like" and "4/5", to numbers; booleans are unchanged."""
    if kind_of(frame["rating"]) != "string" or (found := read_rating_texts(frame["rating"])) is None:
        return frame
    numbers, how = found
    log.assume(f"rating of {table.path.name}: {how}")
    return frame.assign(rating=numbers.where(numbers.notna(), frame["rating"]) if numbers.isna().any() else numbers)


def _is_count_name(table: Table, values: pd.Series) -> bool:
    """Return whether a column of weights holds counts: by its name, or because all values are whole."""
    names = [re.sub(r"[\W_]", "", str(name).lower()) for name in table.frame.attrs.get(ORIGINAL_NAMES, table.frame)]
    if "weight" not in names and any(name in COUNTS for name in names):
        return True
    return bool((pd.to_numeric(values, errors="coerce") % 1 == 0).all())


def _rating_is_count(values: pd.Series) -> bool:
    numbers = pd.to_numeric(values, errors="coerce") if values.dtype == object or not _is_number(values) else values
    if not len(numbers) or not float(numbers.max()) > SCALES[-1][1]:
        return False
    found = numbers.to_numpy(dtype="float64", na_value=np.nan)
    return are_counts(found[np.isfinite(found)])


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values.dtype))


def _convert_times(frame: pd.DataFrame, table: Table, options: ReadOptions, log: ReadLog) -> pd.DataFrame:
    values = frame["timestamp"]
    if _is_number(values) and options.date_format is None:
        if pd.api.types.is_integer_dtype(values.dtype) and _are_dates(values, table):
            log.assume(f"timestamp of {table.path.name} is written as year, month, day")
            return frame.assign(timestamp=parse_times(values.astype(str), "ratings", date_format="%Y%m%d")[0])
        if (unit := time_unit(values)[0]) != UNITS[0][0]:
            log.assume(f"timestamp of {table.path.name} is in {unit}")
        return frame
    text = values.astype(str) if _is_number(values) else values
    if not _is_number(values) and (
        kind_of(values) != "string"
        or (options.date_format is None and pd.to_numeric(text.iloc[:1], errors="coerce").notna().all())
        or is_blank(text).any()
    ):
        return frame
    seconds, notation = parse_times(text, "ratings", day_first=options.day_first, date_format=options.date_format)
    if notation != "ISO" and options.date_format is None:
        log.assume(f"timestamp of {table.path.name} is written as {notation}")
    return frame.assign(timestamp=seconds)


def _are_dates(values: pd.Series, table: Table) -> bool:
    """Return whether numbers are dates such as 20010309, in a column whose name indicates dates."""
    if not len(values) or values.min() < 19000101 or values.max() > 21001231:
        return False
    names = [str(name).lower() for name in table.frame.attrs.get(ORIGINAL_NAMES, ())]
    return any("date" in name or "day" in name for name in names) and bool(
        pd.to_datetime(values.astype(str), format="%Y%m%d", errors="coerce").notna().all()
    )


def _unite_duplicates(table: Table, options: ReadOptions, log: ReadLog, counts: bool) -> Table:
    """Merge rows with the same user and movie; with "error", skip repeated rows or leave them to `Dataset`."""
    frame, how = table.frame, options.duplicates
    if how == "error" and not options.skips:
        return table
    again = frame.duplicated(["user_id", "movie_id"], keep="last" if how == "last" else "first").to_numpy()
    if not again.any():
        if how == "sum" and not {"rating", "weight"} & set(frame):
            return table.with_frame(frame.assign(weight=np.float32(np.log1p(1.0))))
        return table
    rows = np.flatnonzero(~again)
    number = int(np.count_nonzero(again))
    if how == "error":
        for row in np.flatnonzero(again):
            user, movie = (format_id(frame[column].iloc[row]) for column in ("user_id", "movie_id"))
            log.reject(table.path, _line(table, int(row)), f"user {user} rated movie {movie} twice")
        return table.take(rows)
    named = ", ".join(f"{table.path.name}:{_line(table, int(row))}" for row in np.flatnonzero(again)[:3])
    more = ", ..." if number > 3 else ""
    rows_that_repeat = counted(number, "row that repeats", "rows that repeat")
    log.note(f"{rows_that_repeat} a user and movie, by duplicates={how!r} ({named}{more})")
    kept = table.take(rows)
    if how in ("first", "last"):
        return kept
    groups = frame.groupby(["user_id", "movie_id"], sort=False)  # in the order of their first rows
    united = kept.frame.copy()
    for column in ("rating", "weight"):
        if column in frame:
            united[column] = groups[column].agg(how).to_numpy(dtype="float32")
    if how == "sum" and not {"rating", "weight"} & set(frame):
        united["weight"] = np.log1p(groups.size().to_numpy(dtype="float64")).astype("float32")
        log.assume("weight is log(1 + number of rows)")
    if "timestamp" in frame:
        united["timestamp"] = groups["timestamp"].max().to_numpy()
    return kept.with_frame(united)


def _line(table: Table, row: int) -> str:
    return str(row if table.line is None else table.line(row))


def _check_scale(table: Table, options: ReadOptions, log: ReadLog) -> tuple[Table, tuple[float, float] | None]:
    """Find the rating scale; values outside a given scale are errors, those outside a guessed one a warning."""
    values = table.frame["rating"]
    if not _is_number(values):
        values = to_numbers(values, "ratings")
    numbers = values.to_numpy() if values.dtype.kind == "f" else values.to_numpy(dtype="float64", na_value=np.nan)
    if not np.isfinite(numbers).all():
        return table, None  # `Dataset` names the first of these
    if options.rating_scale is None and (none := not_given(numbers, _zero_is_none(table))) is not None:
        rows, mark = np.flatnonzero(none), numbers[none][0]
        named = ", ".join(f"{table.path.name}:{_line(table, int(row))}" for row in rows[:3])
        more = ", ..." if len(rows) > 3 else ""
        count = f"{len(rows):,} row{'s' if len(rows) > 1 else ''}"
        log.note(
            f"{count} with rating {mark:g}, which means that none was given ({named}{more}); give the rating scale to "
            "keep them"
        )
        table, numbers = table.take(np.flatnonzero(~none)), numbers[~none]
    low, high = options.rating_scale or rating_scale_of(numbers)
    outside = (numbers < low) | (numbers > high)
    if not outside.any():
        return table, (low, high)
    row = int(outside.argmax())
    problem = f"rating {numbers[row]:g} is outside the scale from {low:g} to {high:g}"
    if options.skips:
        for bad in np.flatnonzero(outside):
            log.reject(table.path, _line(table, int(bad)), f"rating {numbers[bad]:g} is outside {low:g} to {high:g}")
        return table.take(np.flatnonzero(~outside)), (low, high)
    if options.rating_scale is not None:
        raise DataError(f"{problem}; correct it or leave such rows out with errors='skip'", at=("ratings", row))
    number = counted(int(np.count_nonzero(outside)), "probable mistake")
    log.warn(f"{number} among the ratings; the first: {table.locate(row)}: {problem}")
    return table, (low, high)


def _zero_is_none(table: Table) -> bool:
    """Return whether the columns are those of Book-Crossing or Goodreads, where 0 means that no rating was given."""
    names = set(map(str, table.frame.attrs.get(ORIGINAL_NAMES, ())))
    return "Book-Rating" in names or {"book_id", "is_read"} <= names or {"book_id", "read_at", "started_at"} <= names


def leave_out_unknown(table: Table, column: str, known: Collection[object], other: str, log: ReadLog) -> Table:
    """Drop ratings whose movie or user is missing from its table, and record them."""
    bad = ~table.frame[column].isin(known).to_numpy()
    for row in np.flatnonzero(bad):
        value = format_id(table.frame[column].iloc[row])
        log.reject(table.path, _line(table, int(row)), f"{column} {value} is not in the {other} table")
    return table.take(np.flatnonzero(~bad)) if bad.any() else table


def relocate(error: DataError, tables: Mapping[str, Table]) -> DataError:
    """Add file and line to an error, and the options that help."""
    hint = "keep one of the two rows, or say which with duplicates='first', 'last', 'mean', 'max' or 'sum'"
    moved = error.relocated(locator(tables))
    problem = moved.problem.replace("keep one of the two rows", hint)
    if problem.startswith("no column") and "ratings" in tables:
        problem += _instead(tables["ratings"])
    return DataError(problem, at=moved.at, earlier=moved.earlier)


def _instead(table: Table) -> str:
    """Return a hint for a table without users or movies: it may be one person's movies, or a matrix."""
    header = [str(name) for name in table.frame.attrs.get(ORIGINAL_NAMES, ())]
    names = {*canonical_names(header, "ratings").values(), *header, *map(str, table.frame.columns)}
    if "user_id" not in names and {"movie_id", "rating"} <= names:
        return "; if these are the ratings of one person, read_history reads them"
    if "user_id" in names and "movie_id" not in names and len(header) > 3 and not {"rating", "weight"} & names:
        return "; if each column is a movie, make a row for each rating first, as pandas.melt does"
    return ""
