"""How much memory is left, so that what cannot fit is refused before any of it is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from gnnrec.errors import OutOfMemoryError

GIB = 1 << 30
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes of memory that this process may still allocate, or None if the system does not say.

    On Linux that is the kernel's estimate, or what the limit of a container leaves if that is less. Elsewhere it is the
    total memory of the machine.
    """
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        left = int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # Windows
            return None
    limit = _left_in_container()
    return left if limit is None else min(left, limit)


def _left_in_container() -> int | None:
    """Return what the limit of a container (cgroup v2) leaves; its file cache, which can be evicted, counts as free."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        cache = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, KeyError, ValueError):  # no container, or no limit ("max")
        return None
    return max(0, limit - used + int(cache))


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Raise an `OutOfMemoryError` if more memory is needed than is left.

    Parameters
    ----------
    needed : int
        Bytes at the peak.
    what : str
        What needs them.
    remedy : str
        What needs less.

    Examples
    --------
    >>> check_memory(1 << 60, "EASE", "remove some movies")
    Traceback (most recent call last):
        ...
    gnnrec.errors.OutOfMemoryError: EASE needs 1,073,741,824.0 GiB of memory, and ... GiB are left; remove some movies
    """
    left = available_memory()
    if left is not None and needed > left:
        raise OutOfMemoryError(
            f"{what} needs {needed / GIB:,.1f} GiB of memory, and {left / GIB:,.1f} GiB are left; {remedy}"
        )
