"""`Session`: the commands of ``gnnrec shell``, without a terminal."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import typer

from gnnrec._checks import choose_from
from gnnrec.cli._output import errors, note, say, show
from gnnrec.cli._profiles import Lists, OpenProfile, Profiles
from gnnrec.cli._reranking import SHARES
from gnnrec.data.schema import DEFAULT_RATING
from gnnrec.errors import ConfigError, DataError
from gnnrec.explanations import explain
from gnnrec.graph import NewUser
from gnnrec.graph.title_search import search
from gnnrec.models import Recommender
from gnnrec.models.filters import movie_mask

HELP = {
    "search": ("WORDS", "search movies by words of their titles"),
    "add": ("MOVIE", "add a movie you like to your history"),
    "rate": ("MOVIE STARS", "rate a movie, or change its rating"),
    "remove": ("MOVIE", "remove a movie from your history; also by its number in `show`"),
    "clear": ("", "empty your history"),
    "show": ("", "show your history"),
    "recommend": ("[K]", "recommend movies; `more` shows the next ones"),
    "more": ("", "continue the last list"),
    "similar": ("MOVIE", "list similar movies"),
    "explain": ("MOVIE", "explain why a movie is recommended"),
    "popular": ("[K]", "list the movies with the most ratings"),
    "filter": (
        "[NAME=VALUE ... | off]",
        f"set genres, years, min_ratings, family_friendly, {', '.join(SHARES)}",
    ),
    "bucket": ("[add MOVIE | remove MOVIE]", "show or change your bucket list"),
    "save": ("[NAME]", "save history and bucket list as a profile, which `gnnrec serve` shows as well"),
    "open": ("NAME", "open a saved profile"),
    "profiles": ("", "list saved profiles"),
    "help": ("[COMMAND]", "show this list, or one command"),
    "exit": ("", "leave the session"),
}
"""Arguments and explanation of each command."""
MAX_MOVIES = 200
"""Maximum length of a list."""
FILTERS = ("genres", "years", "min_ratings", "family_friendly", *SHARES)


class Session:
    """History, bucket list and filters of one person, and commands that use and change them.

    Parameters
    ----------
    model : Recommender
    profiles : Profiles, optional
        By default those of the default database.
    is_interactive : bool
        Whether a person types the commands; unsaved changes are then not discarded without confirmation.

    Attributes
    ----------
    ratings, times : dict
        Rating and time of each movie of the history, oldest first.
    bucket_list, hidden : list
        Movies to watch, and movies that are not recommended.
    opened : OpenProfile or None
        The profile that was opened or saved.
    has_failed : bool
        Whether a command failed.
    """

    def __init__(self, model: Recommender, profiles: Profiles | None = None, *, is_interactive: bool = False) -> None:
        self.model = model
        self.profiles = Profiles(model) if profiles is None else profiles
        self.is_interactive = is_interactive
        self.ratings: dict[Any, float] = {}
        self.times: dict[Any, int] = {}
        self.bucket_list: list[Any] = []
        self.hidden: list[Any] = []
        self.opened: OpenProfile | None = None
        self.filters: dict[str, Any] = {}
        self.has_failed = False
        self._listed: list[Any] = []  # movie ids of the last table, which numbers refer to
        self._page: tuple[int, int] | None = None
        self._asked = ""  # the command that is to be confirmed by repeating it
        table = model.graph.dataset.movies
        self._titles = dict(zip(table["movie_id"].tolist(), map(str, table["title"].tolist()), strict=True))

    @property
    def titles(self) -> dict[Any, str]:
        """Titles of all movies, by id."""
        return self._titles

    @property
    def lists(self) -> Lists:
        """The movies of the session."""
        return Lists(dict(self.ratings), dict(self.times), list(self.bucket_list), list(self.hidden))

    @property
    def user(self) -> NewUser:
        """The user of the session as a `NewUser`."""
        age, gender, occupation = None, None, None
        if self.opened is not None:
            age, gender, occupation = self.opened.age, self.opened.gender, self.opened.occupation
        return NewUser(age, gender, occupation, ratings=dict(self.ratings), timestamps=dict(self.times) or None)

    def may_leave(self, command: str) -> bool:
        """Return whether the session may end or open another profile; a repeated command discards changes."""
        asked, self._asked = self._asked, ""
        if self.opened is None or self.lists.same_movies(self.opened.lists):
            return True
        name = self.opened.name
        if not self.is_interactive or asked == command:
            note(f"the changes to {name} were not saved")
            return True
        note(f"{name} has unsaved changes: `save` keeps them, `{command}` again discards them")
        self._asked = command
        return False

    def run(self, line: str) -> bool:
        """Run a command and print its errors; return whether the session continues."""
        words = line.split(maxsplit=1)
        name, rest = words[0].lower() if words else "", words[1].strip() if len(words) > 1 else ""
        if not name or name.startswith("#"):
            return True
        if name in ("exit", "quit"):
            return not self.may_leave("exit")
        asked, self._asked = self._asked, ""
        try:
            with errors():
                if name not in HELP:
                    raise ConfigError(f"unknown command {name!r}{choose_from(name, HELP)}")
                if name == "open":
                    self._asked = asked
                command: Callable[[str], None] = getattr(self, f"_{name}")
                command(rest)
        except typer.Exit:
            self.has_failed = True
        return True

    def _movie(self, text: str) -> Any:
        """Return the id of a movie, given by its place in the last table, its id or its title."""
        text = text.strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1].strip()
        if not text:
            raise DataError("which movie? Give its number in the last list, its id, or its title")
        if text.isdecimal() and 1 <= int(text) <= len(self._listed):
            return self._listed[int(text) - 1]
        text = text.removeprefix("id:")
        graph = self.model.graph
        return graph.titles.movie_id(graph.movie_node(text))

    def _table(self, movies: list[Any], **columns: list[str]) -> None:
        """Print numbered movies; later commands refer to these numbers. An empty list keeps the last numbers."""
        if not movies:
            note("no movies")
            return
        self._listed = list(movies)
        text = {
            "": [str(place) for place in range(1, len(movies) + 1)],
            "movie": [self._titles[movie] for movie in movies],
            **columns,
        }
        show(pd.DataFrame({"movie_id": movies}), text=text)

    def _search(self, text: str) -> None:
        if not text:
            raise DataError("search for what? Use search WORDS")
        found = search(self.model, text)
        self._table(found["movie_id"].tolist(), id=[str(movie) for movie in found["movie_id"]])

    def _add(self, text: str) -> None:
        scale = self.model.graph.dataset.rating_scale
        self._put(self._movie(text), DEFAULT_RATING if scale is None else scale[1])

    def _rate(self, text: str) -> None:
        movie, _, stars = text.rpartition("=" if "=" in text.rpartition(" ")[2] else " ")
        scale = self.model.graph.dataset.rating_scale
        try:
            rating = float(stars.replace(",", "."))
        except ValueError:
            rating = math.nan
        if not movie.strip() or not math.isfinite(rating):
            example = f"rate {text or 'Heat (1995)'} {4 if scale is None or scale[0] <= 4 <= scale[1] else scale[1]:g}"
            raise DataError(f"give a movie and its rating, as in: {example}")
        if scale is not None and not scale[0] <= rating <= scale[1]:
            raise DataError(f"ratings are between {scale[0]:g} and {scale[1]:g}, not {rating:g}")
        self._put(self._movie(movie.rstrip().removesuffix("=")), rating)

    def _put(self, movie: Any, stars: float) -> None:
        latest = max(self.times.values(), default=0)
        self.ratings.pop(movie, None)
        self.ratings[movie] = stars
        self.times[movie] = max(int(time.time()), latest + 1)  # keeps the order of ratings within one second
        if movie in self.bucket_list:
            self.bucket_list.remove(movie)
        say(f"{self._titles[movie]}: {stars:g}")

    def _remove(self, text: str) -> None:
        places = list(self.ratings)
        is_place = text.isdecimal() and 1 <= int(text) <= len(places)
        movie = places[int(text) - 1] if is_place else self._movie(text)
        if movie not in self.ratings:
            raise DataError(f"{self._titles[movie]} is not in your history")
        del self.ratings[movie], self.times[movie]
        say(f"removed {self._titles[movie]}")

    def _clear(self, text: str) -> None:
        self.ratings.clear()
        self.times.clear()
        say("your history is empty")

    def _show(self, text: str) -> None:
        if not self.ratings:
            note("your history is empty; search for movies, and rate or add them")
            return
        self._table(list(self.ratings), rating=[f"{stars:g}" for stars in self.ratings.values()])

    def _recommend(self, text: str) -> None:
        self._page = (_number(text, 10), 0)
        self._recommend_page()

    def _more(self, text: str) -> None:
        if self._page is None:
            raise DataError("there is no list yet; start with: recommend")
        k, offset = self._page
        self._page = (k, offset + k)
        self._recommend_page()

    def _recommend_page(self) -> None:
        k, offset = self._page or (10, 0)
        user = self.user
        found = self.model.recommend(user, k, offset=offset, exclude=self.hidden or None, **self.filters)
        movies = found["movie_id"].tolist()
        because: list[str] = []
        if movies and self.ratings:
            reasons = explain(self.model, user, movies)
            because = [", ".join(reasons.loc[reasons["movie_id"] == movie, "because"]) for movie in movies]
        self._table(movies, **({"because of": because} if because else {}))

    def _similar(self, text: str) -> None:
        found = self.model.similar_movies(self._movie(text))
        self._table(found["movie_id"].tolist(), similarity=[f"{value:.3f}" for value in found["similarity"]])

    def _explain(self, text: str) -> None:
        movie = self._movie(text)
        if not self.ratings:
            raise DataError("your history is empty; add or rate movies first")
        reasons = explain(self.model, self.user, [movie], 5)
        if reasons.empty:
            say(f"no movie in your history explains {self._titles[movie]}")
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
            self.model.recommend({}, 1, **made)  # raises on unknown genres and other invalid values
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
            raise ConfigError(f"unknown action {action!r} for bucket{choose_from(action, ['add', 'remove'])}")
        else:
            self._table(self.bucket_list)

    def _save(self, text: str) -> None:
        self.opened = self.profiles.save(text or None, self.lists, self.opened)
        say(f"saved {self.opened.name}: {self._counts()}")

    def _open(self, text: str) -> None:
        if not text:
            raise ConfigError("which profile? Use open NAME; `profiles` lists them")
        found = self.profiles.open(text)
        if not self.may_leave(f"open {text}"):
            return
        self.opened = found
        self.ratings, self.times = dict(found.lists.ratings), dict(found.lists.times)
        self.bucket_list, self.hidden = list(found.lists.bucket_list), list(found.lists.hidden)
        say(f"{found.name}: {self._counts()}")
        if found.num_unknown:
            note(f"{found.num_unknown} movies of {found.name} are not in this run")

    def _counts(self) -> str:
        return f"{len(self.ratings)} in the history, {len(self.bucket_list)} on the bucket list"

    def _profiles(self, text: str) -> None:
        names = self.profiles.names()
        if not names:
            note("no profiles yet; `save NAME` creates one")
        for name in names:
            say(name)

    def _help(self, text: str) -> None:
        if text and text not in HELP:
            raise ConfigError(f"unknown command {text!r}{choose_from(text, HELP)}")
        if not text:
            say("MOVIE: its number in the last list, its title, or its id (id:3, as 3 is the number in the list).")
        for name, (arguments, about) in HELP.items():
            if text in ("", name):
                say(f"{name} {arguments}".ljust(36) + about)


def _number(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= MAX_MOVIES:
        raise ConfigError(f"give a number of movies from 1 to {MAX_MOVIES}, not {text!r}")
    return int(text)


def _read_filters(text: str) -> dict[str, Any]:
    """Return filters as `recommend` takes them.

    >>> _read_filters('genres="Drama|Crime" years=1990- diversity=.3 family_friendly=yes')
    {'genres': 'Drama|Crime', 'years': '1990-', 'diversity': 0.3, 'family_friendly': True}
    """
    found: dict[str, Any] = {}
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"a quotation mark is missing in {text!r}") from None
    for word in words:
        name, equals, value = word.partition("=")
        if name not in FILTERS or not equals:
            raise ConfigError(f"cannot read {word!r}; write NAME=VALUE with one of {', '.join(FILTERS)}")
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
