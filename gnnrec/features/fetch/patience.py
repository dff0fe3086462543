"""How long to wait: for work that may hang, and as a server asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

_T = TypeVar("_T")


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Do work that takes at most so long; looking up names and dripping headers know no time limit of their own.

    Raises
    ------
    TimeoutError
        It took longer. The work may still go on, in a thread that nobody waits for.
    """
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a ``Retry-After`` header asks for, 0 where there is none that can be read."""
    try:
        return float(Retry().parse_retry_after(headers.get("retry-after", "0")))
    except InvalidHeader:
        return 0.0
