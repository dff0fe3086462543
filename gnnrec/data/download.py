"""Downloads MovieLens sets from GroupLens: checked, unpacked safely, there whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import Self

import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from gnnrec.data.archive import unpack
from gnnrec.errors import ConfigError, DataError, DownloadError

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
