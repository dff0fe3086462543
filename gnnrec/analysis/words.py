"""Numbers and names as text."""

from __future__ import annotations

from typing import Any

MOST_ROWS = 20
"""Of a picture with a row for each genre or occupation; the table has all."""
LONGEST = 26
"""Letters of a label in a picture; what goes beyond is left out."""


def short(text: Any, longest: int = LONGEST) -> str:
    r"""Return a label on one line and not too long.

    >>> short("Drama"), short("A label that is longer\nthan a picture is wide")
    ('Drama', 'A label that is longer th…')
    """
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def one_line(text: Any) -> str:
    """Return a text without line breaks."""
    return " ".join(str(text).split())


def percent(share: float) -> str:
    """Return a share as text; nothing is rounded to all or to nothing.

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
    """Return a large number in thousands or millions.

    >>> [compact(value) for value in (15, 1023, 4096, 20000, 1500000)]
    ['15', '1023', '4096', '20k', '1.5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= max(size, 10_000):
            digits = 1 if value < 10 * size else 0
            return f"{value / size:.{digits}f}".removesuffix(".0") + letter
    return f"{value:.0f}"
