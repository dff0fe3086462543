"""Used by many at once: threads, processes, asyncio and forks on one model; and several at work in one folder.

Everybody must get the answers that they would get alone, nothing may hang, and of two that exclude each other the
second is refused with the name of the first.
"""

from __future__ import annotations

import asyncio
import functools
import random
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import torch

import gnnrec
from benchmarks.trust.children import OK, Ended, in_child
from benchmarks.trust.kill import Tally
from benchmarks.trust.operations import Features, Fetch, config, listing, preload, small_split, weights, work_folder
from benchmarks.trust.questions import ask, draw
from gnnrec._io import write_atomic
from gnnrec.models.estimator import get_estimator

THREADS, PROCESSES, TASKS = 8, 4, 16
Answers: TypeAlias = tuple[list[bytes], list[bytes] | None]
"""Digests of the answers that are expected, and of those that were given; None after a crash."""


def questions(model: Any, start: int, count: int) -> list[Callable[[], Any]]:
    """Return some plain questions."""
    found: list[Callable[[], Any]] = []
    number = start
    while len(found) < count:
        kind, question = draw(random.Random(number), model)
        if kind == "plain":
            found.append(question)
        number += 1
    return found


def answers(asked: list[Callable[[], Any]]) -> list[bytes]:
    """Return digests of the answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [ask(question)[0] for question in asked]


def count(tally: Tally, kind: str, expected: list[bytes], found: list[bytes] | None) -> None:
    """Count the answers that are as expected; None is a crash or a hang."""
    for number, one in enumerate(expected):
        if found is None:
            tally.add(kind, "no answer")
        else:
            tally.add(kind, None if one == found[number] else f"question {number} is answered otherwise than alone")


def together(functions: list[Callable[[], Any]]) -> list[Any]:
    """Call functions in threads that begin at the same moment; return what they return or raise."""
    barrier = threading.Barrier(len(functions))

    def call(function: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def in_children(functions: list[Callable[[], Any]]) -> list[Ended]:
    """Call functions in processes at the same time."""
    return together([functools.partial(in_child, function) for function in functions])


def answering(tally: Tally, rng: random.Random, asked: int, *, while_busy: bool = True) -> None:
    """Ask one model from threads, processes, tasks and forks, also of a process whose threads compute."""
    # In a child, which may use two threads for one operation: forks of the parent remain without any.
    model = gnnrec.fit(small_split(), config=config(), progress=False)
    chosen = questions(model, rng.randrange(10**9), asked)
    kinds = {"threads": in_threads, "asyncio": in_tasks, "forks": in_forks}
    if while_busy:
        kinds["forks while threads compute"] = in_forks_of_a_busy_process
    for kind, function in kinds.items():
        ended = in_child(functools.partial(function, model, chosen), patience=900)
        for expected, found in ended.value if ended.code == OK else [(answers(chosen), None)]:
            count(tally, kind, expected, found)
    with work_folder() as folder:
        run = model.save(Path(folder) / "run")
        expected = answers(chosen)
        for ended in in_children([functools.partial(answer_loaded, run, chosen)] * PROCESSES):
            count(tally, "processes", expected, ended.value if ended.code == OK else None)


def in_threads(model: Any, asked: list[Callable[[], Any]]) -> list[Answers]:
    """Return the answers alone, with those in each thread."""
    torch.set_num_threads(2)
    expected = answers(asked)
    return [(expected, found) for found in together([functools.partial(answers, asked)] * THREADS)]


def in_tasks(model: Any, asked: list[Callable[[], Any]]) -> list[Answers]:
    """Return the answers alone, with those of each task."""
    torch.set_num_threads(2)

    async def ask_all() -> list[list[bytes]]:
        return await asyncio.gather(*[asyncio.to_thread(answers, asked) for _ in range(TASKS)])

    expected = answers(asked)
    return [(expected, found) for found in asyncio.run(ask_all())]


def in_forks(model: Any, asked: list[Callable[[], Any]]) -> list[Answers]:
    """Return the answers alone, with those in forks: of an idle process, and of a fork."""
    expected, before = in_one_and_two_threads(asked)

    def fork_again() -> Any:
        answers(asked[:2])
        return in_child(functools.partial(answers, asked), patience=60).value

    found = [in_child(function, patience=90).value for function in (functools.partial(answers, asked), fork_again)]
    return [*((expected, one) for one in found), (before, answers(asked))]  # the parent goes on as before


def in_forks_of_a_busy_process(model: Any, asked: list[Callable[[], Any]]) -> list[Answers]:
    """Return the answers alone, with those in forks of a process whose threads answer."""
    expected, before = in_one_and_two_threads(asked)
    found: list[list[bytes] | None] = []
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            answers(asked[:3])

    threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            found.append(in_child(functools.partial(answers, asked), patience=60).value)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return [*((expected, one) for one in found), (before, answers(asked))]


def in_one_and_two_threads(asked: list[Callable[[], Any]]) -> tuple[list[bytes], list[bytes]]:
    """Return the answers in one thread, as a fork computes them, and in two; sums may differ in their last bits."""
    torch.set_num_threads(1)
    in_one = answers(asked)
    torch.set_num_threads(2)
    return in_one, answers(asked)


def answer_loaded(run: Path, asked: list[Callable[[], Any]]) -> list[bytes]:
    """Load a model and answer, in a process of its own."""
    model = gnnrec.load(run)
    expected = gnnrec.recommend(model, [1, 2, 3], k=5)
    assert len(expected) == 15
    return answers(asked)


def fitting(tally: Tally, rng: random.Random) -> None:
    """Fit models of several kinds in threads, which must give what fits in sequence give."""
    seed = rng.randrange(1000)
    estimators = [
        *(get_estimator("gnn", config=config("train.epochs=1", f"train.seed={seed + more}")) for more in range(3)),
        get_estimator("mf", epochs=2, embedding_dim=4, seed=seed),
        get_estimator("neumf", epochs=1, embedding_dim=4, seed=seed),
        get_estimator("sasrec", epochs=1, embedding_dim=8, length=10, seed=seed),
        get_estimator("ease", reg=10),
        get_estimator("slim"),
    ]

    def fit(estimator: Any) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return weights(gnnrec.fit(small_split(), estimator, progress=False))

    def both() -> tuple[list[str], list[str], bool]:
        alone = [fit(estimator) for estimator in estimators]
        torch.manual_seed(7)
        before = torch.get_rng_state()
        threads = together([functools.partial(fit, estimator) for estimator in estimators])
        return alone, threads, torch.equal(torch.get_rng_state(), before)

    ended = in_child(both, patience=300)
    alone, threads, untouched = ended.value or ([], [], False)
    for estimator, one, other in zip(estimators, alone, threads, strict=True):
        same = one == other
        tally.add(
            "fits in threads", None if same else f"{estimator.name}: another result than alone: {str(other)[:200]}"
        )
    tally.add("the caller's random numbers", None if untouched else f"were changed by a fit {ended.error}")


def writing(tally: Tally, rng: random.Random) -> None:
    """Write one file and save one run from many threads and processes at once."""
    with work_folder() as folder:
        path = Path(folder) / "file"

        def write(number: int) -> None:
            for _ in range(10):
                write_atomic(path, bytes([65 + number]) * 50_000)

        def write_in_threads() -> None:
            for one in together([functools.partial(write, number) for number in range(4)]):
                if isinstance(one, Exception):
                    raise one

        for ended in in_children([write_in_threads] * PROCESSES):
            tally.add("one file written by 16", None if ended.code == OK else ended.error)
        whole = len(set(path.read_bytes())) == 1 and path.stat().st_size == 50_000
        left = listing(Path(folder))
        tally.add("one file written by 16", None if whole and left == ["file"] else f"damaged, or left {left}")
    with work_folder() as folder:
        models = [gnnrec.fit(small_split(), "ease", reg=reg) for reg in (1, 10, 100, 1000)]
        run = Path(folder) / "run"

        def save() -> None:
            for one in together([functools.partial(model.save, run) for model in models]):
                if isinstance(one, Exception):
                    raise one

        for ended in in_children([save] * PROCESSES):
            tally.add("one run saved by 16", None if ended.code == OK else ended.error)
        found = weights(gnnrec.load(run)) in [weights(model) for model in models]
        left = [path.name for path in Path(folder).iterdir()]
        tally.add("one run saved by 16", None if found and left == ["run"] else f"damaged, or left {left}")


def excluding(tally: Tally, rng: random.Random) -> None:
    """Train two models into one folder, fetch twice into one folder: one of them is refused."""
    with work_folder() as folder:
        run = Path(folder) / "run"

        def train(seed: int) -> str:
            gnnrec.fit(small_split(), config=config(f"train.seed={seed}"), run_dir=run, progress=False)
            return weights(gnnrec.load(run))

        ended = in_children([functools.partial(train, seed) for seed in (1, 2)])
        done = [one for one in ended if one.code == OK]
        refused = [one for one in ended if "StorageError" in one.kinds]
        # One may end before the other begins; then both are done, one after the other.
        right = len(done) + len(refused) == 2 and done and all("is in use by process" in one.error for one in refused)
        tally.add("two trainings into one folder", None if right else f"{[one.error for one in ended]}")
        usable = weights(gnnrec.load(run)) == done[-1].value if len(done) == 1 else gnnrec.load(run) is not None
        left = [path.name for path in Path(folder).iterdir()]
        tally.add("two trainings into one folder", None if usable and left == ["run"] else f"damaged, or left {left}")
    fetch = Fetch()
    with work_folder() as folder, fetch.running():
        work = Path(folder) / "w"
        work.mkdir()
        ended = in_children([functools.partial(fetch.perform, work)] * 2)
        refused = [one for one in ended if one.code != OK]
        right = len(refused) < 2 and all("is in use by process" in one.error for one in refused)
        asked = fetch.log(work).read_text().splitlines()
        tally.add(
            "two fetches into one folder",
            None if right and len(set(asked)) == len(asked) else f"{[one.error for one in ended]}",
        )


def cooperating(tally: Tally, rng: random.Random) -> None:
    """Encode the same posters in several processes at once: all succeed, and nothing is left over."""
    features = Features()
    with work_folder() as folder:
        alone, work = Path(folder) / "alone", Path(folder) / "w"
        for place in (alone, work):
            place.mkdir()
            features.prepare(place)
        features.perform(alone)
        for ended in in_children([functools.partial(features.perform, work)] * PROCESSES):
            tally.add("features into one cache", None if ended.code == OK else ended.error)
        same = features.result(work) == features.result(alone)
        left = sorted(set(listing(work)) - set(listing(alone)))
        tally.add("features into one cache", None if same and not left else f"another result, or left {left}")


def run(seed: int, seconds: float, *, asked: int = 30) -> dict[str, Any]:
    """Try everything once, and again while there is time."""
    preload()
    rng, tally = random.Random(seed), Tally()
    started = time.monotonic()
    parts = (functools.partial(answering, asked=asked), fitting, writing, excluding, cooperating)
    number, longest = 0, 0.0
    while number < len(parts) or time.monotonic() - started + longest < seconds:
        begun = time.monotonic()
        parts[number % len(parts)](tally, rng)
        longest = max(longest, time.monotonic() - begun)
        number += 1
    return tally.summary()
