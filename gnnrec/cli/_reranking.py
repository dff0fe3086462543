"""Options of `gnnrec recommend` that re-rank a list for one request."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "Another order"
DiversityOption = Annotated[
    float,
    typer.Option(
        "--diversity", help="0 to 1: how much a movie must differ from those above it.", rich_help_panel=PANEL
    ),
]
NoveltyOption = Annotated[
    float, typer.Option("--novelty", help="0 to 1: how much less known movies are preferred.", rich_help_panel=PANEL)
]
CalibrationOption = Annotated[
    float,
    typer.Option(
        "--calibration",
        help="0 to 1: how closely the genres of the list follow those of the history.",
        rich_help_panel=PANEL,
    ),
]
MaxPerGenreOption = Annotated[
    int | None, typer.Option("--max-per-genre", help="At most so many movies of each genre.", rich_help_panel=PANEL)
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option("--like", help="Title or id: more movies like this one. Can be repeated.", rich_help_panel=PANEL),
]
UnlikeOption = Annotated[
    list[str] | None,
    typer.Option("--unlike", help="Title or id: fewer movies like this one. Can be repeated.", rich_help_panel=PANEL),
]
FamilyFriendlyOption = Annotated[
    bool,
    typer.Option("--family-friendly", help="Only movies for families, by certificate, or by genres without one."),
]
