"""Whether a movie that a service knows is the one that is asked for, by title and year.

To take the wrong movie is worse than to take none: a near miss is no match, and two that fit alike are none either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

ACCEPTED = 0.9
"""Scores from here on are a match."""
YEARS_APART = 1
"""A festival and the cinemas are often in different years."""
MORE_VOTES = 10
"""Times as many people must have voted on one of two that fit alike, to tell the movie from its namesake."""

_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\)\s*)?$")  # "(1995)", "(2006–2007)", "(1995) (V)"
_BRACKETS = re.compile(r"\(([^()]*)\)")
_KNOWN_AS = re.compile(r"^a\.?\s?k\.?\s?a\.?:?\s+", re.IGNORECASE)
_AND_AS = re.compile(r",\s*(?=a\.?\s?k\.?\s?a\b)", re.IGNORECASE)
_MOVED = re.compile(
    r"^(.+), (the|an?|l[ae]s?|l'|une?|der|die|das|eine?|el|los|il|lo|gli|i|os?|as|uma?|de[nt]?|het|een|ett)(?=$|:| -)",
    re.IGNORECASE,
)
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "x": "10"}


@dataclass(frozen=True)
class Wanted:
    """A movie to look for.

    Parameters
    ----------
    movie_id : int or str
        The caller's own.
    title : str
        As in the dataset, ``"Matrix, The (1999)"``.
    names : tuple of str
        What it may be called, the likeliest first.
    year : int, optional
        Of release.
    imdb_id : str, optional
        ``tt0133093``.
    tmdb_id : int, optional
        Of TMDB.
    """

    movie_id: Any
    title: str
    names: tuple[str, ...]
    year: int | None = None
    imdb_id: str | None = None
    tmdb_id: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A movie as a service knows it.

    Parameters
    ----------
    key : str
        The service's id.
    names : tuple of str
        Its title, and perhaps the one in its own language.
    year : int, optional
        Of release.
    votes : int
        How many people have judged it there.
    answer : dict
        All that the service says.
    """

    key: str
    names: tuple[str, ...]
    year: int | None = None
    votes: int = 0
    answer: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


def parse_title(title: str) -> tuple[tuple[str, ...], int | None]:
    """Read a title as MovieLens writes it.

    Parameters
    ----------
    title : str
        Perhaps with the article at the end, other names in brackets, and a year.

    Returns
    -------
    names : tuple of str
        What the movie may be called, in reading order, each once.
    year : int or None
        From the brackets at the end.

    Examples
    --------
    >>> parse_title("Matrix, The (1999)")
    (('The Matrix',), 1999)
    >>> parse_title("Seven (a.k.a. Se7en) (1995)")
    (('Seven', 'Se7en'), 1995)
    >>> parse_title("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    (('The City of Lost Children', 'La Cité des enfants perdus'), 1995)
    """
    found = _YEAR.search(title)
    bare = title[: found.start()] if found else title
    others = [_KNOWN_AS.sub("", other.strip()) for group in _BRACKETS.findall(bare) for other in _AND_AS.split(group)]
    main = " ".join(_BRACKETS.sub(" ", bare).split())
    names = [_article_first(name) for name in (main, *others) if name.strip()]
    # "(500) Days of Summer": the brackets may be part of the name.
    whole = [_article_first(" ".join(bare.split()))] if bare.lstrip().startswith("(") else []
    return tuple(dict.fromkeys([*whole, *names] or [title.strip()])), int(found[1]) if found else None


def _article_first(name: str) -> str:
    """Turn "Matrix, The" into "The Matrix", and "Avventura, L'" into "L'Avventura"."""
    name = name.strip()
    moved = _MOVED.match(name)
    if moved is None:
        return name
    space = "" if moved[2].endswith("'") else " "
    return f"{moved[2]}{space}{moved[1]}{name[moved.end() :]}"


def score(wanted: Wanted, candidate: Candidate) -> float:
    """Return how well a candidate fits.

    The likeness of the two most alike names (`difflib.SequenceMatcher` after case, accents, punctuation and English
    articles in front are dropped), times 0.95 if the years are one apart and 0.9 if one of them is not known.

    Parameters
    ----------
    wanted : Wanted
        What is looked for.
    candidate : Candidate
        What was found.

    Returns
    -------
    float
        From 0 to 1; 0 if the years are further apart, or the numbers in the names differ (a sequel).

    Examples
    --------
    >>> wanted = Wanted(1, "Toy Story (1995)", ("Toy Story",), 1995)
    >>> score(wanted, Candidate("862", ("Toy Story",), 1995))
    1.0
    >>> score(wanted, Candidate("863", ("Toy Story 2",), 1995))
    0.0
    """
    apart = None if wanted.year is None or candidate.year is None else abs(wanted.year - candidate.year)
    if apart is not None and apart > YEARS_APART:
        return 0.0
    years = 0.9 if apart is None else 0.95 if apart else 1.0
    return years * max((_likeness(one, other) for one in wanted.names for other in candidate.names), default=0.0)


def best(wanted: Wanted, candidates: Sequence[Candidate]) -> tuple[Candidate, float] | str:
    """Return the candidate that is the movie and its score, or in words why there is none.

    Of several that fit alike, the one with at least `MORE_VOTES` times the votes of each other is taken.

    Parameters
    ----------
    wanted : Wanted
        What is looked for.
    candidates : sequence of Candidate
        What was found; their order does not matter.

    Examples
    --------
    >>> wanted = Wanted(1, "Heat (1995)", ("Heat",), 1995)
    >>> best(wanted, [Candidate("949", ("Heat",), 1995, votes=7000), Candidate("5", ("Heat",), 1995, votes=3)])
    (Candidate(key='949', names=('Heat',), year=1995, votes=7000), 1.0)
    >>> best(wanted, [Candidate("7", ("Cold",), 1995)])
    "nothing fits; the nearest is 'Cold' (1995)"
    """
    scores = {candidate.key: (score(wanted, candidate), candidate) for candidate in candidates}
    ranked = sorted(scores.values(), key=lambda pair: (-pair[0], -pair[1].votes, pair[1].key))
    if not ranked:
        return "nothing found"
    top, first = ranked[0]
    if top < ACCEPTED:
        name = first.names[0] if first.names else first.key
        return f"nothing fits; the nearest is {name!r} ({first.year or 'no year'})"
    rivals = [candidate for other, candidate in ranked[1:] if other == top]
    if any(first.votes < MORE_VOTES * max(rival.votes, 1) for rival in rivals):
        return f"{len(rivals) + 1} movies fit alike: {', '.join([first.key, *(rival.key for rival in rivals)])}"
    return first, top


def _likeness(one: str, other: str) -> float:
    one_words, other_words = _words(one), _words(other)
    if not one_words or not other_words or _numbers(one_words) != _numbers(other_words):
        return 0.0
    # In a fixed order: SequenceMatcher may say something else when they change places.
    first, second = sorted((" ".join(one_words), " ".join(other_words)))
    return SequenceMatcher(a=first, b=second, autojunk=False).ratio()


def _words(name: str) -> list[str]:
    """Return lower-case words without accents and punctuation; Roman numerals become numbers."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    words = re.findall(r"\w+", re.sub(r"['’`.]", "", plain.replace("&", " and ")))
    if len(words) > 1 and words[0] in ("the", "a", "an"):
        del words[0]  # catalogues do not agree about them
    return [_ROMAN.get(word, word) if place else word for place, word in enumerate(words)]


def _numbers(words: list[str]) -> list[str]:
    return sorted(word.lstrip("0") or "0" for word in words if word.isdecimal())
