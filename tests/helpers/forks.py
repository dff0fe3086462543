"""Processes that end in the middle of something, without the start of another Python."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable

import pytest


def in_fork(function: Callable[[], object]) -> int:
    """Call a function in a forked process, which it may end by ``os._exit``; return the exit status, 1 for an error."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    child = os.fork()
    if child == 0:
        gc.freeze()  # the garbage collector leaves what was there before, and its pages, alone
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
