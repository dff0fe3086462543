"""Disk full, files too large, read-only, memory used up, no such user: one clear error, and the old state untouched.

As root, a small file system in memory is mounted for each case; otherwise only the limits of a process are tried.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.trust.children import OK, Ended, in_child
from benchmarks.trust.kill import Reference, Tally, complete, make_reference
from benchmarks.trust.operations import Operation, listing, operations, preload, work_folder

NOBODY = 54321
"""A user without an entry in the table of users."""
MEGABYTE = 1 << 20
PAGE = 4096


def problem_of(operation: Operation, ended: Ended, what: str) -> str | None:
    """Return what is wrong with how an operation ended that ran into a limit."""
    if ended.code == OK or set(operation.clear_errors) & set(ended.kinds):
        return None
    if ended.hung:
        return f"{what}: hangs"
    if ended.code < 0:
        return f"{what}: ended by signal {-ended.code}"
    if operation.is_command and ended.code == 1 and not ended.error:
        return None  # `check` looks at what it printed
    return f"{what}: {ended.error[:300]}"


def try_limit(
    reference: Reference, work: Path, what: str, before: Callable[[], None], lift: Callable[[], None]
) -> str | None:
    """Run an operation into a limit; look at what is there, lift the limit, run it again."""
    operation = reference.operation
    first = in_child(lambda: operation.perform(work), before=before)
    problem = problem_of(operation, first, what)
    if problem is not None:
        return problem
    lift()
    problem = complete(reference, work)
    return problem and f"{what}: {problem}"


def full_disk(reference: Reference, rng: random.Random, folder: Path) -> str | None:
    """Give an operation a file system with a random part of the space that it needs."""
    files = [path for path in (*reference.before.rglob("*"), reference.before) if path.is_file()]
    used = sum(-(-path.stat().st_size // PAGE) * PAGE for path in files)
    size = used + PAGE * rng.randint(1, 8 + reference.written // PAGE)
    with small_file_system(folder, size) as root:
        work = root / "w"
        try:
            shutil.copytree(reference.before, work)
        except (OSError, shutil.Error):
            return full_disk(reference, rng, folder.with_name(f"{folder.name}x"))  # no room for what was there
        lift = functools.partial(remount, root, f"size={size + 512 * MEGABYTE}")
        return try_limit(reference, work, f"disk of {size:,} bytes", lambda: None, lift)


def large_file(reference: Reference, rng: random.Random, folder: Path) -> str | None:
    """Let no file grow beyond a random size."""
    size = rng.randint(1, max(2, reference.largest))
    work = folder / "w"
    shutil.copytree(reference.before, work)
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return try_limit(reference, work, f"files of {size:,} bytes", limit, lambda: None)


def read_only(reference: Reference, rng: random.Random, folder: Path) -> str | None:
    """Let an operation find a file system that cannot be written."""
    with small_file_system(folder, 512 * MEGABYTE) as root:
        work = root / "w"
        shutil.copytree(reference.before, work)
        files = listing(work)
        remount(root, "ro")
        ended = in_child(lambda: reference.operation.perform(work))
        if ended.code == OK:
            return "read-only: no error"
        if (problem := problem_of(reference.operation, ended, "read-only")) is not None:
            return problem
        return None if files == listing(work) else "read-only: other files than before"


def little_memory(reference: Reference, rng: random.Random, folder: Path) -> str | None:
    """Give an operation little more memory than it has when it begins."""
    more = int(MEGABYTE * 2 ** rng.uniform(0, 9))
    work = folder / "w"
    shutil.copytree(reference.before, work)

    def limit() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))

    return try_limit(reference, work, f"{more / MEGABYTE:.1f} MB more memory", limit, lambda: None)


def no_such_user(reference: Reference, rng: random.Random, folder: Path) -> str | None:
    """Run an operation as a user that the system does not know, without a home."""
    work = folder / "w"
    shutil.copytree(reference.before, work)

    def leave() -> None:
        os.setresuid(NOBODY, NOBODY, 0)
        ctypes.CDLL(None).setfsuid(0)  # Python's own files may be in the home of root
        for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        os.chdir(folder)

    ended = in_child(functools.partial(reference.operation.perform, work), before=leave)
    if ended.code != OK:
        return f"no such user: {ended.error}"
    problem = complete(reference, work)
    return problem and f"no such user: {problem}"


@contextlib.contextmanager
def small_file_system(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system in memory of a size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, option: str) -> None:
    """Change an option of a mounted file system."""
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True, capture_output=True)


@functools.cache
def can_mount() -> bool:
    """Return whether this process may mount file systems."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_file_system(Path(folder) / "m", MEGABYTE):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def limits() -> dict[str, Callable[[Reference, random.Random, Path], str | None]]:
    """Return the limits that can be tried here."""
    found = {"file too large": large_file, "out of memory": little_memory}
    if can_mount():
        found |= {"disk full": full_disk, "read-only": read_only}
    if os.geteuid() == 0:
        found |= {"no such user": no_such_user}
    return found


def try_limits(
    operation: Operation, rng: random.Random, folder: Path, tally: Tally, cases: int, seconds: float
) -> None:
    """Run one operation into each limit in turn until the cases or the seconds are used up."""
    deadline = time.monotonic() + seconds
    with operation.running():
        reference = make_reference(operation, folder)
        for number in range(cases):
            for name, limit in limits().items():
                if time.monotonic() > deadline:
                    return
                if name in operation.without:
                    continue
                if number >= 2 and name in ("read-only", "no such user"):  # nothing about them is random
                    continue
                place = folder / f"case{number}{name.replace(' ', '')}"
                place.mkdir()
                tally.add(f"{operation.name}, {name}", limit(reference, rng, place))
                shutil.rmtree(place, ignore_errors=True)


def run(seed: int, seconds: float, *, only: str | None = None, cases: int = 50) -> dict[str, Any]:
    """Run every operation into every limit `cases` times, or as often as the time allows."""
    preload()
    rng, tally = random.Random(seed), Tally()
    chosen = [one for one in operations() if only is None or one.name == only]
    started = time.monotonic()
    for number, operation in enumerate(chosen):
        left = (seconds - (time.monotonic() - started)) / (len(chosen) - number)
        with work_folder() as folder:
            try_limits(operation, rng, Path(folder).resolve(), tally, cases, left)
    return tally.summary()
