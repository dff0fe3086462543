"""Unpacks a zip file that came over the network and is not trusted."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Self

import pandas as pd
import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from gnnrec.data.tables import Table
from gnnrec.errors import ConfigError, DataError, DownloadError

OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""Names of the codes 0 to 20 in ML-1M."""

GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
"""The flags of ``u.item`` where the folder has no ``u.genre``."""

_RATING_COLUMNS = {"user_id": "int64", "movie_id": "int64", "rating": "float32", "timestamp": "int64"}


def read_1m(folder: Path) -> dict[str, Table]:
    """Read ``ratings.dat`` and, where there, ``movies.dat`` and ``users.dat``."""
    tables = {"ratings": read_ratings(folder / "ratings.dat", "::")}
    if (path := folder / "movies.dat").is_file():
        tables["movies"] = _table(path, _movie_records(path), ["movie_id", "title", "genres"])
    if (path := folder / "users.dat").is_file():
        columns = ["user_id", "gender", "age", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "::", len(columns)), columns)
        frame = tables["users"].frame
        named = frame["occupation"].map({str(code): name for code, name in enumerate(OCCUPATIONS)})
        frame["occupation"] = named.fillna(frame["occupation"])
    return tables


def read_100k(folder: Path) -> dict[str, Table]:
    """Read ``u.data`` and, where there, ``u.item`` and ``u.user``."""
    tables = {"ratings": read_ratings(folder / "u.data", "\t")}
    if (path := folder / "u.item").is_file():
        genres = GENRES_100K.split("|")
        if (names := folder / "u.genre").is_file():
            genres = [fields[0] for _, fields in _records(names, "|", 2)]
        columns = ["movie_id", "title", "release_date", "video_release_date", "imdb_url", *genres]
        table = _table(path, _records(path, "|", len(columns)), columns)
        flags = (table.frame[genres] == "1").drop(columns="unknown", errors="ignore")
        named = [
            "|".join(genre for genre, flag in zip(flags.columns, row, strict=True) if flag) for row in flags.to_numpy()
        ]
        frame = table.frame[["movie_id", "title"]].assign(
            genres=named, release_date=table.frame["release_date"], imdb_url=table.frame["imdb_url"]
        )
        tables["movies"] = Table(path, frame, table.line)
    if (path := folder / "u.user").is_file():
        columns = ["user_id", "age", "gender", "occupation", "zip_code"]
        tables["users"] = _table(path, _records(path, "|", len(columns)), columns)
    return tables


def read_ratings(path: Path, separator: str) -> Table:
    """Read lines of user, movie, rating and seconds."""
    raw = _read_bytes(path)
    try:
        frame = pd.read_csv(
            io.BytesIO(raw.replace(separator.encode(), b"\t")),
            sep="\t",
            header=None,
            names=list(_RATING_COLUMNS),
            dtype=_RATING_COLUMNS,
            na_filter=False,
            quoting=3,
        )
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        _find_fault(path, separator)
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        _find_fault(path, separator)
    return Table(path, frame, lambda row: _records(path, separator, 4)[row][0])


def _find_fault(path: Path, separator: str) -> None:
    """Stop at the first line that does not hold four numbers, three of them whole."""
    for line, fields in _records(path, separator, len(_RATING_COLUMNS)):
        for (column, kind), text in zip(_RATING_COLUMNS.items(), fields, strict=True):
            try:
                number = int(text) if kind == "int64" else float(text)
            except ValueError:
                what = "a whole number" if kind == "int64" else "a number"
                raise DataError(f"{column} {text!r} is not {what}", at=f"{path}:{line}") from None
            if not abs(number) < 2**63:
                raise DataError(f"{column} {text} is not finite or too large", at=f"{path}:{line}")


def _table(path: Path, records: list[tuple[int, list[str]]], columns: list[str]) -> Table:
    frame = pd.DataFrame([fields for _, fields in records], columns=columns)
    for (line, _), text in zip(records, frame[columns[0]], strict=True):
        if not text.strip().isdecimal():
            raise DataError(f"{columns[0]} {text!r} is not a whole number", at=f"{path}:{line}")
    frame[columns[0]] = frame[columns[0]].astype("int64")
    return Table(path, frame, lambda row: records[row][0])


def _records(path: Path, separator: str, num_fields: int) -> list[tuple[int, list[str]]]:
    """Return line number and fields of each line that is not blank."""
    found = [(line, text.split(separator)) for line, text in _lines(path)]
    for line, fields in found:
        if len(fields) != num_fields:
            raise DataError(
                f"expected {num_fields} fields separated by {separator!r}, found {len(fields)}",
                at=f"{path}:{line}",
            )
    return found


def _movie_records(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of ``movies.dat``; a title may hold the separator, id and genres cannot."""
    found = []
    for line, text in _lines(path):
        start, _, rest = text.partition("::")
        title, middle, genres = rest.rpartition("::")
        if not middle:
            count = text.count("::") + 1
            raise DataError(f"expected 3 fields separated by '::', found {count}", at=f"{path}:{line}")
        found.append((line, [start, title, genres]))
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    raw = _read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")  # some copies in circulation were saved again as UTF-8
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} is empty")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError("the file is UTF-16 or no text; save it as UTF-8 or Latin-1", at=f"{path}:{line}")
    return raw


BASE_URL = "https://files.grouplens.org/datasets/movielens"

CHECKSUMS: dict[str, str | None] = {
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    # GroupLens publishes the sums of these beside the files (and renews ml-latest): fetched each time.
    "ml-10m": None,
    "ml-20m": None,
    "ml-25m": None,
    "ml-32m": None,
    "ml-latest-small": None,
    "ml-latest": None,
}
"""MD5 of each set's zip file, None where it is fetched from ``<zip>.md5``."""

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the second attempt, twice as many before the third
_RATINGS_FILES = ("ratings.dat", "u.data", "ratings.csv")


def download(
    name: str,
    folder: str | Path | None = None,
    *,
    base_url: str = BASE_URL,
    timeout: float = 5.0,
    progress: bool = True,
) -> Path:
    """Fetch a MovieLens set unless it is there already.

    Parameters
    ----------
    name : str
        One of the keys of `CHECKSUMS`.
    folder : str or Path, optional
        Where ``<name>/`` is made; the user's cache folder by default.
    base_url : str
        Where the zip files are; ``$GNNREC_BASE_URL`` replaces the default.
    timeout : float
        Seconds to wait for a connection, and for the next bytes twice as long.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Path
        The folder with the unpacked files.

    Raises
    ------
    DownloadError
        The server cannot be reached or answers with an error, the checksum is wrong, or the archive is
        broken or unsafe. Nothing is left behind.
    ConfigError
        The name is unknown.

    Examples
    --------
    >>> download("ml-100k", "data")  # doctest: +SKIP
    PosixPath('data/ml-100k')
    """
    if name not in CHECKSUMS:
        raise ConfigError(f"{name!r} is no MovieLens set; known are {', '.join(CHECKSUMS)}")
    parent = Path(folder).expanduser() if folder is not None else _cache()
    target = parent / name
    if _is_whole(target):
        return target
    if base_url == BASE_URL:
        base_url = os.environ.get("GNNREC_BASE_URL", BASE_URL)
    url = f"{base_url.rstrip('/')}/{name}.zip"
    parent.mkdir(parents=True, exist_ok=True)
    # In the target's own folder, so that the last step is a rename on one disk, which cannot stop halfway.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent) as scratch:
        archive = _fetch(url, CHECKSUMS[name] or _published_md5(url, timeout), Path(scratch), timeout, progress)
        try:
            unpacked = unpack(archive, Path(scratch) / "files")
        except DataError as error:
            raise DownloadError(f"{url}: {error}") from None
        if not _is_whole(unpacked):
            raise DownloadError(f"{url} holds none of {', '.join(_RATINGS_FILES)}; it is no MovieLens set")
        _install(unpacked, target)
    return target


def cached(name: str) -> Path | None:
    """Return the folder of a set that was downloaded to the default place before, or None."""
    return target if _is_whole(target := _cache() / name) else None


def _cache() -> Path:
    return Path(pooch.os_cache("gnnrec"))


def _is_whole(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _RATINGS_FILES)


def _install(unpacked: Path, target: Path) -> None:
    try:
        unpacked.replace(target)
    except OSError as error:
        if _is_whole(target):  # another process was faster
            return
        raise DownloadError(f"{target} is in the way ({error}); remove it and try again") from error


def _fetch(url: str, md5: str | None, scratch: Path, timeout: float, progress: bool) -> Path:
    """Download one file; a connection that breaks off is tried again, a wrong checksum is not."""
    pooch.get_logger().setLevel("WARNING")  # the progress bar says it all
    known_hash = md5 and f"md5:{md5}"
    for attempt in range(1, ATTEMPTS + 1):
        with _Bar(url.rsplit("/", 1)[-1], shown=progress) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=(timeout, 2 * timeout))
            try:
                return Path(pooch.retrieve(url, known_hash, "archive.zip", scratch, downloader=downloader))
            except requests.RequestException as error:
                if attempt == ATTEMPTS or not _may_pass(error):
                    raise DownloadError(f"{url} cannot be fetched: {_cause(error)}") from None
            except ValueError as error:  # pooch's word for a wrong checksum; it has removed the file
                raise DownloadError(
                    f"{url} does not have the checksum {known_hash}; it is damaged or was replaced, try again"
                ) from error
        time.sleep(PAUSE * attempt)
    raise AssertionError("the last attempt returns or raises")


def _published_md5(url: str, timeout: float) -> str | None:
    """Return the checksum beside the file; None where there is none, then the CRCs in the zip must do."""
    try:
        answer = requests.get(f"{url}.md5", timeout=(timeout, 2 * timeout))
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
    except requests.RequestException as error:
        raise DownloadError(f"{url}.md5 cannot be fetched: {_cause(error)}") from None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", answer.text[:1000])
    if found is None:
        raise DownloadError(f"{url}.md5 holds no MD5 sum; check the base URL")
    return found[0].lower()


def _may_pass(error: requests.RequestException) -> bool:
    """Tell a broken connection or a busy server from what trying again cannot mend."""
    busy = error.response is not None and error.response.status_code >= 500
    return busy or isinstance(error, requests.exceptions.ChunkedEncodingError)


def _cause(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: object = error
    while isinstance(
        inner := getattr(cause, "reason", None) or next(iter(getattr(cause, "args", ())), None), BaseException
    ):
        cause = inner  # requests wraps urllib3, which wraps what the system said
    return str(cause)


class _Bar:
    """A rich progress bar with the four names pooch asks of one."""

    def __init__(self, label: str, *, shown: bool) -> None:
        columns = (
            "{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._task = self._progress.add_task(label, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, total: float) -> None:
        self._progress.update(self._task, total=total)

    def update(self, num_bytes: int) -> None:
        self._progress.advance(self._task, num_bytes)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


MAX_BYTES = 8 << 30  # the largest MovieLens set unpacks to about 2 GiB
MAX_RATIO = 100  # rating files shrink about fivefold; a bomb, a thousandfold


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a zip file whose members lie in one folder.

    Parameters
    ----------
    archive : Path
        The zip file.
    into : Path
        A new folder.

    Returns
    -------
    Path
        The one folder that was in the archive, or `into` when there are several entries.

    Raises
    ------
    DataError
        The archive is damaged, or a member is a link, would land outside `into`, or the whole is
        suspiciously large. What was unpacked until then stays in `into`, for the caller to remove.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            _check(file, archive.stat().st_size)
            for member in file.infolist():
                target = into / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                # Reading a member to its end also compares its CRC.
                with file.open(member) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"the archive is damaged: {error}") from error
    entries = list(into.iterdir()) if into.is_dir() else []
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else into


def _check(file: zipfile.ZipFile, packed_bytes: int) -> None:
    for member in file.infolist():
        name = member.filename
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise DataError(f"the archive is unsafe: member {name!r} would land outside the folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"the archive is unsafe: member {name!r} is a link or a device")
    # zipfile never yields more than the size a member states, so the stated sizes can be relied on.
    total = sum(member.file_size for member in file.infolist())
    if total > min(MAX_BYTES, MAX_RATIO * packed_bytes):
        raise DataError(f"the archive is unsafe: it would unpack from {packed_bytes:,} to {total:,} bytes")
