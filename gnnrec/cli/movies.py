"""The commands that ask a saved run about movies: ``gnnrec similar`` and ``gnnrec map``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gnnrec.cli.output import console, errors, one_line_warnings
from gnnrec.errors import ConfigError
from gnnrec.features import encode_plot, encode_poster
from gnnrec.features.encoders import FORMS
from gnnrec.graph import NewMovie
from gnnrec.models.base import similar_movies
from gnnrec.models.gnn import RecGraph, load

RunArgument = Annotated[Path, typer.Argument(help="Folder of a saved run.")]


def similar(
    run: RunArgument,
    movie: Annotated[str | None, typer.Argument(help="Title or id of a movie of the run.")] = None,
    title: Annotated[str | None, typer.Option("--title", help='Of a new movie, "Night Train (2001)".')] = None,
    genres: Annotated[
        str | None, typer.Option("--genres", help='As the training data spells them, "Drama|Crime".')
    ] = None,
    year: Annotated[int | None, typer.Option("--year", help="Of release; else the one in the title.")] = None,
    directors: Annotated[str | None, typer.Option("--directors", help='"One Name|Another Name".')] = None,
    actors: Annotated[str | None, typer.Option("--actors", help="Likewise.")] = None,
    runtime: Annotated[int | None, typer.Option("--runtime", help="In minutes.")] = None,
    plot: Annotated[str | None, typer.Option("--plot", help="What happens in it, as text.")] = None,
    poster: Annotated[Path | None, typer.Option("--poster", help="A picture.")] = None,
    text_encoder: Annotated[
        str | None, typer.Option("--text-encoder", help=f"Else the one of the run's own plots. {FORMS['text']}")
    ] = None,
    image_encoder: Annotated[
        str | None, typer.Option("--image-encoder", help=f"Else the one of the run's own posters. {FORMS['image']}")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many movies.")] = 10,
) -> None:
    """List the movies most like one: a movie of the run, or a new one that options describe.

    A plot or a poster becomes a vector by the encoder that the run was trained with.
    """
    with errors(), one_line_warnings():
        told: dict[str, Any] = {
            "title": title,
            "genres": genres,
            "year": year,
            "directors": directors,
            "actors": actors,
        }
        told |= {"runtime": runtime, "plot": plot}
        told = {name: value for name, value in told.items() if value is not None}
        if (movie is not None) == bool(told or poster):
            raise ConfigError(
                'name a movie of the run, or describe a new one: --title "Night Train (2001)" --genres Drama'
            )
        for encoder, what, name in ((text_encoder, plot, "text"), (image_encoder, poster, "image")):
            if encoder is not None and what is None:
                raise ConfigError(
                    f"--{name}-encoder has nothing to read; give --{'plot' if name == 'text' else 'poster'}"
                )
        model = load(run)
        asked: Any = movie
        if movie is None:
            vectors = {}
            if plot is not None and _reads(model, "text", "--plot"):
                vectors["text"] = encode_plot(plot, text_encoder or model.graph.dataset.features["text"])
            if poster is not None and _reads(model, "poster", "--poster"):
                vectors["poster"] = encode_poster(poster, image_encoder or model.graph.dataset.features["poster"])
            asked = NewMovie(**told, features=vectors)
        found = similar_movies(model, asked, k)
        of = model.graph.dataset.movies.set_index("movie_id")["genres"].reindex(found["movie_id"]).fillna("")
        grid = Table(header_style="bold")
        for name in ("#", "movie", "genres", "similarity"):
            grid.add_column(name, justify="right" if name in ("#", "similarity") else "left")
        for row, kinds in zip(found.itertuples(index=False), of, strict=True):
            grid.add_row(
                str(row.rank), escape(str(row.title)), escape(kinds.replace("|", ", ")), f"{row.similarity:.3f}"
            )
        console.print(grid)


def draw_map(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", help="The picture, a PNG.")] = Path("map.png"),
    method: Annotated[
        str, typer.Option("--method", help="pca, or umap, which needs umap-learn and shows neighbours better.")
    ] = "pca",
    movies: Annotated[int, typer.Option("--movies", help="So many of the most rated ones.")] = 500,
    titles: Annotated[int, typer.Option("--titles", help="At most so many are written into it.")] = 40,
) -> None:
    """Draw the best known movies of a run as a map: alike ones are near each other."""
    from gnnrec.plots import movie_map

    with errors():
        if out.suffix.lower() != ".png":
            raise ConfigError(f"the map is a PNG; call it {out.with_suffix('.png')}, not {out}")
        shown = movie_map(load(run), out, method=method, num_movies=movies, num_titles=titles)
        console.print(f"saved in {out}, with {len(shown)} titles", highlight=False, markup=False)


def _reads(model: RecGraph, modality: str, option: str) -> bool:
    """Tell whether a run reads vectors of this modality; where it does not, an error, or for plots a word about it."""
    used = model.config.model.modalities
    if modality in model.graph.dataset.features and (used is None or modality in used):
        return True
    problem = f"the run has learned from no {modality} vectors"
    if modality == "text":
        console.print(f"[yellow]note:[/] {problem}; of {option} at most the length counts", highlight=False)
        return False
    raise ConfigError(f"{problem}; leave {option} out, or train with --features, which gnnrec features makes")
