"""``gnnrec index``."""

from __future__ import annotations

from typing import Annotated

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors, say


def index(
    run: RunArgument,
    recall: Annotated[
        float, typer.Option("--recall", help="Share of the exact top 10 that the index must find, at most 1.")
    ] = 0.99,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0)] = 0,
) -> None:
    """Build an index of a run's movies, for large catalogs (pip install 'gnnrec[index]').

    gnnrec recommend RUN --index uses it.
    """
    with errors():
        from gnnrec.models.estimator import load
        from gnnrec.models.index import MovieIndex

        built = MovieIndex.build(load(run), recall=recall, seed=seed)
        say(f"saved in {built.save(run)}: {built!r}")
