"""`Session`: the commands of ``gnnrec shell``, without a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pandas as pd

from gnnrec._checks import choose_from
from gnnrec.cli._options import parse_rating
from gnnrec.cli._output import errors, note, say, show
from gnnrec.cli._profiles import MemoryProfiles, ProfileStore, SavedProfile
from gnnrec.data.schema import DEFAULT_RATING
from gnnrec.errors import ConfigError, DataError
from gnnrec.explanations import explain
from gnnrec.graph import NewUser
from gnnrec.graph.title_search import search
from gnnrec.models import Recommender
from gnnrec.models.filters import movie_mask

HELP = {
    "search": ("WORDS", "movies by the words of their titles"),
    "add": ("MOVIE", "to your history, as a movie that you like"),
    "rate": ("MOVIE STARS", "add it with your rating, or change that"),
    "remove": ("MOVIE", "from your history; also its place in `show`"),
    "clear": ("", "your history"),
    "show": ("", "your history"),
    "recommend": ("[K]", "movies for you; `more` shows the next ones"),
    "more": ("", "the next movies of the last list"),
    "similar": ("MOVIE", "movies like one"),
    "explain": ("MOVIE", "why it is recommended"),
    "popular": ("[K]", "the movies with the most ratings"),
    "filter": (
        "[NAME=VALUE ... | off]",
        "genres, years, min_ratings, family_friendly, diversity, novelty, calibration",
    ),
    "bucket": ("[add MOVIE | remove MOVIE]", "your bucket list"),
    "save": ("NAME", "history and bucket list as a profile"),
    "open": ("NAME", "a saved profile"),
    "profiles": ("", "names of the saved ones"),
    "help": ("", "this list"),
    "exit": ("", "leave"),
}
"""Arguments and explanation of each command."""
WITH_MOVIE = ("search", "add", "rate", "remove", "similar", "explain", "bucket")
SHARES = ("diversity", "novelty", "calibration")


class Session:
    """History, bucket list and filters of one person, and commands that use and change them.

    Parameters
    ----------
    model : Recommender
    profiles : ProfileStore, optional
    """

    def __init__(self, model: Recommender, profiles: ProfileStore | None = None) -> None:
        self.model = model
        self.profiles = MemoryProfiles() if profiles is None else profiles
        self.ratings: dict[Any, float] = {}
        self.bucket_list: list[Any] = []
        self.filters: dict[str, Any] = {}
        self.has_failed = False
        self._listed: list[Any] = []  # movie ids of the last table, which numbers refer to
        self._page = (10, 0)
        table = model.graph.dataset.movies
        self._titles = dict(zip(table["movie_id"], table["title"], strict=True))

    @property
    def titles(self) -> list[str]:
        """Titles of all movies."""
        return list(self._titles.values())

    @property
    def words(self) -> dict[str, bool]:
        """Names of the commands, and whether they take a movie."""
        return {name: name in WITH_MOVIE for name in HELP}

    def run(self, line: str) -> bool:
        """Run a command; an error is printed. Return whether the session goes on."""
        name, _, rest = line.strip().partition(" ")
        name = name.lower()
        if not name or name.startswith("#"):
            return True
        if name in ("exit", "quit"):
            return False
        try:
            with errors():
                if name not in HELP:
                    raise ConfigError(f"unknown command {name!r}{choose_from(name, HELP)}")
                command: Callable[[str], None] = getattr(self, f"_{name}")
                command(rest.strip())
        except Exception as error:
            if type(error).__name__ != "Exit":
                raise
            self.has_failed = True
        return True

    def _movie(self, text: str) -> Any:
        """Return the id of a movie, given by its place in the last table, its id or its title."""
        text = text.strip().strip('"')
        if not text:
            raise DataError("name a movie: its place in the last list, its id, or its title")
        if text.isdecimal() and 1 <= int(text) <= len(self._listed):
            return self._listed[int(text) - 1]
        text = text.removeprefix("id:")
        graph = self.model.graph
        return graph.titles.movie_id(graph.movie_node(text))

    def _table(self, movies: list[Any], **columns: list[str]) -> None:
        """Print movies; numbers in later commands are their places."""
        self._listed = list(movies)
        if not movies:
            note("no movies")
            return
        text = {
            "": [str(place) for place in range(1, len(movies) + 1)],
            "movie": [self._titles[movie] for movie in movies],
            **columns,
        }
        show(pd.DataFrame({"movie_id": movies}), text=text)

    def _search(self, text: str) -> None:
        found = search(self.model, text)
        self._table(found["movie_id"].tolist(), id=[str(movie) for movie in found["movie_id"]])

    def _add(self, text: str) -> None:
        scale = self.model.graph.dataset.rating_scale
        self._put(self._movie(text), DEFAULT_RATING if scale is None else scale[1])

    def _rate(self, text: str) -> None:
        front, _, back = text.rpartition(" ")
        movie, stars = parse_rating(f"{front}={back}") if front and "=" not in back else parse_rating(text)
        if front and "=" not in back and movie != front.strip():
            raise DataError(f"{back!r} is no rating; write `rate Heat (1995) 4`")
        scale = self.model.graph.dataset.rating_scale
        if scale is not None and not scale[0] <= stars <= scale[1]:
            raise DataError(f"ratings are between {scale[0]:g} and {scale[1]:g}, not {stars:g}")
        self._put(self._movie(movie), stars)

    def _put(self, movie: Any, stars: float) -> None:
        self.ratings.pop(movie, None)
        self.ratings[movie] = stars
        if movie in self.bucket_list:
            self.bucket_list.remove(movie)
        say(f"{self._titles[movie]}: {stars:g}")

    def _remove(self, text: str) -> None:
        places = list(self.ratings)
        is_place = text.isdecimal() and 1 <= int(text) <= len(places)
        movie = places[int(text) - 1] if is_place else self._movie(text)
        if movie not in self.ratings:
            raise DataError(f"{self._titles[movie]} is not in your history")
        del self.ratings[movie]
        say(f"removed {self._titles[movie]}")

    def _clear(self, text: str) -> None:
        self.ratings.clear()
        say("your history is empty")

    def _show(self, text: str) -> None:
        self._table(list(self.ratings), rating=[f"{stars:g}" for stars in self.ratings.values()])

    def _recommend(self, text: str) -> None:
        self._page = (_number(text, 10), 0)
        self._recommend_page()

    def _more(self, text: str) -> None:
        k, offset = self._page
        self._page = (k, offset + k)
        self._recommend_page()

    def _recommend_page(self) -> None:
        k, offset = self._page
        found = self.model.recommend(NewUser(ratings=self.ratings), k, offset=offset, **self.filters)
        movies = found["movie_id"].tolist()
        because: list[str] = []
        if movies and self.ratings:
            reasons = explain(self.model, NewUser(ratings=self.ratings), movies)
            because = [", ".join(reasons.loc[reasons["movie_id"] == movie, "because"]) for movie in movies]
        self._table(movies, **({"because of": because} if because else {}))

    def _similar(self, text: str) -> None:
        found = self.model.similar_movies(self._movie(text))
        self._table(found["movie_id"].tolist(), similarity=[f"{value:.3f}" for value in found["similarity"]])

    def _explain(self, text: str) -> None:
        movie = self._movie(text)
        if not self.ratings:
            raise DataError("your history is empty; add or rate movies first")
        reasons = explain(self.model, NewUser(ratings=self.ratings), [movie], 5)
        if reasons.empty:
            say(f"nothing in your history speaks for {self._titles[movie]}")
        for because, effect in zip(reasons["because"], reasons["effect"], strict=True):
            say(f"{because}  {effect:+.3f}")

    def _popular(self, text: str) -> None:
        counts = pd.Series(0, index=list(self._titles)).add(
            self.model.graph.dataset.ratings["movie_id"].value_counts(), fill_value=0
        )
        masked = {name: value for name, value in self.filters.items() if name not in SHARES}
        allowed = movie_mask(self.model.graph, **masked)
        counts = counts.loc[list(self._titles)]
        counts = counts if allowed is None else counts[allowed.numpy()]
        best = counts.sort_values(ascending=False, kind="stable")[: _number(text, 10)]
        self._table(best.index.tolist(), ratings=[f"{count:,.0f}" for count in best])

    def _filter(self, text: str) -> None:
        if text == "off":
            self.filters = {}
        elif text:
            made = {**self.filters, **_read_filters(text)}
            self.model.recommend({}, 1, **made)  # refuses unknown genres and the like
            self.filters = made
        say(", ".join(f"{name}={value}" for name, value in self.filters.items()) or "no filters")

    def _bucket(self, text: str) -> None:
        action, _, rest = text.partition(" ")
        if action == "add":
            movie = self._movie(rest)
            if movie not in self.bucket_list:
                self.bucket_list.append(movie)
            say(f"{self._titles[movie]} is on your bucket list")
        elif action == "remove":
            places = self.bucket_list
            is_place = rest.isdecimal() and 1 <= int(rest) <= len(places)
            movie = places[int(rest) - 1] if is_place else self._movie(rest)
            if movie not in self.bucket_list:
                raise DataError(f"{self._titles[movie]} is not on your bucket list")
            self.bucket_list.remove(movie)
            say(f"removed {self._titles[movie]}")
        elif action:
            raise ConfigError(f"bucket {action!r}{choose_from(action, ['add', 'remove'])}")
        else:
            self._table(self.bucket_list)

    def _save(self, text: str) -> None:
        if not text:
            raise ConfigError("give the profile a name: save NAME")
        self.profiles.save(text, SavedProfile(dict(self.ratings), tuple(self.bucket_list)))
        say(f"saved {text}")

    def _open(self, text: str) -> None:
        found = self.profiles.open(text)
        self.ratings = {movie: stars for movie, stars in found.ratings.items() if movie in self._titles}
        self.bucket_list = [movie for movie in found.bucket_list if movie in self._titles]
        say(f"{text}: {len(self.ratings)} in the history, {len(self.bucket_list)} on the bucket list")

    def _profiles(self, text: str) -> None:
        for name in self.profiles.names():
            say(name)

    def _help(self, text: str) -> None:
        say("MOVIE is its place in the last list, its id (id:3 where a place is meant otherwise), or its title.")
        for name, (arguments, about) in HELP.items():
            say(f"{name} {arguments}".ljust(36) + about)


def _number(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"give a number of movies, not {text!r}")
    return int(text)


def _read_filters(text: str) -> dict[str, Any]:
    """Return filters as `recommend` takes them.

    >>> _read_filters('genres="Drama|Crime" years=1990- diversity=.3 family_friendly=yes')
    {'genres': 'Drama|Crime', 'years': '1990-', 'diversity': 0.3, 'family_friendly': True}
    """
    names = ("genres", "years", "min_ratings", "family_friendly", *SHARES)
    found: dict[str, Any] = {}
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"a quotation mark is missing in {text!r}") from None
    for word in words:
        name, equals, value = word.partition("=")
        if name not in names or not equals:
            raise ConfigError(f"cannot read {word!r}; write NAME=VALUE with one of {', '.join(names)}")
        try:
            if name == "family_friendly":
                found[name] = value.lower() in ("yes", "true", "on", "1")
            elif name == "min_ratings":
                found[name] = int(value)
            else:
                found[name] = float(value) if name in SHARES else value
        except ValueError:
            raise ConfigError(f"{name} must be a number, not {value!r}") from None
    return found
