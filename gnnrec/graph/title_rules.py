"""Rules of `gnnrec.graph.titles`: which parts of a title identify a movie, and which words are nearly the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz.distance import OSA

from gnnrec.data.titles import (
    MAX_YEAR_GAP,
    STOP_WORDS,
    content_words,
    is_number,
    is_second_title,
    numbers_in,
    segments,
    title_words,
    without_possessive,
    without_series_number,
)

NEVER, IF_TYPED, ALWAYS = range(3)
"""When a part of a title identifies the movie without a year: never, if a person typed it, or always."""

_SECOND_HALF = re.compile(r"\s+(?:and|&)\s+(?=the\s)", re.IGNORECASE)  # "Indiana Jones and the Last Crusade"
_INITIALS = re.compile(r"((?:[A-Z]\.){2,})\s+the\b", re.IGNORECASE)  # "E.T. the Extra-Terrestrial"


def title_key(words: Sequence[str]) -> str:
    """Join words, so that "Spider-Man" equals "Spiderman"; numbers stay separate."""
    parts: list[str] = []
    for word in words:
        if parts and word[:1].isdecimal() and parts[-1][-1:].isdecimal():
            parts.append(" ")
        parts.append(word)
    return "".join(parts)


class TitlePart(NamedTuple):
    """A part of a title that people may use instead of the whole, such as "The Empire Strikes Back"."""

    text: str
    max_year_gap: int
    """Maximum difference between the requested year and that of the movie."""
    without_year: int
    """`NEVER`, `IF_TYPED` or `ALWAYS`: whether the part suffices without a year."""
    is_title: bool
    """Whether it is a complete title, which other movies may have as well."""


def title_parts(name: str) -> list[TitlePart]:
    """Return the parts of a title that may be used instead of it."""
    found: list[TitlePart] = []
    pieces = segments(name)
    for cut in range(1, len(pieces)):
        front, back = ": ".join(pieces[:cut]), ": ".join(pieces[cut:])
        if all(is_number(piece) for piece in pieces[cut:]):  # "The Godfather" is not "The Godfather: Part II"
            continue
        words, rest = title_words(front), title_words(back)
        if is_second_title(name, front) or (len(words) > 1 and words[-1].isdecimal() and not numbers_in(rest)):
            found.append(TitlePart(front, MAX_YEAR_GAP, ALWAYS, True))  # "Dr. Strangelove", "Terminator 2"
        else:  # a year later it may be a sequel
            is_distinct = len(content_words(words)) >= 2 and not numbers_in(rest)
            found.append(TitlePart(front, 0, IF_TYPED if is_distinct else NEVER, False))
        if len(content_words(rest)) >= 2 and not is_number(pieces[cut]):
            found.append(TitlePart(back, MAX_YEAR_GAP, ALWAYS if is_number(pieces[cut - 1]) else IF_TYPED, False))
        else:
            found.append(TitlePart(back, 0, NEVER, False))
    if (owned := without_possessive(name)) != name:
        is_author = title_words(name)[0] not in STOP_WORDS  # not "On Her Majesty's Secret Service"
        found.append(TitlePart(owned, 0, _if_distinct(owned) if is_author else NEVER, True))
    if (half := _SECOND_HALF.search(name)) is not None and len(pieces) == 1:
        back = name[half.end() :]
        if _if_distinct(back) != NEVER:  # not "The Snowman" for "The Falcon and the Snowman"
            found.append(TitlePart(back, 0, IF_TYPED, False))
    if (initials := _INITIALS.match(name)) is not None:
        found.append(TitlePart(initials[1], MAX_YEAR_GAP, IF_TYPED, True))
    if (reduced := without_series_number(name)) is not None:
        found.append(TitlePart(reduced, 0, NEVER, False))
    return [
        part for part in found if any(not _is_series_number(word) for word in content_words(title_words(part.text)))
    ]


def _if_distinct(part: str) -> int:
    """Return whether a typed part suffices without a year: if at least two of its words distinguish movies."""
    words = title_words(part)
    return IF_TYPED if len(content_words(words)) >= 2 and not numbers_in(words) else NEVER


def other_name_of(alias: str, name: str) -> str | None:
    """Return the prefix that an alias adds to the title of the movie, None if it has no such form.

    >>> other_name_of("Léon: The Professional", "The Professional"), other_name_of("Sydney", "Hard Eight")
    ('Léon', None)
    """
    pieces = segments(alias)
    is_both = len(pieces) > 1 and title_words(": ".join(pieces[1:])) == title_words(name)
    return pieces[0] if is_both else None


def series_names(name: str) -> set[str]:
    """Return the beginnings of a title that other movies may share."""
    pieces = segments(name)
    fronts = {": ".join(pieces[:cut]) for cut in range(1, len(pieces))}
    return {front for front in fronts if not is_second_title(name, front) and _is_series(title_words(front))}


def _is_series(words: tuple[str, ...]) -> bool:
    """Return whether a title may name a series, unlike "Interview with the Vampire", "Meatballs III" or "2010"."""
    return 0 < len(words) < 3 and not (words[-1].isdecimal() and (len(words) > 1 or not _is_series_number(words[0])))


def _is_series_number(word: str) -> bool:
    """Return whether a word may be the number of a part of a series."""
    return word.isdecimal() and len(word) < 3


def title_distance(one: tuple[str, ...], other: tuple[str, ...], gap: int | None) -> int | None:
    """Return the distance of two titles of the same movie, None if they are of different movies.

    Parameters
    ----------
    one, other : tuple of str
        Words of the titles.
    gap : int or None
        Difference of the years, if both are known.
    """
    if numbers_in(one) != numbers_in(other) and not (gap == 0 and _first_part(one) == _first_part(other)):
        return None
    mine, theirs = Counter(content_words(one)), Counter(content_words(other))
    left, right = mine - theirs, theirs - mine
    left_words = [word for word in one if left[word] and not word.isdecimal()]
    right_words = [word for word in other if right[word] and not word.isdecimal()]
    common = sum((mine & theirs).values())
    if not left_words and not right_words:  # different order or different function words
        return 1 if common >= (2 if gap is not None else 3) else None
    if gap in (0, None) and not (left_words and right_words):  # "Indiana Jones and the Raiders of the Lost Ark"
        short, long = (one, other) if len(one) < len(other) else (other, one)
        if len(content_words(short)) >= 3 and long[-len(short) - 1 :] == ("and", *short):
            return 5
    if gap is None and Counter(one) - mine != Counter(other) - theirs:
        return None
    if len(left_words) == len(right_words) and len(left_words) <= 2:
        pairs = list(zip(left_words, right_words, strict=True))
        # Without a year, "Alien" is not "Aliens", but "Silence of the Lamb" is "The Silence of the Lambs".
        if all(_is_typo(a, b, common, gap) or (gap in (0, None) and common and _is_inflected(a, b)) for a, b in pairs):
            return 1 + sum(OSA.distance(a, b) for a, b in pairs)
        return None
    return None


def _first_part(words: tuple[str, ...]) -> list[str]:
    """Return the numbers without a 1, because the first part of a series is often not numbered."""
    return [number for number in numbers_in(words) if number != "1"]


def _is_typo(one: str, other: str, common: int, gap: int | None) -> bool:
    """Return whether two words probably differ by a typo, given the number of `common` words of the titles."""
    length = min(len(one), len(other))
    shortest = 3 if common > 1 else 5 if common == 1 or _is_slip(one, other) else 8
    if length < shortest or one[0] != other[0] or _is_inflected(one, other):
        return False
    # "Jurrasic Park", "Jurassic Park"
    two = (length >= 9 and gap is not None) or (length >= 7 and common > 0 and _is_slip(one, other))
    return OSA.distance(one, other) <= (2 if two else 1)


def _is_slip(one: str, other: str) -> bool:
    """Return whether two words differ by two swapped letters or a doubled letter only."""
    if sorted(one) == sorted(other):
        return True
    single = re.sub(r"(.)\1", r"\1", one)
    return one != other and single == re.sub(r"(.)\1", r"\1", other)


def _is_inflected(one: str, other: str) -> bool:
    """Return whether two words differ in their ending only: "thief" and "thieves", "live" and "living"."""
    return one != other and _stem(one) == _stem(other)


def _stem(word: str) -> str:
    for ending in ("s", "e", "ing", "ed"):
        word = word.removesuffix(ending) if len(word) > len(ending) + 2 else word
    return f"{word[:-1]}f" if word.endswith("v") else word
