"""Run for days: a process that answers plain, odd and hostile questions: its memory, and whether answers repeat.

A question is drawn from its number, so any of them can be asked again: the answer must be the same.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import random
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gnnrec
from benchmarks.trust.kill import Tally
from benchmarks.trust.operations import config
from benchmarks.trust.questions import ask, draw
from gnnrec.datasets import make_sample

WARM_UP = 10_000
"""Questions after which memory must not grow."""
MAX_GROWTH = 0.02
REPEATED = 0.05
"""Share of questions that are asked again."""


def resident_bytes() -> int:
    """Return the memory of this process, after everything that is free was given back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(seed: int, seconds: float, *, calls: int = 1_000_000, warm_up: int = WARM_UP) -> dict[str, Any]:
    """Ask questions until the calls or the seconds are used up."""
    model = gnnrec.fit(make_sample(200, 120), config=config(), progress=False)
    tally = Tally()
    digests = np.full(calls, 0, dtype="V8")
    digests[:] = b"\1" * 8  # so that the memory is there from the beginning
    repeats = random.Random(seed)
    deadline = time.monotonic() + seconds
    logging.getLogger("gnnrec").setLevel(logging.CRITICAL)
    before = after = 0
    number = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(calls):
            if number == warm_up:
                before = resident_bytes()
            kind, question = draw(random.Random(seed * calls + number), model)
            digests[number], problem = ask(question)
            tally.add(kind, problem and f"question {number}: {problem}")
            if repeats.random() < REPEATED:
                earlier = repeats.randrange(number + 1)
                _, question = draw(random.Random(seed * calls + earlier), model)
                same = ask(question)[0] == digests[earlier].tobytes()
                tally.add("asked again", None if same else f"question {earlier} has another answer after {number}")
            if number % 256 == 0 and time.monotonic() > deadline and number >= 2 * warm_up:
                break
        after = resident_bytes()
    growth = after / before - 1 if before else 0.0
    tally.add("memory", None if growth < MAX_GROWTH else f"grew by {growth:.1%} in {number + 1:,} questions")
    return {
        **tally.summary(),
        "calls": number + 1,
        "megabytes_after_warm_up": round(before / 2**20, 1),
        "megabytes_at_the_end": round(after / 2**20, 1),
    }
