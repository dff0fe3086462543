"""Reproducible: the same seed gives the same bits in other runs and processes, after save and load, and after a resume.

With another number of threads sums are added in another order. How much that changes is measured.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gnnrec
from benchmarks.trust.kill import Tally
from benchmarks.trust.operations import config, lists, small_split, weights, work_folder
from gnnrec.training.callbacks import Callback, FitState

HOME = Path(__file__).resolve().parents[2]
PROCESSES = {
    "another process": {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
    "another hash seed": {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "12345"},
    "a random hash seed": {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"},
}


def models(seed: int) -> dict[str, Callable[[], Any]]:
    """Return functions that fit models of several kinds."""
    encoders = {
        "LightGCN": [],
        "LightGCN, temporal": ["model.temporal=true"],
        "LightGCN, next item": ["model.init=transitions", "train.objective=next_item"],
        "GraphSAGE": ["model.encoder=graphsage"],
    }
    found: dict[str, Callable[[], Any]] = {
        name: functools.partial(fit, config=config(*overrides, f"train.seed={seed}"))
        for name, overrides in encoders.items()
    }
    found["MF"] = functools.partial(fit, "mf", epochs=2, embedding_dim=8, seed=seed)
    found["SASRec"] = functools.partial(fit, "sasrec", epochs=2, embedding_dim=8, length=10, seed=seed)
    found["EASE"] = functools.partial(fit, "ease", reg=10)
    found["SLIM"] = functools.partial(fit, "slim")
    found["item k-NN"] = functools.partial(fit, "itemknn")
    return found


def fit(model: str = "gnn", **hyperparameters: Any) -> Any:
    """Fit a model on the small sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gnnrec.fit(small_split(), model, progress=False, **hyperparameters)


def digests(seed: int) -> dict[str, list[Any]]:
    """Return the digest of the weights, and lists, of every model."""
    return {name: [weights(model := make()), lists(model)] for name, make in models(seed).items()}


def elsewhere(seed: int, environment: dict[str, str]) -> dict[str, list[Any]]:
    """Return what `digests` returns in another process."""
    command = [sys.executable, "-m", "benchmarks.trust.reproducible", str(seed)]
    paths = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    values = os.environ | {"PYTHONPATH": paths} | environment
    ended = subprocess.run(command, env=values, capture_output=True, text=True, check=True, cwd=HOME)
    return dict(json.loads(ended.stdout))


class Stop(Callback):
    """Interrupts a training after some epochs, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_epoch_end(self, state: FitState) -> None:
        """Interrupt."""
        if state.epoch == self.after:
            raise KeyboardInterrupt


def resumed(seed: int, overrides: list[str]) -> list[str]:
    """Return the digests of a training without a stop, and of trainings that were stopped after each epoch."""
    chosen = config(*overrides, f"train.seed={seed}")
    found = [weights(fit(config=chosen))]
    for after in range(1, chosen.train.epochs):
        with work_folder() as folder:
            run = Path(folder) / "run"
            try:
                fit(config=chosen, run_dir=run, callbacks=[Stop(after)])
            except KeyboardInterrupt:
                found.append(weights(fit(config=chosen, run_dir=run, resume=True)))
    return found


def reloaded(make: Callable[[], Any]) -> tuple[list[Any], list[Any]]:
    """Return lists of a model, and those after it was saved and loaded."""
    model = make()
    with work_folder() as folder:
        loaded = gnnrec.load(model.save(Path(folder) / "run"))
        return [weights(model), lists(model)], [weights(loaded), lists(loaded)]


def difference(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> dict[str, dict[str, float]]:
    """Return how far the lists of models are apart: relative scores, and movies in common."""
    found = {}
    for name, (_, (movies, scores)) in one.items():
        movies2, scores2 = other[name][1]
        size = max(float(np.abs(scores).max()), 1e-12)
        found[name] = {
            "score": float(np.abs(np.subtract(scores, scores2)).max() / size),
            "same_movies": float(np.mean(np.equal(movies, movies2))),
        }
    return found


def run(seed: int, seconds: float) -> dict[str, Any]:
    """Compare everything with one seed, and with further ones while there is time."""
    tally, started, longest = Tally(), time.monotonic(), 0.0
    threads: dict[str, dict[str, float]] = {}
    while True:
        begun = time.monotonic()
        expected = json.loads(json.dumps(digests(seed)))
        compare(tally, "another run", expected, json.loads(json.dumps(digests(seed))))
        if torch.get_num_threads() == 1:
            for kind, environment in PROCESSES.items():
                compare(tally, kind, expected, elsewhere(seed, environment))
        two, again = (elsewhere(seed, {"OMP_NUM_THREADS": "2"}) for _ in range(2))
        compare(tally, "two threads, another process", two, again)
        one = expected if torch.get_num_threads() == 1 else elsewhere(seed, {"OMP_NUM_THREADS": "1"})
        threads = difference(one, two)
        for name, make in models(seed).items():
            before, after = reloaded(make)
            tally.add("save and load", None if before == after else f"{name} differs")
        for overrides in ([], ["model.temporal=true"], ["model.encoder=graphsage"], ["train.final_lr_ratio=0.1"]):
            whole, *parts = resumed(seed, overrides)
            for number, part in enumerate(parts, start=1):
                tally.add("resume", None if part == whole else f"{overrides} after epoch {number} differs")
        longest = max(longest, time.monotonic() - begun)
        seed += 1
        if time.monotonic() - started + longest > seconds:
            return {**tally.summary(), "one_and_two_threads": threads}


def compare(tally: Tally, kind: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Count the models that are equal."""
    for name, one in expected.items():
        tally.add(kind, None if one == found[name] else f"{name} differs")


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
