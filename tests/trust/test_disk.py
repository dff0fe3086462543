"""Full disks, small files, little memory and no user: one clear error, and what was there is unchanged."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("resource")
from benchmarks.trust import disk, kill, operations
from benchmarks.trust.children import Ended
from benchmarks.trust.operations import AppWrites, Command, Operation, Save, TunePostgreSQL, work_folder

KINDS = [kind for kind in operations.kinds() if kind not in (AppWrites, TunePostgreSQL)]


LIMITS = list(disk.limits())


def limits_of(kind: type[Operation]) -> list[str]:
    """Return three of the limits, others for the next operation; the long form tries all."""
    first = KINDS.index(kind)
    return [LIMITS[(first + step) % len(LIMITS)] for step in range(min(3, len(LIMITS)))]


@pytest.fixture
def place() -> Iterator[Path]:
    with work_folder() as folder:
        yield Path(folder).resolve()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_clear_error(kind: type[Operation], place: Path) -> None:
    operation, rng, problems = kind(), random.Random(1), {}
    with operation.running():
        reference = kill.make_reference(operation, place)
        for name in limits_of(kind):
            case = place / name.replace(" ", "")
            case.mkdir()
            problems[name] = disk.limits()[name](reference, rng, case)
    assert problems == dict.fromkeys(limits_of(kind))


def test_every_limit_is_tried_on_several_operations() -> None:
    tried = [name for kind in KINDS for name in limits_of(kind)]
    assert {"file too large", "out of memory"} <= set(tried) == set(LIMITS)
    assert all(tried.count(name) >= 4 for name in LIMITS)


class Swallowing(Save):
    """Raises what says nothing."""

    def perform(self, folder: Path) -> None:
        try:
            super().perform(folder)
        except OSError:
            raise KeyError("weights") from None


class InPlace(Save):
    """Truncates the old run first."""

    def perform(self, folder: Path) -> None:
        (folder / "run" / "weights.safetensors").write_bytes(b"")
        super().perform(folder)


@pytest.mark.parametrize(("kind", "message"), [(Swallowing, "KeyError: 'weights'"), (InPlace, "cannot be used")])
def test_what_the_harness_finds(kind: type[Operation], message: str, place: Path) -> None:
    reference = kill.make_reference(kind(), place)
    problems = []
    for number in range(3):
        (place / f"{number}").mkdir()
        problems.append(disk.large_file(reference, random.Random(number), place / f"{number}"))
    assert any(message in str(problem) for problem in problems)


def test_how_a_command_may_end() -> None:
    assert disk.problem_of(Command(), Ended(1, ""), "full") is None  # it has printed its error
    assert disk.problem_of(Save(), Ended(1, ""), "full") == "full: "
    assert disk.problem_of(Save(), Ended(-11, ""), "full") == "full: ended by signal 11"
    assert disk.problem_of(Save(), Ended(1, "x", None, ("StorageError", "GnnrecError")), "full") is None
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
