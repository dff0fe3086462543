"""`TitleIndex`: resolves an id, a title or part of a title to a movie, and searches titles by words.

A wrong movie is worse than none. A name is looked up in this order, and the first step that finds movies decides:

1. ids: the caller's own, then IMDb (``"tt0113277"``) and TMDB (``"tmdb:949"``) ids where the table has them;
2. the exact title;
3. the same words: without case, accents, punctuation and articles, Roman numerals as digits, by any of its titles;
4. a part of a title that can stand alone, such as "The Empire Strikes Back";
5. nearly the same words: typing errors, plurals, words in another order.

A year that is given must agree up to `gnnrec.data.titles.MAX_YEAR_GAP`, and numbers must agree; without a year, less is
accepted in steps 4 and 5. Several movies that fit equally well are an error, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz import process
from rapidfuzz.distance import Indel

from gnnrec._checks import NO_MOVIE, plain_id, shown
from gnnrec.data.titles import (
    MAX_YEAR_GAP,
    content_words,
    literal_words,
    segments,
    split_bare_year,
    title_names,
    title_words,
    without_edition,
    without_series_number,
)
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph.title_matches import Ambiguous, Found, NotFound, choose_best
from gnnrec.graph.title_rules import ALWAYS, IF_TYPED, series_names, title_distance, title_key, title_parts
from gnnrec.graph.title_tables import TitleTable, imdb_number

logger = logging.getLogger(__name__)

NUM_NEAREST = 5
"""Maximum number of suggested movies in an error message."""
MAX_LISTED = 10
"""Maximum number of equally good matches in an error message."""
IMDB_DIGITS = 7
"""Number of digits of an IMDb id, including leading zeros."""
MAX_BLOCKS = 8
"""Number of additions after which all added movies are indexed again as one table."""

MAX_DIGITS = 30
"""Maximum number of digits of a number that may be an id."""
_IMDB_ID = re.compile(r"(?:.*\bimdb\.com/(?:[a-z]{2}/)?title/)?(?:imdb:)?(tt\d{5,12})(?:[/?#].*)?", re.IGNORECASE)
_TMDB_ID = re.compile(r"(?:.*\bthemoviedb\.org/movie/|tmdb:\s*)(\d{1,12})(?:[-/?#].*)?", re.IGNORECASE)


class TitleIndex:
    """Ids and titles of the movies of a graph, for looking up and searching.

    Parameters
    ----------
    movies : pandas.DataFrame
        ``movie_id, title, year[, imdb_id][, tmdb_id]``; row ``i`` is movie node ``i``.

    Examples
    --------
    >>> titles = ["Matrix, The (1999)", "Star Wars: Episode V - The Empire Strikes Back (1980)"]
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "title": titles, "year": [1999, 1980]})
    >>> index = TitleIndex(movies)
    >>> index.node("the matrix"), index.node("The Empire Strikes Back"), index.node(8)
    (0, 1, 1)
    >>> index.find("The Matrix Reloaded (2003)")
    NotFound()
    """

    def __init__(self, movies: pd.DataFrame) -> None:
        self._blocks: tuple[TitleTable, ...] = (TitleTable(movies, 0),)
        self._tables: tuple[pd.DataFrame, ...] = (movies,)

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks)

    def extend(self, movies: pd.DataFrame) -> TitleIndex:
        """Return the index with more movies appended; this one does not change."""
        if not len(movies):
            return self
        made = TitleIndex.__new__(TitleIndex)
        first, added = self._tables[0], self._tables[1:]
        if 4 * (len(self) - len(first) + len(movies)) > max(len(first), 1000):
            made._tables = (_concat([first, *added, movies]),)
        elif len(added) < MAX_BLOCKS:
            made._tables = (*self._tables, movies)
        else:
            made._tables = (first, _concat([*added, movies]))
        blocks = [self._blocks[0] if made._tables[0] is first else TitleTable(made._tables[0], 0)]
        for table, block in zip_longest(made._tables[1:], self._blocks[1:]):
            if table is None:
                break
            is_same = block is not None and any(table is one for one in added)
            start = blocks[-1].first + len(blocks[-1])
            blocks.append(block if is_same else TitleTable(table, start, blocks[0]))
        made._blocks = tuple(blocks)
        return made

    def find(
        self,
        name: Any,
        *,
        year: int | None = None,
        imdb_id: str | None = None,
        tmdb_id: int | None = None,
        other_names: Sequence[str] = (),
        typed: bool = True,
        ids: bool = True,
    ) -> Found | Ambiguous | NotFound:
        """Find a movie.

        Parameters
        ----------
        name : id or str
            Own id, IMDb or TMDB id, or title; the title may end in a year.
        year : int, optional
            Release year, if it is not in the title.
        imdb_id, tmdb_id : optional
            Further ids; tried before the title.
        other_names : sequence of str
            Further titles, such as the original one.
        typed : bool
            Whether a person typed the name. Names from a catalog have no typing errors, and a part of a title is not
            accepted for them without a year.
        ids : bool
            Whether the name may be an id; if not, it is a title.

        Returns
        -------
        Found, Ambiguous or NotFound
        """
        if (node := self._by_id(name if ids else None, imdb_id, tmdb_id)) is not None:
            return Found(node, "id")
        if not isinstance(name, str):
            return NotFound()
        exact = [node for block in self._blocks for node in block.by_title.get(name.strip().casefold(), ())]
        if exact:
            if len(exact) > 1 and year is not None:
                exact = [node for node in exact if self._gap(node, year) == 0] or exact
            return Found(exact[0], "title") if len(exact) == 1 else Ambiguous(tuple(exact), "title")
        if ids and typed and year is None and (node := self._by_digits(name.strip())) is not None:
            return Found(node, "id")
        for query in _queries(name, year, other_names):
            found = self._find(query, typed)
            if not isinstance(found, NotFound):
                return found
        return NotFound()

    def node(self, name: Any) -> int:
        """Return the node of the movie that a name refers to.

        The match is logged, unless it is by id or exact title.

        Raises
        ------
        DataError
            There is no such movie, and the message lists the nearest; or several fit, and it lists them.
        """
        name = plain_id(name, "movie", NO_MOVIE)
        found = self.find(name)
        if isinstance(found, Found):
            if found.how == "id" and isinstance(name, str) and name.strip().isdecimal() and self._same_words(name):
                titles = ", ".join(repr(self.title(node)) for node, _ in self._same_words(name))
                logger.warning("%r is taken as the id of %r; for %s add the year", name, self.title(found.node), titles)
            if found.how not in ("id", "title"):
                # Matches of the same words are expected; approximate matches should be visible.
                level = logging.INFO if found.how == "name" else logging.WARNING
                logger.log(level, "%r is taken as %r", name, self.title(found.node))
            return found.node
        if isinstance(found, Ambiguous):
            raise DataError(self.describe(name, found))
        raise DataError(self._unknown(name))

    def nodes(self, names: Iterable[Any], *, unknown: str = "error") -> list[int | None]:
        """Return the node of each name, None for one that is unknown and skipped.

        Parameters
        ----------
        names : iterable
            Ids and titles.
        unknown : str
            ``"error"``; or ``"skip"``, which leaves out names that no movie or several movies fit, and logs them.
        """
        check_unknown(unknown)
        found: list[int | None] = []
        skipped: list[str] = []
        for name in names:
            try:
                found.append(self.node(name))
            except DataError as error:
                if unknown == "error" or not isinstance(name, (int, str)):
                    raise
                found.append(None)
                skipped.append(str(error))
        if skipped:
            shown = "; ".join(skipped[:NUM_NEAREST])
            more = f"; and {len(skipped) - NUM_NEAREST} more" if len(skipped) > NUM_NEAREST else ""
            logger.warning("left out %d of %d movies: %s%s", len(skipped), len(found), shown, more)
        return found

    def describe(self, name: Any, found: Ambiguous) -> str:
        """Return a sentence that lists the movies that fit equally well."""
        count = len(found.nodes)
        if found.how == "title":
            ids = ", ".join(str(self.movie_id(node)) for node in found.nodes)
            return f"{count} movies have the title {name!r} (ids {ids}); give an id"
        listed = ", ".join(f"{self.title(node)!r} (id {self.movie_id(node)})" for node in found.nodes[:MAX_LISTED])
        more = f" and {count - MAX_LISTED} more" if count > MAX_LISTED else ""
        return (
            f"{count} movies match {name!r} equally well: {listed}{more}; give an id, or the whole title with its year"
        )

    def nearest(self, name: str, k: int = NUM_NEAREST) -> list[int]:
        """Return the movies whose titles are nearest, by words and not by year."""
        words = title_words(_queries(name, None)[0].names[0])
        nodes = [node for _, node in self._ranked(words, k)]
        for block in self._blocks if len(nodes) < k else ():  # too few words in common: compare letters
            spelled = block.words.spellings
            close = process.extract(
                " ".join(words), spelled, scorer=Indel.normalized_similarity, score_cutoff=0.5, limit=k
            )
            nodes += [block.first + int(block.words.rows[place]) for _, _, place in close]
        return list(dict.fromkeys(nodes))[:k]

    def search(self, text: str, k: int = 10, popularity: np.ndarray | None = None) -> list[tuple[float, int]]:
        """Return up to `k` movies with a score in (0, 1], best first.

        Parameters
        ----------
        text : str
            Words of a title in any order, with or without a year; or an id.
        k : int
        popularity : numpy.ndarray, optional
            ``[num_movies]``; of equal scores, the more popular movie is first.
        """
        scores: dict[int, float] = {}
        query = _queries(text, None)[0]
        for name in query.names:
            for score, node in self._ranked(title_words(name), max(4 * k, 50)):
                scores[node] = max(scores.get(node, 0.0), 0.9 * score)
            for node, *_ in self._parts(name):
                scores[node] = max(scores.get(node, 0.0), 0.95)
            for node, _ in self._same_words(name):
                scores[node] = 1.0
        if query.year is not None:
            scores = {node: score * _year_factor(self._gap(node, query.year)) for node, score in scores.items()}
        found = self.find(text)
        for node in (found.node,) if isinstance(found, Found) else ():
            scores[node] = 1.0
        votes = np.zeros(len(self)) if popularity is None else popularity
        ranked = sorted(scores.items(), key=lambda pair: (-round(pair[1], 6), -votes[pair[0]], pair[0]))
        return [(score, node) for node, score in ranked[:k]]

    def movie_id(self, node: int) -> Any:
        """Return the id of a movie."""
        block = self._block(node)
        return block.ids[node - block.first]

    def title(self, node: int) -> str:
        """Return the title of a movie."""
        block = self._block(node)
        return str(block.titles[node - block.first])

    def year(self, node: int) -> int | None:
        """Return the year of a movie."""
        block = self._block(node)
        return block.years[node - block.first]

    def _block(self, node: int) -> TitleTable:
        return next(block for block in reversed(self._blocks) if node >= block.first)

    def _by_id(self, name: Any, imdb_id: str | None = None, tmdb_id: int | None = None) -> int | None:
        if isinstance(name, Hashable) and name is not None and not isinstance(name, bool):
            for block in self._blocks:
                if (node := block.by_id.get(name)) is not None:
                    return node
        if isinstance(name, str) and (found := _IMDB_ID.fullmatch(name.strip())):
            imdb_id = found[1]
        if isinstance(name, str) and (found := _TMDB_ID.fullmatch(name.strip())):
            tmdb_id = int(found[1])
        for block in self._blocks:
            if imdb_id is not None and (node := block.by_imdb.get(imdb_number(imdb_id))) is not None:
                return node
            if tmdb_id is not None and (node := block.by_tmdb.get(tmdb_id)) is not None:
                return node
        return None

    def _by_digits(self, text: str) -> int | None:
        """Return the movie whose id is written as text, as on the command line; 0113277 is an id of IMDb."""
        if not text.isdecimal() or len(text) > MAX_DIGITS:
            return None
        by_imdb = self._by_id(None, imdb_id=text) if text.startswith("0") and len(text) >= IMDB_DIGITS else None
        return self._by_id(int(text)) if by_imdb is None else by_imdb

    def _gap(self, node: int, year: int | None) -> int | None:
        """Return the difference of the years, None if one is unknown."""
        own = self.year(node)
        return None if own is None or year is None else abs(own - year)

    def _same_words(self, name: str) -> list[tuple[int, int]]:
        """Return the movies with this name and whether it is their first one (0) or another (1)."""
        key = title_key(title_words(name))
        return [entry for block in self._blocks for entry in block.names.get(key, ())]

    def _parts(self, name: str) -> list[tuple[int, int, int, bool]]:
        """Return the movies with this part of a title; the other values are as in `title_parts`."""
        key = title_key(title_words(name))
        return [entry for block in self._blocks for entry in block.parts.get(key, ())]

    def _find(self, query: _Query, typed: bool) -> Found | Ambiguous | NotFound:
        for step in (self._find_same,) if query.is_exact else (self._find_same, self._find_part, self._find_similar):
            found = step(query, typed)
            if not isinstance(found, NotFound):
                return found
        return NotFound()

    def _find_same(self, query: _Query, typed: bool) -> Found | Ambiguous | NotFound:
        best: dict[int, tuple[float, int, int]] = {}
        for place, name in enumerate(query.names):
            for node, is_alias in self._same_words(name):
                gap = self._gap(node, query.year)
                if gap is None or gap <= MAX_YEAR_GAP:
                    literal = int(literal_words(name) not in self._literal_names(node))
                    if gap and literal and len(content_words(title_words(name))) < 2:
                        continue  # "The Fear (1995)" is not "Fear (1996)"
                    rank = (self._year_rank(node, query.year), is_alias + 2 * place, literal)
                    best[node] = min(best.get(node, rank), rank)
        return choose_best(best, "name")

    def _find_part(self, query: _Query, typed: bool) -> Found | Ambiguous | NotFound:
        best: dict[int, tuple[float, int]] = {}
        unsure: dict[int, tuple[float, int]] = {}
        for name in query.names:
            for node, max_gap, without_year, is_title in self._parts(name):
                # "The Crow (1996)" is not "The Crow: City of Angels (1996)" if there is a "Crow, The (1994)".
                if self._same_words(name) and not is_title:
                    continue
                gap, rank = self._gap(node, query.year), (self._year_rank(node, query.year), 0)
                if gap is not None and gap <= max_gap:
                    best[node] = rank
                elif query.year is None:
                    (best if without_year >= (IF_TYPED if typed else ALWAYS) else unsure)[node] = rank
        if query.year is None and unsure and (best or len(unsure) > 1):
            return Ambiguous(tuple(sorted({**best, **unsure})), "part")
        if best:
            return choose_best(best, "part")
        if typed:
            best = self._in_series(query)
        # "Léon: The Professional" in a catalog that says "The Professional": only if the years are the same. The other
        # part does not suffice, as in "Mortal Kombat: The Journey Begins".
        if query.year is not None:
            for name in query.names:
                fronts = series_names(name)
                parts = [] if self._same_words(name) else title_parts(name)
                for part in (part for part, *_ in parts if part not in fronts):
                    for node, _ in self._same_words(part):
                        if self._gap(node, query.year) == 0:
                            best[node] = (0.0, 0)
        return choose_best(best, "part")

    def _in_series(self, query: _Query) -> dict[int, tuple[float, int]]:
        """Return movies whose titles lack their number in a series: "Rocky 1", "Star Trek II: The Wrath of Khan"."""
        best: dict[int, tuple[float, int]] = {}
        for name in query.names:
            words, reduced = title_words(name), without_series_number(name)
            shorter = [" ".join(words[:-1])] if len(words) > 1 and words[-1] == "1" and words[-2] != "1" else []
            if reduced is not None and len(content_words(title_words(segments(reduced)[-1]))) >= 2:
                shorter.append(reduced)
            for text in shorter:
                for node, _ in self._same_words(text):
                    gap = self._gap(node, query.year)
                    if gap is None or gap <= MAX_YEAR_GAP:
                        best[node] = (self._year_rank(node, query.year), 0)
        return best

    def _find_similar(self, query: _Query, typed: bool) -> Found | Ambiguous | NotFound:
        if query.year is None and not typed:
            return NotFound()
        best: dict[int, tuple[float, int]] = {}
        for name in query.names[:1]:
            words = title_words(name)
            for block in self._blocks:
                near = (
                    block.words.rank(words, 20, loose=False)
                    if query.year is None
                    else block.rank_of_years(words, query.year)
                )
                for _, row, theirs in near:
                    node = block.first + row
                    gap = self._gap(node, query.year)
                    if (query.year is None or gap is not None) and (
                        distance := title_distance(words, theirs, gap)
                    ) is not None:
                        rank = (self._year_rank(node, query.year), distance)
                        best[node] = min(best.get(node, rank), rank)
        return choose_best(best, "similar")

    def _year_rank(self, node: int, year: int | None) -> float:
        gap = self._gap(node, year)
        return (0.0 if year is None else 1.5) if gap is None else float(gap)

    def _literal_names(self, node: int) -> set[tuple[str, ...]]:
        return {literal_words(name) for name in title_names(self.title(node))[0]}

    def _ranked(self, words: tuple[str, ...], k: int) -> list[tuple[float, int]]:
        """Return movies, best first, by the share of matching or similar words in their titles."""
        best: dict[int, float] = {}
        for block in self._blocks:
            for score, row, _ in block.words.rank(words, 2 * k):
                best[block.first + row] = max(best.get(block.first + row, 0.0), score)
        return sorted(((score, node) for node, score in best.items()), key=lambda pair: (-pair[0], pair[1]))[:k]

    def _similar_ids(self, name: str) -> list[str]:
        """Return text ids that differ from a name by a letter or two."""
        ids = [one for block in self._blocks for one in block.ids if isinstance(one, str)]
        close = process.extract(name, ids, scorer=Indel.normalized_similarity, score_cutoff=0.85, limit=3)
        return [one for one, _, _ in close]

    def _unknown(self, name: Any) -> str:
        problem = [
            f"unknown movie {shown(name)}" if isinstance(name, str) else f"movie {shown(name)} is not in the graph"
        ]
        if not isinstance(name, str):
            problem.append("add it with add_movies")
        elif all(block.has_no_titles for block in self._blocks):
            problem.append("the movies have no titles; give an id, or load a movies table")
        near = [*self._similar_ids(name), *map(self.title, self.nearest(name))] if isinstance(name, str) else []
        if near:
            problem.append(f"did you mean {', '.join(map(repr, list(dict.fromkeys(near))[:NUM_NEAREST]))}?")
        return "; ".join(problem)


def check_unknown(unknown: str) -> None:
    """Raise a `ConfigError` unless `unknown` is "error" or "skip"."""
    if not isinstance(unknown, str) or unknown not in ("error", "skip"):
        raise ConfigError(f"unknown must be 'error' or 'skip', not {shown(unknown)}")


_COLUMNS = ("movie_id", "title", "year", "imdb_id", "tmdb_id")


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all tables, with the columns that an index needs and all have."""
    columns = [column for column in _COLUMNS if all(column in table for table in tables)]
    return pd.concat([table[columns] for table in tables], ignore_index=True)


@dataclass(frozen=True)
class _Query:
    names: tuple[str, ...]
    year: int | None
    is_exact: bool = False
    """Whether only exactly the same words match."""


def _queries(name: str, year: int | None, other_names: Sequence[str] = ()) -> list[_Query]:
    """Return the possible readings of a text: "Heat 1995" is a title, or a title and a year."""
    names, _, in_title = title_names(name)
    further = tuple(other for text in other_names if text for other in title_names(text)[0])
    queries = [_Query(tuple(dict.fromkeys((*names, *further))), in_title if year is None else year)]
    if in_title is None and year is None:
        bare, bare_year = split_bare_year(name)
        if bare_year is not None:
            queries.append(_Query(title_names(bare)[0], bare_year))
    if (plain := without_edition(names[0])) != names[0]:
        queries.append(_Query((plain,), queries[0].year, is_exact=True))  # "Urban Legends: Final Cut" is another movie
    return queries


def _year_factor(gap: int | None) -> float:
    return 0.98 if gap is None else 1.0 if gap == 0 else 0.97 if gap <= MAX_YEAR_GAP else 0.9
