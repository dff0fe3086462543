"""The commands that ask a saved run about a person: ``gnnrec recommend`` and ``gnnrec rate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrec.cli.options import liked
from gnnrec.cli.output import console, errors, recommendations
from gnnrec.errors import ConfigError
from gnnrec.explanations import explain
from gnnrec.graph import Graph, NewUser
from gnnrec.models.base import recommend as recommend_to
from gnnrec.models.gnn import load
from gnnrec.rating.command import rate as rate_for
from gnnrec.rating.command import ratings_table

RunArgument = Annotated[Path, typer.Argument(help="Folder of a saved run.")]
UserOption = Annotated[str | None, typer.Option("--user", help="Id of a known user.")]
LikesOption = Annotated[
    list[str] | None, typer.Option("--likes", help='Title or id, "Heat (1995)" or "Heat (1995)=4". Repeatable.')
]
AgeOption = Annotated[float | None, typer.Option(help="In years.")]
GenderOption = Annotated[str | None, typer.Option(help="As the training data spells it.")]
OccupationOption = Annotated[str | None, typer.Option(help="As the training data spells it.")]


def recommend(
    run: RunArgument,
    user: UserOption = None,
    likes: LikesOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    k: Annotated[int, typer.Option("-k", help="How many movies.")] = 10,
) -> None:
    """Recommend movies to a known user, or to someone new."""
    with errors():
        model = load(run)
        person = _person(model.graph, user, likes, age, gender, occupation)
        frame = recommend_to(model, person, k)
        console.print(recommendations(frame, explain(model, person, frame["movie_id"])))


def rate(
    run: RunArgument,
    user: UserOption = None,
    likes: LikesOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    movie: Annotated[
        list[str] | None, typer.Option("--movie", help="Title or id of a movie to rate; else all. Repeatable.")
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="How many movies are shown; else 10, or all that --movie names.")
    ] = None,
) -> None:
    """Predict the stars that a known user, or someone new, would give; the best first.

    A run that has no rating head yet gets one first, which is kept in its folder. A movie that the person has rated is
    predicted from their other ratings.
    """
    with errors():
        if k is not None and k < 1:
            raise ConfigError(f"k must be a whole number of at least 1, not {k}")
        person = _person(load(run).graph, user, likes, age, gender, occupation)
        frame = rate_for(run, person, movie or None)
        console.print(ratings_table(frame, k or (len(movie) if movie else 10)))


def _person(
    graph: Graph,
    user: str | None,
    likes: list[str] | None,
    age: float | None,
    gender: str | None,
    occupation: str | None,
) -> Any:
    """Return the known user or the new one that the options name."""
    if user is None:
        return NewUser(age, gender, occupation, ratings=dict(map(liked, likes or [])))
    if likes or age is not None or gender or occupation:
        raise ConfigError("--user is a known person; --likes, --age, --gender and --occupation describe a new one")
    return int(user) if graph.ids["user"].dtype.kind == "i" and user.lstrip("-").isdecimal() else user
