"""``gnnrec fetch``: posters and plots for a dataset, from a service that knows movies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
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
    again: Annotated[bool, typer.Option("--again", help="Ask once more for what was not there before.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="Ask about so many movies at most.")] = None,
    per_second: Annotated[float, typer.Option("--per-second", help="Requests to one host.")] = 5.0,
    api_url: Annotated[str | None, typer.Option("--api-url", help="Another address of the service.")] = None,
    image_url: Annotated[str | None, typer.Option("--image-url", help="Another address of TMDB's posters.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Fetch posters and plots of a dataset's movies from TMDB or OMDb.

    Movies are found by IMDb or TMDB id where there is one, else by title and year. What is there is not asked for
    again: the same command goes on where it stopped, and another --source fills the gaps. Exit status 75 says that a
    run ended early and can go on later.
    """
    from gnnrec.features.fetch import Manners, Omdb, Tmdb, fetch_content

    with errors():
        if image_url is not None and source is not SourceName.tmdb:
            raise ConfigError("--image-url is of TMDB; OMDb says itself where its posters lie")
        manners = Manners(per_second=per_second)
        urls = {"api_url": api_url, "image_url": image_url}
        given = {name: url for name, url in urls.items() if url is not None}
        maker = Tmdb if source is SourceName.tmdb else Omdb
        service = maker.from_environment(**given, manners=manners)
        data = load_dataset(dataset, data_dir=data_dir)
        try:
            report = fetch_content(data, out, service, links=links, again=again, limit=limit)
        except KeyboardInterrupt:
            console.print(f"\n[yellow]stopped[/]; the same command goes on, all until here is in {escape(str(out))}")
            raise typer.Exit(130) from None
        table = Table(title=escape(str(out)), show_header=False)
        left = report.missing["what"].value_counts()
        for what, count in [
            ("movies", report.movies),
            (f"asked at {source.value} in this run", report.asked),
            ("posters there", report.posters),
            ("plots there", report.plots),
            (f"movies {source.value} does not have", left.get("movie", 0)),
            (f"posters {source.value} does not have", left.get("poster", 0)),
            (f"plots {source.value} does not have", left.get("plot", 0)),
            ("without an answer, asked again next time", report.failed),
        ]:
            table.add_row(what, f"{count:,}")
        console.print(table)
        if report.stopped is not None:
            console.print(
                f"[yellow]stopped early:[/] {escape(report.stopped)}. Nothing is lost; the same command goes on later.",
                highlight=False,
            )
            raise typer.Exit(TRY_LATER)
