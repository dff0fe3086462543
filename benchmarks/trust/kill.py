"""Killed at any moment: `kill -9`, SIGTERM, and Ctrl-C once and twice.

A process that changes files is stopped at a random time, before a file operation, or in the middle of a write. What is
there must load and be the old state or the new one. The same command, run again, must give the result of a process that
was never stopped, and leave no other file.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.trust.children import INTERRUPTED, OK, Moment, count_file_operations, in_child, moments
from benchmarks.trust.operations import Operation, listing, operations, plain, preload, work_folder

MAX_FAILURES = 20
"""Failures that are described, of each harness."""


@dataclass
class Reference:
    """An operation, the state before it, and what it leads to when it is not stopped."""

    operation: Operation
    before: Path
    seconds: float
    num_operations: int
    largest: int
    written: int
    result: Any
    files: list[str]


@dataclass
class Tally:
    """What was tried, and what was survived, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, problem: str | None) -> None:
        """Count one case; `problem` says why it was not survived."""
        self.tried[kind] += 1
        self.survived[kind] += problem is None
        if problem is not None and len(self.failures) < MAX_FAILURES:
            self.failures.append(f"{kind}: {problem}")

    def summary(self) -> dict[str, Any]:
        """Return what a harness returns."""
        return {
            "tried": self.tried.total(),
            "survived": self.survived.total(),
            "kinds": {kind: {"tried": n, "survived": self.survived[kind]} for kind, n in sorted(self.tried.items())},
            "failures": self.failures,
        }


def make_reference(operation: Operation, folder: Path) -> Reference:
    """Prepare an operation, and run it once without stopping it."""
    operation.load()
    before = folder / "before"
    before.mkdir(parents=True)
    _must_end(lambda: operation.prepare(before))
    done = folder / "done" / "w"
    shutil.copytree(before, done)
    started = time.monotonic()
    number = count_file_operations(lambda: operation.perform(done), done)
    seconds = time.monotonic() - started
    result = _must_end(lambda: plain(operation.result(done)))
    sizes = [path.stat().st_size for path in done.rglob("*") if path.is_file()]
    return Reference(operation, before, seconds, number, max(sizes, default=0), sum(sizes), result, listing(done))


def try_once(reference: Reference, moment: Moment, folder: Path) -> str | None:
    """Stop an operation at a moment, look at what is there, run it again, and return what is wrong."""
    operation, work = reference.operation, folder / "w"
    shutil.copytree(reference.before, work)
    try:
        first = in_child(lambda: operation.perform(work), moment=moment, folder=work)
        if first.hung:
            return f"{moment}: hangs"
        if first.code > 0 and first.code != INTERRUPTED:
            return f"{moment}: exit status {first.code}, {first.error}"
        problem = complete(reference, work)
        return problem and f"{moment}: {problem}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def complete(reference: Reference, work: Path) -> str | None:
    """Look at what an operation that was stopped has left, run it again, and return what is wrong."""
    operation, stage = reference.operation, work.with_suffix(".stage")

    def checked() -> Any:
        stage.write_text("what is there cannot be used")
        operation.check(work)
        stage.write_text("it fails when it is run again")
        operation.perform(work)
        stage.write_text("it was run again, and the result cannot be used")
        return plain(operation.result(work))

    ended = in_child(checked)
    if ended.code != OK:
        return f"{stage.read_text()}: {'hangs' if ended.hung else ended.error}"
    if ended.value != reference.result:
        return "another result than that of a process that was not stopped"
    left = sorted(set(listing(work)) - set(reference.files))
    return f"left {left[:3]}" if left else None


def _must_end(function: Callable[[], Any]) -> Any:
    ended = in_child(function)
    if ended.code != OK:
        raise RuntimeError(ended.error)
    return ended.value


def try_operation(
    operation: Operation, rng: random.Random, folder: Path, tally: Tally, *, cases: int, seconds: float
) -> None:
    """Stop one operation at random moments, by each signal in turn, until the cases or the seconds are used up."""
    deadline = time.monotonic() + seconds
    with operation.running():
        reference = make_reference(operation, folder)
        for number in range(cases * len(operation.signals)):
            if time.monotonic() > deadline:
                break
            signal_name = operation.signals[number % len(operation.signals)]
            moment = moments(rng, 1.1 * reference.seconds, reference.num_operations, reference.largest, signal_name)
            tally.add(f"{operation.name}, {signal_name}", try_once(reference, moment, folder / f"case{number}"))


def run(seed: int, seconds: float, *, only: str | None = None, cases: int = 200) -> dict[str, Any]:
    """Stop every operation at `cases` random moments by each signal, or at as many as the time allows."""
    preload()
    rng, tally = random.Random(seed), Tally()
    chosen = [one for one in operations() if only is None or one.name == only]
    started = time.monotonic()
    for number, operation in enumerate(chosen):
        left = (seconds - (time.monotonic() - started)) / (len(chosen) - number)
        with work_folder() as folder:
            try_operation(operation, rng, Path(folder).resolve(), tally, cases=cases, seconds=left)
    return tally.summary()
