"""Checks shared by all parts of the package: ranges of arguments, the first bad row, similar names."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from gnnrec.errors import ConfigError


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
    bound = f"above {minimum:g}" if exclusive else f"of at least {minimum:g}"
    for name, value in values.items():
        ok = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not ok or value < minimum or (exclusive and value == minimum):
            raise ConfigError(f"{name} must be a number {bound}, not {value!r}")
