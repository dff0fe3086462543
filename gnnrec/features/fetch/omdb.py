"""Plots and posters of the Open Movie Database, https://www.omdbapi.com, whose free keys allow 1,000 requests a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gnnrec.features.fetch.http import Client
from gnnrec.features.fetch.manners import ExhaustedError, Manners, RefusedError, UnreachableError
from gnnrec.features.fetch.match import Candidate, Wanted, best
from gnnrec.features.fetch.sources import MAX_NAMES, Found, names, read_key, text, year
from gnnrec.features.fetch.tmdb import poster_bytes

API_URL = "https://www.omdbapi.com/"
VARIABLE = "OMDB_API_KEY"
KEY_PAGE = "https://www.omdbapi.com/apikey.aspx"


@dataclass(frozen=True, eq=False)
class Omdb:
    """The Open Movie Database.

    Parameters
    ----------
    client : Client
        Talks to it; `from_environment` makes one.
    api_url : str
        Where it is.

    Examples
    --------
    >>> omdb = Omdb.from_environment()  # doctest: +SKIP
    >>> omdb.find(Wanted(1, "Heat (1995)", ("Heat",), 1995)).key  # doctest: +SKIP
    'tt0113277'
    """

    client: Client
    api_url: str = API_URL
    name: str = "omdb"

    @classmethod
    def from_environment(cls, api_url: str = API_URL, manners: Manners | None = None) -> Omdb:
        """Use the key in ``$OMDB_API_KEY``.

        Parameters
        ----------
        api_url : str
            Another address, as of a mirror.
        manners : Manners, optional
            Pace and patience.

        Raises
        ------
        ConfigError
            There is no key, or the address is none.
        """
        key = read_key(VARIABLE, "OMDb", KEY_PAGE)
        return cls(Client((api_url,), secret=key, params={"apikey": key}, manners=manners or Manners()), api_url)

    def find(self, wanted: Wanted) -> Found | str:
        """Return a movie by its IMDb id, else by title and year; or why there is none."""
        if wanted.imdb_id is not None and (movie := self._ask(i=wanted.imdb_id)):
            return _found(movie, "imdb id")
        seen: dict[str, Candidate] = {}
        why: Any = "nothing found"
        for name in wanted.names[:MAX_NAMES]:
            for only in dict.fromkeys([wanted.year, None]):  # of the year, then of any: it may be one off
                movie = self._ask(t=name, type="movie", **({"y": only} if only else {}))
                if movie is None:
                    continue
                seen[_candidate(movie).key] = _candidate(movie)
                why = best(wanted, list(seen.values()))
                if not isinstance(why, str):
                    return _found(why[0].answer, "title", why[1])
        return str(why)

    def poster(self, url: str) -> bytes:
        """Return the bytes of a poster."""
        return poster_bytes(self.client, url)

    def _ask(self, **terms: Any) -> dict[str, Any] | None:
        """Return an answer, None where OMDb knows no such movie."""
        status, answer = self.client.json(self.api_url, {**terms, "plot": "full", "r": "json"})
        if status == 200 and answer.get("Response") == "True":
            return answer
        problem = text(answer.get("Error")) or "without a reason"
        says = f"OMDb answers {status}: {problem}"
        if "limit reached" in problem.lower():  # which comes with status 401, as a wrong key does
            raise ExhaustedError(f"{says} Its requests for today are used up")
        if status in (401, 403):
            raise RefusedError(f"{says} Check {VARIABLE}, see {KEY_PAGE}")
        if status == 404 or "not found" in problem.lower() or "incorrect imdb id" in problem.lower():
            return None
        raise UnreachableError(says)


def _candidate(movie: dict[str, Any]) -> Candidate:
    votes = (text(movie.get("imdbVotes")) or "").replace(",", "")
    return Candidate(
        text(movie.get("imdbID")) or "",
        names(movie.get("Title")),
        year(movie.get("Year")),
        int(votes) if votes.isdecimal() else 0,
        movie,
    )


def _found(movie: dict[str, Any], how: str, score: float = 1.0) -> Found:
    candidate = _candidate(movie)
    title = candidate.names[0] if candidate.names else ""
    plot, poster = text(movie.get("Plot")), text(movie.get("Poster"))
    return Found(candidate.key, title, candidate.year, how, score, plot, poster)
