"""``gnnrec features``: content embeddings of posters and plots, or precomputed ones, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._options import DataDirOption, DatasetOption, read_dataset, with_reading_options
from gnnrec.cli._output import errors, say
from gnnrec.registry import FEATURE_ENCODERS

ENCODERS = ", ".join(FEATURE_ENCODERS.builtin)


@with_reading_options
def features(
    dataset: DatasetOption = "ml-1m",
    posters: Annotated[Path | None, typer.Option("--posters", help="Folder of posters, <movie_id>.jpg.")] = None,
    plots: Annotated[
        str | None,
        typer.Option("--plots", help="CSV with movie ids and plots, or a column of the movies table."),
    ] = None,
    image_encoder: Annotated[
        str,
        typer.Option(
            "--image-encoder", help=f"Encoder of posters: auto, or one of {ENCODERS}, with options after a colon."
        ),
    ] = "auto",
    text_encoder: Annotated[
        str,
        typer.Option(
            "--text-encoder", help=f"Encoder of plots: auto, or one of {ENCODERS}, with options after a colon."
        ),
    ] = "auto",
    poster_embeddings: Annotated[
        Path | None,
        typer.Option(
            "--poster-embeddings", help="Use these embeddings of posters: csv, parquet, npz, safetensors or npy file."
        ),
    ] = None,
    text_embeddings: Annotated[
        Path | None, typer.Option("--text-embeddings", help="Use these embeddings of plots: the same kinds of file.")
    ] = None,
    poster_ids: Annotated[
        Path | None,
        typer.Option("--poster-ids", help="Movie ids for the rows of --poster-embeddings, if that is an npy file."),
    ] = None,
    text_ids: Annotated[
        Path | None,
        typer.Option("--text-ids", help="Movie ids for the rows of --text-embeddings, if that is an npy file."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Output folder; features/NAME by default.")] = None,
    device: Annotated[str, typer.Option("--device", help="PyTorch device; auto uses a GPU if available.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Posters or plots per batch.")] = 32,
    data_dir: DataDirOption = None,
) -> None:
    """Encode posters and plots as one embedding per movie.

    Run the same command again to continue after an interruption; only new and changed content is encoded. Movies
    without a poster or plot are listed in a summary next to the embeddings.
    """
    with errors():
        from gnnrec.errors import ConfigError
        from gnnrec.features import encode_plots, encode_posters, read_embeddings, save_embeddings
        from gnnrec.features.sources import PLOT_COLUMNS

        _check(posters, poster_embeddings, poster_ids, "poster")
        _check(plots, text_embeddings, text_ids, "text")
        data = read_dataset(dataset, data_dir)
        to = out or Path("features") / data.name
        has_plots = plots is not None or any(column in data.movies for column in PLOT_COLUMNS)
        if not (posters or poster_embeddings or text_embeddings or has_plots):
            raise ConfigError(f"{data.name} has no plots; give --posters, --plots, or precomputed embeddings")
        try:
            for modality, path, ids in (("poster", poster_embeddings, poster_ids), ("text", text_embeddings, text_ids)):
                if path is not None:
                    embeddings = read_embeddings(path, ids=ids, dataset=data)
                    save_embeddings(to, modality, embeddings)
                    say(f"{modality}: {embeddings!r}")
            if posters:
                encode_posters(data, posters, image_encoder, out=to, device=device, batch_size=batch_size, log=say)
            if has_plots and not text_embeddings:
                encode_plots(data, plots, text_encoder, out=to, device=device, batch_size=batch_size, log=say)
        except KeyboardInterrupt:
            say(f"\nstopped; the embeddings so far are in {to}, the same command continues")
            raise typer.Exit(130) from None
        say(f"saved in {to}")


def _check(content: object, embeddings: Path | None, ids: Path | None, modality: str) -> None:
    from gnnrec.errors import ConfigError

    if content is not None and embeddings is not None:
        raise ConfigError(f"give either --{modality}-embeddings or what to encode, not both")
    if ids is not None and embeddings is None:
        raise ConfigError(f"--{modality}-ids needs --{modality}-embeddings")
