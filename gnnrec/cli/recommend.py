"""``gnnrec recommend``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, note, show
from gnnrec.cli._user import (
    AgeOption,
    DislikedOption,
    GenderOption,
    HistoryOption,
    OccupationOption,
    ProfileOption,
    RatingOption,
    UserOption,
    read_user,
)


def recommend(
    run: RunArgument,
    user: UserOption = None,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="Recommend to every user of the run, without reasons.")
    ] = False,
    rating: RatingOption = None,
    disliked: DislikedOption = None,
    history: HistoryOption = None,
    profile: ProfileOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    k: KOption = 10,
    offset: Annotated[int, typer.Option("--offset", help="Leave out so many of the best, for the next page.")] = 0,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Title or id of a movie not to recommend. Can be repeated."),
    ] = None,
    genres: Annotated[
        list[str] | None,
        typer.Option("--genres", help='Only movies of one of these genres: "Drama|Crime". Can be repeated.'),
    ] = None,
    years: Annotated[
        str | None, typer.Option("--years", help="Only movies of these years: 1995, 1990-1999, 1990- or -1950.")
    ] = None,
    min_ratings: Annotated[
        int, typer.Option("--min-ratings", help="Only movies with at least so many ratings in the run.")
    ] = 0,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Recommend movies to a known or new user, with reasons; or to all users.

    The --history of a new user may come with --rating, which takes precedence.
    """
    with errors():
        from gnnrec.errors import ConfigError
        from gnnrec.explanations import explain
        from gnnrec.models.estimator import load

        check_out(out)
        if all_users and (user is not None or history or rating or disliked or age is not None or gender or occupation):
            raise ConfigError("--all-users takes no other option that names or describes a user")
        model = load(run)
        filters: dict[str, Any] = {
            "exclude": exclude,
            "genres": [one for text in genres for one in text.split("|")] if genres else None,
            "years": years,
            "min_ratings": min_ratings,
            "offset": offset,
        }
        if all_users:
            lists = model.recommend(model.graph.ids["user"].tolist(), k, **filters)
            _note_missing(len(lists))
            show(lists, as_json=json, as_csv=csv, out=out)
            return
        described = read_user(model.graph, user, rating, age, gender, occupation, history, profile, disliked)
        found = model.recommend(described, k, **filters)
        _note_missing(len(found))
        reasons = explain(model, described, found["movie_id"])
        reasons = reasons[reasons["effect"] > 0]
        because = [list(reasons.loc[reasons["movie_id"] == movie_id, "because"]) for movie_id in found["movie_id"]]
        text = {
            "rank": found["rank"].tolist(),
            "movie": found["title"].tolist(),
            "score": [f"{score:.3f}" for score in found["score"]],
            "because of": [", ".join(one) for one in because],
        }
        show(found.assign(because=["|".join(one) for one in because]), text=text, as_json=json, as_csv=csv, out=out)


def _note_missing(num_movies: int) -> None:
    if not num_movies:
        note("no movies are left; use weaker filters or a smaller --offset")
