"""`read_history`: the movies in an export of another site as a `NewUser` of a graph, and a report on each of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.schema import DEFAULT_RATING
from gnnrec.data.titles import MAX_YEAR_GAP, content_words, title_names, title_words
from gnnrec.datasets.histories import HistoryEntry, LeftOut, merge_entries, read_history_file, without_duplicates
from gnnrec.errors import DataError
from gnnrec.graph.new_user import NewUser
from gnnrec.graph.title_matches import Ambiguous, Found, NotFound
from gnnrec.graph.titles import TitleIndex

NUM_NAMED = 3
"""Number of nearest titles that a report lists for a movie that is not in the catalog."""
_HOW = ("id", "title", "name", "part", "similar")  # best first


@dataclass(frozen=True, eq=False)
class HistoryReport:
    r"""Which movies of a history were found in the graph, and which were not.

    Attributes
    ----------
    source : str
        Where the history is from.
    found : pandas.DataFrame
        ``title, year`` as in the history; ``movie_id, movie, rating`` as in the graph; ``how`` it was found: ``"id"``,
        ``"title"``, ``"name"`` (the same words), ``"part"`` (of a longer title) or ``"similar"``.
    ambiguous : pandas.DataFrame
        ``title, year, movie_ids, movies``: titles that several movies of the graph fit equally well; they are not used.
    missing : pandas.DataFrame
        ``title, year, nearest``: movies that the graph does not have, and the titles nearest by words.
    left_out : pandas.DataFrame
        ``title, reason, at``: rows that are not movies that were watched, such as episodes of series.
    notes : tuple of str
        Guesses and ignored content.

    Examples
    --------
    >>> from pathlib import Path
    >>> path = Path("history.txt")
    >>> _ = path.write_text("\n".join([*graph.dataset.movies["title"][:3], "A Movie That Nobody Made"]))
    >>> print(read_history(path, graph).report)
    list of titles: 4 movies, 3 found, 0 ambiguous, 1 not in the catalog
    not in the catalog: A Movie That Nobody Made
    3 liked movies without a rating count as 5
    >>> path.unlink()
    """

    source: str
    found: pd.DataFrame
    ambiguous: pd.DataFrame
    missing: pd.DataFrame
    left_out: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        total = len(self.found) + len(self.ambiguous) + len(self.missing)
        lines = [
            f"{self.source}: {counted(total, 'movie')}, {len(self.found)} found, {len(self.ambiguous)} ambiguous, "
            f"{len(self.missing)} not in the catalog"
        ]
        if len(near := self.found[self.found["how"].isin(["part", "similar"])]):
            lines.append(
                f"taken as: {_listed([f'{a} = {b}' for a, b in zip(near['title'], near['movie'], strict=True)])}"
            )
        if len(self.ambiguous):
            choices = zip(self.ambiguous["title"], self.ambiguous["movies"], strict=True)
            lines.append(f"ambiguous: {_listed([f'{title} ({len(movies)} movies)' for title, movies in choices])}")
        if len(self.missing):
            lines.append(f"not in the catalog: {_listed(self.missing['title'].tolist())}")
        for reason, rows in self.left_out.groupby("reason", sort=False):
            lines.append(f"left out, {reason}: {_listed(rows['title'].tolist())}")
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__


class History(NamedTuple):
    """A new user with the movies of a history, and a report on how they were found.

    Examples
    --------
    >>> History._fields
    ('user', 'report')
    """

    user: NewUser
    report: HistoryReport


def read_history(
    path: str | Path, graph: Any, *, netflix_profile: str | None = None, name: Hashable | None = None
) -> History:
    r"""Read a user's movies, exported from another site, as a `NewUser`.

    Reads exports of Letterboxd, IMDb, Netflix and other sites (`gnnrec.registry.history_sites` lists them), zipped or
    unpacked, other tables with a column of titles, and lists of titles. A movie that the graph does not have is never
    mistaken for another one; the report lists it.

    Parameters
    ----------
    path : str or Path
        A file, a zip file, or a folder.
    graph : Graph or Recommender
        A graph, or a fitted model.
    netflix_profile : str, optional
        Name of the Netflix profile, if the export has several.
    name : hashable, optional
        Name of the user.

    Returns
    -------
    History
        ``user, report``. Ratings keep their share of the highest one: 9 of 10 are 4.5 of 5. Movies that were watched
        without a rating count as the mean of the user's ratings, liked ones as the highest rating.

    Raises
    ------
    DataError
        The file is missing, empty, damaged or of an unknown format.
    ConfigError
        The export has several Netflix profiles and none is chosen, or the chosen one does not exist.

    Examples
    --------
    >>> from pathlib import Path
    >>> path = Path("movies.txt")
    >>> _ = path.write_text(f"{graph.dataset.movies['title'][3]}\nA movie that nobody made\n")
    >>> user, report = read_history(path, graph)
    >>> list(user.ratings.items()), report.missing["title"].tolist()
    ([(4, 5.0)], ['A movie that nobody made'])
    >>> path.unlink()
    """
    graph = getattr(graph, "graph", graph)
    index = getattr(graph, "titles", None)
    if not isinstance(index, TitleIndex):
        raise DataError(f"read_history needs a graph or a fitted model, not {type(graph).__name__}")
    file = read_history_file(path, netflix_profile=netflix_profile)
    if not file.entries and not file.left_out:
        raise DataError(f"{path} has no movies")
    notes, left_out = list(file.notes), list(file.left_out)
    groups: dict[int, list[tuple[HistoryEntry, str]]] = {}
    ambiguous, missing = [], []
    for entry in without_duplicates(file.entries):
        found = find_entry(index, entry, typed=file.is_handwritten)
        if isinstance(found, Found):
            groups.setdefault(found.node, []).append((entry, found.how))
        elif isinstance(found, Ambiguous):
            ids, titles = ([one(node) for node in found.nodes] for one in (index.movie_id, index.title))
            ambiguous.append((entry.title, entry.year, ids, titles))
        else:
            nearest = [index.title(node) for node in index.nearest(entry.title, NUM_NAMED)] if entry.title else []
            missing.append((entry.title or f"movie {entry.movielens_id or entry.imdb_id}", entry.year, nearest))
    kept: dict[int, tuple[HistoryEntry, str]] = {}
    for node, entries in groups.items():
        entries.sort(key=lambda pair: _HOW.index(pair[1]))
        first, how = entries[0]
        same = [entry for entry, other in entries if other == how or _same_name(entry, first)]
        left_out += [
            LeftOut(entry.title, f"{first.title!r} matches {index.title(node)!r} better", entry.at)
            for entry, _ in entries
            if entry not in same
        ]
        kept[node] = merge_entries(same), how
    ratings, more = _ratings(graph, kept, left_out)
    notes += more
    times = {node: kept[node][0].time for node in ratings}
    order = sorted(ratings, key=lambda node: times[node] or 0)
    known = [time for time in times.values() if time is not None]
    rows = [
        (kept[node][0].title, kept[node][0].year, index.movie_id(node), index.title(node), ratings[node], kept[node][1])
        for node in order
    ]
    report = HistoryReport(
        file.source,
        _frame(rows, "title", "year", "movie_id", "movie", "rating", "how"),
        _frame(ambiguous, "title", "year", "movie_ids", "movies"),
        _frame(missing, "title", "year", "nearest"),
        pd.DataFrame(left_out, columns=["title", "reason", "at"]),
        tuple(notes),
    )
    user = NewUser(
        ratings={index.movie_id(node): ratings[node] for node in order},
        # Movies without a date are assumed to be older than those with one.
        timestamps={index.movie_id(node): times[node] or min(known) for node in order} if known else None,
        name=name,
    )
    return History(user, report)


def find_entry(index: TitleIndex, entry: HistoryEntry, *, typed: bool = False) -> Found | Ambiguous | NotFound:
    """Find the movie of an entry, by its ids and by its titles."""
    if entry.imdb_id or entry.tmdb_id:
        found = index.find(None, imdb_id=entry.imdb_id, tmdb_id=entry.tmdb_id)
        if isinstance(found, Found) and _agrees(index, found.node, entry):
            return found
    if entry.title:
        is_number = entry.title.strip().isdecimal()  # "300" is a title, not an id
        return index.find(
            entry.title,
            year=entry.year,
            other_names=entry.other_names,
            typed=typed and not is_number,
            ids=not is_number,
        )
    return NotFound() if entry.movielens_id is None else index.find(entry.movielens_id)


def _agrees(index: TitleIndex, node: int, entry: HistoryEntry) -> bool:
    """Return whether title and year match those of the movie with this id, because tables of ids have mistakes."""
    if not entry.title:
        return True
    own, year = index.year(node), title_names(entry.title)[2] if entry.year is None else entry.year
    names = [title_words(name) for name in (*title_names(entry.title)[0], *entry.other_names)]
    own_names = [title_words(name) for name in title_names(index.title(node))[0]]
    if own is not None and year is not None:
        return abs(own - year) <= MAX_YEAR_GAP or not set(names).isdisjoint(own_names)
    ours, theirs = ({word for name in some for word in content_words(name)} for some in (own_names, names))
    return not ours.isdisjoint(theirs)


def _same_name(one: HistoryEntry, other: HistoryEntry) -> bool:
    return title_words(one.title) == title_words(other.title)


def rating_scale(graph: Any) -> tuple[float, float] | None:
    """Return the lowest and the highest rating of a graph, None if it has no ratings."""
    scale: tuple[float, float] | None = graph.dataset.rating_scale
    return scale


def map_rating(value: float, scale: tuple[float, float], target: tuple[float, float]) -> float:
    """Return a rating on another scale: the same share of the highest one, but not below the lowest.

    >>> map_rating(9, (1, 10), (1, 5)), map_rating(0.5, (0.5, 5), (1, 5)), map_rating(10, (1, 10), (-1, 1))
    (4.5, 1, 1.0)
    """
    if target[0] < 0:
        return target[0] + (value - scale[0]) / (scale[1] - scale[0]) * (target[1] - target[0])
    return min(max(value * target[1] / scale[1], target[0]), target[1])


def _ratings(
    graph: Any, kept: dict[int, tuple[HistoryEntry, str]], left_out: list[LeftOut]
) -> tuple[dict[int, float], list[str]]:
    """Return the rating of each movie on the scale of the graph, and notes."""
    target = rating_scale(graph)
    notes: list[str] = []
    if target is None:  # without ratings in the graph, every movie in a history counts as liked
        ratings = {}
        for node, (entry, _) in kept.items():
            if entry.rating is not None and entry.rating < entry.scale[1] / 2 and not entry.is_liked:
                left_out.append(LeftOut(entry.title, "disliked, and the graph has no ratings", entry.at))
            else:
                ratings[node] = 1.0
        return ratings, notes
    ratings = {
        node: map_rating(entry.rating, entry.scale, target)
        for node, (entry, _) in kept.items()
        if entry.rating is not None
    }
    mean = float(np.mean(list(ratings.values()))) if ratings else min(DEFAULT_RATING, target[1])
    unrated = [node for node in kept if node not in ratings]
    liked = [node for node in unrated if kept[node][0].is_liked]
    ratings |= {node: target[1] if kept[node][0].is_liked else mean for node in unrated}
    if len(unrated) > len(liked):
        notes.append(f"{_without_rating(len(unrated) - len(liked), 'movie')} as {mean:.2g}")
    if liked:
        notes.append(f"{_without_rating(len(liked), 'liked movie')} as {target[1]:g}")
    return ratings, notes


def _without_rating(number: int, noun: str) -> str:
    return f"{counted(number, noun)} without a rating {'counts' if number == 1 else 'count'}"


def _frame(rows: list[Any], *columns: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.assign(year=frame["year"].astype("Int64"))


def _listed(titles: list[str], most: int = 10) -> str:
    more = f" and {len(titles) - most} more" if len(titles) > most else ""
    return f"{', '.join(map(str, titles[:most]))}{more}"
