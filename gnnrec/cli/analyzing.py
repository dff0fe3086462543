"""``gnnrec analyze``: a look at a dataset before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli.options import DataDirOption, DatasetOption, read_dataset
from gnnrec.cli.output import console, errors
from gnnrec.explore import analyze as look_at
from gnnrec.explore.report import PAGE, facts


def analyze(
    dataset: DatasetOption = "ml-1m",
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the report; else analysis/NAME.")] = None,
    posters: Annotated[
        Path | None,
        typer.Option("--posters", help="Folder of pictures, <movie_id>.jpg, to count those that are there."),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what is in a dataset: ratings, long tail, activity, genres, people, and what is missing.

    Writes a page, the same report in Markdown, a picture for each finding, and all numbers. What the dataset has no
    data for is left out, and named. An earlier report in that folder is replaced.
    """
    with errors():
        data = read_dataset(dataset, data_dir)
        found = look_at(data, posters=posters)
        folder = found.save(out or Path("analysis") / data.name)
        for what, value in facts(found):
            console.print(f"{what + ':':<28} {value}", highlight=False, markup=False)
        for name, why in found.left_out.items():
            console.print(f"left out {name}: {why}", highlight=False, markup=False)
        console.print(f"open {folder / PAGE}", highlight=False, markup=False, soft_wrap=True)
