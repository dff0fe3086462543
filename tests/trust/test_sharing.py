"""Several at work in one folder. The long form also asks one model from threads, processes, tasks and forks.

A fork while other threads compute may still find a lock held, and several runs that encode features into one cache at
once do not always end with the same summary, so these parts are not among the tests.
"""

from __future__ import annotations

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
        (sharing.writing, {"one file written by 16", "one run saved by 16"}),
        (sharing.excluding, {"two trainings into one folder", "two fetches into one folder"}),
        (sharing.cooperating, {"features into one cache"}),
    ],
    ids=["writing", "excluding", "cooperating"],
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
