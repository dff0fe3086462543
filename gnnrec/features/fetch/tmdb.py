"""Plots and posters of The Movie Database, https://www.themoviedb.org, by version 3 of its interface.

Its terms ask those who show its data to name it, and not to keep them for more than six months.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gnnrec.features.fetch.http import Client
from gnnrec.features.fetch.manners import AbsentError, Manners, RefusedError, UnreachableError
from gnnrec.features.fetch.match import Candidate, Wanted, best
from gnnrec.features.fetch.sources import MAX_NAMES, Found, names, read_key, records, text, year
from gnnrec.features.images import MAX_BYTES

API_URL = "https://api.themoviedb.org/3"
IMAGE_URL = "https://image.tmdb.org/t/p/w342"
"""Posters 342 pixels wide, which is enough for every common encoder."""
VARIABLE = "TMDB_API_KEY"
KEY_PAGE = "https://www.themoviedb.org/settings/api"


@dataclass(frozen=True, eq=False)
class Tmdb:
    """The Movie Database.

    Parameters
    ----------
    client : Client
        Talks to it; `from_environment` makes one.
    api_url, image_url : str
        Where movies and where posters are.
    language : str
        Of the plots.

    Examples
    --------
    >>> tmdb = Tmdb.from_environment()  # doctest: +SKIP
    >>> tmdb.find(Wanted(1, "Heat (1995)", ("Heat",), 1995)).key  # doctest: +SKIP
    '949'
    """

    client: Client
    api_url: str = API_URL
    image_url: str = IMAGE_URL
    language: str = "en-US"
    name: str = "tmdb"

    @classmethod
    def from_environment(
        cls,
        api_url: str = API_URL,
        image_url: str = IMAGE_URL,
        language: str = "en-US",
        manners: Manners | None = None,
    ) -> Tmdb:
        """Use the key in ``$TMDB_API_KEY``: an API key, or an API read access token.

        Parameters
        ----------
        api_url, image_url : str
            Other addresses, as of a mirror.
        language : str
            Of the plots.
        manners : Manners, optional
            Pace and patience.

        Raises
        ------
        ConfigError
            There is no key, or an address is none.
        """
        key = read_key(VARIABLE, "TMDB", KEY_PAGE)
        # Keys are 32 hexadecimal digits and can only be sent in the query; tokens are long and go into a header.
        short = re.fullmatch(r"[0-9a-fA-F]{32}", key) is not None
        client = Client(
            (api_url, image_url),
            secret=key,
            params={"api_key": key} if short else {},
            headers={} if short else {"Authorization": f"Bearer {key}"},
            manners=manners or Manners(),
        )
        return cls(client, api_url.rstrip("/"), image_url.rstrip("/"), language)

    def find(self, wanted: Wanted) -> Found | str:
        """Return a movie by its TMDB id, else by its IMDb id, else by title and year; or why there is none."""
        if wanted.tmdb_id is not None and (movie := self._ask(f"movie/{wanted.tmdb_id}")) and _key(movie):
            return self._found(movie, "tmdb id")
        if wanted.imdb_id is not None:
            answer = self._ask(f"find/{wanted.imdb_id}", external_source="imdb_id") or {}
            if movies := [movie for movie in records(answer.get("movie_results")) if _key(movie)]:
                return self._found(movies[0], "imdb id")
        seen: dict[str, Candidate] = {}
        why: Any = "nothing found"
        for name in wanted.names[:MAX_NAMES]:
            for only in dict.fromkeys([wanted.year, None]):  # of the year, then of any: it may be one off
                terms = {"query": name, "include_adult": "false"} | ({"year": only} if only else {})
                answer = self._ask("search/movie", **terms) or {}
                seen |= {c.key: c for c in map(_candidate, records(answer.get("results"))) if c.key}
                why = best(wanted, list(seen.values()))
                if not isinstance(why, str):
                    return self._found(why[0].answer, "title", why[1])
        return str(why)

    def poster(self, url: str) -> bytes:
        """Return the bytes of a poster."""
        return poster_bytes(self.client, url)

    def _ask(self, path: str, **terms: Any) -> dict[str, Any] | None:
        """Return an answer, None where TMDB knows no such thing."""
        status, answer = self.client.json(f"{self.api_url}/{path}", {"language": self.language, **terms})
        if status == 200:
            return answer
        if status == 404:
            return None
        says = f"TMDB answers {status}: {text(answer.get('status_message')) or 'without a reason'}"
        if status in (401, 403):
            raise RefusedError(f"{says}; check {VARIABLE}, see {KEY_PAGE}")
        raise UnreachableError(f"{says} (to {path})")

    def _found(self, movie: dict[str, Any], how: str, score: float = 1.0) -> Found:
        candidate = _candidate(movie)
        path = text(movie.get("poster_path"))
        # A path that climbs or holds a query is none of a poster.
        poster = f"{self.image_url}{path}" if path and re.fullmatch(r"/[\w-]+\.\w+", path, re.ASCII) else None
        title = candidate.names[0] if candidate.names else ""
        plot = text(movie.get("overview"))
        return Found(candidate.key, title, candidate.year, how, score, plot, poster)


def poster_bytes(client: Client, url: str) -> bytes:
    """Fetch what should be a poster.

    Raises
    ------
    AbsentError
        It is not there, too large, or said to be something else than a picture.
    UnreachableError
        There is no answer this time.
    """
    answer = client.get(url, MAX_BYTES)
    shown = client.hidden(url.partition("?")[0])
    if answer.status != 200:
        raise AbsentError(f"{shown} answers {answer.status}")
    kind = answer.headers.get("content-type", "image/jpeg").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise AbsentError(f"{shown} is {kind}, no picture")
    return answer.body


def _key(movie: dict[str, Any]) -> str:
    key = movie.get("id")
    return str(key) if isinstance(key, int) and not isinstance(key, bool) else ""


def _candidate(movie: dict[str, Any]) -> Candidate:
    votes = movie.get("vote_count")
    return Candidate(
        _key(movie),
        names(movie.get("title"), movie.get("original_title")),
        year(movie.get("release_date")),
        votes if isinstance(votes, int) else 0,
        movie,
    )
