"""Atomic writes of files and folders, JSON, and the layout numbers of saved files."""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import json
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, BinaryIO

from gnnrec._locks import abandoned, is_at, open_exclusive, try_lock
from gnnrec.errors import DataError, StorageError

PARTIAL = ".part"
"""Suffix of temporary files and folders. Their names start with a dot and the final name."""
REPLACED = ".replaced-part"
"""Suffix of a folder that is being replaced. Until the new one is in place, it may be the only copy."""
MAX_PARTIALS = 8
"""Maximum number of stale temporary files that are removed after a file was written."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file atomically; see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write so that a reader sees either the old or the new content, even after a power failure.

    Any number of threads and processes may write the same file. The temporary file of a killed writer is reused.

    Raises
    ------
    StorageError
        It cannot be written; the old content is unchanged.
    """
    try:
        partial, descriptor = _open_partial(path)
        with os.fdopen(descriptor, "wb") as file:
            try:
                file.truncate()
                yield file
                file.flush()
                os.fsync(descriptor)
                if sys.platform != "win32":  # on Windows, an open file cannot be renamed
                    partial.replace(path)
            except BaseException:
                if is_at(descriptor, partial):
                    partial.unlink(missing_ok=True)
                raise
        if sys.platform == "win32":
            partial.replace(path)
        _remove_partials(path)
        sync(path.parent)
    except OSError as error:
        raise error if isinstance(error, StorageError) else StorageError.writing(path, error) from None


def _open_partial(path: Path) -> tuple[Path, int]:
    """Open and lock a temporary file next to a file: the first one that no other writer uses."""
    for number in itertools.count():
        partial = _partial(path, number)
        try:
            descriptor = open_exclusive(partial)
        except OSError as error:
            if error.errno != errno.ENOLCK:
                raise
            partial = _partial(path, f"{os.getpid()}.{secrets.token_hex(8)}")
            return partial, os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if descriptor is not None:
            return partial, descriptor
    raise AssertionError("the first free number ends the loop")


def _partial(path: Path, number: int | str = 0) -> Path:
    return path.with_name(f".{path.name}.{number}{PARTIAL}" if number else f".{path.name}{PARTIAL}")


def is_partial(name: str) -> bool:
    """Return whether this is the name of a temporary file or folder of `write_atomic` or `new_folder`."""
    return name.startswith(".") and name.endswith((PARTIAL, REPLACED))


def _remove_partials(path: Path) -> None:
    """Remove the temporary files of killed writers of a file."""
    for number in range(MAX_PARTIALS):
        partial = _partial(path, number)
        if os.path.lexists(partial):
            with abandoned(partial) as is_abandoned:
                if is_abandoned:
                    partial.unlink(missing_ok=True)


def _siblings(target: Path, suffix: str = PARTIAL) -> str:
    """Return a pattern for the temporary folders of a folder."""
    return f".{glob.escape(target.name)}.*{suffix}"


def remove_partials(folder: Path, pattern: str = f".*{PARTIAL}") -> None:
    """Remove the temporary files and folders in a folder whose writers were killed."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError), abandoned(path) as is_abandoned:
            if is_abandoned and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif is_abandoned:
                path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, or raise `StorageError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.writing(path, error) from None


def sync(path: Path) -> None:
    """Flush a file or a folder to disk; do nothing where the system does not support this for folders."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder or os.name != "nt" else os.O_RDWR)
    except OSError:
        if not is_folder:
            raise
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder and error.errno != errno.EINVAL:  # a file system without fsync
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON; see `to_json_value`."""
    path.write_text(json.dumps(to_json_value(value), ensure_ascii=False, indent=2), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; raise ValueError for anything else, including folders and pipes."""
    if path.exists() and not path.is_file():  # reading from a pipe could block forever
        raise ValueError(f"{path.name} is not a file")
    return parse_json(path.read_text(encoding="utf-8"))


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(text: str | bytes) -> Any:
    """Parse untrusted JSON; raise ValueError if it is invalid, nested too deeply, or has text that no file can hold.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: JSON that is nested too deeply
    """
    try:
        value = json.loads(text)
        if _SURROGATE.search(text.encode() if isinstance(text, str) else text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("JSON with half of a surrogate pair") from None
    return value


def own_file(folder: Path, name: str) -> Path:
    """Return the path of a file in an untrusted folder.

    Raises
    ------
    DataError
        It is a link out of the folder, a pipe or a device. Whether it exists is not checked.
    """
    path = folder / name
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} is a link out of its folder; put the file itself there")
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file")
    return path


def stamp(layout: int) -> dict[str, Any]:
    """Return the header entries with the layout of a file and the version of gnnrec that wrote it."""
    from gnnrec import __version__

    return {"format": layout, "gnnrec": __version__}


def check_layout(header: Mapping[str, Any], layout: int, what: str, remedy: str) -> None:
    """Raise a `DataError` unless a file has a layout that this version reads.

    Parameters
    ----------
    header : mapping
        Contains the entries of `stamp`; only ``format`` is required.
    layout : int
        The layout that this version reads.
    what : str
        Names the file in the message.
    remedy : str
        What to do instead of installing the other version.

    Examples
    --------
    >>> check_layout({"format": 6, "gnnrec": "0.3.0"}, 5, "runs/mine", "train it again")
    Traceback (most recent call last):
        ...
    gnnrec.errors.DataError: runs/mine has layout 6, which gnnrec 0.3.0 reads; this is gnnrec 0.2.0, which reads \
layout 5; use gnnrec 0.3.0, or train it again
    """
    from gnnrec import __version__

    if header["format"] == layout:
        return
    version = header.get("gnnrec")
    if version is None:
        problem = f"has layout {header['format']} of a development version; this is gnnrec {__version__}, which reads "
        raise DataError(f"{what} {problem}layout {layout}; {remedy}")
    problem = f"has layout {header['format']}, which gnnrec {version} reads; this is gnnrec {__version__}, which reads "
    raise DataError(f"{what} {problem}layout {layout}; use gnnrec {version}, or {remedy}")


def to_json_value(value: Any) -> Any:
    """Convert a value to JSON types: missing values become null, and unsupported types text.

    Examples
    --------
    >>> import datetime
    >>> to_json_value({1: (2, float("nan")), "when": [datetime.date(2001, 1, 1)], "tags": {"b", "a"}})
    {'1': [2, None], 'when': ['2001-01-01'], 'tags': ['a', 'b']}
    """
    if isinstance(value, (str, bool)) or value is None:
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json_value(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((to_json_value(one) for one in value), key=str)
    if isinstance(value, (list, tuple)):
        return [to_json_value(one) for one in value]
    if hasattr(value, "tolist"):  # arrays, tensors, series and numbers of NumPy
        plain = value.tolist()
        return str(value) if plain is value else to_json_value(plain)
    text = str(value)
    return None if text in ("NaT", "<NA>") else text


@contextlib.contextmanager
def new_folder(
    path: str | Path, *, header: str, owned: Container[str], kind: str, keep: Iterable[str] = ()
) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` at the end, so that `path` is complete at any time.

    Parameters
    ----------
    path : str or Path
        A new or empty folder, or one with a `header`, which is replaced.
    header : str
        Name of a file that identifies folders of this kind.
    owned : container of str
        Names in the replaced folder that are removed; all others are kept.
    kind : str
        What error messages call the folder.
    keep : iterable of str
        Names from `owned` to keep unless the new folder has them.

    Raises
    ------
    DataError
        `path` exists and is something else.
    """
    target = Path(path).resolve()  # a link to a folder remains a link
    try:
        _check_replaceable(path, target, header, kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() and (replaced := find_replaced(target, header)) is not None:
            replaced.rename(target)
        with temporary_folder(target) as temporary:
            yield temporary
            for entry in target.iterdir() if target.exists() else ():
                kept = (entry.name in keep or entry.name not in owned) and not is_partial(entry.name)
                if kept and not (temporary / entry.name).exists():
                    copy = shutil.copytree if entry.is_dir() else shutil.copy2
                    copy(entry, temporary / entry.name)
            for written in (*temporary.rglob("*"), temporary):
                if not written.is_symlink():
                    sync(written)
            _move(temporary, target)
            sync(target.parent)
    except OSError as error:
        raise error if isinstance(error, StorageError) else StorageError.writing(path, error) from None


def _check_replaceable(path: str | Path, target: Path, header: str, kind: str) -> None:
    if target.exists() and not (target.is_dir() and ((target / header).exists() or not any(target.iterdir()))):
        raise DataError(f"{path} exists and is not a {kind}; choose another folder")


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder next to a folder; remove it at the end, and also those of killed writers."""
    temporary, descriptor = _make_temporary(target)
    try:
        temporary.chmod(0o755)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)
        remove_temporary_folders(target)


def remove_temporary_folders(target: Path) -> None:
    """Remove the temporary folders of a folder whose writers were killed."""
    remove_partials(target.parent, _siblings(target))
    if target.exists():
        remove_partials(target.parent, _siblings(target, REPLACED))


def _make_temporary(target: Path) -> tuple[Path, int | None]:
    """Create a folder and lock it to show other processes that its writer is alive."""
    while True:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
        if sys.platform == "win32":  # folders cannot be locked
            return temporary, None
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(temporary, os.O_RDONLY)
            if try_lock(descriptor) is not False and is_at(descriptor, temporary):
                return temporary, descriptor
            os.close(descriptor)  # removed before it was locked


def _move(temporary: Path, target: Path) -> None:
    """Move a folder, replacing an existing one, in a single step if the system supports it."""
    for _ in range(3):  # another writer may come first
        if _exchange(temporary, target):
            return
        try:
            temporary.rename(target)
            return
        except OSError:
            if not target.exists():
                raise
    old = temporary.with_name(temporary.name.removesuffix(PARTIAL) + REPLACED)
    with abandoned(target):  # locked, so that others do not remove it under its new name
        target.rename(old)
        try:
            temporary.rename(target)
        finally:
            if not target.exists():  # interrupted between the two renames: undo the first
                old.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def find_replaced(path: str | Path, header: str) -> Path | None:
    """Return the previous folder at `path` if a process died while replacing it; None if `path` exists.

    `new_folder` exchanges two folders in one step if the system supports it. Otherwise, for a moment only the previous
    folder exists, under a temporary name.
    """
    target = Path(path).resolve()
    if target.exists() or not target.parent.is_dir():
        return None
    found = [old for old in target.parent.glob(_siblings(target, REPLACED)) if (old / header).exists()]
    return max(found, key=lambda old: old.stat().st_mtime, default=None)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in a single step; return False if the system does not support it."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)
