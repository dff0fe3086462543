"""Atomic writes of files and folders, JSON, and the layout numbers of saved files."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from gnnrec.errors import DataError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old or the new content, even after a power failure."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Write a file or a folder through to the disk; where the system cannot do that for folders, do nothing."""
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
    """Read a JSON file; a ValueError for anything else, also for what is no file."""
    if path.exists() and not path.is_file():  # reading from a pipe could block forever
        raise ValueError(f"{path.name} is not a file")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of somebody else; a ValueError for what is not JSON, or nested too deeply.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: JSON that is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def own_file(folder: Path, name: str) -> Path:
    """Return the path of a file of a folder that somebody else may have made.

    Raises
    ------
    DataError
        It is a link out of the folder, or a pipe or a device; a missing file is left to whoever opens it.
    """
    path = folder / name
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} is a link out of its folder; put the file itself there")
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file")
    return path


def stamp(layout: int) -> dict[str, Any]:
    """Return the entries of a header that say how a file is laid out, and which version of gnnrec wrote it."""
    from gnnrec import __version__

    return {"format": layout, "gnnrec": __version__}


def check_layout(header: Mapping[str, Any], layout: int, what: str, remedy: str) -> None:
    """Raise a `DataError` unless a file has a layout that this version reads.

    Parameters
    ----------
    header : mapping
        With the entries of `stamp`; only ``format`` is required.
    layout : int
        The layout that this version reads.
    what : str
        Names the file in the message.
    remedy : str
        What helps without the other version.

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
    """Return a value in the types of JSON: missing values are null, and what JSON does not know becomes text.

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
        File that identifies a folder of this kind.
    owned : container of str
        Files and folders of the replaced folder that are removed; all others are kept.
    kind : str
        What error messages call the folder.
    keep : iterable of str
        Names from `owned` to be kept unless they are written anew.

    Raises
    ------
    DataError
        `path` exists and is something else.
    """
    target = Path(path).resolve()  # a link to a folder remains a link
    if target.exists() and not (target.is_dir() and ((target / header).exists() or not any(target.iterdir()))):
        raise DataError(f"{path} exists and is not a {kind}; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() and (replaced := find_replaced(target, header)) is not None:
        replaced.rename(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    old = temporary.with_name(temporary.name + ".old")
    try:
        temporary.chmod(0o755)
        yield temporary
        for entry in target.iterdir() if target.exists() else ():
            kept = entry.name in keep or entry.name not in owned
            if kept and not (temporary / entry.name).exists():
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, temporary / entry.name)
        for written in (*temporary.rglob("*"), temporary):
            if not written.is_symlink():
                sync(written)
        if target.exists() and not _exchange(temporary, target):
            target.rename(old)
        if not target.exists():
            temporary.rename(target)
        sync(target.parent)
    finally:
        if old.exists() and not target.exists():  # interrupted between the two renames: undo the first
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def find_replaced(path: str | Path, header: str) -> Path | None:
    """Return the folder that `path` was before a process died while it replaced it, None if `path` is there.

    `new_folder` exchanges two folders at once where the system can. Elsewhere there is a moment in which only the
    replaced folder exists, under a temporary name.
    """
    target = Path(path).resolve()
    if target.exists() or not target.parent.is_dir():
        return None
    found = [old for old in target.parent.glob(f".{glob.escape(target.name)}.*.old") if (old / header).exists()]
    return max(found, key=lambda old: old.stat().st_mtime, default=None)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in a single step; return False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)
