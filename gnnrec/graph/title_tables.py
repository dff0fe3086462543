"""Look-up tables of `gnnrec.graph.titles`: movies by id, by words and by parts of their titles."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz import process
from rapidfuzz.distance import Indel

from gnnrec.data.titles import MAX_YEAR_GAP, title_names, title_words
from gnnrec.graph.title_rules import IF_TYPED, NEVER, other_name_of, title_key, title_parts

MAX_CACHED = 20_000
"""Number of words whose similar names are cached."""
MIN_SIMILARITY, MAX_SIMILAR = 0.65, 12


def imdb_number(imdb_id: Any) -> int:
    """Return the number of an IMDb id, with or without ``tt`` and leading zeros; -1 for anything else.

    >>> imdb_number("tt0113277"), imdb_number("113277"), imdb_number("nm0000199")
    (113277, 113277, -1)
    """
    digits = str(imdb_id).strip().lower().removeprefix("tt")
    return int(digits) if digits.isdecimal() and len(digits) <= 12 else -1


class TitleTable:
    """Lookup tables for consecutive movie nodes, starting with `first`."""

    def __init__(self, movies: pd.DataFrame, first: int, main: TitleTable | None = None) -> None:
        self.first, self._main = first, main
        self.ids = movies["movie_id"].tolist()
        self.titles = movies["title"].astype(str).tolist()
        years = movies["year"].tolist() if "year" in movies else [None] * len(movies)
        self.years = [None if pd.isna(year) else int(year) for year in years]
        self._imdb = movies["imdb_id"].tolist() if "imdb_id" in movies else []
        self._tmdb = movies["tmdb_id"].tolist() if "tmdb_id" in movies else []

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def by_id(self) -> dict[Any, int]:
        """Node of each own id."""
        return {one: node for node, one in enumerate(self.ids, self.first)}

    @cached_property
    def by_imdb(self) -> dict[int, int]:
        """Node of each IMDb number."""
        # Two rows with the same id are duplicates or mistakes; the first is used.
        numbers = [-2 if pd.isna(one) else imdb_number(one) for one in self._imdb]
        return {number: node for node, number in reversed(list(enumerate(numbers, self.first))) if number >= 0}

    @cached_property
    def by_tmdb(self) -> dict[int, int]:
        """Node of each TMDB id."""
        pairs = reversed(list(enumerate(self._tmdb, self.first)))
        return {int(number): node for node, number in pairs if not pd.isna(number)}

    @cached_property
    def by_title(self) -> dict[str, list[int]]:
        """Nodes with each exact title, in lower case."""
        titles: dict[str, list[int]] = {}
        for node, title in enumerate(self.titles, self.first):
            titles.setdefault(title.strip().casefold(), []).append(node)
        return titles

    @cached_property
    def has_no_titles(self) -> bool:
        """Whether all titles are missing and replaced by ids."""
        return self.titles == [str(one) for one in self.ids]

    @cached_property
    def _named(self) -> list[tuple[int, list[tuple[str, tuple[str, ...]]], tuple[str, ...]]]:
        """Node, names with their words, and possible names of each movie with a title (an id is not a title)."""
        found = []
        for node, (title, one) in enumerate(zip(self.titles, self.ids, strict=True), self.first):
            if title != str(one):
                names, possible, _ = title_names(title)
                found.append((node, [(name, title_words(name)) for name in names], possible))
        return found

    @cached_property
    def names(self) -> dict[str, list[tuple[int, int]]]:
        """Nodes by key of a name, and whether it is their first name (0) or another (1)."""
        names: dict[str, list[tuple[int, int]]] = {}
        for node, own, _ in self._named:
            keys: dict[str, int] = {}
            for place, (_, words) in enumerate(own):
                keys.setdefault(title_key(words), int(place > 0))
            for key, is_alias in keys.items():
                if key:
                    names.setdefault(key, []).append((node, is_alias))
        return names

    @cached_property
    def parts(self) -> dict[str, list[tuple[int, int, int, bool]]]:
        """Nodes by key of a part of a title, and when the part is accepted, as in `title_parts`."""
        parts: dict[str, list[tuple[int, int, int, bool]]] = {}
        for node, own, possible in self._named:
            keys: dict[str, tuple[int, int, bool]] = {}
            others = [other for name, _ in own[1:] if (other := other_name_of(name, own[0][0])) is not None]
            for part, max_gap, without_year, is_title in (
                *(part for name, _ in own for part in title_parts(name)),
                *((name, MAX_YEAR_GAP, NEVER, True) for name in possible),
                *((other, MAX_YEAR_GAP, IF_TYPED, True) for other in others),
            ):
                key = title_key(title_words(part))
                keys[key] = max(keys.get(key, (0, NEVER, False)), (max_gap, without_year, is_title))
            for key, use in keys.items():
                parts.setdefault(key, []).append((node, *use))
        return parts

    @cached_property
    def words(self) -> WordIndex:
        """All names by their words."""
        names = [(node - self.first, words) for node, own, _ in self._named for _, words in own]
        # Without titles, ids are searched.
        placeholders = zip(self.titles, self.ids, strict=True)
        names += [(row, title_words(one)) for row, (text, one) in enumerate(placeholders) if text == one]
        return WordIndex(names, None if self._main is None else self._main.words.weights)

    @cached_property
    def _words_by_year(self) -> dict[int, WordIndex]:
        names: dict[int, list[tuple[int, tuple[str, ...]]]] = {}
        for row, words in zip(self.words.rows.tolist(), self.words.names, strict=True):
            if (year := self.years[row]) is not None:
                names.setdefault(year, []).append((row, words))
        return {year: WordIndex(own, self.words.weights) for year, own in names.items()}

    def rank_of_years(self, words: tuple[str, ...], year: int) -> list[tuple[float, int, tuple[str, ...]]]:
        """Return the names nearest to some words, among the movies of about this year."""
        years = range(year - MAX_YEAR_GAP, year + MAX_YEAR_GAP + 1)
        return [
            found
            for one in years
            if one in self._words_by_year
            for found in self._words_by_year[one].rank(words, 8, loose=False)
        ]


class WordIndex:
    """Inverted index from words to names; a row can have several names."""

    def __init__(self, names: list[tuple[int, tuple[str, ...]]], weights: dict[str, float] | None = None) -> None:
        self.rows = np.array([row for row, _ in names], dtype=np.int64)
        self.names = [words for _, words in names]
        postings: dict[str, list[int]] = {}
        for place, words in enumerate(self.names):
            for word in set(words):
                postings.setdefault(word, []).append(place)
        self.postings = {word: np.array(places) for word, places in postings.items()}
        self.vocabulary = sorted(word for word in self.postings if not word.isdecimal())
        self._cache: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]] = {}
        total = max(len(self.names), 1)
        self.weights = weights or {word: math.log(1 + total / len(places)) for word, places in postings.items()}
        self.largest = max(self.weights.values(), default=1.0)
        self.name_weights = np.array(
            [sum(self.weights.get(word, self.largest) for word in set(words)) or 1.0 for words in self.names]
        )

    @cached_property
    def spellings(self) -> list[str]:
        """The names as strings."""
        return [" ".join(words) for words in self.names]

    def rank(self, words: tuple[str, ...], k: int, *, loose: bool = True) -> list[tuple[float, int, tuple[str, ...]]]:
        """Return score, row and words of the `k` best names; unless `loose`, known words must match exactly."""
        wanted = list(dict.fromkeys(words))
        if not wanted or not self.names:
            return []
        weights = [self.weights.get(word, self.largest) for word in wanted]
        covered, matched = np.zeros(len(self.names)), np.zeros(len(self.names))
        for word, weight in zip(wanted, weights, strict=True):
            places, similarity = self._places(word, loose)
            covered[places] += weight * similarity
            matched[places] += min(weight, self.largest) * similarity
        found = np.flatnonzero(covered)
        score = 0.7 * covered[found] / sum(weights)
        score += 0.3 * np.minimum(matched[found] / self.name_weights[found], 1.0)
        order = np.argsort(-score, kind="stable")[:k]
        return [(float(score[row]), int(self.rows[found[row]]), self.names[found[row]]) for row in order]

    def _places(self, word: str, loose: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the names that contain a word or a similar one, and the largest similarity for each."""
        known = self._cache.get((word, loose))
        if known is None:
            best: dict[int, float] = {}
            for other, similarity in self._similar(word, loose):
                for place in self.postings[other].tolist():
                    best[place] = max(best.get(place, 0.0), similarity)
            known = np.array(list(best), dtype=np.int64), np.array(list(best.values()))
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[word, loose] = known
        return known

    def _similar(self, word: str, loose: bool) -> list[tuple[str, float]]:
        """Return similar words of the vocabulary, with their similarity."""
        found = {word: 1.0} if word in self.postings else {}
        if word.isdecimal() or len(word) < 3 or (found and not loose):
            return list(found.items())
        near = process.extract(
            word,
            self.vocabulary,
            scorer=Indel.normalized_similarity,
            processor=None,
            score_cutoff=MIN_SIMILARITY,
            limit=MAX_SIMILAR,
        )
        for other, similarity, _ in near:
            found.setdefault(other, 0.9 * similarity)
        if loose and len(word) >= 4 and len(found) < MAX_SIMILAR:
            for other in self._beginning_with(word):
                found[other] = max(found.get(other, 0.0), 0.8)
        return list(found.items())

    def _beginning_with(self, word: str) -> Iterator[str]:
        """Yield the longer words of the vocabulary that begin with a word."""
        for place in range(bisect_left(self.vocabulary, word), len(self.vocabulary)):
            other = self.vocabulary[place]
            if not other.startswith(word):
                return
            if other != word:
                yield other
