"""Finds the files of registered datasets, and downloads them: verified, unpacked safely and written atomically."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

import pooch
import requests
from urllib3.exceptions import HTTPError

from gnnrec._checks import as_path
from gnnrec._io import remove_temporary_folders, temporary_folder
from gnnrec._network import (
    CHUNK_SIZE,
    MAX_REDIRECTS,
    REDIRECT_STATUSES,
    Session,
    call_with_timeout,
    display_url,
    is_public,
    join,
    origin,
    stream_body,
)
from gnnrec._progress import download_bar
from gnnrec.errors import ConfigError, DataError, DownloadError
from gnnrec.registry import DATASETS

ATTEMPTS = 3
RETRY_DELAY = 0.5  # seconds before the second attempt, twice as many before the third
MAX_ARCHIVE_BYTES = 4 << 30  # the largest MovieLens archive has 335 MB
MAX_SECONDS = 24 * 3600.0  # maximum duration of a download
MIN_SPEED, WINDOW = 10_000, 60.0  # minimum bytes per second, averaged over this many seconds
HEAD_SECONDS = 60.0  # for name resolution, connection and response headers
MAX_CHECKSUM_BYTES = 1000
MAX_UNPACKED_BYTES = 8 << 30  # the largest MovieLens dataset unpacks to about 2 GiB
MAX_COMPRESSION_RATIO = 100  # rating files compress about fivefold, zip bombs a thousandfold
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class ProgressHook(Protocol):
    """The calls that `pooch` makes to a progress bar."""

    total: float | None

    def update(self, num_bytes: int, /) -> None:
        """Add bytes."""

    def reset(self) -> None:
        """Start again at 0 bytes."""

    def close(self) -> None:
        """Finish."""


@dataclass(frozen=True)
class RemoteDataset:
    """Metadata of a dataset that was registered with a URL: ``@register_dataset("my-shop", url=..., md5=...)``.

    Parameters
    ----------
    name : str
        Registered name, also the name of its folder.
    url : str
        Address of a zip file.
    md5 : str, optional
        MD5 of the zip file; by default it is read from ``<url>.md5``, if there is such a file.
    ratings_file : str
        File that a complete folder must contain.
    folder_names : tuple of str
        Other names of the folder, such as the one in the zip file.
    own_format : bool
        `ratings_file` identifies the dataset, so a folder of any name may hold it.
    """

    name: str
    url: str
    md5: str | None = None
    ratings_file: str = "ratings.csv"
    folder_names: tuple[str, ...] = ()
    own_format: bool = False

    @classmethod
    def from_registry(cls, name: str) -> RemoteDataset:
        """Return the metadata of a registered dataset; `ConfigError` if it is unknown or has no URL."""
        metadata = DATASETS.metadata(name)
        if "url" not in metadata:
            raise ConfigError(f"dataset {name!r} cannot be downloaded: it was registered without a url")
        return cls(name, **{key.name: metadata[key.name] for key in fields(cls) if key.name in metadata})

    def is_complete(self, folder: Path) -> bool:
        """Return whether a folder contains the rating file."""
        return (folder / self.ratings_file).is_file()

    def matches(self, folder: Path) -> bool:
        """Return whether a folder contains this dataset, judged by its name where several share a format."""
        if not self.is_complete(folder):
            return False
        called = folder.resolve().name
        if called in (self.name, *self.folder_names):
            return True
        return self.own_format and called not in _all_folder_names()


def find_dataset(name: str, data_dir: str | Path | None = None) -> Path | None:
    r"""Return the local folder of a registered dataset, or None.

    Parameters
    ----------
    name : str
        Name of a dataset that was registered with a URL, such as "ml-1m".
    data_dir : str or Path, optional
        Searched first: the folder of the dataset, or the folder that contains it. Then follow ``$GNNREC_DATA``,
        ``data/<name>`` in the working directory, and the download cache.

    Returns
    -------
    Path or None
        The folder that contains the rating file.

    Raises
    ------
    ConfigError
        The name is unknown, or the dataset has no files.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "ml-latest-small"
    >>> folder.mkdir()
    >>> _ = (folder / "ratings.csv").write_text("userId,movieId,rating\n1,7,4.5\n")
    >>> find_dataset("ml-latest-small", folder) == folder
    True
    """
    remote = RemoteDataset.from_registry(name)
    roots = [data_dir, os.environ.get("GNNREC_DATA"), Path("data") / name]
    for root in (as_path(root, "a folder of datasets") for root in roots if root):
        for folder in (root, *(root / folder_name for folder_name in (name, *remote.folder_names))):
            if remote.matches(folder):
                return folder
    with suppress(ConfigError):  # no home folder, so nothing was downloaded there
        cached = cache_dir() / name
        return cached if remote.is_complete(cached) else None
    return None


def locate_dataset(name: str, data_dir: str | Path | None = None, *, allow_download: bool = True) -> Path:
    r"""Return the local folder of a registered dataset; download it if necessary.

    Parameters
    ----------
    name : str
        Name of a dataset that was registered with a URL, such as "ml-1m".
    data_dir : str or Path, optional
        Searched first, as in `find_dataset`.
    allow_download : bool
        Whether a dataset that is not found is downloaded to the cache.

    Returns
    -------
    Path
        The folder that contains the rating file.

    Raises
    ------
    DataError
        The dataset is not found and `allow_download` is False.
    DownloadError
        The download failed.
    ConfigError
        The name is unknown, or the dataset has no files.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "u.data").write_text("1\t7\t4\t874965758")
    >>> locate_dataset("ml-100k", folder) == folder
    True
    """
    folder = find_dataset(name, data_dir)
    if folder is None and not allow_download:
        raise DataError(
            f"{name} is not on this machine; put it into data/{name}, set GNNREC_DATA to its folder, or allow downloads"
        )
    return folder or download(name)


def download(
    name: str,
    folder: str | Path | None = None,
    *,
    base_url: str | None = None,
    timeout: float = 5.0,
    progress: bool | ProgressHook = True,
) -> Path:
    """Download a registered dataset, unless the folder already contains it.

    Parameters
    ----------
    name : str
        Name of a dataset that was registered with a URL, such as "ml-1m".
    folder : str or Path, optional
        Parent of the new folder ``<name>``; by default the user's cache folder.
    base_url : str, optional
        Mirror that holds the zip files instead of the registered URLs; by default ``$GNNREC_BASE_URL``.
    timeout : float
        Seconds to wait for a connection; waits twice as long for each next part of the file.
    progress : bool or ProgressHook
        Show a progress bar on standard error, or report to an object with ``total``, ``update(num_bytes)``,
        ``reset()`` and ``close()``.

    Returns
    -------
    Path
        The folder of the unpacked files.

    Raises
    ------
    DownloadError
        The server cannot be reached or responds with an error, the checksum is wrong, the archive is damaged or
        unsafe, or the disk is full. No partial files are left behind.
    ConfigError
        The name is unknown, or the dataset has no URL.

    Examples
    --------
    >>> download("ml-100k", "data")  # doctest: +SKIP
    PosixPath('data/ml-100k')
    """
    remote = RemoteDataset.from_registry(name)
    parent = cache_dir() if folder is None else as_path(folder, "the folder of downloads")
    target = parent / name
    if remote.is_complete(target):
        remove_temporary_folders(target)
        return target
    mirror = base_url or os.environ.get("GNNREC_BASE_URL")
    url = f"{mirror.rstrip('/')}/{remote.url.rsplit('/', 1)[-1]}" if mirror else remote.url
    with _scratch_folder(parent, name) as scratch:
        md5 = remote.md5 or _published_md5(url, timeout, name)
        unpacked = _fetch(url, md5, scratch, timeout, progress, name)
        if not remote.is_complete(unpacked):
            raise DownloadError(f"{url} contains no {remote.ratings_file}, so it is not the dataset {name!r}")
        try:
            unpacked.replace(target)
        except OSError as error:
            if not remote.is_complete(target):  # else another process finished first
                raise DownloadError(f"{target} cannot be replaced ({error}); remove it and try again") from error
    return target


def cache_dir() -> Path:
    """Return the default download folder; raise `ConfigError` if this user has no home folder."""
    found = Path(pooch.os_cache("gnnrec"))
    if not found.is_absolute():
        raise ConfigError("this user has no home folder for downloads; set HOME or XDG_CACHE_HOME, or name a folder")
    return found


def _all_folder_names() -> set[str]:
    names = DATASETS.names()
    return {*names, *(folder for name in names for folder in DATASETS.metadata(name).get("folder_names", ()))}


@contextmanager
def _scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a temporary folder on the target's disk, so that the last step is an atomic rename."""
    with ExitStack() as stack:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = stack.enter_context(temporary_folder(parent / name))
        except OSError as error:
            raise DownloadError(f"{name} cannot be saved in {parent}: {error}; choose another folder") from error
        yield path


def _fetch(url: str, md5: str | None, scratch: Path, timeout: float, progress: bool | ProgressHook, name: str) -> Path:
    """Download and unpack one zip file; a dropped connection is retried, a wrong checksum is not."""
    pooch.get_logger().setLevel("WARNING")  # the progress bar replaces its messages
    known_hash = md5 and f"md5:{md5}"
    unzip = partial(_unzip, url=url)
    for attempt in range(1, ATTEMPTS + 1):
        with _progress_hook(progress, url) as hook:
            downloader = partial(_download_file, timeout=timeout, hook=hook)
            try:
                return Path(
                    pooch.retrieve(url, known_hash, "archive.zip", scratch, processor=unzip, downloader=downloader)
                )
            except requests.RequestException as error:
                if attempt == ATTEMPTS or not _is_transient(error):
                    raise _unreachable(url, error, name) from None
            except HTTPError as error:  # raised by urllib3 while the body is read
                if attempt == ATTEMPTS:
                    raise _unreachable(url, requests.ConnectionError(error), name) from None
            except ValueError as error:  # raised by pooch for a wrong checksum, after it has removed the file
                raise DownloadError(
                    f"{url} does not have the checksum {known_hash}; it is damaged or was replaced, try again"
                ) from error
            except OSError as error:
                raise DownloadError(
                    f"{url} cannot be saved and unpacked: {error}; free disk space or choose another folder"
                ) from error
        time.sleep(RETRY_DELAY * attempt)
        if not isinstance(progress, bool):
            progress.reset()
    raise AssertionError("the last attempt returns or raises")


def _download_file(url: str, file: Any, _: Any, *, timeout: float, hook: ProgressHook | bool) -> None:
    """Download a file with limits on size and time; a downloader for `pooch`."""
    start = checkpoint = time.monotonic()
    size = last = 0
    limit = min(MAX_ARCHIVE_BYTES, shutil.disk_usage(Path(file).parent).free)
    with _get(url, timeout) as response, Path(file).open("wb") as output:
        announced = int(text) if (text := response.headers.get("Content-Length", "")).isdecimal() else 0
        if announced > limit:
            raise DownloadError(f"{url} has {announced:,} bytes, more than the limit of {limit:,}")
        if not isinstance(hook, bool):
            hook.total = announced
        for chunk in stream_body(response, CHUNK_SIZE):
            output.write(chunk)
            size += len(chunk)
            if size > limit:
                raise DownloadError(f"{url} has more than {limit:,} bytes; the download was stopped")
            if not isinstance(hook, bool):
                hook.update(len(chunk))
            now = time.monotonic()
            if now - start > MAX_SECONDS:
                raise DownloadError(f"{url} was not complete after {MAX_SECONDS:,.0f} seconds")
            if now - checkpoint > WINDOW:
                if size - last < MIN_SPEED * WINDOW:
                    raise DownloadError(f"{url} sends fewer than {MIN_SPEED:,} bytes per second; try a mirror")
                checkpoint, last = now, size
        if not isinstance(hook, bool):
            hook.reset()
            hook.update(size)
            hook.close()


@contextmanager
def _get(url: str, timeout: float) -> Iterator[requests.Response]:
    """Request an address and follow redirects, whose bodies are not read; they must not lead to private networks."""
    wanted = origin(url)
    if wanted is None:
        raise DownloadError(f"{url!r} is not an http or https address")
    place, session = url, Session([wanted])
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = _send(session, place, timeout)
            target = response.headers.get("location")
            if response.status_code not in REDIRECT_STATUSES or target is None:
                response.raise_for_status()
                if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                    raise DownloadError(
                        f"{display_url(place)} has a content encoding that was not requested; try again, or a mirror"
                    )
                yield response
                return
            response.close()
            previous, place = place, join(place, target)
            where = f"{display_url(url)} redirects to {display_url(place)}"
            if origin(place) is None:
                raise DownloadError(f"{where}, which is not an http or https address")
            if previous.startswith("https:") and place.startswith("http:"):
                raise DownloadError(f"{where}, from https to unencrypted http")
            if origin(place) != wanted and not _is_public(place):
                raise DownloadError(f"{where}, which is in a private network")
        raise DownloadError(f"{display_url(url)} redirects more than {MAX_REDIRECTS} times")
    finally:
        session.close()


def _is_public(url: str) -> bool:
    try:
        return is_public(url)
    except OSError:
        return True  # the connection raises the error about the name
    except UnicodeError as error:
        raise DownloadError(f"{display_url(url)} is not a valid address: {error}") from None


def _send(session: requests.Session, url: str, timeout: float) -> requests.Response:
    """Return the response to a request, whose body is not read yet."""
    headers = {"User-Agent": "gnnrec", "Accept-Encoding": "identity"}

    def send() -> requests.Response:
        return session.get(url, headers=headers, timeout=(timeout, 2 * timeout), stream=True, allow_redirects=False)

    try:
        return call_with_timeout(HEAD_SECONDS, send)
    except TimeoutError:
        raise requests.Timeout(f"no response within {HEAD_SECONDS:g} seconds") from None
    except UnicodeError as error:
        raise requests.exceptions.InvalidURL(f"{display_url(url)} is not a valid address: {error}") from None


def _progress_hook(progress: bool | ProgressHook, url: str) -> AbstractContextManager[Any]:
    return download_bar(url.rsplit("/", 1)[-1]) if progress is True else nullcontext(progress)


def _unzip(archive: str, action: str, pup: Any, *, url: str) -> str:
    """Check and unpack an archive; a processor for `pooch` that returns the folder of the files.

    The folder is the only one in the archive, or the one that contains all its entries.
    """
    into = Path(archive).with_name("files")
    try:
        with zipfile.ZipFile(archive) as file:
            _check_members(file, Path(archive).stat().st_size, url)
        pooch.Unzip(extract_dir=into.name)(archive, action, pup)  # which also compares the CRC of each member
    except _ZIP_ERRORS as error:
        raise DownloadError(f"{url}: the archive is damaged: {error}; try again") from error
    entries = list(into.iterdir()) if into.is_dir() else []
    return str(entries[0] if len(entries) == 1 and entries[0].is_dir() else into)


def _check_members(file: zipfile.ZipFile, packed_bytes: int, url: str) -> None:
    """Reject archives with members outside the folder, links, devices, or an implausible size."""
    for member in file.infolist():
        name = member.filename
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise DownloadError(f"{url}: the archive is unsafe: member {name!r} lies outside the target folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DownloadError(f"{url}: the archive is unsafe: member {name!r} is a link or a device")
    # zipfile never extracts more than the size that a member states, so the stated sizes can be relied on.
    total = sum(member.file_size for member in file.infolist())
    if total > min(MAX_UNPACKED_BYTES, MAX_COMPRESSION_RATIO * packed_bytes):
        raise DownloadError(f"{url}: the archive is unsafe: it would unpack from {packed_bytes:,} to {total:,} bytes")


def _published_md5(url: str, timeout: float, name: str) -> str | None:
    """Return the checksum published next to the file; None if there is none (the zip still has CRCs)."""
    try:
        with _get(f"{url}.md5", timeout) as response:
            text = _first_bytes(response).decode("utf-8", "replace")
    except requests.RequestException as error:
        if error.response is not None and error.response.status_code == 404:
            return None
        raise _unreachable(f"{url}.md5", error, name) from None
    except HTTPError as error:
        raise _unreachable(f"{url}.md5", requests.ConnectionError(error), name) from None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if found is None:
        raise DownloadError(f"{url}.md5 contains no MD5 checksum; check the base URL")
    return found[0].lower()


def _first_bytes(response: requests.Response) -> bytes:
    """Return the start of a response body, which may be endless."""
    end, start = time.monotonic() + HEAD_SECONDS, b""
    for chunk in stream_body(response, MAX_CHECKSUM_BYTES):
        start += chunk
        if len(start) >= MAX_CHECKSUM_BYTES or time.monotonic() > end:
            break
    return start[:MAX_CHECKSUM_BYTES]


def _unreachable(url: str, error: requests.RequestException, name: str) -> DownloadError:
    return DownloadError(
        f"{url} cannot be fetched: {_cause(error)}; check the network and proxy settings (HTTPS_PROXY), set "
        f"GNNREC_BASE_URL to a mirror, or unpack the archive to data/{name} yourself"
    )


def _is_transient(error: requests.RequestException) -> bool:
    """Return whether a retry may help: after a dropped connection or a server error."""
    server_error = error.response is not None and error.response.status_code >= 500
    return server_error or isinstance(error, requests.exceptions.ChunkedEncodingError)


def _cause(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server responds {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no response in time"
    cause: object = error
    # requests wraps urllib3, which wraps the error of the operating system.
    while inner := [
        part for part in (getattr(cause, "reason", None), *_args(cause)) if isinstance(part, BaseException)
    ]:
        cause = inner[0]
    prefix = "the proxy cannot be used: " if isinstance(error, requests.exceptions.ProxyError) else ""
    return f"{prefix}{cause}"


def _args(error: object) -> tuple[object, ...]:
    return getattr(error, "args", ())
