"""``gnnrec similar``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, note, show

if TYPE_CHECKING:
    from gnnrec.models.base import Recommender


def similar(
    run: RunArgument,
    movie: Annotated[str | None, typer.Argument(help="Movie of the run, by title or id.")] = None,
    title: Annotated[str | None, typer.Option("--title", help='Title of a new movie: "Night Train (2001)".')] = None,
    genres: Annotated[
        str | None, typer.Option("--genres", help='Genres, as in the training data: "Drama|Crime".')
    ] = None,
    year: Annotated[int | None, typer.Option("--year", help="Year of release, if it is not in the title.")] = None,
    directors: Annotated[str | None, typer.Option("--directors", help='Directors: "One Name|Another Name".')] = None,
    actors: Annotated[str | None, typer.Option("--actors", help='Actors: "One Name|Another Name".')] = None,
    runtime: Annotated[int | None, typer.Option("--runtime", help="Runtime in minutes.")] = None,
    plot: Annotated[str | None, typer.Option("--plot", help="Plot of the new movie, as text.")] = None,
    poster: Annotated[Path | None, typer.Option("--poster", help="Poster of the new movie, an image file.")] = None,
    text_encoder: Annotated[
        str | None, typer.Option("--text-encoder", help="Encoder of the plot; by default that of the run.")
    ] = None,
    image_encoder: Annotated[
        str | None, typer.Option("--image-encoder", help="Encoder of the poster; by default that of the run.")
    ] = None,
    k: KOption = 10,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """List the movies most similar to a known or new movie.

    Give a movie of the run, or describe a new one with the options. The plot and poster of a new movie are encoded like
    those of the run.
    """
    with errors():
        from gnnrec.errors import ConfigError
        from gnnrec.features import encode_plot, encode_poster
        from gnnrec.graph import NewMovie
        from gnnrec.models.estimator import load

        check_out(out)
        described: dict[str, Any] = {"title": title, "genres": genres, "year": year, "directors": directors}
        described |= {"actors": actors, "runtime": runtime, "plot": plot}
        described = {name: value for name, value in described.items() if value is not None}
        if (movie is not None) == bool(described or poster):
            raise ConfigError(
                'name a movie of the run, or describe a new one: --title "Night Train (2001)" --genres Drama'
            )
        for encoder, content, option in ((text_encoder, plot, "text"), (image_encoder, poster, "image")):
            if encoder is not None and content is None:
                needed = "plot" if option == "text" else "poster"
                raise ConfigError(f"--{option}-encoder has nothing to encode; add --{needed}")
        model = load(run)
        query: Any = movie
        if movie is None:
            embeddings = {}
            features = model.dataset.features
            if plot is not None and _uses(model, "text", "--plot"):
                embeddings["text"] = encode_plot(plot, text_encoder or features["text"])
            if poster is not None and _uses(model, "poster", "--poster"):
                embeddings["poster"] = encode_poster(poster, image_encoder or features["poster"])
            query = NewMovie(**described, features=embeddings)
        found = model.similar_movies(query, k)
        kinds = model.dataset.movies.set_index("movie_id")["genres"].reindex(found["movie_id"]).fillna("").tolist()
        text = {
            "rank": found["rank"].tolist(),
            "movie": found["title"].tolist(),
            "genres": [one.replace("|", ", ") for one in kinds],
            "similarity": [f"{value:.3f}" for value in found["similarity"]],
        }
        show(found.assign(genres=kinds), text=text, as_json=json, as_csv=csv, out=out)


def _uses(model: Recommender, modality: str, option: str) -> bool:
    """Return whether a run uses a modality. If not, a poster raises an error; a plot contributes only its length."""
    from gnnrec.errors import ConfigError

    used = model.hyperparameters.get("model", {}).get("modalities")
    if modality in model.dataset.features and (used is None or modality in used):
        return True
    problem = f"the run was trained without {modality} embeddings"
    if modality == "text":
        note(f"note: {problem}; only the length of {option} counts")
        return False
    raise ConfigError(f"{problem}; leave {option} out, or train with --features")
