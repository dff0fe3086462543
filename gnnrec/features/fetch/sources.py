"""What every service is asked for, and what its key and its answers have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from gnnrec.errors import ConfigError
from gnnrec.features.fetch.match import Wanted

MAX_NAMES = 3
"""Names of a movie that are searched for; each costs requests."""
_YEAR = re.compile(r"\s*(\d{4})")


@dataclass(frozen=True)
class Found:
    """A movie that a service knows.

    Parameters
    ----------
    key : str
        Its id there.
    title : str
        Its title there.
    year : int or None
        Of release.
    how : str
        By what it was found: "tmdb id", "imdb id" or "title".
    score : float
        How well the title fits; 1 for ids.
    plot : str or None
        What happens in it.
    poster_url : str or None
        Where its poster lies.
    """

    key: str
    title: str
    year: int | None
    how: str
    score: float
    plot: str | None
    poster_url: str | None


class Source(Protocol):
    """A service that knows movies."""

    @property
    def name(self) -> str:
        """Return a short name for journals."""

    def find(self, wanted: Wanted) -> Found | str:
        """Return the movie, or why it is not to be had.

        Raises
        ------
        UnreachableError
            There is no answer this time.
        ExhaustedError
            There will be none for a while.
        RefusedError
            The key is not accepted.
        """

    def poster(self, url: str) -> bytes:
        """Return the bytes behind a `Found.poster_url`.

        Raises
        ------
        AbsentError
            There is nothing to be used.
        UnreachableError
            There is no answer this time.
        """


def read_key(variable: str, service: str, page: str) -> str:
    """Return a key from the environment.

    Raises
    ------
    ConfigError
        It is not there, or no key can look like that.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"{service} needs a key: get one at {page} and put it into the environment variable {variable}"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(f"the environment variable {variable} holds blanks or odd characters, which no key has")
    return key


def text(value: Any) -> str | None:
    """Return a text of an answer, or None for what is no text or says nothing."""
    if not isinstance(value, str) or value.strip() in ("", "N/A"):
        return None
    return " ".join(value.split())


def year(value: Any) -> int | None:
    """Return the year with which a text such as ``1995-10-30`` or ``1995–1999`` begins."""
    found = _YEAR.match(value) if isinstance(value, str) else None
    return int(found[1]) if found else None


def records(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of an answer."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def names(*values: Any) -> tuple[str, ...]:
    """Return the texts among values, each once."""
    found: Iterable[str | None] = map(text, values)
    return tuple(dict.fromkeys(value for value in found if value))
