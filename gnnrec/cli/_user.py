"""Options that name a known user or describe a new one, with one option for each user feature."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from gnnrec.cli._options import parse_rating
from gnnrec.cli._output import errors, note
from gnnrec.registry import USER_FEATURES, listed_sites
from gnnrec.user_features import NumberFeature, user_features

if TYPE_CHECKING:
    from gnnrec.graph import Graph, NewUser

UserOption = Annotated[str | None, typer.Option("--user", help="Id of a known user.")]
RatingOption = Annotated[
    list[str] | None,
    typer.Option("--rating", help='Rating of a new user: "Heat (1995)=4", or just the movie. Can be repeated.'),
]
DislikedOption = Annotated[
    list[str] | None,
    typer.Option("--disliked", help="Movie that a new user dislikes, by title or id. Can be repeated."),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history",
        help=f"History of a new user: an export from {listed_sites('or')}, or a list of titles.",
    ),
]
NetflixProfileOption = Annotated[
    str | None, typer.Option("--netflix-profile", help="Netflix profile to read, if --history has several.")
]


_GIVEN = "gnnrec.user_features"


class UserFeatureCommand(TyperCommand):
    """A command with an option for each user feature; those of plugins are added once the plugins are loaded."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += _feature_options(USER_FEATURES.builtin)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments of the command."""
        with errors():
            known = {option.name for option in self.params}
            self.params += _feature_options(name for name in user_features() if name not in known)
        return super().get_params(ctx)


def _feature_options(names: Iterable[str]) -> list[Any]:
    """Return options for user features, built by typer from annotations."""

    def described() -> None:
        pass

    features = {name: USER_FEATURES.get(name) for name in names}
    options = {
        name: Annotated[
            (float if issubclass(feature, NumberFeature) else str) | None,
            typer.Option(f"--{name.replace('_', '-')}", help=feature.help, expose_value=False, callback=_keep),
        ]
        for name, feature in features.items()
    }
    described.__annotations__ = options
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    described.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    scratch = typer.Typer(add_completion=False)
    scratch.command()(described)
    return list(typer.main.get_command(scratch).params)


def _keep(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """Keep the value of a user feature for `given_features`."""
    if value is not None:
        context.meta.setdefault(_GIVEN, {})[option.name] = value
    return value


def given_features(context: typer.Context) -> dict[str, Any]:
    """Return the values of user features that were given to a `UserFeatureCommand`."""
    return dict(context.meta.get(_GIVEN, {}))


def read_user(
    graph: Graph,
    user: str | None,
    ratings: list[str] | None,
    features: dict[str, Any],
    history: Path | None = None,
    netflix_profile: str | None = None,
    disliked: list[str] | None = None,
) -> Any:
    """Return the known user id or the new user that the options describe."""
    from gnnrec.errors import ConfigError
    from gnnrec.graph import NewUser

    if netflix_profile is not None and history is None:
        raise ConfigError("--netflix-profile requires --history")
    if user is not None:
        if ratings or disliked or history or features:
            *others, last = (f"--{name.replace('_', '-')}" for name in user_features())
            raise ConfigError(
                f"--user is for a known user; --rating, --disliked, --history, {', '.join(others)} and {last} describe "
                "a new one"
            )
        return known_user(graph, user)
    movies = graph.dataset.movies
    titles = {*movies["title"], *movies["movie_id"].astype(str)} if ratings else set()
    given = dict(parse_rating(text, titles) for text in ratings or ())
    if history is None:
        return NewUser(profile=features, ratings=given, disliked=disliked or ())
    if disliked:
        raise ConfigError('--disliked is for users without --history; rate the movie: --rating "Heat (1995)=1"')
    return _user_of_history(graph, history, netflix_profile, given, NewUser(profile=features))


def known_user(graph: Graph, user: str) -> int | str:
    """Return the id of a known user, a number if the run has numeric ids."""
    return int(user) if graph.dataset.user_ids.are_numbers and user.lstrip("-").isdecimal() else user


def _user_of_history(
    graph: Graph, history: Path, netflix_profile: str | None, given: dict[str, float], user: NewUser
) -> Any:
    """Return a user with the ratings of a history, followed by those given on the command line."""
    from gnnrec.errors import DataError
    from gnnrec.graph import read_history

    watched, report = read_history(history, graph, netflix_profile=netflix_profile)
    for line in str(report).splitlines():
        note(line)
    if not watched.ratings and not given:
        raise DataError(f"{history}: none of its movies is in the run")
    own = {graph.titles.movie_id(graph.movie_node(title)): rating for title, rating in given.items()}
    ratings: dict[Any, float] = {**dict(watched.ratings), **own}
    times: Any = watched.timestamps
    if times:
        times = {**times, **dict.fromkeys(own, max(times.values()))}
    return replace(user, ratings=ratings, timestamps=times)
