"""``gnnrec fetch``: posters and plots for a dataset, from a service that knows movies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gnnrec.cli.options import DataDirOption, DatasetOption
from gnnrec.cli.output import console, errors
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError

TRY_LATER = 75
"""Exit status of a run that stopped early and can go on later; EX_TEMPFAIL in sysexits.h."""


class SourceName(StrEnum):
    """Services that can be asked."""

    tmdb = "tmdb"
    omdb = "omdb"


def fetch(
    out: Annotated[Path, typer.Option("--out", help="Gets posters/, plots.csv and fetched.jsonl.")],
    dataset: DatasetOption = "ml-1m",
    source: Annotated[
        SourceName, typer.Option("--source", help="Its key is read from $TMDB_API_KEY or $OMDB_API_KEY.")
    ] = SourceName.tmdb,
    links: Annotated[
        Path | None, typer.Option("--links", help="CSV of movieId, imdbId, tmdbId, as in newer MovieLens sets.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Request again what the provider lacked in earlier runs.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="Ask about so many movies at most.")] = None,
    rate_limit: Annotated[
        float, typer.Option("--rate-limit", help="Maximum number of requests per second to one host.")
    ] = 5.0,
    api_url: Annotated[str | None, typer.Option("--api-url", help="Another address of the service.")] = None,
    image_url: Annotated[str | None, typer.Option("--image-url", help="Another address of TMDB's posters.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Fetch posters and plots of a dataset's movies from TMDB or OMDb.

    Movies are found by IMDb or TMDB id where there is one, else by title and year. What is there is not asked for
    again: the same command goes on where it stopped, and another --source fills the gaps. Exit status 75 says that a
    run ended early and can go on later.
    """
    from gnnrec.metadata import Omdb, RequestPolicy, Tmdb, fetch_metadata

    with errors():
        if image_url is not None and source is not SourceName.tmdb:
            raise ConfigError("--image-url is of TMDB; OMDb says itself where its posters lie")
        policy = RequestPolicy(rate_limit=rate_limit)
        urls = {"api_url": api_url, "image_url": image_url}
        given = {name: url for name, url in urls.items() if url is not None}
        maker = Tmdb if source is SourceName.tmdb else Omdb
        service = maker.from_environment(**given, policy=policy)
        data = load_dataset(dataset, data_dir=data_dir)
        try:
            with _progress_bar(source.value) as on_progress:
                report = fetch_metadata(
                    data, out, service, links=links, refresh=refresh, limit=limit, on_progress=on_progress
                )
        except KeyboardInterrupt:
            console.print(f"\n[yellow]stopped[/]; the same command goes on, all until here is in {escape(str(out))}")
            raise typer.Exit(130) from None
        table = Table(title=escape(str(out)), show_header=False)
        left = report.missing["item"].value_counts()
        for what, count in [
            ("movies", report.num_movies),
            (f"asked at {source.value} in this run", report.num_requested),
            ("posters there", report.num_posters),
            ("plots there", report.num_plots),
            (f"movies {source.value} does not have", left.get("movie", 0)),
            (f"posters {source.value} does not have", left.get("poster", 0)),
            (f"plots {source.value} does not have", left.get("plot", 0)),
            ("without an answer, asked again next time", report.num_failed),
        ]:
            table.add_row(what, f"{count:,}")
        console.print(table)
        if report.stop_reason is not None:
            console.print(
                f"[yellow]stopped early:[/] {escape(report.stop_reason)}. "
                "Nothing is lost; the same command goes on later.",
                highlight=False,
            )
            raise typer.Exit(TRY_LATER)


@contextmanager
def _progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error; yields the function that updates it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
