"""Metadata providers: The Movie Database (TMDB) and the Open Movie Database (OMDb).

TMDB's terms of use require attribution and limit storage of its data to six months. OMDb's free keys allow 1,000
requests per day.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from gnnrec.errors import ConfigError
from gnnrec.features.images import MAX_BYTES
from gnnrec.metadata.client import (
    AuthenticationError,
    Client,
    NotFoundError,
    RateLimitError,
    RequestPolicy,
    ServiceUnavailableError,
)
from gnnrec.metadata.matching import MovieQuery, NoMatch, SearchResult, best_match
from gnnrec.registry import register_metadata_provider

TMDB_API_URL = "https://api.themoviedb.org/3"
TMDB_IMAGE_URL = "https://image.tmdb.org/t/p/w342"
"""Posters 342 pixels wide, enough for all common encoders."""
TMDB_KEY_VARIABLE = "TMDB_API_KEY"
TMDB_KEY_PAGE = "https://www.themoviedb.org/settings/api"
OMDB_API_URL = "https://www.omdbapi.com/"
OMDB_KEY_VARIABLE = "OMDB_API_KEY"
OMDB_KEY_PAGE = "https://www.omdbapi.com/apikey.aspx"
MAX_SEARCH_NAMES = 3
"""Maximum number of titles of a movie to search for; each costs requests."""
MAX_DIGITS = 15
"""Maximum number of digits of a vote count."""
_LEADING_YEAR = re.compile(r"\s*(\d{4})")


@dataclass(frozen=True)
class MovieMetadata:
    """Metadata of a movie from a provider.

    Parameters
    ----------
    provider_id : str
        The provider's id.
    title : str
        The provider's title.
    year : int or None
        Release year.
    matched_by : str
        How the movie was found: "tmdb id", "imdb id" or "title".
    score : float
        Match score of the title; 1 if the movie was found by id.
    plot : str or None
        Plot summary.
    poster_url : str or None
        Address of the poster.

    Examples
    --------
    >>> MovieMetadata("949", "Heat", 1995, "title", 1.0, "A thief.", None).plot
    'A thief.'
    """

    provider_id: str
    title: str
    year: int | None
    matched_by: str
    score: float
    plot: str | None
    poster_url: str | None

    def __post_init__(self) -> None:
        for name in ("provider_id", "title", "plot", "poster_url"):
            text = getattr(self, name)
            if isinstance(text, str):  # JSON may contain lone surrogates, which cannot be written to files
                object.__setattr__(self, name, text.encode("utf-8", "replace").decode())


class MetadataProvider(Protocol):
    """Interface of a metadata provider.

    A class with ``@register_metadata_provider("name")`` is a ``--source`` of ``gnnrec fetch``. It is made by its class
    method ``from_environment(policy=...)``, which reads the API key from the variable ``NAME_API_KEY`` and may take
    ``api_url`` and ``image_url``.

    Examples
    --------
    >>> class Offline:
    ...     name = "offline"
    ...
    ...     def find(self, query):
    ...         return MovieMetadata("1", query.title, query.year, "title", 1.0, "A plot.", None)
    ...
    ...     def poster(self, url):
    ...         raise NotFoundError("there are no posters")
    >>> Offline().find(MovieQuery(1, "Heat (1995)", ("Heat",), 1995)).plot
    'A plot.'
    """

    @property
    def name(self) -> str:
        """Return a short name for the log."""

    def find(self, query: MovieQuery) -> MovieMetadata | NoMatch:
        """Return the metadata of a movie, or the reason why there are none.

        Raises
        ------
        ServiceUnavailableError
            There is no response; a later request may succeed.
        RateLimitError
            The quota is used up.
        AuthenticationError
            The API key is rejected.
        """

    def poster(self, url: str) -> bytes:
        """Return the image file at a `MovieMetadata.poster_url`.

        Raises
        ------
        NotFoundError
            There is no usable image.
        ServiceUnavailableError
            There is no response; a later request may succeed.
        RateLimitError
            The quota is used up.
        """


@register_metadata_provider("tmdb")
@dataclass(frozen=True, eq=False)
class Tmdb:
    """The Movie Database, https://www.themoviedb.org, version 3 of its API.

    Parameters
    ----------
    client : Client
        HTTP client; use `from_environment` to create it.
    api_url, image_url : str
        Base addresses of the API and of the posters.
    language : str
        Language of the plots.
    name : str
        Name in the log.

    Examples
    --------
    >>> tmdb = Tmdb.from_environment()  # doctest: +SKIP
    >>> tmdb.find(MovieQuery(1, "Heat (1995)", ("Heat",), 1995)).provider_id  # doctest: +SKIP
    '949'
    """

    client: Client
    api_url: str = TMDB_API_URL
    image_url: str = TMDB_IMAGE_URL
    language: str = "en-US"
    name: str = "tmdb"

    @classmethod
    def from_environment(
        cls,
        api_url: str = TMDB_API_URL,
        image_url: str = TMDB_IMAGE_URL,
        language: str = "en-US",
        policy: RequestPolicy | None = None,
    ) -> Tmdb:
        """Use the API key or API read access token in ``$TMDB_API_KEY``.

        Parameters
        ----------
        api_url, image_url : str
            Base addresses, for mirrors.
        language : str
            Language of the plots.
        policy : RequestPolicy, optional
            Timeouts, retries and rate limit.

        Returns
        -------
        Tmdb
            The provider.

        Raises
        ------
        ConfigError
            The key is missing, or an address is invalid.
        """
        key = _read_key(TMDB_KEY_VARIABLE, "TMDB", TMDB_KEY_PAGE)
        # API keys have 32 hexadecimal digits and must be sent in the query; access tokens must be sent in a header.
        is_api_key = re.fullmatch(r"[0-9a-fA-F]{32}", key) is not None
        client = Client(
            (api_url, image_url),
            api_key=key,
            params={"api_key": key} if is_api_key else {},
            headers={} if is_api_key else {"Authorization": f"Bearer {key}"},
            policy=policy or RequestPolicy(),
        )
        return cls(client, api_url.rstrip("/"), image_url.rstrip("/"), language)

    def find(self, query: MovieQuery) -> MovieMetadata | NoMatch:
        """Return a movie by TMDB id, else by IMDb id, else by title and year."""
        if query.tmdb_id is not None and (movie := self._request(f"movie/{query.tmdb_id}")) and _tmdb_id(movie):
            return self._metadata(movie, "tmdb id")
        if query.imdb_id is not None:
            response = self._request(f"find/{query.imdb_id}", external_source="imdb_id") or {}
            if movies := [movie for movie in _objects(response.get("movie_results")) if _tmdb_id(movie)]:
                return self._metadata(movies[0], "imdb id")
        return _search(query, self._search, self._metadata)

    def poster(self, url: str) -> bytes:
        """Return the image file of a poster."""
        return _download_poster(self.client, url)

    def _search(self, name: str, year: int | None) -> list[SearchResult]:
        terms = {"query": name, "include_adult": "false"} | ({"year": year} if year else {})
        response = self._request("search/movie", **terms) or {}
        results = map(_tmdb_result, _objects(response.get("results")))
        return [result for result in results if result.provider_id]

    def _request(self, path: str, **terms: Any) -> dict[str, Any] | None:
        """Return a response, None if TMDB has no such resource."""
        status, response = self.client.get_json(f"{self.api_url}/{path}", {"language": self.language, **terms})
        if status == 200:
            return response
        if status == 404:
            return None
        problem = f"TMDB answered {status}: {_clean_text(response.get('status_message')) or 'no reason given'}"
        if status in (401, 403):
            raise AuthenticationError(f"{problem}; check {TMDB_KEY_VARIABLE}, see {TMDB_KEY_PAGE}")
        raise ServiceUnavailableError(f"{problem} (request to {path})")

    def _metadata(self, movie: dict[str, Any], matched_by: str, score: float = 1.0) -> MovieMetadata:
        result = _tmdb_result(movie)
        path = _clean_text(movie.get("poster_path"))
        # A path with parent folders or a query is not the path of a poster.
        poster_url = f"{self.image_url}{path}" if path and re.fullmatch(r"/[\w-]+\.\w+", path, re.ASCII) else None
        title = result.names[0] if result.names else ""
        plot = _clean_text(movie.get("overview"))
        return MovieMetadata(result.provider_id, title, result.year, matched_by, score, plot, poster_url)


def _tmdb_id(movie: dict[str, Any]) -> str:
    key = movie.get("id")
    return str(key) if isinstance(key, int) and not isinstance(key, bool) and 0 < key < 10**MAX_DIGITS else ""


def _tmdb_result(movie: dict[str, Any]) -> SearchResult:
    votes = movie.get("vote_count")
    return SearchResult(
        _tmdb_id(movie),
        _distinct_texts(movie.get("title"), movie.get("original_title")),
        _parse_year(movie.get("release_date")),
        votes if isinstance(votes, int) and abs(votes) < 10**MAX_DIGITS else 0,
        movie,
    )


@register_metadata_provider("omdb")
@dataclass(frozen=True, eq=False)
class Omdb:
    """The Open Movie Database, https://www.omdbapi.com.

    Parameters
    ----------
    client : Client
        HTTP client; use `from_environment` to create it.
    api_url : str
        Base address of the API.
    name : str
        Name in the log.

    Examples
    --------
    >>> omdb = Omdb.from_environment()  # doctest: +SKIP
    >>> omdb.find(MovieQuery(1, "Heat (1995)", ("Heat",), 1995)).provider_id  # doctest: +SKIP
    'tt0113277'
    """

    client: Client
    api_url: str = OMDB_API_URL
    name: str = "omdb"

    @classmethod
    def from_environment(cls, api_url: str = OMDB_API_URL, policy: RequestPolicy | None = None) -> Omdb:
        """Use the API key in ``$OMDB_API_KEY``.

        Parameters
        ----------
        api_url : str
            Base address, for mirrors.
        policy : RequestPolicy, optional
            Timeouts, retries and rate limit.

        Returns
        -------
        Omdb
            The provider.

        Raises
        ------
        ConfigError
            The key is missing, or the address is invalid.
        """
        key = _read_key(OMDB_KEY_VARIABLE, "OMDb", OMDB_KEY_PAGE)
        client = Client((api_url,), api_key=key, params={"apikey": key}, policy=policy or RequestPolicy())
        return cls(client, api_url)

    def find(self, query: MovieQuery) -> MovieMetadata | NoMatch:
        """Return a movie by IMDb id, else by title and year."""
        if query.imdb_id is not None and (movie := self._request(i=query.imdb_id)):
            return _omdb_metadata(movie, "imdb id")
        return _search(query, self._search, _omdb_metadata)

    def poster(self, url: str) -> bytes:
        """Return the image file of a poster."""
        return _download_poster(self.client, url)

    def _search(self, name: str, year: int | None) -> list[SearchResult]:
        movie = self._request(t=name, type="movie", **({"y": year} if year else {}))
        return [] if movie is None else [_omdb_result(movie)]

    def _request(self, **terms: Any) -> dict[str, Any] | None:
        """Return a response, None if OMDb has no such movie."""
        status, response = self.client.get_json(self.api_url, {**terms, "plot": "full", "r": "json"})
        if status == 200 and response.get("Response") == "True":
            return response
        reason = _clean_text(response.get("Error")) or "no reason given"
        problem = f"OMDb answered {status}: {reason}"
        if "limit reached" in reason.lower():  # sent with status 401, like an invalid key
            raise RateLimitError(f"{problem} The daily quota is used up")
        if status in (401, 403):
            raise AuthenticationError(f"{problem} Check {OMDB_KEY_VARIABLE}, see {OMDB_KEY_PAGE}")
        if status == 404 or "not found" in reason.lower() or "incorrect imdb id" in reason.lower():
            return None
        raise ServiceUnavailableError(problem)


def _omdb_result(movie: dict[str, Any]) -> SearchResult:
    votes = (_clean_text(movie.get("imdbVotes")) or "").replace(",", "")
    return SearchResult(
        _clean_text(movie.get("imdbID")) or "",
        _distinct_texts(movie.get("Title")),
        _parse_year(movie.get("Year")),
        int(votes) if votes.isdecimal() and len(votes) < MAX_DIGITS else 0,
        movie,
    )


def _omdb_metadata(movie: dict[str, Any], matched_by: str, score: float = 1.0) -> MovieMetadata:
    result = _omdb_result(movie)
    title = result.names[0] if result.names else ""
    plot, poster_url = _clean_text(movie.get("Plot")), _clean_text(movie.get("Poster"))
    return MovieMetadata(result.provider_id, title, result.year, matched_by, score, plot, poster_url)


def _search(
    query: MovieQuery,
    search: Callable[[str, int | None], list[SearchResult]],
    to_metadata: Callable[[dict[str, Any], str, float], MovieMetadata],
) -> MovieMetadata | NoMatch:
    """Search title by title until one result is a match among all results so far."""
    results: dict[str, SearchResult] = {}
    outcome = NoMatch("no results")
    for name, year in _search_terms(query):
        found = search(name, year)
        if not found:
            continue
        results |= {result.provider_id: result for result in found}
        match = best_match(query, list(results.values()))
        if not isinstance(match, NoMatch):
            return to_metadata(match.result.record, "title", match.score)
        outcome = match
    return outcome


def _search_terms(query: MovieQuery) -> Iterator[tuple[str, int | None]]:
    """Yield titles with the year and then without: the provider's year may differ by one."""
    for name in query.names[:MAX_SEARCH_NAMES]:
        for year in dict.fromkeys([query.year, None]):
            yield name, year


def _download_poster(client: Client, url: str) -> bytes:
    """Download an image.

    Raises
    ------
    NotFoundError
        It does not exist, is too large, or has a content type other than an image.
    ServiceUnavailableError
        There is no response; a later request may succeed.
    """
    response = client.get(url, MAX_BYTES)
    displayed = client.redact(url.partition("?")[0])
    if response.status != 200:
        raise NotFoundError(f"{displayed} answered {response.status}")
    content_type = response.headers.get("content-type", "image/jpeg").partition(";")[0].strip().lower()
    if not content_type.startswith("image/") and content_type != "application/octet-stream":
        raise NotFoundError(f"{displayed} has content type {content_type}, which is not an image")
    return response.body


def _read_key(variable: str, service: str, page: str) -> str:
    """Return an API key from the environment.

    Raises
    ------
    ConfigError
        It is missing, or contains characters that no key contains.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"{service} requires an API key: get one at {page} and set the environment variable {variable}"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(
            f"the environment variable {variable} contains spaces or special characters; copy the key again"
        )
    return key


def _clean_text(value: Any) -> str | None:
    """Return text without extra whitespace; None for other values and placeholders."""
    if not isinstance(value, str) or value.strip() in ("", "N/A"):
        return None
    return " ".join(value.split())


def _parse_year(value: Any) -> int | None:
    """Return the year at the start of text such as ``1995-10-30`` or ``1995–1999``."""
    match = _LEADING_YEAR.match(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects of a list, and an empty list for other values."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _distinct_texts(*values: Any) -> tuple[str, ...]:
    texts = map(_clean_text, values)
    return tuple(dict.fromkeys(text for text in texts if text))
