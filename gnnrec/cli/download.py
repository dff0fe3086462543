"""``gnnrec download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._output import errors, note, say
from gnnrec.registry import DATASETS


def download(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAMES...",
            help=f"Datasets: {', '.join(name for name in DATASETS.builtin if name != 'sample')}.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Parent folder; the dataset is written to OUT/NAME.")] = Path(
        "data"
    ),
) -> None:
    """Download one or more datasets. Existing ones are not downloaded again.

    If one of several fails, the others are still downloaded, and the exit status is 1.
    """
    with errors():
        from gnnrec.datasets import download as download_dataset
        from gnnrec.datasets._download import RemoteDataset
        from gnnrec.errors import DownloadError

        for name in names:
            RemoteDataset.from_registry(name)  # rejects wrong names before anything is downloaded
        failed = []
        for name in dict.fromkeys(names):
            try:
                say(f"{name} is in {download_dataset(name, out)}")
            except DownloadError as error:
                if len(names) == 1:
                    raise
                failed.append(name)
                note(f"error: {' '.join(str(error).split())}")
        number = len(set(names))
        if number > 1:
            missing = f"; not {', '.join(failed)}" if failed else ""
            say(f"{number - len(failed)} of {number} datasets are in {out}{missing}")
        if failed:
            raise typer.Exit(1)
