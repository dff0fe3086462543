"""``gnnrec download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._output import errors, say
from gnnrec.registry import DATASETS


def download(
    name: Annotated[
        str, typer.Argument(help=f"Dataset: {', '.join(name for name in DATASETS.builtin if name != 'sample')}.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parent folder; the dataset is written to OUT/NAME.")] = Path(
        "data"
    ),
) -> None:
    """Download a dataset."""
    with errors():
        from gnnrec.datasets import download as download_dataset

        say(f"{name} is in {download_dataset(name, out)}")
