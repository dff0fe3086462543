"""Checks shared by all parts of the package, and helpers for their messages: similar names, counted nouns."""

from __future__ import annotations

import difflib
import math
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sized
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from gnnrec.errors import ConfigError, DataError


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 80

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # more digits than Python formats
            return f"a whole number of {x.bit_length():,} bits"


_repr = _Repr()


def shown(value: Any) -> str:
    """Return the representation of any value for a message: one line, not long.

    Examples
    --------
    >>> shown("Heat"), shown([[1, 2], "a"]), shown(10**5000), len(shown("x" * 5000))
    ("'Heat'", "[[1, 2], 'a']", 'a whole number of 16,610 bits', 80)
    """
    try:
        return " ".join(_repr.repr(value).split())
    except Exception:  # repr failed
        return f"a value of type {type(value).__name__}"


def plain(value: Any) -> Any:
    """Unwrap the number or string in an array or tensor without dimensions; any other value is unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.int64(3)), plain(np.array(3.5)), plain("3"), plain([3])
    (3, 3.5, '3', [3])
    """
    if type(value) in (int, float, str) or getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    if type(value).__name__ == "MaskedConstant":  # of numpy.ma: there is no value
        return None
    try:
        found = value.item()
        is_float = isinstance(found, Real) and type(found).__name__ == "longdouble"  # `item` does not convert these
        return float(found) if is_float else found
    except (RuntimeError, ValueError, TypeError):  # a tensor on the device "meta"
        return value


NO_USER = "is not the id of a user; ids are whole numbers or text"
NO_MOVIE = "is neither an id nor a title"


def plain_ids(values: Iterable[Any], what: str, problem: str) -> list[Any]:
    """Return ids or titles as whole numbers and strings; raise `DataError` for anything else.

    Examples
    --------
    >>> import numpy as np
    >>> plain_ids([1, "ann", np.int64(3), np.array(4), 5.0], "user", NO_USER)
    [1, 'ann', 3, 4, 5]
    >>> plain_ids([1, True], "movie", NO_MOVIE)
    Traceback (most recent call last):
        ...
    gnnrec.errors.DataError: movie True is neither an id nor a title
    """
    found = entries(values, f"{what}s")
    for place, value in enumerate(found):
        if type(value) is not int and type(value) is not str:
            found[place] = plain_id(value, what, problem)
    return found


def plain_id(value: Any, what: str, problem: str) -> Any:
    """Return one id, as `plain_ids` does."""
    value = plain(value)
    if isinstance(value, str):
        return str(value)
    try:
        is_whole = not isinstance(value, bool) and isinstance(value, Real | Decimal) and value == int(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError, ArithmeticError):  # NaN and infinity
        is_whole = False
    if not is_whole:
        raise DataError(f"{what} {shown(value)} {problem}")
    return int(value)


MAX_ENTRIES = 50_000_000
"""Maximum number of ids in one call."""


def entries(values: Iterable[Any], what: str) -> list[Any]:
    """Return the entries of a collection; raise `ConfigError` for a huge one, such as ``range(10**9)``."""
    if isinstance(values, Sized) and len(values) > MAX_ENTRIES:
        raise ConfigError(f"{len(values):,} {what} are too many at once; give at most {MAX_ENTRIES:,}")
    return list(values)


def check_text(**values: Any) -> None:
    """Raise a `DataError` for a value that is not a string, or has a lone surrogate, which cannot be encoded.

    Examples
    --------
    >>> check_text(title="Heat")
    >>> check_text(title=5)
    Traceback (most recent call last):
        ...
    gnnrec.errors.DataError: title must be a string, not 5
    """
    for name, value in values.items():
        try:
            is_text = isinstance(value, str) and value.encode() is not None
        except UnicodeEncodeError:
            raise DataError(f"{name} {shown(value)} has half of a surrogate pair, which no file can hold") from None
        if not is_text:
            raise DataError(f"{name} must be a string, not {shown(value)}")


def as_path(value: Any, what: str) -> Path:
    """Return a path with ``~`` expanded; raise `ConfigError` for anything but a string or a path.

    Examples
    --------
    >>> as_path([1], "the folder of the run")
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: the folder of the run must be a path, not [1]
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise ConfigError(f"{what} must be a path, not {shown(value)}")
    try:
        sizes = [len(part) for part in os.fsencode(text).split(b"/")]
        if "\0" in text or len(text) > MAX_PATH or max(sizes) > MAX_NAME:
            raise ConfigError(f"{what} {shown(text)} is not a path: File name too long or with a zero byte")
        return Path(text).expanduser()
    except (UnicodeEncodeError, RuntimeError) as error:  # a lone surrogate, or a user without a home folder
        raise ConfigError(f"{what} {shown(text)} is not a path: {error}") from None


MAX_PATH, MAX_NAME = 4096, 255
"""Maximum number of characters of a path, and of bytes of a name in it."""


def is_listing(value: Any) -> bool:
    """Return whether a value is a collection, such as a list or a mapping, but not a string.

    Examples
    --------
    >>> is_listing([1]), is_listing({1: 5}), is_listing("Heat"), is_listing(1)
    (True, True, False, False)
    """
    return (
        isinstance(value, Iterable)
        and not isinstance(value, (str, bytes, bytearray))
        and getattr(value, "ndim", None) != 0  # arrays and tensors without dimensions are numbers
    )


def as_list(values: Any, what: str, of: str) -> list[Any]:
    """Return the values of a collection; raise `ConfigError` for a string, a mapping, or a single value.

    Examples
    --------
    >>> as_list(range(2), "ks", "numbers"), as_list((), "ks", "numbers")
    ([0, 1], [])
    >>> as_list(5, "ks", "numbers")
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: ks must be a list of numbers, not 5
    """
    if isinstance(values, Mapping) or not is_listing(values):
        raise ConfigError(f"{what} must be a list of {of}, not {shown(values)}")
    return entries(values, of)


def check_flag(**values: Any) -> None:
    """Raise a `ConfigError` unless every value is true or false.

    Examples
    --------
    >>> check_flag(exclude_seen=True)
    >>> check_flag(exclude_seen="no")
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: exclude_seen must be True or False, not 'no'
    """
    for name, value in values.items():
        if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # NumPy's
            raise ConfigError(f"{name} must be True or False, not {shown(value)}")


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the most similar option, or an empty string.

    Examples
    --------
    >>> did_you_mean("lightgnc", ["lightgcn", "graphsage"])
    "; did you mean 'lightgcn'?"
    >>> did_you_mean("zzz", ["lightgcn"])
    ''
    """
    close = difflib.get_close_matches(str(name)[:LONGEST_NAME], [str(option) for option in options], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


LONGEST_NAME = 200
"""Maximum length of a name for which similar names are suggested."""


def choose_from(name: str, options: Iterable[str], advice: str = "choose one of") -> str:
    """Return the end of an error message about an unknown name: the most similar option, if any, and all options.

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


_NO_NUMBERS = ("bool", "bool_", "timedelta64")
"""Types that Python or NumPy treat as integers, but that are mistakes where a number is expected."""


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
        is_number = isinstance(value, Integral) and type(value).__name__ not in _NO_NUMBERS
        if not is_number or value < minimum:
            raise ConfigError(f"{name} must be an integer of at least {minimum}, not {shown(value)}")


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
        try:
            ok = isinstance(value, Real) and type(value).__name__ not in _NO_NUMBERS and math.isfinite(value)
        except OverflowError:  # an integer too large for a float
            ok = False
        if not ok or value < minimum or (exclusive and value == minimum):
            raise ConfigError(f"{name} must be {bound}, not {shown(value)}")


def first_bad_row(bad: Any) -> int | None:
    """Return the first row where a boolean array or series is true, or None; missing values count as false.

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
