"""``gnnrec export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors, say


def export(
    run: RunArgument,
    onnx: Annotated[
        Path,
        typer.Option("--onnx", help="Output folder: the network as ONNX, the movies as safetensors and a table."),
    ],
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write ids and titles as movies.parquet instead of movies.json.")
    ] = False,
) -> None:
    """Export a saved run for other runtimes (pip install 'gnnrec[onnx]').

    The exported network computes the embedding of a user from a history of any length and a profile; a score is its
    inner product with the embedding of a movie. The export is checked against the run before it is written.
    """
    with errors():
        from gnnrec._io import read_json
        from gnnrec.export import HEADER, export_onnx
        from gnnrec.models.estimator import load

        folder = export_onnx(load(run), onnx, table="parquet" if parquet else "json")
        header = read_json(folder / HEADER)
        say(f"saved in {folder}: {header['num_movies']:,} movies, {header['embedding_dim']} dimensions")
        check = header["check"]
        say(f"compared with the run for {check['num_users']} users: largest difference {check['max_difference']:.1e}")
