"""Write the page on what gnnrec survives, from the results of `python -m benchmarks.trust`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"

OUTCOMES = {
    "answer": "a right answer",
    "refused": "a clear error",
    "raw": "another library's error",
    "wrong": "a wrong answer",
    "unclear": "an unclear error",
    "memory": "too much memory",
    "hang": "longer than 30 s",
    "crash": "the process ended",
}
SECTIONS = {
    "kill": (
        "Killed at any moment",
        "A process that changes files gets `kill -9`, SIGTERM, Ctrl-C, or Ctrl-C twice: after a random time, before a "
        "file operation, or in the middle of a write. Survived means: what is there loads and is the old state or the "
        "new one; the same command, run again, gives the result of a process that was never stopped, bit for bit; "
        "a lost trial is counted once; no lock blocks, and no other file is left.",
    ),
    "disk": (
        "Disk full, read-only, out of memory, no such user",
        "Each operation runs on a file system with a random part of the space it needs, on one that is read-only, with "
        "files or memory limited, and as a user that the system does not know. Survived means: one clear error or a "
        "right result, the old state unchanged, and the same command succeeds without the limit.",
    ),
    "fuzz": (
        "Fuzzed",
        "Valid files of every format that gnnrec reads, with bytes, cells, keys or structure changed, and odd values "
        "(huge integers, NaN, surrogates, nested lists, tensors, dates) for every function. Survived means: a right "
        "answer, or one clear error of gnnrec; within 30 seconds, and within three times the memory of the input.",
    ),
    "lies": (
        "Lied to",
        "Run folders, checkpoints, caches, archives, images, YAML and answers of servers made by an enemy: declared "
        "sizes of terabytes, overlapping tensors, links out of the folder, pickles, pipes, bombs, private addresses, "
        "answers without end. Then folders with forged content and right checksums. Survived means: refused by name "
        "before memory is taken, or an answer that holds what every answer promises.",
    ),
    "sharing": (
        "Used by many at once",
        "8 threads, 4 processes, 16 tasks of asyncio and forks (of an idle process, of a fork, and of a process whose "
        "threads compute) ask one model; models are fitted in threads; 16 writers write one file and save one run. Survived "
        "means: everybody gets what they get alone. Of two trainings or fetches into one folder the second is "
        "refused with the name of the first; several `gnnrec features` share their work.",
    ),
    "days": (
        "Run for days",
        "One process answers questions, half of them odd or hostile. Survived means: an answer, or an error of gnnrec; "
        "the same again when a question is repeated later; and memory that grows by less than 2% after the first "
        "10,000.",
    ),
    "reproducible": (
        "Reproducible",
        "Nine models, fitted again with the same seed: in the same process, in others, with other hash seeds, after "
        "save and load, and resumed after each epoch. Survived means: equal bit for bit.",
    ),
    "numerics": (
        "Numerics",
        "Extreme settings (learning rates of 1e9, one dimension and 4,096) on extreme data (one user, one movie, equal "
        "ratings), and NaN and infinity in weights and scores at every function that loads, saves, evaluates or "
        "recommends. Survived means: a right result or a clear stop.",
    ),
}
PROMISES = """## Promised

- A file or folder that gnnrec writes is the old one or the new one at any moment, also after a power failure.
- `gnnrec train --resume` gives the weights of a training that was never stopped. A killed `features`, `fetch`, `tune` or `download`
  continues with the same command, which also removes what the killed one left.
- Errors of the disk are a `StorageError`, missing memory is an `OutOfMemoryError`; both are a `GnnrecError`.
- The same seed, machine, versions and number of threads give the same bits.
- A saved run of another layout is refused with the version that reads it, or how to train it again. Golden runs in
  `tests/trust/golden` are read by every later version.

## What cannot be survived

- **Memory that native code needs.** Where PyTorch, BLAS or the loader of shared libraries cannot get memory, they may end the process
  before Python sees an error. What is on disk is as after `kill -9`.
- **A fork while another thread computes.** gnnrec's own locks are new in the child. A lock of a native library (BLAS, OpenMP, Arrow)
  that another thread holds at that moment stays locked there, and the child may wait for it for ever. Fork while no call is
  running, as gunicorn's `--preload` does, or start processes with `spawn`.
- **More than one thread after a fork.** A forked process computes in one thread. `torch.set_num_threads(2)` in it hangs if the parent
  has used several threads: OpenMP waits for threads that do not exist there. Start the process with `spawn` instead.
- **Locks on some network file systems.** Locks end with their process. Where there are none, two trainings into one folder do not
  notice each other, and what a killed process left stays. A journal of `gnnrec tune` is refused there; use a database.
- **A worker of `tune` on PostgreSQL or MySQL that dies** is noticed after two minutes without a sign of life. On a journal and on
  SQLite it is noticed at once.
- **Ctrl-C while native code reads a file** can be lost in it: PyTorch then says that a tensor has no shape, and gnnrec that the file is
  damaged. It is not; run the command again.
- **Another number of threads** adds numbers in another order; see [Reproducible](#reproducible).
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def count(result: dict[str, Any]) -> str:
    """Return how many of how many were survived."""
    return f"{result['survived']:,} of {result['tried']:,}"


def tables(result: dict[str, Any]) -> list[str]:
    """Count the survived cases by kind or group, and for inputs the cases of each outcome."""
    found = []
    kinds = result["kinds"]
    if "groups" in result:
        found.append(table(["input", "survived"], [[name, count(one)] for name, one in result["groups"].items()]))
    if all(isinstance(one, int) for one in kinds.values()):
        return [*found, table(["outcome", "number"], [[OUTCOMES[kind], f"{n:,}"] for kind, n in kinds.items()])]
    return [*found, table(["kind", "survived"], [[kind, count(one)] for kind, one in kinds.items()])]


def describe(failure: str | dict[str, Any]) -> str:
    """Return a failure as one line of code; generated input could otherwise be read as Markdown."""
    if isinstance(failure, dict):
        failure = (
            f"{failure['trial']}: {OUTCOMES[failure['kind']]}; {failure.get('detail', '')} {failure.get('where', '')}"
        )
    line = " ".join(failure.split()).replace("`", "'")
    return f"`{line}`"


def details(name: str, result: dict[str, Any]) -> str:
    """Return the section of a harness."""
    title, text = SECTIONS[name]
    parts = [f"## {title}", text, f"`{result['command']}`", *tables(result)]
    if name == "days" and "calls" in result:
        parts.append(
            f"Memory after the first 10,000 of {result['calls']:,} questions: {result['megabytes_after_warm_up']:,} MB; "
            f"at the end: {result['megabytes_at_the_end']:,} MB."
        )
    if "one_and_two_threads" in result:
        rows = [
            [model, f"{one['score']:.1e}", f"{one['same_movies']:.0%}"]
            for model, one in result["one_and_two_threads"].items()
        ]
        parts += [
            "One thread and two: the largest difference of a score, relative to the largest score, and the share of "
            "equal places in lists of five.",
            table(["model", "scores differ by", "equal places"], rows),
        ]
    if result["failures"]:
        parts.append("Not survived:")
        parts.append("\n".join(f"- {describe(failure)}" for failure in result["failures"]))
    if "note" in result:
        parts.append(result["note"])
    return "\n\n".join(parts)


def page(results: dict[str, Any]) -> str:
    """Return the page."""
    found = results["harnesses"]
    rows = [[SECTIONS[name][0], count(one), f"{one['seconds'] / 60:,.0f}"] for name, one in found.items()]
    head = table(["", "survived", "minutes"], rows)
    left = "; ".join(title for name, (title, _) in SECTIONS.items() if name not in found)
    head += f"\n\nNot measured on this version yet: {left}." if left else ""
    promises = (
        PROMISES if "reproducible" in found else PROMISES.replace("[Reproducible](#reproducible)", "Reproducible")
    )
    sections = "\n\n".join(details(name, one) for name, one in found.items())
    return f"""# Trust

What gnnrec survives: each harness in `benchmarks/trust` tries as much as its time allows and counts. `make trust` runs
all of them in about 30 minutes, in a checkout of the repository, and writes `docs/results/trust.json`; their short forms in
`tests/trust` are part of `make test`. Times are of a machine that was busy with other work.

{head}

{promises}
{sections}
"""


if __name__ == "__main__":
    recorded = json.loads((RESULTS / "trust.json").read_text(encoding="utf-8"))
    (RESULTS / "trust.md").write_text(page(recorded), encoding="utf-8")
