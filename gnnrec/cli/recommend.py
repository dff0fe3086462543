"""``gnnrec recommend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, note, say, show
from gnnrec.cli._reranking import FamilyFriendlyOption, with_reranking_options
from gnnrec.cli._user import (
    DislikedOption,
    HistoryOption,
    NetflixProfileOption,
    RatingOption,
    UserFeatureCommand,
    UserOption,
    given_features,
    known_user,
    read_user,
)
from gnnrec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from gnnrec.graph import Graph

Command = UserFeatureCommand


@with_reranking_options
def recommend(
    context: typer.Context,
    run: RunArgument,
    user: UserOption = None,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="Recommend to every user of the run, without reasons.")
    ] = False,
    rating: RatingOption = None,
    disliked: DislikedOption = None,
    history: HistoryOption = None,
    netflix_profile: NetflixProfileOption = None,
    k: KOption = 10,
    offset: Annotated[int, typer.Option("--offset", help="Skip this many top movies, for paging.")] = 0,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Movie not to recommend, by title or id. Can be repeated."),
    ] = None,
    genres: Annotated[
        list[str] | None,
        typer.Option("--genres", help='Only movies with one of these genres: "Drama|Crime". Can be repeated.'),
    ] = None,
    years: Annotated[
        str | None, typer.Option("--years", help="Only movies from these years: 1995, 1990-1999, 1990- or -1950.")
    ] = None,
    min_ratings: Annotated[
        int, typer.Option("--min-ratings", help="Only movies with at least this many ratings in the run.")
    ] = 0,
    family_friendly: FamilyFriendlyOption = False,
    together: Annotated[
        list[str] | None,
        typer.Option(
            "--together",
            help="Recommend to a group: add a known user (id) or the person behind a history file. Can be repeated; "
            "--user, or the options of a new user, add one more member.",
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option("--strategy", help="How to combine a group: average, least_misery, most_pleasure or fair."),
    ] = "average",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="Time of the request: 2001-03-09, 2001-03-09T12:00 or seconds since 1970; later ratings are ignored. "
            "Now by default, for runs that use it.",
        ),
    ] = None,
    indexed: Annotated[
        bool, typer.Option("--index", help="Use the index of the run (gnnrec index RUN), for large catalogs.")
    ] = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
    *,
    reranking: dict[str, Any],
) -> None:
    """Recommend movies to a known or new user, with reasons; to a group (--together); or to all users.

    --rating may be added to the --history of a new user and takes precedence.
    """
    with errors():
        from gnnrec.explanations import explain
        from gnnrec.models import MovieIndex, recommend_group, write_lists
        from gnnrec.models.all_lists import WRITERS
        from gnnrec.models.estimator import load

        check_out(out)
        features = given_features(context)
        described_one = bool(
            user is not None or history or rating or disliked or features or netflix_profile is not None
        )
        if all_users and (described_one or together):
            raise ConfigError(
                "--all-users cannot be combined with --together or options of one user, such as --user and --rating"
            )
        if strategy != "average" and not together:
            raise ConfigError("--strategy requires --together")
        if indexed and together:
            raise ConfigError("--index cannot be combined with --together: a group needs the scores of all movies")
        model = load(run)
        filters: dict[str, Any] = {
            "exclude": exclude,
            "genres": [one for text in genres for one in text.split("|")] if genres else None,
            "years": years,
            "min_ratings": min_ratings,
            "family_friendly": family_friendly,
            "offset": offset,
            "at": float(at) if at is not None and at.isdecimal() else at,
            **reranking,
        }
        if indexed:
            filters["index"] = MovieIndex.load(run, model)
        if all_users:
            if out is not None and out.suffix.lower() in WRITERS and not (json or csv):
                _note_missing(write_lists(model, out, k, progress=True, **filters))
                say(f"saved in {out}")
                return
            lists = model.recommend(model.graph.ids["user"].tolist(), k, **filters)
            _note_missing(len(lists))
            show(lists, as_json=json, as_csv=csv, out=out)
            return
        one = (user, rating, features, history, netflix_profile, disliked)
        if together:
            first = [read_user(model.graph, *one)]
            members = [*(first if described_one else []), *(_member(model.graph, other) for other in together)]
            if len(members) < 2:
                raise ConfigError("a group has at least two members; repeat --together, or add --user or --rating")
            _show_group(recommend_group(model, members, k, strategy=strategy, **filters), json, csv, out)
            return
        described = read_user(model.graph, *one)
        found = model.recommend(described, k, **filters)
        _note_missing(len(found))
        reasons = explain(model, described, found["movie_id"], at=filters["at"])
        reasons = reasons[reasons["effect"] > 0]
        because = [list(reasons.loc[reasons["movie_id"] == movie_id, "because"]) for movie_id in found["movie_id"]]
        text = {
            "rank": found["rank"].tolist(),
            "movie": found["title"].tolist(),
            "score": [f"{score:.3f}" for score in found["score"]],
            "because of": [", ".join(one) for one in because],
        }
        show(found.assign(because=["|".join(one) for one in because]), text=text, as_json=json, as_csv=csv, out=out)


def _member(graph: Graph, text: str) -> Any:
    """Return a known user, or a new one with the history of a file, by the name of the file."""
    from gnnrec.graph import read_history

    path = Path(text)
    if not path.is_file():
        return known_user(graph, text)
    user, report = read_history(path, graph, name=path.stem)
    for line in str(report).splitlines():
        note(line)
    return user


def _show_group(found: pd.DataFrame, json: bool, csv: bool, out: Path | None) -> None:
    _note_missing(len(found))
    text = {
        "rank": found["rank"].tolist(),
        "movie": found["title"].tolist(),
        "score": [f"{score:.3f}" for score in found["score"]],
        **{name: [f"{share:.0%}" for share in found[name]] for name in found.columns[4:]},
    }
    show(found, text=text, as_json=json, as_csv=csv, out=out)


def _note_missing(num_movies: int) -> None:
    if not num_movies:
        note("no movies are left; relax the filters or use a smaller --offset")
