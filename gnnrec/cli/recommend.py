"""``gnnrec recommend`` and ``gnnrec predict``: what a saved run says about a user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument, parse_rating
from gnnrec.cli._output import check_out, errors, show

if TYPE_CHECKING:
    import pandas as pd

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


def recommend(
    run: RunArgument,
    user: UserOption = None,
    rating: RatingOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    k: KOption = 10,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Recommend movies to a known or new user, with reasons."""
    with errors():
        from gnnrec.explanations import explain
        from gnnrec.models.estimator import load

        check_out(out)
        model = load(run)
        described = _user(model.graph, user, rating, age, gender, occupation)
        found = model.recommend(described, k)
        reasons = explain(model, described, found["movie_id"])
        because = [list(reasons.loc[reasons["movie_id"] == movie_id, "because"]) for movie_id in found["movie_id"]]
        text = {
            "rank": found["rank"].tolist(),
            "movie": found["title"].tolist(),
            "score": [f"{score:.3f}" for score in found["score"]],
            "because of": [", ".join(one) for one in because],
        }
        show(found.assign(because=["|".join(one) for one in because]), text=text, as_json=json, as_csv=csv, out=out)


def predict(
    run: RunArgument,
    user: UserOption = None,
    rating: RatingOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    movie: Annotated[
        list[str] | None,
        typer.Option("--movie", help="Title or id of a movie to rate; all by default. Can be repeated."),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of movies; 10, or all of --movie, by default.")] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Predict the ratings of a known or new user, highest first.

    A run without a rating head gets one first, which is saved in its folder. A movie that the user has rated is
    predicted from the other ratings.
    """
    with errors():
        from gnnrec._checks import check_integer
        from gnnrec.models.estimator import load

        check_out(out)
        if k is not None:
            check_integer(k=k)
        described = _user(load(run).graph, user, rating, age, gender, occupation)
        found = _predictions(run, described, movie or None).head(k or (len(movie) if movie else 10))
        text = {
            "user": found["user_id"].tolist(),
            "movie": found["title"].tolist(),
            "rating": [f"{value:.2f}" for value in found["rating"]],
        }
        show(found, text=text, as_json=json, as_csv=csv, out=out)


def _predictions(run: Path, user: Any, movies: list[str] | None) -> pd.DataFrame:
    """Return predictions, highest first; fit and save a rating head if the run has none."""
    from gnnrec.errors import ConfigError
    from gnnrec.graph import encode_users
    from gnnrec.models.estimator import load
    from gnnrec.models.gnn import RecGraph
    from gnnrec.ratings.fit import fit_rating_model
    from gnnrec.ratings.model import has_rating_head, load_rating_model
    from gnnrec.ratings.predict import movie_nodes, predict_ratings

    if has_rating_head(run):
        model = load_rating_model(run)
    else:
        recommender = load(run)
        if not isinstance(recommender, RecGraph):
            raise ConfigError(f"rating prediction needs the graph neural network, not {recommender.name}")
        encode_users(recommender.graph, user)  # raises on unknown users and movies before the expensive fit
        movie_nodes(recommender.graph, movies)
        model = fit_rating_model(recommender)
        model.save(run, keep=["checkpoint.safetensors", "split", "training.png"])
    found: pd.DataFrame = predict_ratings(model, user, movies)
    return found.sort_values("rating", ascending=False, kind="stable")


def _user(
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
