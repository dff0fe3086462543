"""Filters of recommendations: candidates, genres, years and number of ratings as one mask over the movies."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnrec._checks import check_flag, check_integer, choose_from, is_listing, plain, shown
from gnnrec.data.convert import MAX_YEAR
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.reranking import is_family_friendly
from gnnrec.typing import MovieInput


def movie_nodes(graph: Graph, movies: Iterable[MovieInput], what: str, unknown: str = "error") -> list[int]:
    """Return the nodes of movies given by id or title; `what` names the argument in messages."""
    if isinstance(movies, Mapping) or not is_listing(movies):
        raise DataError(f"{what} must be a list of movies, not {shown(movies)}")
    return [node for node in graph.movie_nodes_by_name(movies, unknown=unknown) if node is not None]


def movie_mask(
    graph: Graph,
    *,
    candidates: Iterable[MovieInput] | None = None,
    exclude: Iterable[MovieInput] | None = None,
    genres: str | Iterable[str] | None = None,
    years: Any = None,
    min_ratings: int = 0,
    family_friendly: bool = False,
    unknown: str = "error",
) -> Tensor | None:
    """Return which movies may be recommended, ``[num_movies]`` bool; None if all may.

    The parameters are those of `gnnrec.recommend`.

    Examples
    --------
    >>> movie_mask(graph, years=(1990, None), genres="drama").sum() <= movie_mask(graph, years=(1990, None)).sum()
    tensor(True)
    """
    check_integer(0, min_ratings=min_ratings)
    check_flag(family_friendly=family_friendly)
    masks = []
    if candidates is not None:
        allowed = torch.zeros(graph.num_movies, dtype=torch.bool)
        allowed[movie_nodes(graph, candidates, "candidates", unknown)] = True
        masks.append(allowed)
    if exclude is not None:
        allowed = torch.ones(graph.num_movies, dtype=torch.bool)
        allowed[movie_nodes(graph, exclude, "exclude", unknown)] = False
        masks.append(allowed)
    if genres is not None:
        masks.append(_has_genre(graph, genres))
    if years is not None:
        masks.append(_is_of_years(graph, years))
    if min_ratings:
        counts = np.bincount(graph.dataset.rating_table.movie, minlength=graph.num_movies)
        masks.append(torch.from_numpy(counts >= min_ratings))
    if family_friendly:
        masks.append(is_family_friendly(graph))
    return torch.stack(masks).all(0) if masks else None


def _has_genre(graph: Graph, genres: str | Iterable[str]) -> Tensor:
    wanted = genres.split("|") if isinstance(genres, str) else genres
    if isinstance(wanted, Mapping) or not is_listing(wanted):
        raise ConfigError(f"genres must be a genre or a list of them, not {shown(genres)}")
    wanted = list(wanted)
    if wrong := [genre for genre in wanted if not isinstance(genre, str)]:
        raise ConfigError(f"genres must be strings, not {shown(wrong[0])}")
    spellings = {str(genre).casefold(): str(genre) for genre in graph.genres}
    names = set()
    for name in _genre_names(wanted, spellings):
        if name.casefold() not in spellings:
            raise ConfigError(f"unknown genre {shown(name)}{choose_from(name, spellings.values())}")
        names.add(spellings[name.casefold()])
    if not names:
        raise ConfigError("genres is an empty list; give a genre, or leave it out")
    values = graph.dataset.movies["genres"].tolist()
    return torch.tensor([isinstance(text, str) and not names.isdisjoint(text.split("|")) for text in values])


def _genre_names(wanted: Iterable[Any], known: Container[str]) -> Iterator[str]:
    """Yield stripped names; a string may contain several, as in ``"Drama, Crime"``."""
    for genre in wanted:
        text = str(genre).strip()
        parts = [text] if text.casefold() in known else re.split(r"[|,;]", text)
        yield from filter(None, (part.strip() for part in parts))


def _is_of_years(graph: Graph, years: Any) -> Tensor:
    first, last = parse_years(years)
    values = graph.dataset.movies["year"].to_numpy(dtype="float64", na_value=np.nan)
    with np.errstate(invalid="ignore"):
        return torch.from_numpy((values >= first) & (values <= last))


def parse_years(years: Any) -> tuple[float, float]:
    """Return the first and the last year of a range, in any of the notations that `recommend` accepts.

    Examples
    --------
    >>> parse_years(1995), parse_years((1990, 1999)), parse_years("1990-1999"), parse_years("1990-")
    ((1995, 1995), (1990, 1999), (1990, 1999), (1990, inf))
    """
    years = plain(years)
    first: Any = years
    last: Any = years
    if isinstance(years, str):
        front, dash, back = years.replace("–", "-").partition("-")
        first, last = (text.strip() or None for text in ((front, back) if dash else (front, front)))
        first, last = (
            int(text) if text is not None and text.isdecimal() and len(text) < 10 else text for text in (first, last)
        )
        if first is None and last is None:
            first = last = years
    elif isinstance(years, range):
        first, last = (years[0], years[-1]) if len(years) else (1, 0)
    elif isinstance(years, (tuple, list)) and len(years) == 2:
        first, last = map(plain, years)
    first, last = (int(year) if isinstance(year, float) and year.is_integer() else year for year in (first, last))
    for year in (first, last):
        if not (year is None or (isinstance(year, (int, np.integer)) and not isinstance(year, bool))):
            raise ConfigError(f"years must be a year, (first, last) or text such as 1990-1999, not {shown(years)}")
    first, last = (None if year is None else max(-MAX_YEAR, min(int(year), MAX_YEAR)) for year in (first, last))
    first, last = -np.inf if first is None else first, np.inf if last is None else last
    if first > last:
        raise ConfigError(f"the first year must not be after the last: {shown(years)}")
    return first, last
