"""Ratings as people write them: 4, 4,5, 4/5, 8 out of 10, 90%, 4 stars, ★★★★½."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_LENGTH = 40
"""Number of characters from which a text is no rating."""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)")
_SHARE = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s*(?:/|out of|of|von|sur|de)\s*(4|5|6|10|20|100)(?:[.,]0+)?", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s*%")
_WORDS = re.compile(r"(\d(?:[.,]\d+)?)\s*(?:stars?|\*|★|⭐)", re.IGNORECASE)
_STARS = re.compile(r"([★⭐*]{1,5})\s*(½|1/2)?\s*[☆✩]*")


def parse_rating(text: str) -> tuple[float, float | None] | None:
    """Return a rating and the highest possible one, None where it is not said; None for no rating at all.

    Examples
    --------
    >>> [parse_rating(text) for text in ("4,5", ".5", "4/5", "8 out of 10", "90%", "★★★½", "3 stars", "good")]
    [(4.5, None), (0.5, None), (4.0, 5.0), (8.0, 10.0), (90.0, 100.0), (3.5, 5.0), (3.0, 5.0), None]
    """
    text = text.strip().replace("\ufe0f", "")
    if len(text) > MAX_LENGTH:
        return None
    if _NUMBER.fullmatch(text):
        return _value(text), None
    if (share := _SHARE.fullmatch(text)) is not None and _value(share[1]) <= float(share[2]):
        return _value(share[1]), float(share[2])
    if (percent := _PERCENT.fullmatch(text)) is not None and _value(percent[1]) <= 100:
        return _value(percent[1]), 100.0
    if (words := _WORDS.fullmatch(text)) is not None and _value(words[1]) <= 5:
        return _value(words[1]), 5.0
    if (stars := _STARS.fullmatch(text)) is not None and len(stars[1]) + 0.5 * bool(stars[2]) <= 5:
        return len(stars[1]) + 0.5 * bool(stars[2]), 5.0
    return None


def infer_top(ratings: Iterable[float]) -> float:
    """Return the highest rating of the smallest usual scale, 5, 10 or 100, that holds all of these.

    Examples
    --------
    >>> infer_top([3, 4.5]), infer_top([7, 4]), infer_top([])
    (5.0, 10.0, 5.0)
    """
    highest = max(ratings, default=0.0)
    return next((top for top in (5.0, 10.0, 100.0) if highest <= top), highest)


def _value(text: str) -> float:
    return float(text.replace(",", "."))
