"""Atomic writes of files and folders, and JSON."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from gnnrec.errors import DataError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old or the new content."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


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
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    finally:
        if old.exists() and not target.exists():  # interrupted between the two renames: undo the first
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)
