"""Locks that the operating system releases when their process ends, even if it is killed.

There are never stale locks to clean up. A lock belongs to an open file or folder, so threads of
one process exclude each other as well. Some network file systems do not support locks; there, nothing appears locked.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from gnnrec.errors import StorageError

MAX_NAME_BYTES = 1000
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Neither follow links nor block on pipes."""
_claims: set[tuple[int, int, Path]] = set()
"""Folders claimed by this process, as (process id, thread, folder): entries of a parent do not apply after a fork."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far beyond the content, which remains readable
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed.

    Returns
    -------
    bool or None
        False if it is already locked, None if the file system does not support locks.
    """
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file or folder is still the one at a path: not removed, and not renamed."""
    try:
        there = path.lstat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Lock a temporary file or folder; yield whether it exists and has no living writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _SAFE)
    except OSError:
        yield False
        return
    try:
        yield try_lock(descriptor) is True and is_at(descriptor, path)
    finally:
        os.close(descriptor)


def open_exclusive(path: Path) -> int | None:
    """Open or create a file for writing and lock it; return None if another process has locked it.

    Raises
    ------
    OSError
        It cannot be created. ENOLCK if the file system does not support locks.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link
                return None
            raise
        locked = try_lock(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else False
        if locked and is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        if locked is None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path))
        if not locked:
            return None


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder and hold it while the block runs; does nothing on Windows."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        pause = 0.001
        while try_lock(descriptor) is False:
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim(folder: str | Path | None) -> Iterator[None]:
    """Claim a folder for this thread while the block runs, so that others do not write to it; None claims nothing.

    Raises
    ------
    StorageError
        Another process or thread has claimed it; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> run = Path(tempfile.mkdtemp()) / "run"
    >>> with claim(run):
    ...     with claim(run):  # the same thread may
    ...         [path.name for path in run.parent.iterdir()]
    ['.run.lock']
    >>> list(run.parent.iterdir())
    []
    """
    if folder is None:
        yield
        return
    target = Path(folder).resolve()
    key = (os.getpid(), threading.get_ident(), target)
    if key in _claims:
        yield
        return
    path = _lock_file(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_exclusive(path)
    except OSError as error:
        if error.errno != errno.ENOLCK:
            raise StorageError.writing(folder, error) from None
        path.unlink(missing_ok=True)
        yield
        return
    if descriptor is None:
        raise _in_use(folder, path)
    _claims.add(key)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_own_name()).encode())
        yield
    finally:
        _claims.discard(key)
        if sys.platform != "win32":  # on Windows, an open file cannot be removed
            path.unlink(missing_ok=True)
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                path.unlink()


def check_unclaimed(folder: str | Path) -> None:
    """Raise a `StorageError` if another process or thread has claimed a folder."""
    target = Path(folder).resolve()
    path = _lock_file(target)
    if (os.getpid(), threading.get_ident(), target) in _claims:
        return
    try:
        descriptor = os.open(path, os.O_RDWR | _SAFE)
    except OSError:
        return
    try:
        locked = try_lock(descriptor)
    finally:
        os.close(descriptor)
    if locked is False:
        raise _in_use(folder, path)


def _lock_file(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _own_name() -> dict[str, object]:
    words = [Path(sys.argv[0]).name, *[word for word in sys.argv[1:2] if word.isalpha()]] if sys.argv else []
    return {
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "command": " ".join(words),
        "since": time.strftime("%H:%M:%S"),
    }


def _in_use(folder: str | Path, path: Path) -> StorageError:
    """Return the error for a claimed folder; it names the owner."""
    name = "another process"
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        with path.open("rb") as file:
            told = json.loads(file.read(MAX_NAME_BYTES))
        texts = [str(told[key]) for key in ("machine", "command", "since")]
        if all(text.isprintable() for text in texts):
            name = f"process {int(told['process'])} on {texts[0]} ({texts[1]}, since {texts[2]})"
    return StorageError(f"{folder} is in use by {name}; wait until it has ended, or choose another folder")
