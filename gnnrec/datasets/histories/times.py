"""Times in history files."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from gnnrec.data.convert import LATEST_TIMESTAMP


def parse_times(texts: list[str]) -> tuple[list[int | None], list[str]]:
    """Return each text as seconds since 1970, None where it is not a time, and notes.

    Examples
    --------
    >>> parse_times(["2001-03-09", "", "soon"])
    ([984096000, None, None], ["1 date cannot be read: 'soon'"])
    """
    is_day_first = _is_day_first(texts)
    times = [_parse_time(text, is_day_first) for text in texts]
    unread = [text for text, time in zip(texts, times, strict=True) if text and time is None]
    if not unread:
        return times, []
    several = f"{len(unread)} dates cannot be read, such as" if len(unread) > 1 else "1 date cannot be read:"
    return times, [f"{several} {unread[0]!r}"]


_SHORT_DATE = re.compile(r"(\d{1,4})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{1,4})(\.?)(?!\d)")


def _is_day_first(texts: list[str]) -> bool:
    """Return whether dates such as 3/4/24 begin with the day: one above 12 decides, else a full stop as separator."""
    dates = [match for text in texts if (match := _SHORT_DATE.match(text)) is not None and not _is_year_first(match)]
    if any(int(date[1]) > 12 for date in dates):
        return True
    if any(int(date[3]) > 12 for date in dates):
        return False
    return any(date[2] == "." for date in dates)


def _is_year_first(date: re.Match[str]) -> bool:
    """Return whether a date begins with the year: 2024/1/31, or 24. 1. 31. as Koreans write it."""
    return len(date[1]) == 4 or (len(date[4]) < 3 and date[5] == "." and date[2] == ".")


def _parse_time(text: str, is_day_first: bool) -> int | None:
    if not text:
        return None
    short = _SHORT_DATE.match(text)
    if short is not None and not (short[2] == "-" and _is_year_first(short)):  # that is ISO
        first, second, third = short[1], short[3], short[4]
        if _is_year_first(short):
            year, month, day = first, second, third
        else:
            day, month, year = (first, second, third) if is_day_first else (second, first, third)
        try:
            return _seconds(datetime(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day)))
        except ValueError:
            return None
    return iso_time(text)


def are_dates(texts: list[str]) -> bool:
    """Return whether all strings are dates.

    Examples
    --------
    >>> are_dates(["31/12/20", "1/2/21"]), are_dates(["24. 1. 31."]), are_dates(["4.5"]), are_dates([])
    (True, True, False, False)
    """
    is_date = [re.match(r"\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]", text) is not None for text in texts]
    return bool(texts) and all(is_date) and None not in parse_times(texts)[0]


def iso_time(value: Any) -> int | None:
    """Convert a number, an ISO time or a date in Netflix's format to seconds since 1970; None for anything else."""
    text = str(value).strip().removesuffix(" UTC")
    if re.fullmatch(r"\d{9,14}(\.\d+)?", text):
        number = float(text)
        return int(number / 1000 if number > LATEST_TIMESTAMP else number)
    for parse in (datetime.fromisoformat, lambda one: datetime.strptime(one, "%a %b %d %H:%M:%S %Y")):
        try:
            return _seconds(parse(text))
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(time: datetime) -> int | None:
    seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    return seconds if 0 <= seconds <= LATEST_TIMESTAMP else None
