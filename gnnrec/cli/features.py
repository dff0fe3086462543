"""``gnnrec features``: posters and plots, or vectors that are there already, into one folder of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gnnrec.cli.options import DataDirOption, DatasetOption
from gnnrec.cli.output import console, errors, one_line_warnings
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError
from gnnrec.features import encode_plots, encode_posters, read_vectors, save_vectors
from gnnrec.features.encoders import FORMS
from gnnrec.features.sources import TEXT_COLUMNS


def features(
    dataset: DatasetOption = "ml-1m",
    posters: Annotated[Path | None, typer.Option("--posters", help="Folder of pictures, <movie_id>.jpg.")] = None,
    plots: Annotated[
        str | None,
        typer.Option("--plots", help="CSV with movie ids and texts, or a column of the movies; else their own plots."),
    ] = None,
    image_encoder: Annotated[str, typer.Option("--image-encoder", help=FORMS["image"])] = "auto",
    text_encoder: Annotated[str, typer.Option("--text-encoder", help=FORMS["text"])] = "auto",
    poster_vectors: Annotated[
        Path | None, typer.Option("--poster-vectors", help="Ready-made: csv, parquet, npz, safetensors, npy.")
    ] = None,
    text_vectors: Annotated[Path | None, typer.Option("--text-vectors", help="Ready-made, likewise.")] = None,
    poster_ids: Annotated[
        Path | None, typer.Option("--poster-ids", help="Movie ids of the rows, if --poster-vectors is an npy.")
    ] = None,
    text_ids: Annotated[Path | None, typer.Option("--text-ids", help="Likewise for --text-vectors.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the vectors; else features/NAME.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto is a GPU when there is one.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Posters or texts at a time.")] = 32,
    data_dir: DataDirOption = None,
) -> None:
    """Turn posters and plots into one vector per movie.

    Vectors are kept as they are made: an interrupted run goes on where it stopped, and only what changed is encoded
    again. Movies without a poster or a plot are listed beside the vectors.
    """
    with errors(), one_line_warnings():
        _check(posters, poster_vectors, poster_ids, "poster")
        _check(plots, text_vectors, text_ids, "text")
        data = load_dataset(dataset, data_dir=data_dir)
        to = out or Path("features") / data.name
        has_plots = plots is not None or any(column in data.movies for column in TEXT_COLUMNS)
        if not (posters or poster_vectors or text_vectors or has_plots):
            raise ConfigError(f"{data.name} has no plots of its own; give --posters, --plots, or ready-made vectors")
        try:
            for modality, path, ids in (("poster", poster_vectors, poster_ids), ("text", text_vectors, text_ids)):
                if path is not None:
                    vectors = read_vectors(path, ids=ids, dataset=data)
                    save_vectors(to, modality, vectors)
                    console.print(f"{modality}: {vectors!r}", highlight=False, markup=False)
            if posters:
                encode_posters(data, posters, image_encoder, out=to, device=device, batch_size=batch_size)
            if has_plots and not text_vectors:
                encode_plots(data, plots, text_encoder, out=to, device=device, batch_size=batch_size)
        except KeyboardInterrupt:
            console.print(f"\n[yellow]stopped[/]; what was encoded is in {escape(str(to))}, the same command goes on")
            raise typer.Exit(130) from None
        console.print(f"saved in {to}", highlight=False, markup=False)


def _check(given: object, vectors: Path | None, ids: Path | None, modality: str) -> None:
    if given is not None and vectors is not None:
        raise ConfigError(f"give either --{modality}-vectors or what to make them of, not both")
    if ids is not None and vectors is None:
        raise ConfigError(f"--{modality}-ids are the ids of --{modality}-vectors, which is not given")
