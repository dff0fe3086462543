"""Forked children that are killed, interrupted or limited, and what became of them.

A fork of a process that has already imported everything starts in milliseconds, so that thousands can be tried.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import random
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OK, FAILED, INTERRUPTED = 0, 1, 130
FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
PR_SET_PDEATHSIG = 1
PATIENCE = 300.0
"""Seconds after which a child counts as hanging."""


@dataclass(frozen=True)
class Moment:
    """When a child is stopped, and how.

    Parameters
    ----------
    kind : {"time", "file operation", "write"}
        After `value` seconds; before the file operation of this number; or while a file is written, as soon as it has
        this number of bytes.
    value : float
    signals : tuple of int
        Sent one after another, of which all but the first after `pause` seconds. Only of the kind "time".
    pause : float
    """

    kind: str
    value: float
    signals: tuple[int, ...] = (signal.SIGKILL,)
    pause: float = 0.0

    def __str__(self) -> str:
        names = "+".join(signal.Signals(one).name for one in self.signals)
        return f"{names} at {self.kind} {self.value:.4g}"


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int
    """Exit status; negative for a signal."""
    error: str
    """What it raised, and where."""
    value: Any = None
    """What the function returned."""
    kinds: tuple[str, ...] = ()
    """The classes of what it raised, and their bases."""

    @property
    def hung(self) -> bool:
        """Whether it had to be ended."""
        return self.code == -signal.SIGALRM


def in_child(
    function: Callable[[], Any],
    *,
    moment: Moment | None = None,
    folder: Path | None = None,
    before: Callable[[], None] | None = None,
    patience: float = PATIENCE,
) -> Ended:
    """Call a function in a forked process.

    Parameters
    ----------
    function : callable
    moment : Moment, optional
        When the process is stopped.
    folder : Path, optional
        Only operations on files in it count for `moment`.
    before : callable, optional
        Called first in the child, such as for a limit.
    patience : float
        Seconds after which the child counts as hanging.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # Signals wait until the child can handle them; before, an interrupt would let it go on as a copy of its parent.
    allowed = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run(function, writer, moment, folder, before, allowed)
    signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
    os.close(writer)
    if moment is not None and moment.kind == "time":
        _send(child, moment, reader)
    data = _read(reader, child, patience)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, *(pickle.loads(data) if data else ("", None, ())))


def _run(
    function: Callable[[], Any],
    writer: int,
    moment: Moment | None,
    folder: Path | None,
    before: Callable[[], None] | None,
    allowed: set[signal.Signals | int],
) -> None:
    code = INTERRUPTED
    try:
        code = _call(function, writer, moment, folder, before, allowed)
    finally:  # also after an interrupt between the handlers below
        os._exit(code)


def _call(
    function: Callable[[], Any],
    writer: int,
    moment: Moment | None,
    folder: Path | None,
    before: Callable[[], None] | None,
    allowed: set[signal.Signals | int],
) -> int:
    code, error, kinds, value = FAILED, "", (), None
    gc.freeze()  # the garbage collector leaves what was there before the fork, and its pages, alone
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a child of a child that hangs ends with it
        if before is not None:
            before()
        if moment is not None and moment.kind != "time":
            _stop_at(moment, folder)
        value = function()
        code = OK
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else FAILED
    except BaseException as raised:
        error = "".join(traceback.format_exception_only(raised)).strip()
        frames = traceback.extract_tb(raised.__traceback__)
        error += f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
        kinds = tuple(one.__name__ for one in type(raised).__mro__)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with open(writer, "wb") as file:
        pickle.dump((error, value, kinds), file)
    return code


def _stop_at(moment: Moment, folder: Path | None) -> None:
    if moment.kind == "write":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(moment.value), resource.RLIM_INFINITY))
        return
    left = int(moment.value)

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _before_each_file_operation(count, folder)


def _before_each_file_operation(call: Callable[[], None], folder: Path | None) -> None:
    """Call a function before each change of a file or folder, for the rest of this process."""
    within = str(folder or "")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            changes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            changes = event in FILE_EVENTS
        if changes and isinstance(arguments[0], str | os.PathLike) and os.fspath(arguments[0]).startswith(within):
            call()

    sys.addaudithook(hook)


def _send(child: int, moment: Moment, reader: int) -> None:
    # A child that has ended closes its end of the pipe, or has written to it.
    pauses = [moment.value, *[moment.pause] * (len(moment.signals) - 1)]
    for pause, one in zip(pauses, moment.signals, strict=True):
        if select.select([reader], [], [], pause)[0]:
            return
        os.kill(child, one)


def _read(reader: int, child: int, patience: float) -> bytes:
    parts, deadline = [], time.monotonic() + patience
    with open(reader, "rb", buffering=0) as file:
        while True:
            if not select.select([file], [], [], max(0.0, deadline - time.monotonic()))[0]:
                os.kill(child, signal.SIGALRM)
                deadline = time.monotonic() + patience
                continue
            part = file.read(1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)


def count_file_operations(function: Callable[[], Any], folder: Path) -> int:
    """Return how many operations on files in a folder a function makes."""

    def counted() -> int:
        number = 0

        def count() -> None:
            nonlocal number
            number += 1

        _before_each_file_operation(count, folder)
        function()
        return number

    ended = in_child(counted)
    if ended.code != OK:
        raise RuntimeError(ended.error)
    return int(ended.value)


def moments(rng: random.Random, seconds: float, operations: int, largest: int, kind: str) -> Moment:
    """Draw a moment at which a process of this duration, with these file operations, is stopped in a way."""
    if kind == "Ctrl-C twice":
        return Moment("time", rng.uniform(0, seconds), (signal.SIGINT, signal.SIGINT), rng.uniform(0, 0.1))
    if kind in ("Ctrl-C", "SIGTERM"):
        return Moment("time", rng.uniform(0, seconds), (signal.SIGINT if kind == "Ctrl-C" else signal.SIGTERM,))
    how = rng.choice(("time", "file operation", "write"))
    if how == "file operation" and operations:
        return Moment(how, rng.randrange(operations))
    if how == "write" and largest:
        return Moment(how, rng.randint(1, largest))
    return Moment("time", rng.uniform(0, seconds))
