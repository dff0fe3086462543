"""Some changed files for the readers and odd values for the calls; and what counts as a failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("resource")
from benchmarks.trust import fuzz, sandbox
from benchmarks.trust.sandbox import Trial, WrongAnswerError, run_trials
from gnnrec import DataError

READERS = ["csv", "dat", "json lines", "parquet", "histories", "embeddings", "feature folders", "posters", "cells"]


@pytest.mark.slow
@pytest.mark.parametrize(("names", "trials"), [(READERS, 6), (["calls"], 60)], ids=["readers", "calls"])
def test_a_right_answer_or_a_clear_error(names: list[str], trials: int) -> None:
    found = fuzz.run(5, 0, trials=trials, names=names)
    assert found["failures"] == []
    assert found["tried"] == found["survived"] == trials * len(names)
    assert found["groups"].keys() == set(names)
    assert found["kinds"].keys() == {"answer", "refused"}


def fail(error: BaseException) -> Callable[[], Any]:
    def call() -> None:
        raise error

    return call


OUTCOMES: dict[str, tuple[Callable[[], Any], str]] = {
    "answer": (lambda: 5, ""),
    "refused": (fail(DataError("rating 'x' is not a number")), "rating 'x' is not a number"),
    "raw": (fail(KeyError("x")), "KeyError: 'x'"),
    "wrong": (fail(WrongAnswerError("a rating twice")), "a rating twice"),
    "unclear": (fail(DataError(" ")), "1 characters"),
    "memory": (lambda: len(bytearray(100 << 20)), "MiB for 0 KiB"),
    "crash": (lambda: os._exit(3), "the process ended with status"),
}


def test_a_trial_that_does_not_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.2)
    found = run_trials(lambda number: Trial("x", lambda: time.sleep(600)), range(1)).report()
    assert (found["tried"], found["survived"], found["kinds"]) == (1, 0, {"hang": 1})
    assert found["failures"][0]["detail"] == "over 0.2 s"


def test_every_failure_is_found() -> None:
    calls = list(OUTCOMES.values())
    found = run_trials(lambda number: Trial(f"x#{number}", calls[number][0]), range(len(calls))).report()
    assert found["kinds"] == dict.fromkeys(OUTCOMES, 1)
    assert (found["tried"], found["survived"]) == (7, 2)
    failures = {failure["kind"]: failure["detail"] for failure in found["failures"]}
    assert all(detail in failures[kind] for kind, (_, detail) in OUTCOMES.items() if kind in failures)
    assert failures.keys() == OUTCOMES.keys() - {"answer", "refused"}


def test_a_trial_is_drawn_by_its_number() -> None:
    made = fuzz.groups(0)
    labels = [made["calls"](number).label for number in range(40)]
    assert labels == [fuzz.groups(0)["calls"](number).label for number in range(40)]
    assert labels != [fuzz.groups(1)["calls"](number).label for number in range(40)]
    assert len({label.partition(" = ")[0] for label in labels}) > 20
