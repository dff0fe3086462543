"""Options that name a known user or describe a new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import parse_rating
from gnnrec.cli._output import note

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
AgeOption = Annotated[float | None, typer.Option("--age", help="Age of a new user, in years.")]
GenderOption = Annotated[str | None, typer.Option("--gender", help="Gender of a new user, as in the training data.")]
OccupationOption = Annotated[
    str | None, typer.Option("--occupation", help="Occupation of a new user, as in the training data.")
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history",
        help="History of a new user: an export from Letterboxd, IMDb, Netflix, Trakt, MovieLens or TMDB, or a list of "
        "titles.",
    ),
]
NetflixProfileOption = Annotated[
    str | None, typer.Option("--netflix-profile", help="Netflix profile to read, if --history has several.")
]


def read_user(
    graph: Graph,
    user: str | None,
    ratings: list[str] | None,
    age: float | None,
    gender: str | None,
    occupation: str | None,
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
        if ratings or disliked or history or age is not None or gender or occupation:
            raise ConfigError(
                "--user is for a known user; --rating, --disliked, --history, --age, --gender and --occupation "
                "describe a new one"
            )
        return known_user(graph, user)
    movies = graph.dataset.movies
    titles = {*movies["title"], *movies["movie_id"].astype(str)} if ratings else set()
    given = dict(parse_rating(text, titles) for text in ratings or ())
    if history is None:
        return NewUser(age, gender, occupation, ratings=given, disliked=disliked or ())
    if disliked:
        raise ConfigError('--disliked is for users without --history; rate the movie: --rating "Heat (1995)=1"')
    return _user_of_history(graph, history, netflix_profile, given, NewUser(age, gender, occupation))


def known_user(graph: Graph, user: str) -> int | str:
    """Return the id of a known user, a number where the run has numbers."""
    return int(user) if graph.dataset.user_ids.are_numbers and user.lstrip("-").isdecimal() else user


def _user_of_history(
    graph: Graph, history: Path, netflix_profile: str | None, given: dict[str, float], user: NewUser
) -> Any:
    """Return a user with the ratings of a history, and with those given on the command line, which are the latest."""
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
