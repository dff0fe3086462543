"""Options that re-rank a list for one request, with the names of the fields of `Reranking`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from gnnrec.cli._options import with_options

SHARE, MOVIES = float, list[str] | None
RERANKING_OPTIONS: dict[str, tuple[Any, str]] = {
    "diversity": (SHARE, "0 to 1: prefer movies that differ from those above them."),
    "novelty": (SHARE, "0 to 1: prefer lesser-known movies."),
    "calibration": (SHARE, "0 to 1: match the genres of the list to those of the history."),
    "max_per_genre": (int | None, "Maximum number of movies per genre."),
    "like": (MOVIES, "Rank movies like this one (title or id) higher. Can be repeated."),
    "unlike": (MOVIES, "Rank movies like this one (title or id) lower. Can be repeated."),
}
"""By name, the type of the value and the help."""
SHARES = tuple(name for name, (kind, _) in RERANKING_OPTIONS.items() if kind is SHARE)
FamilyFriendlyOption = Annotated[
    bool,
    typer.Option(
        "--family-friendly", help="Only movies for families, judged by certificate, or by genres if there is none."
    ),
]


def with_reranking_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the `RERANKING_OPTIONS` to a command, which takes them as the mapping `reranking`."""
    options = {
        name: Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=help_, rich_help_panel="Re-ranking")]
        for name, (kind, help_) in RERANKING_OPTIONS.items()
    }
    return with_options(command, options, lambda given, values: command(**values, reranking=given), hidden="reranking")
