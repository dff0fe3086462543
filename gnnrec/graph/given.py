"""What a caller says about one person, value by value: checked, with an error that names it."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data.columns import LATEST_TIMESTAMP
from gnnrec.errors import DataError


def rating_of(movie: Any, value: Any) -> float:
    """Return a rating, which must be finite."""
    try:
        rating = float(value)
    except (TypeError, ValueError):
        rating = float("nan")
    if not np.isfinite(rating):
        raise DataError(f"the rating of {movie!r} is {value!r}; give a finite number")
    return rating


def time_of(movie: Any, value: Any) -> float:
    """Return seconds since 1970; dates without a time zone are UTC, as in the data."""
    try:
        seconds = float(value) if isinstance(value, (int, float, np.number)) else pd.Timestamp(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if not 0 <= seconds <= LATEST_TIMESTAMP:
        raise DataError(
            f"the time of {movie!r} is {value!r}; give seconds since 1970, a datetime, or text such as 2001-03-09T12:00"
        )
    return seconds


def age_of(value: Any) -> float:
    """Return years, NaN when not given."""
    if value is None or value is pd.NA:
        return float("nan")
    try:
        age = float(value)
    except (TypeError, ValueError):
        age = -1.0
    if age < 0 or age > 150:
        raise DataError(f"age {value!r} is not an age in years")
    return age


def codes_of(value: str | None, known: pd.Index, what: str) -> np.ndarray:
    """Return ``[1]`` int64, the place of a value among the known ones, -1 when not given."""
    if value is None:
        return np.array([-1])
    for code, candidate in enumerate(known):
        if str(candidate).casefold() == str(value).strip().casefold():
            return np.array([code])
    close = difflib.get_close_matches(str(value), list(known), n=3, cutoff=0.3) or list(known)
    hint = f"known are, for example: {', '.join(close)}" if close else f"the training data names no {what} at all"
    raise DataError(f"{what} {value!r} is not known; {hint}")
