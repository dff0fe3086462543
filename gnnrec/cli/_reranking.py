"""Options of `gnnrec recommend` that re-rank a list for one request."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "Re-ranking"
DiversityOption = Annotated[
    float,
    typer.Option("--diversity", help="0 to 1: prefer movies that differ from those above them.", rich_help_panel=PANEL),
]
NoveltyOption = Annotated[
    float, typer.Option("--novelty", help="0 to 1: prefer lesser-known movies.", rich_help_panel=PANEL)
]
CalibrationOption = Annotated[
    float,
    typer.Option(
        "--calibration",
        help="0 to 1: match the genres of the list to those of the history.",
        rich_help_panel=PANEL,
    ),
]
MaxPerGenreOption = Annotated[
    int | None, typer.Option("--max-per-genre", help="Maximum number of movies per genre.", rich_help_panel=PANEL)
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--like", help="Rank movies like this one (title or id) higher. Can be repeated.", rich_help_panel=PANEL
    ),
]
UnlikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unlike", help="Rank movies like this one (title or id) lower. Can be repeated.", rich_help_panel=PANEL
    ),
]
FamilyFriendlyOption = Annotated[
    bool,
    typer.Option(
        "--family-friendly", help="Only movies for families, judged by certificate, or by genres if there is none."
    ),
]
