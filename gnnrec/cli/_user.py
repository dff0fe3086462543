"""Options that name a known user or describe a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import parse_rating

if TYPE_CHECKING:
    from gnnrec.graph import Graph

UserOption = Annotated[str | None, typer.Option("--user", help="Id of a known user.")]
RatingOption = Annotated[
    list[str] | None,
    typer.Option("--rating", help='Rating of a new user: "Heat (1995)=4", or only the movie. Can be repeated.'),
]
AgeOption = Annotated[float | None, typer.Option("--age", help="Age of a new user, in years.")]
GenderOption = Annotated[str | None, typer.Option("--gender", help="Gender of a new user, as in the training data.")]
OccupationOption = Annotated[
    str | None, typer.Option("--occupation", help="Occupation of a new user, as in the training data.")
]


def read_user(
    graph: Graph,
    user: str | None,
    ratings: list[str] | None,
    age: float | None,
    gender: str | None,
    occupation: str | None,
) -> Any:
    """Return the known user id or the new user that the options describe."""
    from gnnrec.errors import ConfigError
    from gnnrec.graph import NewUser

    if user is None:
        movies = graph.dataset.movies
        titles = {*movies["title"], *movies["movie_id"].astype(str)} if ratings else set()
        return NewUser(age, gender, occupation, ratings=dict(parse_rating(text, titles) for text in ratings or ()))
    if ratings or age is not None or gender or occupation:
        raise ConfigError("--user names a known user; --rating, --age, --gender and --occupation describe a new one")
    return int(user) if graph.ids["user"].dtype.kind == "i" and user.lstrip("-").isdecimal() else user
