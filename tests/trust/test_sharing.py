"""Several use one model, or are at work in one folder.

A fork while other threads compute may find a lock of a native library held, so only the long form tries that.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import pytest

pytest.importorskip("resource")
from benchmarks.trust import sharing
from benchmarks.trust.kill import Tally


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        (functools.partial(sharing.answering, asked=3, while_busy=False), {"threads", "asyncio", "forks", "processes"}),
        (sharing.writing, {"one file written by 16", "one run saved by 16"}),
        (sharing.excluding, {"two trainings into one folder", "two fetches into one folder"}),
        (sharing.cooperating, {"features into one cache"}),
    ],
    ids=["answering", "writing", "excluding", "cooperating"],
)
def test_everybody_gets_what_they_get_alone(part: Callable[..., None], kinds: set[str]) -> None:
    tally = Tally()
    part(tally, random.Random(0))
    assert tally.failures == []
    assert set(tally.tried) == kinds and tally.tried == tally.survived


def test_what_is_counted() -> None:
    tally = Tally()
    sharing.count(tally, "threads", [b"a", b"b"], [b"a", b"c"])
    sharing.count(tally, "threads", [b"a"], None)
    assert tally.summary() == {
        "tried": 3,
        "survived": 1,
        "kinds": {"threads": {"tried": 3, "survived": 1}},
        "failures": ["threads: question 1 is answered otherwise than alone", "threads: no answer"],
    }
