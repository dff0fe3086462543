"""``gnnrec predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import CsvOption, JsonOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, show
from gnnrec.cli._user import (
    HistoryOption,
    NetflixProfileOption,
    RatingOption,
    UserFeatureCommand,
    UserOption,
    given_features,
    read_user,
)

if TYPE_CHECKING:
    import pandas as pd

Command = UserFeatureCommand


def predict(
    context: typer.Context,
    run: RunArgument,
    user: UserOption = None,
    rating: RatingOption = None,
    history: HistoryOption = None,
    netflix_profile: NetflixProfileOption = None,
    movie: Annotated[
        list[str] | None,
        typer.Option("--movie", help="Movie to predict, by title or id; all by default. Can be repeated."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of movies; 10, or all of --movie, by default.")] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Predict the ratings of a known or new user, highest first.

    The first prediction with a run fits a rating head and saves it in the run's folder. A movie that the user has rated
    is predicted from the other ratings.
    """
    with errors():
        from gnnrec._checks import check_integer
        from gnnrec.models.estimator import load

        check_out(out)
        if k is not None:
            check_integer(k=k)
        described = read_user(load(run).graph, user, rating, given_features(context), history, netflix_profile)
        found = _predictions(run, described, movie or None).head(k or (len(movie) if movie else 10))
        text = {
            "user": found["user_id"].tolist(),
            "movie": found["title"].tolist(),
            "rating": [f"{value:.2f}" for value in found["rating"]],
        }
        show(found, text=text, as_json=json, as_csv=csv, out=out)


def _predictions(run: Path, user: Any, movies: list[str] | None) -> pd.DataFrame:
    """Return predictions, highest first; fit and save a rating head if the run has none."""
    from gnnrec.cli._rating_head import network_of, rating_model
    from gnnrec.graph import encode_users
    from gnnrec.models.estimator import load
    from gnnrec.ratings.model import has_rating_head
    from gnnrec.ratings.predict import movie_nodes, predict_ratings

    recommender = None
    if not has_rating_head(run):
        recommender = network_of(load(run))
        encode_users(recommender.graph, user)  # raises on unknown users and movies before the expensive fit
        movie_nodes(recommender.graph, movies)
    model = rating_model(run, recommender)
    found: pd.DataFrame = predict_ratings(model, user, movies)
    return found.sort_values("rating", ascending=False, kind="stable")
