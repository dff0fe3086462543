"""Checks shared by all parts of the package, and the words of their messages: similar names, counted nouns."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

from gnnrec.errors import ConfigError, DataError


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the most similar option, or an empty string.

    Examples
    --------
    >>> did_you_mean("lightgnc", ["lightgcn", "graphsage"])
    "; did you mean 'lightgcn'?"
    >>> did_you_mean("zzz", ["lightgcn"])
    ''
    """
    close = difflib.get_close_matches(str(name), [str(option) for option in options], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def choose_from(name: str, options: Iterable[str], advice: str = "choose one of") -> str:
    """Return the end of an error about an unknown name: the most similar option, if any, and all of them.

    Examples
    --------
    >>> "unknown encoder 'lightgnc'" + choose_from("lightgnc", ["lightgcn", "graphsage"])
    "unknown encoder 'lightgnc'; did you mean 'lightgcn'? Choose one of lightgcn, graphsage"
    >>> "unknown encoder 'zzz'" + choose_from("zzz", ["lightgcn", "graphsage"])
    "unknown encoder 'zzz'; choose one of lightgcn, graphsage"
    """
    options = list(options)
    hint = did_you_mean(name, options)
    text = f"{advice} {', '.join(options) or 'none'}"
    return f"{hint} {text[0].upper()}{text[1:]}" if hint else f"; {text}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row"), counted(0, "entry", "entries")
    ('1 row', '1,200 rows', '0 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def check_integer(minimum: int = 1, **values: Any) -> None:
    """Raise a `ConfigError` unless every value is an integer of at least `minimum`.

    Examples
    --------
    >>> check_integer(k=10)
    >>> check_integer(k=0)
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: k must be an integer of at least 1, not 0
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
            raise ConfigError(f"{name} must be an integer of at least {minimum}, not {value!r}")


def check_number(minimum: float = 0.0, *, exclusive: bool = False, **values: Any) -> None:
    """Raise a `ConfigError` unless every value is a finite number of at least (or, `exclusive`, above) `minimum`.

    Examples
    --------
    >>> check_number(0, exclusive=True, reg=0)
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: reg must be a number above 0, not 0
    """
    bound = f"a number above {minimum:g}" if exclusive else f"a number of at least {minimum:g}"
    bound = "a finite number" if minimum == -math.inf else bound
    for name, value in values.items():
        ok = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not ok or value < minimum or (exclusive and value == minimum):
            raise ConfigError(f"{name} must be {bound}, not {value!r}")


def first_bad_row(bad: Any) -> int | None:
    """Return the first row where a boolean array or series holds, None if there is none; missing values do not count.

    Examples
    --------
    >>> import numpy as np
    >>> first_bad_row(np.array([False, True, True]))
    1
    """
    flags = bad.to_numpy(dtype=bool, na_value=False) if hasattr(bad, "to_numpy") else bad
    return int(flags.argmax()) if flags.any() else None


def raise_at_first(
    bad: Any, table: str, problem: Callable[[int], str], earlier: Callable[[int], int] | None = None
) -> None:
    """Raise a `DataError` for the first row where `bad` holds.

    Parameters
    ----------
    bad : numpy.ndarray or pandas.Series of bool
        ``[num_rows]``.
    table : str
        Name of the table, for the message.
    problem : callable
        Returns the message for a row.
    earlier : callable, optional
        Returns the row that a bad row duplicates.
    """
    row = first_bad_row(bad)
    if row is not None:
        raise DataError(problem(row), at=(table, row), earlier=None if earlier is None else (table, earlier(row)))
