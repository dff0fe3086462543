"""Changed files for every reader, and odd values for every call: a clear error or a right answer.

``python -m benchmarks.trust.fuzz --seconds 60`` prints a report. A trial is known by its label, such as ``csv#17``, and
can be repeated: ``python -m benchmarks.trust.fuzz --trial csv#17``.

A trial fails if it ends in an error that is neither a `GnnrecError` nor a TypeError of a signature, in an unclear
message, in a wrong answer (a rating twice, another row than the changed one is different, reading twice gives two
answers, files with checksums are believed after a change, an odd value counts for another one than the plain value that
it equals), after more than 30 seconds, with more memory than three times the input and 64 MiB, or with the end of the
process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.trust import calls, readers
from benchmarks.trust.sandbox import Summary, Trial, run_trials

STEP, FIRST_STEP = 100, 25
"""Trials of a group in a row, and in the first round, which is always done."""


def groups(seed: int) -> dict[str, Callable[[int], Trial]]:
    """Return the functions that make the trials of each group."""
    found: dict[str, Callable[[int], Trial]] = {
        target.name: lambda number, target=target: readers.trial(target, seed, number)  # type: ignore[misc]
        for target in readers.targets()
    }
    found["cells"] = lambda number: readers.cell_trial(seed, number)
    found["calls"] = lambda number: calls.trial(seed, number)
    return found


SHARES = {"calls": 16, "csv": 2, "cells": 4, "histories": 2}
"""Groups with more steps than the others."""


def run(seed: int, seconds: float, *, trials: int | None = None, names: list[str] | None = None) -> dict[str, Any]:
    """Run trials of all groups in turn.

    Parameters
    ----------
    seed : int
        Other trials for another seed.
    seconds : float
        Time to spend; every group has at least one step.
    trials : int, optional
        Number of trials of each group, for a run whose length is not a matter of time.
    names : list of str, optional
        Groups; all by default.

    Returns
    -------
    dict
        ``tried, survived``; ``kinds``, the number of trials by outcome; ``failures``, a list of the first ones, and
        ``groups``, tried and survived by group.
    """
    end = time.monotonic() + seconds
    made = {name: make for name, make in groups(seed).items() if names is None or name in names}
    for target in readers.targets():
        if target.name in made:
            readers.prepare(target)
    if "calls" in made:
        calls.prepare()
    parts = {name: Summary() for name in made}
    places = dict.fromkeys(made, 0)
    while True:
        for name, make in made.items():
            steps = 1 if trials is not None else SHARES.get(name, 1)
            size = (STEP if places[name] else FIRST_STEP) * steps if trials is None else trials
            numbers = range(places[name], places[name] + size)
            run_trials(make, numbers, end if places[name] else float("inf"), parts[name])
            places[name] += size
        if trials is not None or time.monotonic() > end:
            break
    total = Summary()
    for part in parts.values():
        total.merge(part)
    by_group = {name: {"tried": part.tried, "survived": part.survived} for name, part in parts.items()}
    return {**total.report(), "groups": by_group}


def main() -> None:
    """Print a report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, help="trials of each group, in place of a time")
    parser.add_argument("--groups", nargs="*", help="only these groups")
    parser.add_argument("--trial", help="repeat one trial, with its traceback")
    given = parser.parse_args()
    if given.trial:
        name, _, number = given.trial.rpartition("#")
        name = name if name in groups(given.seed) else "calls"
        groups(given.seed)[name](int(number)).call()
        print("a right answer")
        return
    report = run(given.seed, given.seconds, trials=given.trials, names=given.groups)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
