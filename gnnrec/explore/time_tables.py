"""Tables of the ratings of a `Dataset` over time: calendar periods, activity, busiest days. Days are those of UTC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.explore.tables import rating_timestamps, row_codes

DAY = 86_400
"""Seconds per day."""
MAX_PERIODS = 60
"""Default maximum number of periods of `activity`."""


@dataclass(frozen=True, eq=False)
class Periods:
    """Consecutive calendar periods.

    Attributes
    ----------
    unit : str
        ``"day"``, ``"week"`` (from Monday), ``"month"``, ``"quarter"``, ``"year"``, ``"decade"`` or ``"century"``.
    codes : numpy.ndarray
        ``[num_ratings]``, the index of each rating's period in `names`.
    names : list of str
        ``2001-03-09`` (of a week its Monday), ``2001-03``, ``2001 Q1``, ``2001``, ``2000s``; in order, without gaps.
    """

    unit: str
    codes: np.ndarray
    names: list[str]


def periods(timestamps: np.ndarray, max_periods: int = MAX_PERIODS) -> Periods:
    """Bin timestamps by the shortest calendar unit that gives at most `max_periods` periods.

    Parameters
    ----------
    timestamps : array_like
        ``[n]``, seconds since 1970, at least one.
    max_periods : int
        Centuries, the longest unit, may exceed it.

    Examples
    --------
    >>> binned = periods(np.array([0, 3 * DAY]), max_periods=3)
    >>> binned.unit, binned.names, binned.codes.tolist()
    ('week', ['1969-12-29'], [0, 0])
    """
    days = np.asarray(timestamps, dtype="int64") // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
    years = months // 12 + 1970
    candidates = {  # consecutive numbers of the periods; where they start does not matter
        "day": days,
        "week": (days + 3) // 7,  # day 0 was a Thursday
        "month": months,
        "quarter": months // 3,
        "year": years,
        "decade": years // 10,
        "century": years // 100,
    }
    unit = next((unit for unit, numbers in candidates.items() if np.ptp(numbers) < max_periods), "century")
    numbers = candidates[unit]
    first = int(numbers.min())
    names = [_period_name(unit, number) for number in range(first, int(numbers.max()) + 1)]
    return Periods(unit, numbers - first, names)


def _period_name(unit: str, number: int) -> str:
    if unit in ("day", "week"):
        return str(np.datetime64(number if unit == "day" else 7 * number - 3, "D"))
    if unit == "month":
        return str(np.datetime64(number, "M"))
    if unit == "quarter":
        return f"{1970 + number // 4} Q{number % 4 + 1}"
    return {"year": f"{number}", "decade": f"{number}0s", "century": f"{number}00s"}[unit]


def activity(dataset: Dataset, max_periods: int = MAX_PERIODS) -> pd.DataFrame:
    """Count ratings, active users and new users over time.

    Parameters
    ----------
    dataset : Dataset
        With timestamps.
    max_periods : int
        Maximum number of rows; see `periods`.

    Returns
    -------
    pandas.DataFrame
        ``period, ratings, users, new_users``; new users are those whose first rating falls in the period.

    Raises
    ------
    MissingColumnError
        The ratings have no timestamps.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 2 * DAY, 2 * DAY]})
    >>> activity(Dataset(ratings)).values.tolist()
    [['1970-01-01', 1, 1, 1], ['1970-01-02', 0, 0, 0], ['1970-01-03', 2, 2, 1]]
    """
    binned = periods(rating_timestamps(dataset), max_periods)
    users, _ = row_codes(dataset, "user_id")
    number = len(binned.names)
    pairs = np.unique(users * np.int64(number) + binned.codes)  # sorted, so a user's first period comes first
    _, first = np.unique(pairs // number, return_index=True)
    columns = {"ratings": binned.codes, "users": pairs % number, "new_users": pairs[first] % number}
    counts = {name: np.bincount(codes, minlength=number) for name, codes in columns.items()}
    return pd.DataFrame({"period": binned.names, **counts})


def busiest_days(dataset: Dataset) -> np.ndarray:
    """Return the share of each user's ratings that fell on the user's busiest day.

    Parameters
    ----------
    dataset : Dataset
        With timestamps.

    Returns
    -------
    numpy.ndarray
        In ``(0, 1]``, one value for each user with at least two ratings, in the order of the users.

    Raises
    ------
    MissingColumnError
        The ratings have no timestamps.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 2 * DAY, 2 * DAY]})
    >>> busiest_days(Dataset(ratings)).tolist()
    [0.5]
    """
    day = rating_timestamps(dataset) // DAY
    rows, users = row_codes(dataset, "user_id")
    per_day = pd.Series(1, index=range(len(rows))).groupby([rows, day]).size()
    most = per_day.groupby(level=0).max()
    total = np.bincount(rows, minlength=len(users))[most.index]
    return (most.to_numpy() / total)[total > 1]
