"""Everything that writes files, stopped at a few moments: before file operations, in the middle of a write, by Ctrl-C."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("resource")
from benchmarks.trust import kill, operations
from benchmarks.trust.children import OK, Moment, count_file_operations, in_child, moments
from benchmarks.trust.operations import Operation, Save, work_folder


@pytest.fixture
def place() -> Iterator[Path]:
    with work_folder() as folder:
        yield Path(folder).resolve()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("kind", operations.kinds(), ids=lambda kind: kind.name)
def test_nothing_is_lost(kind: type[Operation], place: Path) -> None:
    operation = kind()
    with operation.running():
        reference = kill.make_reference(operation, place)
        chosen = [Moment("time", reference.seconds / 2, (signal.SIGINT, signal.SIGINT), 0.01)]
        if reference.num_operations:
            chosen.append(Moment("file operation", reference.num_operations * 3 // 5))
        if reference.largest:
            chosen.append(Moment("write", reference.largest // 2))
        if len(chosen) == 3:  # two of them, others for the next operation; the long form tries all
            del chosen[operations.kinds().index(kind) % 3]
        problems = [kill.try_once(reference, one, place / f"case{i}") for i, one in enumerate(chosen)]
    assert problems == [None] * len(chosen)


def test_every_file_operation_of_a_save(place: Path) -> None:
    reference = kill.make_reference(Save(), place)
    assert reference.num_operations > 10
    problems = [
        kill.try_once(reference, Moment("file operation", number), place / f"case{number}")
        for number in range(reference.num_operations)
    ]
    assert set(problems) == {None}


class Careless(Save):
    """Writes in place."""

    def perform(self, folder: Path) -> None:
        (folder / "run" / "notes.txt").write_text("")
        super().perform(folder)
        (folder / "run" / "notes.txt").write_text("mine")


class Untidy(Save):
    """Leaves a file behind if it is stopped."""

    def perform(self, folder: Path) -> None:
        (folder / f"{time.time_ns()}.tmp").touch()
        super().perform(folder)
        for path in folder.glob("*.tmp"):
            path.unlink()
            break


class Repeating(Save):
    """Does something twice."""

    def result(self, folder: Path) -> object:
        return super().result(folder), (folder / "runs").read_text()

    def perform(self, folder: Path) -> None:
        with (folder / "runs").open("a") as file:
            file.write("x")
        super().perform(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Careless, "what is there cannot be used: AssertionError: a file beside the run is lost"),
        (Untidy, "left ["),
        (Repeating, "another result than that of a process that was not stopped"),
    ],
)
def test_what_the_harness_finds(kind: type[Operation], message: str, place: Path) -> None:
    reference = kill.make_reference(kind(), place)
    problem = kill.try_once(reference, Moment("file operation", reference.num_operations - 3), place / "case")
    assert problem is not None and message in problem


def test_children_end_as_they_are_told(place: Path) -> None:
    assert in_child(lambda: 5).value == 5
    failed = in_child(lambda: int("five"))
    assert (failed.code, failed.kinds[0]) == (1, "ValueError") and "invalid literal" in failed.error
    for one, code in ((signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 130)):
        assert in_child(lambda: time.sleep(60), moment=Moment("time", 0.2, (one,))).code == code

    def twice() -> None:
        try:
            time.sleep(60)
        finally:
            time.sleep(60)

    assert in_child(twice, moment=Moment("time", 0.2, (signal.SIGINT, signal.SIGINT), 0.2)).code == 130
    assert in_child(lambda: time.sleep(60), patience=0.2).hung


def test_writes_are_torn(place: Path) -> None:
    file = place / "file"
    ended = in_child(lambda: file.write_bytes(b"x" * 1000), moment=Moment("write", 300))
    assert ended.code == -signal.SIGXFSZ and file.stat().st_size == 300

    def write_two() -> None:
        for name in ("one", "two"):
            (place / name).write_text("x")

    assert count_file_operations(write_two, place) == 2
    for name in ("one", "two"):
        (place / name).unlink()
    assert in_child(write_two, moment=Moment("file operation", 1), folder=place).code == -signal.SIGKILL
    assert (place / "one").exists() and not (place / "two").exists()
    assert in_child(write_two, moment=Moment("file operation", 2), folder=place).code == OK


def test_moments_are_drawn_by_seed() -> None:
    drawn = [
        str(moments(random.Random(seed), 2.0, 30, 1000, kind)) for seed in range(20) for kind in ("SIGKILL", "Ctrl-C")
    ]
    assert drawn == [
        str(moments(random.Random(seed), 2.0, 30, 1000, kind)) for seed in range(20) for kind in ("SIGKILL", "Ctrl-C")
    ]
    assert {text.split(" at ")[1].rpartition(" ")[0] for text in drawn} == {"time", "file operation", "write"}
