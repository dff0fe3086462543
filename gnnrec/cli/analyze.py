"""``gnnrec analyze``: explore a dataset before training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._options import CsvOption, DataDirOption, DatasetOption, JsonOption, read_dataset, with_reading_options
from gnnrec.cli._output import errors, say, show


@with_reading_options
def analyze(
    dataset: DatasetOption = "ml-1m",
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the report; analysis/NAME by default.")] = None,
    posters: Annotated[
        Path | None,
        typer.Option("--posters", help="Folder of posters, <movie_id>.jpg, to report how many movies have one."),
    ] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Describe a dataset before training.

    The report covers ratings, long tail, activity, genres, demographics, and missing values: an HTML page, the same in
    Markdown, a PNG per finding, and all numbers as JSON. Findings that need missing columns are listed as skipped. An
    earlier report in the folder is replaced.
    """
    with errors():
        import pandas as pd

        from gnnrec.explore import analyze as run_analysis
        from gnnrec.explore.report import PAGE

        data = read_dataset(dataset, data_dir)
        found = run_analysis(data, posters=posters)
        folder = found.save(out or Path("analysis") / data.name)
        pairs = list(found.statistics())
        frame = pd.DataFrame(
            {"statistic": [str(name) for name, _ in pairs], "value": [str(value) for _, value in pairs]}
        )
        show(frame, as_json=json, as_csv=csv)
        if not (json or csv):
            for name, reason in found.left_out.items():
                say(f"skipped {name}: {reason}")
            say(f"open {folder / PAGE}")
