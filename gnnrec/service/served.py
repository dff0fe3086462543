"""`ServedModel`: a loaded run with lookup tables; `ModelHolder`: holds the current one."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from gnnrec._io import read_json
from gnnrec.data.titles import title_words
from gnnrec.errors import ConfigError, GnnrecError
from gnnrec.graph import NewUser
from gnnrec.graph.histories import map_rating
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import load
from gnnrec.plots import movie_coordinates
from gnnrec.reranking import is_family_friendly
from gnnrec.service.errors import InvalidFieldError, NotFoundError
from gnnrec.service.names import is_profile
from gnnrec.service.records import Entry, Profile

logger = logging.getLogger(__name__)

POLL = 2.0
"""Seconds between checks of the run folder."""
MAP_SIZE, MAP_COLORS = 400, 6
"""Movies on the map, and genres with colors of their own."""
STARS = (0.5, 5.0)
"""Fewest and most stars."""
BEGUN = 0.94
"""Score of a title that matches with an incomplete last word: below an exact match, above similar titles."""
MAX_TITLES = 300
"""Maximum number of movies given by title in a request."""
LIKED = 3.0
"""Number of stars from which a movie counts as liked, for data without ratings."""


@dataclass(frozen=True)
class MovieInfo:
    """A movie as shown.

    Examples
    --------
    >>> heat = MovieInfo(7, "Heat (1995)", "Heat", 1995, ("Crime",), 10, "", (), ())
    >>> heat.name, heat.fields["poster"]
    ('Heat', '/posters/7')
    """

    id: int | str
    title: str
    name: str
    year: int | None
    genres: tuple[str, ...]
    num_ratings: int
    plot: str
    directors: tuple[str, ...]
    actors: tuple[str, ...]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The movie as the API shows it, as plain JSON values; made once, since every list has it."""
        return {
            "id": self.id,
            "title": self.title,
            "year": self.year,
            "genres": list(self.genres),
            "num_ratings": self.num_ratings,
            "poster": poster_path(self.id),
        }


@dataclass(frozen=True)
class Dot:
    """A movie on the map: a place in percent, a radius in pixels, and the number of its genre's color."""

    movie: MovieInfo
    x: float
    y: float
    radius: float
    color: int


@dataclass(frozen=True, eq=False)
class ServedModel:
    """An immutable model with the tables that responses need.

    Attributes
    ----------
    model : Recommender
    loaded_at : float
        Seconds since 1970.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> served.movie("1").id, served.num_movies
    (1, 40)
    """

    model: Recommender
    loaded_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if not getattr(getattr(self.model, "estimator", None), "serves_new_users", True):
            raise ConfigError(
                f"the model {self.model.name!r} knows only the users of its training; serve another one, such as gnn"
            )
        # Cached values are computed before the first request.
        _ = self.movies, self.popular, self.model.graph.titles
        self.model.recommend(NewUser(), 1)

    @property
    def num_movies(self) -> int:
        """Number of movies."""
        return self.model.graph.num_movies

    @cached_property
    def num_trained_profiles(self) -> int:
        """Number of profiles whose ratings the model was trained on."""
        return sum(map(is_profile, self.model.graph.dataset.user_ids.ids.tolist()))

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of ratings of each movie, ``[num_movies]``."""
        return np.bincount(self.model.graph.dataset.rating_table.movie, minlength=self.num_movies)

    @cached_property
    def movies(self) -> list[MovieInfo]:
        """All movies, in the order of the graph."""
        table = self.model.graph.dataset.movies
        columns = {str(name): table[name].tolist() for name in table.columns}
        size = len(table)

        def texts(name: str) -> list[str]:
            return [value if isinstance(value, str) else "" for value in columns.get(name, [""] * size)]

        years = [None if pd.isna(year) else int(year) for year in columns.get("year", [None] * size)]
        many = {name: [_parts(text) for text in texts(name)] for name in ("genres", "directors", "actors")}
        return [
            MovieInfo(movie_id, title, short_name(title, year), year, genres, int(count), plot, directors, actors)
            for movie_id, title, year, genres, count, plot, directors, actors in zip(
                columns["movie_id"],
                map(str, columns["title"]),
                years,
                many["genres"],
                self.counts.tolist(),
                texts("plot"),
                many["directors"],
                many["actors"],
                strict=True,
            )
        ]

    @cached_property
    def _node_of(self) -> dict[str, int]:
        return {str(movie.id): node for node, movie in enumerate(self.movies)}

    def find(self, movie_id: int | str) -> MovieInfo | None:
        """Return the movie with an id, given as text or number; None if there is none."""
        node = self._node_of.get(str(movie_id))
        return None if node is None else self.movies[node]

    def check_titles(self, names: Iterable[int | str]) -> None:
        """Reject more than `MAX_TITLES` movies by title, which take milliseconds each; ids take no time.

        Raises
        ------
        ConfigError
            There are more.
        """
        if sum(name not in self._node_of for name in names if isinstance(name, str)) > MAX_TITLES:
            raise ConfigError(f"a request may name at most {MAX_TITLES} movies by title; name others by id")

    def movie(self, movie_id: int | str) -> MovieInfo:
        """Return the movie with an id.

        Raises
        ------
        NotFoundError
            There is none.
        """
        found = self.find(movie_id)
        if found is None:
            raise NotFoundError(f"there is no movie {str(movie_id)[:50]!r}")
        return found

    def search(self, text: str, k: int) -> list[tuple[float, MovieInfo]]:
        """Return movies by the words of a title, with scores in (0, 1]; the last word may be incomplete."""
        found = {node: score for score, node in self.model.graph.titles.search(text, max(k, 10), self.counts)}
        for node in self._by_beginning(text, k):
            found[node] = max(found.get(node, 0.0), BEGUN)
        best = sorted(found, key=lambda node: (-round(found[node], 6), -self.counts[node], node))
        return [(found[node], self.movies[node]) for node in best[:k]]

    def _by_beginning(self, text: str, k: int) -> list[int]:
        """Return the movies, most rated first, with all words but the last, and a word that starts with the last."""
        typed = title_words(text)
        if not typed or len(typed[-1]) < 2:
            return []
        *whole, begun = typed
        fitting = [
            node
            for node, words in enumerate(self._words)
            if all(word in words for word in whole) and any(word.startswith(begun) for word in words)
        ]
        return sorted(fitting, key=lambda node: -self.counts[node])[:k]

    @cached_property
    def _words(self) -> list[tuple[str, ...]]:
        return [title_words(movie.title) for movie in self.movies]

    @cached_property
    def popular(self) -> list[int]:
        """Movie nodes, most rated first."""
        return [int(node) for node in np.argsort(-self.counts, kind="stable")]

    @cached_property
    def starters(self) -> list[MovieInfo]:
        """Well-known movies of many kinds: the most rated ones, alternating between first genres."""
        queues: dict[str, list[int]] = {}
        for node in self.popular[:300]:
            genres = self.movies[node].genres
            queues.setdefault(genres[0] if genres else "", []).append(node)
        chosen: list[int] = []
        while any(queues.values()):
            for queue in queues.values():
                if queue:
                    chosen.append(queue.pop(0))
        return [self.movies[node] for node in chosen]

    @cached_property
    def map_genres(self) -> list[str]:
        """Genres that have colors on the map: the most frequent first genres."""
        first = Counter(self.movies[node].genres[0] for node in self.popular[:MAP_SIZE] if self.movies[node].genres)
        return [genre for genre, _ in first.most_common(MAP_COLORS)]

    @cached_property
    def map(self) -> list[Dot]:
        """The most rated movies on a plane, similar ones close to each other."""
        if self.num_movies < 2:
            return []
        table = movie_coordinates(self.model, num_movies=MAP_SIZE)
        places = table[["x", "y"]].to_numpy()
        low, high = np.quantile(places, [0.01, 0.99], axis=0)
        scaled = 3 + 94 * np.clip((places - low) / np.maximum(high - low, 1e-9), 0, 1)
        colors = {genre: place for place, genre in enumerate(self.map_genres)}
        dots = []
        for movie_id, (x, y) in zip(table["movie_id"].tolist(), scaled.tolist(), strict=True):
            movie = self.movie(movie_id)
            radius = 3.5 + 8 * (movie.num_ratings / max(1, int(self.counts.max()))) ** 0.5
            color = colors.get(movie.genres[0] if movie.genres else "", MAP_COLORS)
            dots.append(Dot(movie, round(x, 2), round(100 - y, 2), round(radius, 1), color))
        return dots

    @cached_property
    def figures(self) -> list[tuple[str, str]]:
        """Metrics of the run, from its test or the last epoch."""
        tests = self.model.report.get("test") or []
        found = tests[0].get("metrics", tests[0]) if tests and isinstance(tests[0], dict) else {}
        if not found and self.model.history:
            found = {name: value for name, value in self.model.history[-1].items() if name != "seconds"}
        return [
            (str(name), f"{value:,.4g}" if isinstance(value, float) else f"{value:,}")
            for name, value in found.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        ]

    @cached_property
    def settings(self) -> list[tuple[str, str]]:
        """Hyperparameters by name."""

        def flat(values: Mapping[str, Any], before: str) -> list[tuple[str, str]]:
            found = []
            for name, value in values.items():
                if isinstance(value, Mapping):
                    found += flat(value, f"{before}{name}.")
                else:
                    found.append((f"{before}{name}", str(value)))
            return found

        return flat(self.model.hyperparameters, "")

    @property
    def genres(self) -> list[str]:
        """All genres."""
        return [str(genre) for genre in self.model.graph.genres]

    @cached_property
    def knows_families(self) -> bool:
        """Whether the data can identify movies for families."""
        try:
            is_family_friendly(self.model.graph)
        except ConfigError:
            return False
        return True

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating of the data, None if it has no ratings."""
        return self.model.graph.dataset.rating_scale

    def user(self, profile: Profile, history: Sequence[Entry]) -> NewUser:
        """Return a profile as a `NewUser`; movies that the model does not have are left out."""
        known = [(movie.id, entry) for entry in history if (movie := self.find(entry.movie_id)) is not None]
        ratings: dict[Any, float] = {}
        times: dict[Any, int] = {}
        for movie_id, entry in known:
            stars = STARS[1] if entry.stars is None else entry.stars
            if self.scale is not None:
                ratings[movie_id] = map_rating(stars, STARS, self.scale)
            elif stars >= LIKED:
                ratings[movie_id] = 1.0
            else:
                continue
            times[movie_id] = entry.time
        return NewUser(
            None if profile.age is None else float(profile.age),
            _known(profile.gender, self.model.graph.genders),
            _known(profile.occupation, self.model.graph.occupations),
            ratings=ratings,
            timestamps=times or None,
            name=profile.id,
        )

    def stars(self, rating: float) -> float:
        """Return a rating of the data as stars."""
        if self.scale is None:
            return STARS[1]
        low, high = self.scale
        if low < 0:  # thumbs, whose scale starts below 0
            stars = STARS[0] + (rating - low) / (high - low) * (STARS[1] - STARS[0])
        else:
            stars = map_rating(rating, self.scale, STARS)
        return min(max(round(2 * stars) / 2, STARS[0]), STARS[1])


class ModelHolder:
    """The current model, loaded from a run folder and replaced when the folder is.

    Parameters
    ----------
    run : Path
        A saved run.
    """

    def __init__(self, run: Path) -> None:
        self.run = Path(run)
        self._stamp = self._current()
        self._served = ServedModel(load(self.run))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def served(self) -> ServedModel:
        """The current model; use the same one for the whole request."""
        return self._served

    def refresh(self) -> bool:
        """Reload the run if it was replaced, and return whether it was; the old model is used until then."""
        with self._lock:
            stamp = self._current()
            if stamp is None or stamp == self._stamp:
                return False
            try:
                made = ServedModel(load(self.run))
            except (GnnrecError, OSError) as error:
                logger.warning("the new run is not used: %s", error)
                self._stamp = stamp
                return False
            _ = made.map
            self._served, self._stamp = made, stamp
            logger.info("the new run is used from now on")
            return True

    def watch(self) -> None:
        """Check for a new run every few seconds, in a thread, until `close`."""

        def look() -> None:
            while not self._stop.wait(POLL):
                _ = self._served.map  # takes seconds, once; not at the start, which it would slow down
                self.refresh()

        self._thread = threading.Thread(target=look, name="gnnrec-run", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def report(self) -> dict[str, Any]:
        """Return the recorded metrics and metadata of the run."""
        metrics, header = (read_json(self.run / name) for name in ("metrics.json", "run.json"))
        return {"report": metrics.get("report", {}), "header": header, "history": metrics.get("history", [])}

    def _current(self) -> object:
        try:
            found = (self.run / "run.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def poster_path(movie_id: int | str) -> str:
    """Return the path of the picture of a movie.

    >>> poster_path("a/b")
    '/posters/a%2Fb'
    """
    return f"/posters/{quote(str(movie_id), safe='')}"


def short_name(title: str, year: int | None) -> str:
    """Return a title in spoken form, without the year and with its article in front.

    >>> short_name("Matrix, The (1999)", 1999), short_name("Heat (1995)", 1995)
    ('The Matrix', 'Heat')
    """
    name = title.removesuffix(f"({year})").strip() if year is not None else title
    for article in ("The", "A", "An"):
        if name.endswith(f", {article}"):
            return f"{article} {name.removesuffix(f', {article}')}"
    return name or title


def now() -> int:
    """Return the seconds since 1970."""
    return int(time.time())


def check_profile(served: ServedModel, gender: str | None, occupation: str | None) -> None:
    """Raise a `InvalidFieldError` if the model does not know a gender or occupation."""
    graph = served.model.graph
    for field_name, value, known in (("gender", gender, graph.genders), ("occupation", occupation, graph.occupations)):
        if value is not None and _known(value, known) is None:
            choices = ", ".join(map(str, known)) or "none"
            raise InvalidFieldError(field_name, f"unknown {field_name} {value!r}; the model knows: {choices}")


def _known(value: str | None, values: pd.Index) -> str | None:
    """Return a value if the model knows it; after a run was replaced, it may not."""
    if value is None or value.casefold() not in {str(one).casefold() for one in values}:
        return None
    return value


def _parts(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split("|"))))
