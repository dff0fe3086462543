"""`fetch_metadata`: posters and plots for the movies of a dataset, with a log from which a run is resumed."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gnnrec._io import PARTIAL, make_folder, parse_json, remove_partials, write_atomic
from gnnrec._locks import claim
from gnnrec._network import display_url
from gnnrec.data.dataset import Dataset
from gnnrec.data.frames import write_csv
from gnnrec.errors import ConfigError, DataError, StorageError
from gnnrec.features.images import PosterError, decode_poster
from gnnrec.metadata.client import NotFoundError, RateLimitError, ServiceUnavailableError
from gnnrec.metadata.matching import MovieQuery, NoMatch, movie_queries
from gnnrec.metadata.providers import MetadataProvider, MovieMetadata

PLOTS, POSTERS, LOG = "plots.csv", "posters", "fetched.jsonl"
MAX_CONSECUTIVE_FAILURES = 5
"""Number of consecutive movies without a response after which a run stops."""
_FILE_NAME = re.compile(r"\w[\w.-]*")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchReport:
    """Result of a run.

    Parameters
    ----------
    num_movies : int
        Number of movies in the dataset.
    num_requested : int
        Number of movies requested from the provider in this run.
    num_posters, num_plots : int
        Number of movies with a poster or a plot, from this run or earlier ones.
    missing : pandas.DataFrame
        What the provider lacks: ``movie_id``, ``title``, ``kind`` ("movie", "poster" or "plot") and ``reason``.
    num_failed : int
        Number of movies whose metadata or poster got no response; the next run requests them again.
    stop_reason : str or None
        Why the run stopped early; None if it is complete.

    Examples
    --------
    >>> missing = pd.DataFrame(columns=["movie_id", "title", "kind", "reason"])
    >>> FetchReport(4, 4, 3, 4, missing, num_failed=1, stop_reason=None)
    FetchReport(num_movies=4, num_requested=4, num_posters=3, num_plots=4, num_failed=1, stop_reason=None)
    """

    num_movies: int
    num_requested: int
    num_posters: int
    num_plots: int
    missing: pd.DataFrame = field(repr=False)
    num_failed: int
    stop_reason: str | None


def fetch_metadata(
    dataset: Dataset,
    out: str | Path,
    provider: MetadataProvider,
    *,
    links: str | Path | None = None,
    refresh: bool = False,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FetchReport:
    """Download posters and plots.

    Every response is logged, so a run can be interrupted at any time and resumed by the same call, and no movie is
    requested twice. A second provider with the same folder is requested only for what the first one lacks.

    Parameters
    ----------
    dataset : Dataset
        Its movies are searched for by ``imdb_id`` and ``tmdb_id`` if available, else by title and year.
    out : str or Path
        Output folder for ``posters/<movie_id>.jpg``, ``plots.csv`` (``movie_id,title,plot,source``) and
        ``fetched.jsonl``.
    provider : MetadataProvider
        `Tmdb`, `Omdb` or an object with the same interface.
    links : str or Path, optional
        ``links.csv`` of MovieLens with ``movieId``, ``imdbId``, ``tmdbId``.
    refresh : bool
        Request again what the provider lacked in earlier runs.
    limit : int, optional
        Maximum number of movies to request in this run.
    on_progress : callable, optional
        Called after each movie with the number of processed movies and of all movies.

    Returns
    -------
    FetchReport
        Counts, and what is missing. There is one warning for each unusable poster.

    Raises
    ------
    AuthenticationError
        The API key is rejected. Everything fetched before is kept.
    ConfigError
        `limit` is not positive, or `out` contains a ``plots.csv`` from another origin.
    DataError
        `links` or the log is damaged.
    StorageError
        The folder cannot be written, or another process fetches into it.

    Examples
    --------
    >>> from gnnrec.metadata import Tmdb
    >>> fetch_metadata(dataset, "features/ml-1m", Tmdb.from_environment())  # doctest: +SKIP
    FetchReport(num_movies=3883, num_requested=3883, num_posters=3790, num_plots=3851, num_failed=0, stop_reason=None)
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, not {limit}")
    queries = movie_queries(dataset, links)
    folder = Path(out)
    if (folder / PLOTS).exists() and not (folder / LOG).exists():
        raise ConfigError(f"{folder / PLOTS} was not written by a fetch; choose another folder")
    make_folder(folder / POSTERS)
    with claim(folder):
        remove_partials(folder, f".{PLOTS}*{PARTIAL}")
        remove_partials(folder / POSTERS, f".*.jpg*{PARTIAL}")
        fetcher = _Fetcher(folder, provider, FetchLog(folder / LOG), refresh, limit)
        try:
            stop_reason = fetcher.run(queries, on_progress)
        finally:
            fetcher.write_plots(queries)
        return fetcher.report(queries, stop_reason)


@dataclass(frozen=True)
class FetchRecord:
    """A provider's response about a movie.

    Parameters
    ----------
    provider : str
        Name of the provider.
    movie_id : int or str
        Id in the dataset.
    title : str
        Title in the dataset.
    status : {"found", "missing", "failed"}
        "missing" if the provider lacks the movie, "failed" if there was no response.
    reason : str or None
        Why the movie was not found.
    metadata : MovieMetadata or None
        The metadata of a movie that was found.
    poster_status : {"saved", "missing", "failed"} or None
        None if the provider has no poster or it was not needed.
    poster_reason : str or None
        Why there is no poster.
    """

    provider: str
    movie_id: Any
    title: str
    status: Literal["found", "missing", "failed"]
    reason: str | None = None
    metadata: MovieMetadata | None = None
    poster_status: Literal["saved", "missing", "failed"] | None = None
    poster_reason: str | None = None

    @property
    def plot(self) -> str | None:
        """Return the plot, if there is one."""
        return self.metadata.plot if self.metadata else None

    @property
    def poster_url(self) -> str | None:
        """Return the address of the poster, if there is one."""
        return self.metadata.poster_url if self.metadata else None

    def with_poster(self, status: Literal["saved", "missing", "failed"], reason: str | None = None) -> FetchRecord:
        """Return the record with the result of the poster's download."""
        return replace(self, poster_status=status, poster_reason=reason)


class FetchLog:
    """A file with one JSON record per line; the last record of a provider and a movie counts.

    Parameters
    ----------
    path : Path
        Read if it exists. An incomplete last line is removed.

    Raises
    ------
    DataError
        Another line is damaged; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[tuple[str, Any], FetchRecord] = {}
        if not path.exists():
            return
        complete, _, rest = path.read_bytes().rpartition(b"\n")
        for number, line in enumerate(complete.split(b"\n") if complete else [], start=1):
            self._store(_parse_record(line, f"{path}:{number}"))
        if rest:  # the process was killed while writing this line
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - len(rest))

    def __len__(self) -> int:
        return len(self.records)

    def get(self, provider: str, movie_id: Any) -> FetchRecord | None:
        """Return the last record of a provider about a movie, if there is one."""
        return self.records.get((provider, movie_id))

    def add(self, record: FetchRecord) -> None:
        """Append a record to the file."""
        line = (json.dumps(asdict(record), ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                end, written = file.tell(), 0
                try:
                    while written < len(line):
                        written += file.write(line[written:]) or 0
                except OSError:
                    file.truncate(end)  # a partial line would damage the next one
                    raise
        except OSError as error:
            raise StorageError.writing(self.path, error) from None
        self._store(record)

    def plots(self) -> dict[Any, tuple[str, str]]:
        """Return plot and provider of each movie with a plot; the provider requested first takes precedence."""
        plots: dict[Any, tuple[str, str]] = {}
        for record in self.records.values():
            if record.plot:
                plots.setdefault(record.movie_id, (record.plot, record.provider))
        return plots

    def _store(self, record: FetchRecord) -> None:
        self.records[record.provider, record.movie_id] = record


def _parse_record(line: bytes, place: str) -> FetchRecord:
    try:
        values = parse_json(line)
        if values["metadata"] is not None:
            values["metadata"] = MovieMetadata(**values["metadata"])
        record = FetchRecord(**{name: values[name] for name in (field.name for field in fields(FetchRecord))})
        is_known = record.status in ("found", "missing", "failed")
        if not is_known or (record.status == "found") != (record.metadata is not None):
            raise ValueError
        if not isinstance(record.provider, str) or type(record.movie_id) not in (int, str):
            raise ValueError
        json.dumps(asdict(record), allow_nan=False)  # it may be written again
    except (ValueError, TypeError, KeyError):
        raise DataError("not a valid fetch record; delete the line to request the movie again", at=place) from None
    return record


class _Fetcher:
    """One run over the movies of a dataset; all results are in the log."""

    def __init__(
        self, folder: Path, provider: MetadataProvider, log: FetchLog, refresh: bool, limit: int | None
    ) -> None:
        self.folder, self.provider, self.log, self.refresh, self.limit = folder, provider, log, refresh, limit
        self.num_requested = self.consecutive_failures = self.consecutive_poster_failures = 0
        self.known_plots = log.plots()

    def run(self, queries: Sequence[MovieQuery], on_progress: Callable[[int, int], None] | None) -> str | None:
        """Fetch all movies; return why the run stopped early, None if it did not."""
        for done, query in enumerate(queries, start=1):
            try:
                self.fetch_movie(query)
            except RateLimitError as error:
                return str(error)
            if max(self.consecutive_failures, self.consecutive_poster_failures) >= MAX_CONSECUTIVE_FAILURES:
                last = self.log.records[self.provider.name, query.movie_id]
                reason = last.poster_reason or last.reason
                return f"{MAX_CONSECUTIVE_FAILURES} consecutive movies without a response; the last error: {reason}"
            if on_progress is not None:
                on_progress(done, len(queries))
        return None

    def fetch_movie(self, query: MovieQuery) -> None:
        """Fetch the plot and the poster of a movie unless they are already there."""
        has_poster, has_plot = self.poster_path(query).exists(), query.movie_id in self.known_plots
        if has_poster and has_plot:
            return
        record = self.log.get(self.provider.name, query.movie_id)
        if self.needs_request(record):
            if self.limit is not None and self.num_requested >= self.limit:
                return
            self.num_requested += 1
            record = self.request(query)
            self.log.add(record)  # before the poster is downloaded: the response may count toward a daily quota
            self.consecutive_failures = self.consecutive_failures + 1 if record.status == "failed" else 0
        elif record is None or record.poster_status == "missing":
            return
        if record.poster_url and not has_poster:
            record = self.download_poster(query, record, record.poster_url)
            self.log.add(record)
            failed = record.poster_status == "failed"
            self.consecutive_poster_failures = self.consecutive_poster_failures + 1 if failed else 0

    def needs_request(self, record: FetchRecord | None) -> bool:
        """Return whether the provider must be requested for a movie with this record."""
        if record is None or record.status == "failed":
            return True
        is_complete = record.poster_url and record.plot and record.poster_status != "missing"
        return self.refresh and not is_complete

    def request(self, query: MovieQuery) -> FetchRecord:
        """Request the metadata of a movie."""
        is_known = query.names or query.imdb_id or query.tmdb_id
        try:
            found = self.provider.find(query) if is_known else NoMatch("neither a title nor an id to search for")
        except (ServiceUnavailableError, NotFoundError) as error:
            logger.info("no metadata of movie %r: %s", query.movie_id, error)
            return FetchRecord(self.provider.name, query.movie_id, query.title, "failed", str(error))
        if isinstance(found, NoMatch):
            return FetchRecord(self.provider.name, query.movie_id, query.title, "missing", found.reason)
        return FetchRecord(self.provider.name, query.movie_id, query.title, "found", metadata=found)

    def download_poster(self, query: MovieQuery, record: FetchRecord, url: str) -> FetchRecord:
        """Download a poster and return the updated record."""
        if not _FILE_NAME.fullmatch(str(query.movie_id)):
            return record.with_poster("missing", "the movie id cannot be used as a file name")
        try:
            write_atomic(self.poster_path(query), _to_jpeg(self.provider.poster(url), display_url(url)))
        except ServiceUnavailableError as error:
            logger.info("no poster of movie %r: %s", query.movie_id, error)
            return record.with_poster("failed", str(error))
        except (NotFoundError, PosterError) as error:
            warnings.warn(f"no poster for movie {query.movie_id!r}: {error}", stacklevel=2)
            return record.with_poster("missing", str(error))
        return record.with_poster("saved")

    def poster_path(self, query: MovieQuery) -> Path:
        """Return the file of a movie's poster."""
        return self.folder / POSTERS / f"{query.movie_id}.jpg"

    def write_plots(self, queries: Sequence[MovieQuery]) -> None:
        """Write all known plots, including those of other movies from earlier runs."""
        plots = self.log.plots()
        titles = {query.movie_id: query.title for query in queries}
        logged_titles = {record.movie_id: record.title for record in self.log.records.values()}
        ordered = titles | (logged_titles | titles)  # the movies of the dataset first, with its titles
        rows = [(movie_id, title, *plots[movie_id]) for movie_id, title in ordered.items() if movie_id in plots]
        if rows:
            write_csv(pd.DataFrame(rows, columns=["movie_id", "title", "plot", "source"]), self.folder / PLOTS)

    def report(self, queries: Sequence[MovieQuery], stop_reason: str | None) -> FetchReport:
        """Count posters and plots, and list what the provider lacks."""
        plots, missing, num_failed = self.log.plots(), [], 0
        for query in queries:
            record = self.log.get(self.provider.name, query.movie_id)
            if record is None:
                continue
            num_failed += "failed" in (record.status, record.poster_status)
            if record.status == "missing":
                missing.append((query.movie_id, query.title, "movie", record.reason))
            if record.metadata and not record.plot:
                missing.append((query.movie_id, query.title, "plot", "not available from the provider"))
            if record.metadata and (record.poster_status == "missing" or not record.poster_url):
                reason = record.poster_reason or "not available from the provider"
                missing.append((query.movie_id, query.title, "poster", reason))
        return FetchReport(
            num_movies=len(queries),
            num_requested=self.num_requested,
            num_posters=sum(self.poster_path(query).exists() for query in queries),
            num_plots=sum(query.movie_id in plots for query in queries),
            missing=pd.DataFrame(missing, columns=["movie_id", "title", "kind", "reason"]),
            num_failed=num_failed,
            stop_reason=stop_reason,
        )


def _to_jpeg(data: bytes, name: str) -> bytes:
    """Return a readable poster as JPEG, unchanged if it already is one."""
    poster = decode_poster(data, name)
    if data.startswith(b"\xff\xd8"):
        return data
    buffer = io.BytesIO()
    poster.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
