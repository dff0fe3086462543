"""When people rate: tables by day, week, month or longer, whichever gives a table of a readable length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gnnrec.analysis.ratings import LackingError, codes_of
from gnnrec.data import Dataset

DAY = 86_400
MOST_PERIODS = 60
NUM_STEPS = 10


@dataclass(frozen=True, eq=False)
class Periods:
    """Stretches of time without gaps, in UTC.

    Attributes
    ----------
    unit : str
        ``"day"``, ``"week"`` (from Monday), ``"month"``, ``"quarter"``, ``"year"``, ``"decade"`` or ``"century"``.
    codes : numpy.ndarray
        ``[num_ratings]``, the place of each rating's period in `names`.
    names : list of str
        ``2001-03-09`` (of a week its Monday), ``2001-03``, ``2001 Q1``, ``2001``, ``2000s``; in order, those in which
        nothing happened included.
    """

    unit: str
    codes: np.ndarray
    names: list[str]


def periods(timestamps: np.ndarray, most: int = MOST_PERIODS) -> Periods:
    """Cut time into the shortest periods of which there are not more than `most`.

    Parameters
    ----------
    timestamps : array_like
        ``[n]``, whole seconds since 1970, at least one.
    most : int
        Centuries are taken where even of these there are more.

    Examples
    --------
    >>> found = periods(np.array([0, 3 * DAY]), most=3)
    >>> found.unit, found.names, found.codes.tolist()
    ('week', ['1969-12-29'], [0, 0])
    """
    days = np.asarray(timestamps, dtype="int64") // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
    years = months // 12 + 1970
    numbers = {  # of the period that a rating falls into, counted from anywhere
        "day": days,
        "week": (days + 3) // 7,  # day 0 was a Thursday
        "month": months,
        "quarter": months // 3,
        "year": years,
        "decade": years // 10,
        "century": years // 100,
    }
    unit = next((unit for unit, number in numbers.items() if np.ptp(number) < most), "century")
    number = numbers[unit]
    first = int(number.min())
    return Periods(unit, number - first, [_name(unit, one) for one in range(first, int(number.max()) + 1)])


def _name(unit: str, number: int) -> str:
    if unit in ("day", "week"):
        return str(np.datetime64(number if unit == "day" else 7 * number - 3, "D"))
    if unit == "month":
        return str(np.datetime64(number, "M"))
    if unit == "quarter":
        return f"{1970 + number // 4} Q{number % 4 + 1}"
    return {"year": f"{number}", "decade": f"{number}0s", "century": f"{number}00s"}[unit]


def activity(dataset: Dataset, most: int = MOST_PERIODS) -> pd.DataFrame:
    """Count ratings and people over time.

    Parameters
    ----------
    dataset : Dataset
        With timestamps.
    most : int
        Rows at most; see `periods`.

    Returns
    -------
    pandas.DataFrame
        ``period, ratings, users, new_users``: how many people rated in it, and how many of them never did before.

    Raises
    ------
    LackingError
        The ratings have no timestamps.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 2 * DAY, 2 * DAY]})
    >>> activity(Dataset(ratings)).values.tolist()
    [['1970-01-01', 1, 1, 1], ['1970-01-02', 0, 0, 0], ['1970-01-03', 2, 2, 1]]
    """
    when = periods(timestamps(dataset), most)
    who, _ = codes_of(dataset, "user_id")
    number = len(when.names)
    pairs = np.unique(who * np.int64(number) + when.codes)  # sorted, so a person's first period comes first
    _, first = np.unique(pairs // number, return_index=True)
    columns = {"ratings": when.codes, "users": pairs % number, "new_users": pairs[first] % number}
    counted = {name: np.bincount(codes, minlength=number) for name, codes in columns.items()}
    return pd.DataFrame({"period": when.names, **counted})


def busiest_days(dataset: Dataset) -> np.ndarray:
    """Return which part of a person's ratings fell on the day (UTC) on which they rated most.

    Parameters
    ----------
    dataset : Dataset
        With timestamps.

    Returns
    -------
    numpy.ndarray
        A value above 0 and up to 1 for each person with at least two ratings, in the order of the users.

    Raises
    ------
    LackingError
        The ratings have no timestamps.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "timestamp": [0, 2 * DAY, 2 * DAY]})
    >>> busiest_days(Dataset(ratings)).tolist()
    [0.5]
    """
    day = timestamps(dataset) // DAY
    who, users = codes_of(dataset, "user_id")
    per_day = pd.Series(1, index=range(len(who))).groupby([who, day]).size()
    most = per_day.groupby(level=0).max()
    total = np.bincount(who, minlength=len(users))[most.index]
    return (most.to_numpy() / total)[total > 1]


def in_steps(shares: np.ndarray) -> pd.DataFrame:
    """Count values between 0 and 1 in ten equal steps.

    Returns
    -------
    pandas.DataFrame
        ``above, up_to, number, share``; a value on the border of two steps belongs to the lower one.

    Examples
    --------
    >>> in_steps(np.array([0.5, 0.51, 1.0])).query("number > 0")[["above", "up_to", "number"]].values.tolist()
    [[0.4, 0.5, 1.0], [0.5, 0.6, 1.0], [0.9, 1.0, 1.0]]
    """
    step = np.ceil(np.round(np.asarray(shares) * NUM_STEPS, 9)).astype(int).clip(1) - 1
    numbers = np.bincount(step, minlength=NUM_STEPS)
    ends = np.arange(NUM_STEPS + 1) / NUM_STEPS
    return pd.DataFrame({"above": ends[:-1], "up_to": ends[1:], "number": numbers, "share": numbers / len(step)})


def timestamps(dataset: Dataset) -> np.ndarray:
    """Return the seconds since 1970 of all ratings; `LackingError` where there are none."""
    if "timestamp" not in dataset.ratings:
        raise LackingError(f"the ratings of {dataset.name} have no column timestamp")
    return dataset.ratings["timestamp"].to_numpy()
