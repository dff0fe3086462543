"""Lists of titles: one per line, with bullets, numbers, check boxes and ratings."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut
from gnnrec.datasets.histories.written_ratings import infer_top, parse_rating

MAX_TITLE = 500
"""Number of characters above which a line is not searched for a rating after its title."""
_NUMBER = re.compile(r"\s*(\d+)\s?[.):]\s+(?=\S)")
_BULLET = re.compile(r"\s*[-*+•–—▪·‣◦]\s+(?=\S)")
_BOX = re.compile(r"\s*(?:[-*+•]\s+)?(?:\[(?P<mark>[ xX✓✔])\]|(?P<sign>[☐☑☒✅✔✓]))\s*")
_UNTICKED = (" ", "☐")
_HEADING = re.compile(r"\s*#{1,6}\s+\S")
_SHARE = re.compile(r"[\s\-–—:,|(]+(\d{1,3}(?:[.,]\d+)?)\s*(?:/|out of)\s*(5|10|100)\)?\s*$", re.IGNORECASE)
_STARS = re.compile(r"[\s\-–—:,|(]*(★{0,5})(½?)☆*\)?\s*$")
_TRAILING = re.compile(r"(.*\w.*?)(?:\s*(?::|=|\s[-–—])\s*(\d{1,3}(?:[.,]\d+)?%?)|\s+(\d{1,3}\s?%))\s*")
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?=\s|$)")
_QUOTES = '"“”„»«'
_HEADERS = frozenset({"title", "titles", "name", "movie", "film", "movies", "films"})


class _Line(NamedTuple):
    title: str
    rating: float | None
    top: float


def read_lines(lines: list[str], label: str) -> HistoryFile:
    """Read a list of titles, without leading bullets, numbering and check boxes, and with trailing ratings parsed.

    Parameters
    ----------
    lines : list of str
    label : str
        For messages.

    Examples
    --------
    >>> found = read_lines(["My films", "1. Heat (1995) 4/5", "2. Alien ★★★★★", "3. 12 Monkeys"], "films.txt")
    >>> [(entry.title, entry.rating, entry.is_liked) for entry in found.entries]
    [('Heat (1995)', 4.0, False), ('Alien', 5.0, False), ('12 Monkeys', None, True)]
    >>> found.left_out
    [LeftOut(title='My films', reason='no number before it, as the other lines have', at='films.txt:1')]
    """
    numbers = [int(match[1]) for line in lines if (match := _NUMBER.match(line))]
    is_numbered = len(numbers) > 1 and 2 * len(numbers) > sum(bool(line.strip()) for line in lines) - 1
    steps = {after - before for before, after in pairwise(numbers)}
    is_numbered = is_numbered and steps in ({1}, {-1}) and 1 in numbers
    has_numbers = sum(map(bool, map(str.strip, lines))) > 1 and all(
        _ends_in_number(line) for line in lines if line.strip() and not _HEADING.match(line)
    )
    has_ticks = any(match["mark"] not in (None, " ") or match["sign"] not in (None, "☐") for match in _boxes(lines))
    found = HistoryFile("list of titles", is_handwritten=True)
    for place, line in enumerate(lines, 1):
        at = f"{label}:{place}"
        if not line.strip():
            continue
        if _HEADING.match(line):
            found.left_out.append(LeftOut(line.strip(), "a heading", at))
            continue
        if is_numbered:
            if (number := _NUMBER.match(line)) is None:
                found.left_out.append(LeftOut(line.strip(), "no number before it, as the other lines have", at))
                continue
            text = line[number.end() :]
        elif (box := _BOX.match(line)) is not None:
            text = line[box.end() :]
            if has_ticks and (box["mark"] or box["sign"]) in _UNTICKED:
                found.left_out.append(LeftOut(text.strip(), "not ticked", at))
                continue
        else:
            text = line[match.end() :] if (match := _BULLET.match(line)) else line
        one = _parse_trailing(text) if has_numbers else _parse_line(text)
        if not one.title or (place == 1 and one.title.lower() in _HEADERS):
            continue
        is_liked, scale = one.rating is None, (one.top / 10, one.top)
        found.entries.append(HistoryEntry(one.title, None, one.rating, scale, is_liked=is_liked, at=at))
    if any(entry.scale[1] == 0 for entry in found.entries):
        top = infer_top(entry.rating for entry in found.entries if entry.rating is not None)
        found.notes.append(f"ratings are taken to be out of {top:g}")
        found.entries = [entry if entry.scale[1] else replace(entry, scale=(top / 10, top)) for entry in found.entries]
    return found


def _boxes(lines: list[str]) -> list[re.Match[str]]:
    return [match for line in lines if (match := _BOX.match(line)) is not None]


def _ends_in_number(text: str) -> re.Match[str] | None:
    """Return the title and the number of a line, None if it has no number or is too long for a title."""
    return _TRAILING.fullmatch(text) if len(text) <= MAX_TITLE else None


def _parse_trailing(text: str) -> _Line:
    """Read a title and a number after a colon, dash or equals sign."""
    match = _ends_in_number(text)
    rating = parse_rating(match[2] or match[3]) if match else None
    if match is None or rating is None:
        return _parse_line(text)
    return _parse_line(match[1])._replace(rating=rating[0], top=rating[1] or 0.0)


def _parse_line(text: str) -> _Line:
    text = text.strip()
    rating, top = None, 5.0
    if (share := _SHARE.search(text)) is not None:
        value, highest = float(share[1].replace(",", ".")), float(share[2])
        if value <= highest and text[: share.start()].strip():
            text, rating, top = text[: share.start()], value, highest
    elif text.endswith(("★", "½", "☆", ")")) and (stars := _STARS.search(text)) is not None and stars[1]:
        text, rating = text[: stars.start()], len(stars[1]) + 0.5 * len(stars[2])
    text = _EMPHASIS.sub(r"\2", text.strip()).strip()
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        text = text.strip(_QUOTES).strip()
    return _Line(text, rating, top)
