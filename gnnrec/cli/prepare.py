"""``gnnrec prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._output import errors, note, say


def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder of ratings, movies and users, or file of ratings.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write, which --dataset then takes.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the dataset; that of SRC by default.")] = None,
    min_rating: Annotated[float | None, typer.Option("--min-rating", help="Lowest rating to keep.")] = None,
    k_core: Annotated[
        int | None,
        typer.Option("--k-core", help="Keep users and movies with at least this many ratings of each other."),
    ] = None,
    duplicates: Annotated[
        str, typer.Option("--duplicates", help="Several ratings of a movie by one user: error, first or last.")
    ] = "error",
) -> None:
    """Prepare ratings that may be larger than memory: columns that are mapped into memory, sorted by user and time.

    SRC is Parquet, or text of numbers only. The disk space needed is reported first.
    """
    with errors():
        from gnnrec.datasets import load_dataset
        from gnnrec.datasets import prepare as prepare_dataset

        folder = prepare_dataset(
            source, out, name=name, min_rating=min_rating, k_core=k_core, duplicates=duplicates, report=note
        )
        say(f"{load_dataset(folder)!r} is in {folder}")
