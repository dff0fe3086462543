"""Options that re-rank a list for one request, each a line of `RERANKING_OPTIONS`; the same names as in `Reranking`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from gnnrec.cli._options import with_options

SHARE, MOVIES = float, list[str] | None
RERANKING_OPTIONS: dict[str, tuple[Any, str]] = {
    "diversity": (SHARE, "0 to 1: how much a movie must differ from those above it."),
    "novelty": (SHARE, "0 to 1: how much less known movies are preferred."),
    "calibration": (SHARE, "0 to 1: how closely the genres of the list follow those of the history."),
    "max_per_genre": (int | None, "Maximum number of movies of each genre."),
    "like": (MOVIES, "Title or id: more movies like this one. Can be repeated."),
    "unlike": (MOVIES, "Title or id: fewer movies like this one. Can be repeated."),
}
"""By name, the type of the value and the help."""
SHARES = tuple(name for name, (kind, _) in RERANKING_OPTIONS.items() if kind is SHARE)
FamilyFriendlyOption = Annotated[
    bool,
    typer.Option("--family-friendly", help="Only movies for families, by certificate, or by genres without one."),
]


def with_reranking_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the `RERANKING_OPTIONS` to a command, which takes them as the mapping `reranking`."""
    options = {
        name: Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=help_, rich_help_panel="Another order")]
        for name, (kind, help_) in RERANKING_OPTIONS.items()
    }
    return with_options(command, options, lambda given, values: command(**values, reranking=given), hidden="reranking")
