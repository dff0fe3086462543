"""``gnnrec map``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors, say


def map(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", help="Output PNG file.")] = Path("map.png"),
    method: Annotated[
        str, typer.Option("--method", help="pca, or umap, which needs umap-learn and preserves neighborhoods better.")
    ] = "pca",
    movies: Annotated[
        int, typer.Option("--movies", help="Number of movies; those with the most ratings are shown.")
    ] = 500,
    titles: Annotated[int, typer.Option("--titles", help="Maximum number of titles to print.")] = 40,
) -> None:
    """Draw a map on which similar movies are close together."""
    with errors():
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import load
        from gnnrec.plots import movie_map

        if out.suffix.lower() != ".png":
            raise ConfigError(f"--out must end in .png, got {out}")
        shown = movie_map(load(run), out, method=method, num_movies=movies, num_titles=titles)
        say(f"saved in {out}, with {len(shown)} titles")
