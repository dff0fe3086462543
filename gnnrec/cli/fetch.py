"""``gnnrec fetch``: posters and plots from TMDB or OMDb."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gnnrec.cli._options import DataDirOption, DatasetOption, complete_names, read_dataset, with_reading_options
from gnnrec.cli._output import errors, say, show
from gnnrec.registry import METADATA_PROVIDERS

TRY_LATER = 75
"""Exit status of a run that stopped early and can be continued later; EX_TEMPFAIL in sysexits.h."""


@with_reading_options
def fetch(
    out: Annotated[Path, typer.Option("--out", help="Folder for posters/, plots.csv and fetched.jsonl.")],
    dataset: DatasetOption = "ml-1m",
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help=f"Service: {', '.join(METADATA_PROVIDERS.builtin)}. The API key is read from "
            f"{' or '.join(f'${name.upper()}_API_KEY' for name in METADATA_PROVIDERS.builtin)}.",
            autocompletion=complete_names(METADATA_PROVIDERS),
        ),
    ] = "tmdb",
    links: Annotated[
        Path | None, typer.Option("--links", help="CSV of movieId, imdbId, tmdbId, as in newer MovieLens datasets.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Request again what the provider did not have earlier.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="Maximum number of movies to request.")] = None,
    rate_limit: Annotated[
        float, typer.Option("--rate-limit", help="Maximum number of requests per second to one host.")
    ] = 5.0,
    api_url: Annotated[str | None, typer.Option("--api-url", help="Alternative URL of the API.")] = None,
    image_url: Annotated[str | None, typer.Option("--image-url", help="Alternative URL of TMDB's images.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Download posters and plots from TMDB, OMDb or another source.

    Movies are found by IMDb or TMDB id, or else by title and year. Nothing is requested twice: run the same command
    again to continue, or with another --source to fill the gaps. Exit status 75 means that the command stopped early
    and can be continued later.
    """
    with errors():
        import pandas as pd

        from gnnrec.errors import ConfigError
        from gnnrec.metadata import RequestPolicy, fetch_metadata

        make = METADATA_PROVIDERS.get(source).from_environment
        urls = {"api_url": api_url, "image_url": image_url}
        given = {name: url for name, url in urls.items() if url is not None}
        for name in given.keys() - inspect.signature(make).parameters.keys():
            raise ConfigError(f"--{name.replace('_', '-')} is not an option of the source {source}")
        provider = make(**given, policy=RequestPolicy(rate_limit=rate_limit))
        data = read_dataset(dataset, data_dir)
        try:
            with _progress_bar(source) as on_progress:
                report = fetch_metadata(
                    data, out, provider, links=links, refresh=refresh, limit=limit, on_progress=on_progress
                )
        except KeyboardInterrupt:
            say(f"\nstopped; the downloads so far are in {out}, the same command continues")
            raise typer.Exit(130) from None
        missing = report.missing["kind"].value_counts()
        counts = {
            "movies": report.num_movies,
            f"requested from {source} in this run": report.num_requested,
            "posters": report.num_posters,
            "plots": report.num_plots,
            f"movies missing at {source}": missing.get("movie", 0),
            f"posters missing at {source}": missing.get("poster", 0),
            f"plots missing at {source}": missing.get("plot", 0),
            "failed, requested again next time": report.num_failed,
        }
        show(pd.DataFrame({str(out): list(counts), "count": [f"{count:,}" for count in counts.values()]}))
        if report.stop_reason is not None:
            say(f"stopped early: {report.stop_reason}. Nothing is lost; the same command continues later.")
            raise typer.Exit(TRY_LATER)


@contextmanager
def _progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error; yields the function that updates it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
