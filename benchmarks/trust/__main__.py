"""Run the harnesses, and write what they found to docs/results/trust.json, which docs/results/trust.md shows.

    python -m benchmarks.trust [--only kill,disk,...] [--minutes 30] [--seed 0] [--json FILE]
    python -m benchmarks.trust --merge FILE ... [--note TEXT]

The minutes are divided among the harnesses. Results of harnesses that are not run are kept. Several may run at the same
time; results that were written to other files are taken over by ``--merge``, with a note on what changed since.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import os
import platform
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is imported: a process that forks needs one thread

HOME = Path(__file__).resolve().parents[2]
RESULTS = HOME / "docs" / "results" / "trust.json"
HARNESSES = ("kill", "disk", "fuzz", "lies", "sharing", "days", "reproducible", "numerics")
"""Modules with a function ``run(seed, seconds)``, in the order in which they are run and shown."""


def available() -> list[str]:
    """Return the harnesses that are there."""
    return [name for name in HARNESSES if find_spec(f"benchmarks.trust.{name}") is not None]


def measure(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Run one harness; return its result with the command that repeats it."""
    module = importlib.import_module(f"benchmarks.trust.{name}")
    gc.collect()
    gc.freeze()  # the garbage collectors of forked children leave these objects, and their pages, alone
    started = time.monotonic()
    result = dict(module.run(seed, seconds))
    gc.unfreeze()
    minutes = f"{seconds / 60:g}"
    command = f"python -m benchmarks.trust --only {name} --minutes {minutes} --seed {seed}"
    return {**result, "command": command, "seconds": round(time.monotonic() - started)}


def record(path: Path, results: dict[str, Any]) -> None:
    """Add results of harnesses, by name, to a file, which another process may have changed meanwhile."""
    kept = json.loads(path.read_text(encoding="utf-8"))["harnesses"] if path.exists() else {}
    kept |= results
    ordered = {"harnesses": {name: kept[name] for name in HARNESSES if name in kept}}
    path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run, print a line for each harness, and write the results; the status is 1 if something was not survived."""
    import gnnrec

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(available()), help="Harnesses, separated by commas.")
    parser.add_argument("--minutes", type=float, default=30, help="Minutes for all of them together.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULTS, help="File of the results.")
    parser.add_argument("--merge", type=Path, nargs="+", help="Take over the results in these files; run nothing.")
    parser.add_argument("--note", help="With --merge: a sentence that the page shows below what was not survived.")
    given = parser.parse_args(arguments)
    for file in given.merge or ():
        found = json.loads(file.read_text(encoding="utf-8"))["harnesses"]
        record(given.json, {name: one | ({"note": given.note} if given.note else {}) for name, one in found.items()})
    if given.merge:
        return 0
    names = [name.strip() for name in given.only.split(",")]
    if unknown := set(names) - set(available()):
        parser.error(f"unknown harness {', '.join(sorted(unknown))}; choose from {', '.join(available())}")
    versions = {"gnnrec": gnnrec.__version__, "python": platform.python_version(), "system": platform.system()}
    failed = False
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("benchmarks").setLevel(logging.INFO)
    for name in names:
        result = measure(name, given.seed, 60 * given.minutes / len(names))
        record(given.json, {name: {**result, **versions}})
        failed |= result["survived"] < result["tried"]
        print(f"{name}: {result['survived']:,} of {result['tried']:,} survived in {result['seconds']:,} s", flush=True)
        for failure in result["failures"]:
            print(f"  {failure}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
