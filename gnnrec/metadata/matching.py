"""Queries for movies, and matching of search results by title and year.

A wrong match is worse than no match: similar titles are rejected, and so are results that match equally well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rapidfuzz.distance import Indel

from gnnrec.data.dataset import Dataset
from gnnrec.data.schema import clean_movies
from gnnrec.data.tables import locator, read_files
from gnnrec.data.titles import MAX_YEAR_GAP, numbers_in, parse_title, title_words
from gnnrec.errors import DataError

MIN_SCORE = 0.9
"""Lowest score of a match."""
MIN_VOTE_RATIO = 10
"""Ratio of votes above which the more popular of two movies with the same title and year is chosen."""

_ID_COLUMNS = ("imdb_id", "tmdb_id")


@dataclass(frozen=True)
class MovieQuery:
    """A movie to search for.

    Parameters
    ----------
    movie_id : int or str
        Id in the dataset.
    title : str
        Title in the dataset, ``"Matrix, The (1999)"``.
    names : tuple of str
        Possible titles, the most likely first.
    year : int, optional
        Release year.
    imdb_id : str, optional
        IMDb id, ``tt0133093``.
    tmdb_id : int, optional
        TMDB id.

    Examples
    --------
    >>> MovieQuery(1, "Matrix, The (1999)", ("The Matrix",), 1999).imdb_id is None
    True
    """

    movie_id: Any
    title: str
    names: tuple[str, ...]
    year: int | None = None
    imdb_id: str | None = None
    tmdb_id: int | None = None


@dataclass(frozen=True)
class SearchResult:
    """A movie in the search results of a provider.

    Parameters
    ----------
    provider_id : str
        The provider's id.
    names : tuple of str
        Title and, if available, original title.
    year : int, optional
        Release year.
    votes : int
        Number of votes at the provider.
    record : dict
        The provider's complete record.
    """

    provider_id: str
    names: tuple[str, ...]
    year: int | None = None
    votes: int = 0
    record: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


class Match(NamedTuple):
    """A search result that is the movie, and its score."""

    result: SearchResult
    score: float


@dataclass(frozen=True)
class NoMatch:
    """The reason why no search result is the movie.

    Parameters
    ----------
    reason : str
        For the log and the report.

    Examples
    --------
    >>> NoMatch("no results").reason
    'no results'
    """

    reason: str


def match_score(query: MovieQuery, result: SearchResult) -> float:
    """Return how well a search result matches a movie.

    The score is the largest normalized indel similarity (`rapidfuzz.distance.Indel`) between a title of the movie and
    one of the result, after removal of case, accents, punctuation and leading English articles. It is multiplied by
    0.95 if the years differ by one, and by 0.9 if one of them is unknown.

    Parameters
    ----------
    query : MovieQuery
        The movie.
    result : SearchResult
        The search result.

    Returns
    -------
    float
        Score in [0, 1]; 0 if the years differ by more than one, or the numbers in the titles differ (sequels).

    Examples
    --------
    >>> query = MovieQuery(1, "Toy Story (1995)", ("Toy Story",), 1995)
    >>> match_score(query, SearchResult("862", ("Toy Story",), 1995))
    1.0
    >>> match_score(query, SearchResult("863", ("Toy Story 2",), 1995))
    0.0
    """
    gap = None if query.year is None or result.year is None else abs(query.year - result.year)
    if gap is not None and gap > MAX_YEAR_GAP:
        return 0.0
    year_factor = 0.9 if gap is None else 0.95 if gap else 1.0
    return year_factor * max((_similarity(a, b) for a in query.names for b in result.names), default=0.0)


def best_match(query: MovieQuery, results: Sequence[SearchResult]) -> Match | NoMatch:
    """Return the search result that is the movie, or the reason why there is none.

    Of several results with the highest score, one is chosen only if it has at least `MIN_VOTE_RATIO` times the votes
    of each other.

    Parameters
    ----------
    query : MovieQuery
        The movie.
    results : sequence of SearchResult
        Search results in any order.

    Returns
    -------
    Match or NoMatch
        The result with a score of at least `MIN_SCORE`.

    Examples
    --------
    >>> query = MovieQuery(1, "Heat (1995)", ("Heat",), 1995)
    >>> popular, obscure = SearchResult("949", ("Heat",), 1995, votes=7000), SearchResult("5", ("Heat",), 1995, votes=3)
    >>> best_match(query, [obscure, popular])
    Match(result=SearchResult(provider_id='949', names=('Heat',), year=1995, votes=7000), score=1.0)
    >>> best_match(query, [SearchResult("7", ("Cold",), 1995)])
    NoMatch(reason="no match; the closest result is 'Cold' (1995)")
    """
    scored = {result.provider_id: (match_score(query, result), result) for result in results}
    ranked = sorted(scored.values(), key=lambda pair: (-pair[0], -pair[1].votes, pair[1].provider_id))
    if not ranked:
        return NoMatch("no results")
    top_score, first = ranked[0]
    if top_score < MIN_SCORE:
        name = first.names[0] if first.names else first.provider_id
        return NoMatch(f"no match; the closest result is {name!r} ({first.year or 'no year'})")
    ties = [result for score, result in ranked[1:] if score == top_score]
    if any(first.votes < MIN_VOTE_RATIO * max(tie.votes, 1) for tie in ties):
        ids = ", ".join([first.provider_id, *(tie.provider_id for tie in ties)])
        return NoMatch(f"{len(ties) + 1} results match equally well: {ids}")
    return Match(first, top_score)


def _similarity(a: str, b: str) -> float:
    words_a, words_b = title_words(a), title_words(b)
    if not words_a or not words_b or numbers_in(words_a) != numbers_in(words_b):
        return 0.0
    return Indel.normalized_similarity(" ".join(words_a), " ".join(words_b))


def movie_queries(dataset: Dataset, links: str | Path | None = None) -> list[MovieQuery]:
    """Return a query for each movie of a dataset, in the order of its table.

    Parameters
    ----------
    dataset : Dataset
        The columns ``imdb_id`` and ``tmdb_id`` of its movies are used if present.
    links : str or Path, optional
        CSV file with the columns ``movieId`` and ``imdbId`` or ``tmdbId``, as in the newer MovieLens datasets. Its ids
        take precedence over those of the dataset; rows of other movies are ignored.

    Returns
    -------
    list of MovieQuery
        One per movie.

    Raises
    ------
    DataError
        The file cannot be read, lacks a column, contains a movie twice, or contains an invalid id.

    Examples
    --------
    >>> movies = pd.DataFrame({"movie_id": [1], "title": ["Heat (1995)"], "imdb_id": ["113277"]})
    >>> movie_queries(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [1]}), movies))
    [MovieQuery(movie_id=1, title='Heat (1995)', names=('Heat',), year=1995, imdb_id='tt0113277', tmdb_id=None)]
    """
    linked_ids = _read_links(Path(links), dataset) if links is not None else {}
    queries = []
    for movie in dataset.movies.to_dict("records"):
        names, _ = parse_title(movie["title"])
        if movie["title"] == str(movie["movie_id"]):  # the placeholder of a missing title
            names = ()
        year = None if pd.isna(movie["year"]) else int(movie["year"])
        ids = _known_ids(movie) | linked_ids.get(movie["movie_id"], {})
        queries.append(MovieQuery(movie["movie_id"], movie["title"], names, year, **ids))
    return queries


def _known_ids(row: dict[Any, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _ID_COLUMNS if name in row and not pd.isna(row[name])}


def _read_links(path: Path, dataset: Dataset) -> dict[Any, dict[str, Any]]:
    """Return the known ids of each movie in a links file."""
    integer_ids = dataset.movies["movie_id"].dtype == "int64"
    table = read_files({"links": path}, {"links": "movies"}, () if integer_ids else ("movie_id",))["links"]
    try:
        movies = clean_movies(table.frame)
    except DataError as error:
        raise error.relocated(locator({"movies": table})) from None
    if not set(_ID_COLUMNS) & set(movies):
        raise DataError("a column imdbId or tmdbId is required", at=str(path))
    if integer_ids and movies["movie_id"].dtype != "int64":
        raise DataError("movie_id contains text, but the dataset has integer ids", at=str(path))
    return {row["movie_id"]: _known_ids(row) for row in movies.to_dict("records")}
