"""Ratings written in words or symbols: likes, fractions such as 4/5, percentages, stars."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

MAX_KINDS = 2000
"""Columns with more distinct values than this are not considered."""

_LIKES = frozenset({
    "like", "liked", "likes", "love", "loved", "up", "thumbs up", "thumb up", "thumbsup", "thumbs_up", "upvote", "yes",
    "y", "true", "t", "positive", "pos", "recommended", "recommend", "good", "fresh", "+", "👍", "❤", "❤️", "♥",
})  # fmt: skip
_DISLIKES = frozenset({
    "dislike", "disliked", "dislikes", "hate", "hated", "down", "thumbs down", "thumb down", "thumbsdown",
    "thumbs_down", "downvote", "no", "n", "false", "f", "negative", "neg", "not recommended", "not_recommended", "bad",
    "rotten", "-", "👎",
})  # fmt: skip
_NUMBER = r"([+-]?\d+(?:[.,]\d+)?)"
_SHARE = re.compile(rf"{_NUMBER}\s*(?:/|out of|of)\s*(\d+(?:\.0+)?)", re.IGNORECASE)
_PERCENT = re.compile(rf"{_NUMBER}\s*%")
_STARS = re.compile(rf"{_NUMBER}\s*(?:stars?|★|☆|\*)", re.IGNORECASE)
_SIGNS = re.compile(r"([★⭐*]\ufe0f?){0,10}(½?)☆*")


def read_rating_texts(values: pd.Series) -> tuple[pd.Series, str] | None:
    """Return ratings in words or signs as numbers and how they were read; None for any other column.

    Parameters
    ----------
    values : pandas.Series of str
        Missing and empty values become NaN. All others must be written in the same way.

    Examples
    --------
    >>> numbers, how = read_rating_texts(pd.Series(["like", "Dislike", "like"]))
    >>> numbers.tolist(), how
    ([1.0, 0.0, 1.0], "'like' is 1, 'Dislike' is 0")
    >>> read_rating_texts(pd.Series(["4/5", "3.5/5"]))[0].tolist()
    [4.0, 3.5]
    >>> read_rating_texts(pd.Series(["★★★½", "★"]))[0].tolist(), read_rating_texts(pd.Series(["4/5", "3/10"]))
    ([3.5, 1.0], None)
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        return None
    distinct = values.dropna().unique().tolist()
    texts = [text for text in distinct if isinstance(text, str) and text.strip()]
    if not texts or len(distinct) > MAX_KINDS or any(not isinstance(text, str) for text in distinct):
        return None
    for read in (_words, _shares, _percentages, _stars):
        if (found := read([text.strip() for text in texts])) is not None:
            numbers, how = found
            table = dict(zip(texts, numbers, strict=True))
            read_values = [table.get(text, np.nan) if isinstance(text, str) else np.nan for text in values.tolist()]
            return pd.Series(read_values, index=values.index, name=values.name, dtype="float64"), how
    return None


def _words(texts: list[str]) -> tuple[list[float], str] | None:
    plain = [text.lower() for text in texts]
    if not set(plain) <= _LIKES | _DISLIKES:
        return None
    numbers = [float(text in _LIKES) for text in plain]
    named = (
        (one, next((text for text, n in zip(texts, numbers, strict=True) if n == one), None)) for one in (1.0, 0.0)
    )
    return numbers, ", ".join(f"{text!r} is {one:g}" for one, text in named if text is not None)


def _shares(texts: list[str]) -> tuple[list[float], str] | None:
    found = _match_all(texts, _SHARE)
    if found is None or len({float(match[2]) for match in found}) > 1:
        return None
    return [_number(match[1]) for match in found], f"{texts[0]!r} is {_number(found[0][1]):g} of {float(found[0][2]):g}"


def _percentages(texts: list[str]) -> tuple[list[float], str] | None:
    found = _match_all(texts, _PERCENT)
    return (
        None if found is None else ([_number(match[1]) for match in found], f"{texts[0]!r} is {_number(found[0][1]):g}")
    )


def _stars(texts: list[str]) -> tuple[list[float], str] | None:
    if (found := _match_all(texts, _STARS)) is not None:
        numbers = [_number(match[1]) for match in found]
    elif (signs := _match_all(texts, _SIGNS)) is not None:
        numbers = [sum(map(match[0].count, "★⭐*")) + 0.5 * len(match[2]) for match in signs]
    else:
        return None
    return numbers, f"{texts[0]!r} is {numbers[0]:g}"


def _match_all(texts: list[str], pattern: re.Pattern[str]) -> list[re.Match[str]] | None:
    match: Callable[[str], re.Match[str] | None] = pattern.fullmatch
    found = [one for text in texts if (one := match(text)) is not None]
    return found if len(found) == len(texts) else None


def _number(text: str) -> float:
    return float(text.replace(",", "."))
