"""What commands print: recommendations as a table, mistakes as one line."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gnnrec.errors import GnnrecError

console = Console()
if not console.is_terminal:
    console = Console(width=144)  # in a pipe or a log there is no width to keep to


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Turn the library's own errors, and the system's about files, into one line and exit status 1."""
    try:
        yield
    except (GnnrecError, FloatingPointError, OSError) as error:
        text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
        line = "; ".join(part.strip() for part in text.splitlines()).replace(":; ", ": ")
        # A title or a path may hold [brackets], which are no markup.
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(line)}", highlight=False)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings as one line each, without the line of code they come from."""
    stderr = Console(stderr=True, soft_wrap=True)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: stderr.print(
            f"[yellow]warning:[/] {escape(str(message))}", highlight=False
        )
        yield


def recommendations(frame: pd.DataFrame, reasons: pd.DataFrame) -> Table:
    """Lay out recommendations and why for the terminal."""
    grid = Table(header_style="bold")
    for name in ("#", "movie", "score", "because of"):
        grid.add_column(name, justify="right" if name in ("#", "score") else "left")
    for movie_id, title, score, rank in frame[["movie_id", "title", "score", "rank"]].itertuples(index=False):
        why = reasons.loc[reasons["movie_id"] == movie_id, "because"]
        grid.add_row(str(rank), escape(title), f"{score:.3f}", escape(", ".join(why)) or "—")
    return grid
