"""`fetch_content`: posters and plots for the movies of a dataset, one movie after the other."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gnnrec._io import write_atomic
from gnnrec.data import Dataset
from gnnrec.data.dataset import write_csv
from gnnrec.errors import ConfigError
from gnnrec.features.fetch.addresses import shown
from gnnrec.features.fetch.journal import Entry, Journal
from gnnrec.features.fetch.manners import AbsentError, ExhaustedError, UnreachableError
from gnnrec.features.fetch.match import Wanted
from gnnrec.features.fetch.sources import Source
from gnnrec.features.fetch.wanted import wanted_movies
from gnnrec.features.images import PosterError, decode_poster

PLOTS, POSTERS, JOURNAL = "plots.csv", "posters", "fetched.jsonl"
PATIENCE = 5
"""Movies in a row without an answer, after which a run stops."""
_FILE_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class FetchReport:
    """What is there after a run.

    Parameters
    ----------
    movies : int
        In the dataset.
    asked : int
        Movies that the source was asked about in this run.
    posters, plots : int
        Movies that have one now, from this run or before.
    missing : pandas.DataFrame
        ``movie_id``, ``title``, ``what`` ("movie", "poster" or "plot") and ``why``: what this source does not have.
    failed : int
        Movies or posters without an answer; the next run asks again.
    stopped : str or None
        Why the run ended before its end.
    """

    movies: int
    asked: int
    posters: int
    plots: int
    missing: pd.DataFrame = field(repr=False)
    failed: int
    stopped: str | None


def fetch_content(
    dataset: Dataset,
    out: str | Path,
    source: Source,
    *,
    links: str | Path | None = None,
    again: bool = False,
    limit: int | None = None,
    progress: bool = True,
) -> FetchReport:
    """Fetch posters and plots.

    What is there is never asked for again: each answer is kept in a journal, so a run can be stopped at any time and
    repeated. A second source in the same folder is asked for what the first one lacks.

    Parameters
    ----------
    dataset : Dataset
        Whose movies to look for: by ``imdb_id`` and ``tmdb_id`` if it has them, else by title and year.
    out : str or Path
        Gets ``posters/<movie_id>.jpg``, ``plots.csv`` (``movie_id,title,plot,source``) and ``fetched.jsonl``.
    source : Source
        `Tmdb` or `Omdb`, or anything that answers like them.
    links : str or Path, optional
        A ``links.csv`` of MovieLens: ``movieId``, ``imdbId``, ``tmdbId``.
    again : bool
        Ask once more for what the source did not have before.
    limit : int, optional
        Ask about so many movies at most in this run.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    FetchReport
        Counts, and what is missing. Posters that are broken, or no pictures, cost a warning each.

    Raises
    ------
    RefusedError
        The key is not accepted. What was fetched before is kept.
    ConfigError
        `limit` is not positive, or `out` has a ``plots.csv`` that no fetch has made.
    DataError
        `links` or the journal is damaged.

    Examples
    --------
    >>> from gnnrec.features.fetch import Tmdb
    >>> fetch_content(dataset, "features/ml-1m", Tmdb.from_environment())  # doctest: +SKIP
    FetchReport(movies=3883, asked=3883, posters=3790, plots=3851, failed=0, stopped=None)
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, not {limit}")
    movies = wanted_movies(dataset, links)
    folder = Path(out)
    if (folder / PLOTS).exists() and not (folder / JOURNAL).exists():
        raise ConfigError(f"{folder / PLOTS} was not made by a fetch; choose another folder")
    (folder / POSTERS).mkdir(parents=True, exist_ok=True)
    run = _Run(folder, source, Journal(folder / JOURNAL), again, limit)
    try:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
            stopped = run.over(bar.track(movies, description=source.name))
    finally:
        run.write_plots(movies)
    return run.report(movies, stopped)


class _Run:
    """One run over the movies; what it has learned is in the journal."""

    def __init__(self, folder: Path, source: Source, journal: Journal, again: bool, limit: int | None) -> None:
        self.folder, self.source, self.journal, self.again, self.limit = folder, source, journal, again, limit
        self.asked = self.in_vain = self.posters_in_vain = 0
        self.plots = journal.plots()

    def over(self, movies: Iterable[Wanted]) -> str | None:
        """Fetch all; return why it ended early, if it did."""
        for wanted in movies:
            try:
                self.one(wanted)
            except ExhaustedError as error:
                return str(error)
            if max(self.in_vain, self.posters_in_vain) >= PATIENCE:
                last = self.journal.entries[self.source.name, wanted.movie_id]
                return f"{PATIENCE} movies in a row without an answer; the last: {last.poster_why or last.why}"
        return None

    def one(self, wanted: Wanted) -> None:
        """Fetch what one movie lacks."""
        has_poster, has_plot = self.path(wanted).exists(), wanted.movie_id in self.plots
        if has_poster and has_plot:
            return
        entry = self.journal.entries.get((self.source.name, wanted.movie_id))
        if self.to_be_asked(entry):
            if self.limit is not None and self.asked >= self.limit:
                return
            self.asked += 1
            entry = self.ask(wanted)
            self.journal.add(entry)  # before the poster: the answer may have cost one of the day's requests
            self.in_vain = self.in_vain + 1 if entry.status == "failed" else 0
        elif entry is None or entry.poster == "missing" or has_poster or not (entry.found and entry.found.poster_url):
            return
        if entry.found and entry.found.poster_url and not has_poster:
            entry = self.fetch_poster(wanted, entry, entry.found.poster_url)
            self.journal.add(entry)
            self.posters_in_vain = self.posters_in_vain + 1 if entry.poster == "failed" else 0

    def to_be_asked(self, entry: Entry | None) -> bool:
        if entry is None or entry.status == "failed":
            return True
        lacks = entry.found is None or not entry.found.poster_url or not entry.plot or entry.poster == "missing"
        return self.again and lacks

    def ask(self, wanted: Wanted) -> Entry:
        try:
            known = wanted.names or wanted.imdb_id or wanted.tmdb_id
            found = self.source.find(wanted) if known else "there is neither a title nor an id to look for"
        except (UnreachableError, AbsentError) as error:
            return Entry(self.source.name, wanted.movie_id, wanted.title, "failed", str(error))
        if isinstance(found, str):
            return Entry(self.source.name, wanted.movie_id, wanted.title, "missing", found)
        return Entry(self.source.name, wanted.movie_id, wanted.title, "found", found=found)

    def fetch_poster(self, wanted: Wanted, entry: Entry, url: str) -> Entry:
        if not _FILE_NAME.fullmatch(str(wanted.movie_id)):
            return entry.with_poster("missing", "the movie's id cannot be the name of a file")
        try:
            write_atomic(self.path(wanted), _as_jpeg(self.source.poster(url), shown(url)))
        except UnreachableError as error:
            return entry.with_poster("failed", str(error))
        except (AbsentError, PosterError) as error:
            warnings.warn(f"no poster for movie {wanted.movie_id!r}: {error}", stacklevel=2)
            return entry.with_poster("missing", str(error))
        return entry.with_poster("kept")

    def path(self, wanted: Wanted) -> Path:
        return self.folder / POSTERS / f"{wanted.movie_id}.jpg"

    def write_plots(self, movies: list[Wanted]) -> None:
        """Write the plots that are known, those of an earlier run of other movies included."""
        plots = self.journal.plots()
        titles = {wanted.movie_id: wanted.title for wanted in movies}
        others = {entry.movie_id: entry.title for entry in self.journal.entries.values()}
        rows = [(key, title, *plots[key]) for key, title in (titles | (others | titles)).items() if key in plots]
        if rows:
            write_csv(pd.DataFrame(rows, columns=["movie_id", "title", "plot", "source"]), self.folder / PLOTS)

    def report(self, movies: list[Wanted], stopped: str | None) -> FetchReport:
        plots, missing, failed = self.journal.plots(), [], 0
        for wanted in movies:
            entry = self.journal.entries.get((self.source.name, wanted.movie_id))
            if entry is None:
                continue
            failed += "failed" in (entry.status, entry.poster)
            if entry.status == "missing":
                missing.append((wanted.movie_id, wanted.title, "movie", entry.why))
            if entry.found and not entry.plot:
                missing.append((wanted.movie_id, wanted.title, "plot", "the source has none"))
            if entry.found and (entry.poster == "missing" or not entry.found.poster_url):
                why = entry.poster_why or "the source has none"
                missing.append((wanted.movie_id, wanted.title, "poster", why))
        return FetchReport(
            movies=len(movies),
            asked=self.asked,
            posters=sum(self.path(wanted).exists() for wanted in movies),
            plots=sum(wanted.movie_id in plots for wanted in movies),
            missing=pd.DataFrame(missing, columns=["movie_id", "title", "what", "why"]),
            failed=failed,
            stopped=stopped,
        )


def _as_jpeg(data: bytes, name: str) -> bytes:
    """Return a poster that can be opened, as it is if it is a JPEG."""
    poster = decode_poster(data, name)
    if data.startswith(b"\xff\xd8"):
        return data
    buffer = io.BytesIO()
    poster.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
