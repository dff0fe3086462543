"""``gnnrec search``: the movies of a saved run by the words of their titles."""

from __future__ import annotations

from typing import Annotated

import typer

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, show


def search(
    run: RunArgument,
    words: Annotated[list[str], typer.Argument(help="Words of a title, with or without a year.")],
    k: KOption = 10,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Search the movies of a run by title.

    Case, accents, articles, typos and word order do not matter.
    """
    with errors():
        from gnnrec.graph.title_search import search as find
        from gnnrec.models.estimator import load

        check_out(out)
        found = find(load(run), " ".join(words), k)
        text = {
            "movie_id": [str(one) for one in found["movie_id"]],
            "movie": found["title"].tolist(),
            "score": [f"{score:.3f}" for score in found["score"]],
        }
        show(found, text=text, as_json=json, as_csv=csv, out=out)
