"""Numbers and names as short text, for labels and sentences."""

from __future__ import annotations

from typing import Any


def shorten(text: Any, longest: int = 26) -> str:
    r"""Return text on one line, truncated to a maximum length.

    >>> shorten("Drama"), shorten("A label that is longer\nthan a picture is wide")
    ('Drama', 'A label that is longer th…')
    """
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def one_line(text: Any) -> str:
    """Return text without line breaks and repeated spaces."""
    return " ".join(str(text).split())


def percent(share: float) -> str:
    """Return a share as a percentage; only exact values are shown as 0% and 100%.

    >>> [percent(share) for share in (0, 0.00001, 0.00012, 0.0447, 0.426, 0.997, 1)]
    ['0%', '<0.01%', '0.01%', '4.5%', '43%', '>99%', '100%']
    """
    number = 100 * share
    if 0 < number < 0.005:
        return "<0.01%"
    if 99.5 <= number < 100:
        return ">99%"
    digits = 0 if number == 0 or number >= 9.95 else 1 if number >= 0.95 else 2
    return f"{number:.{digits}f}%"


def compact(value: float) -> str:
    """Return a large number in thousands, millions or billions.

    >>> [compact(value) for value in (15, 1023, 4096, 20000, 1500000)]
    ['15', '1023', '4096', '20k', '1.5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= max(size, 10_000):
            digits = 1 if value < 10 * size else 0
            return f"{value / size:.{digits}f}".removesuffix(".0") + letter
    return f"{value:.0f}"
