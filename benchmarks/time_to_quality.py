"""Training time until a validation metric is reached: gnnrec against LightGCN as published, in one process.

    python benchmarks/time_to_quality.py [--dataset ml-1m] [--split FOLDER] [--target 0.24]
        [--batch-sizes 16384] [--time-limit 3600] [--config FILE.yaml] [--json FILE]
        [--report FILE]

The target is NDCG@20 on the validation ratings. Time is that of the processor, all threads together, so that other
programs hardly change it. It counts everything from the training ratings on, for both: building the graph, the SVD
initialization, the epochs and ranking the validation ratings after each. LightGCN is the model `lightgcn`, once per
batch size. Both are trained until early stopping ends them, LightGCN at most until the time limit, and the best value
of each is reported. The ratio compares the fastest LightGCN with gnnrec; it is a lower bound if none reached the
target. With ``--report``, LightGCN is then evaluated on the test ratings, and the file is what ``gnnrec benchmark
--models lightgcn --seeds 1`` writes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _common import console, script_line
from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec.benchmarking import versions
from gnnrec.evaluation import Fingerprint
from gnnrec.models.estimator import get_estimator
from gnnrec.training.callbacks import Callback, FitState

METRIC = "ndcg@20"
DEFAULT = gnnrec.Config().override(["model.user_degree_smoothing=0", "train.history_truncation=0"])
"""Without the settings for cold-start users, which LightGCN does not serve either."""


@dataclass
class Run:
    """One fit: processor time and validation metric after each epoch."""

    model: str
    target: float
    limit: float = math.inf
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """Time at which the target was first reached."""
        return next((second for second, value in self.curve if value >= self.target), None)

    @property
    def best(self) -> float:
        return max(value for _, value in self.curve)

    def record(self) -> dict[str, Any]:
        """Return the values for the JSON file."""
        end = self.curve[-1][0]
        return {"model": self.model, "seconds": self.seconds, "best": self.best, "trained_seconds": end,
                "epochs": len(self.curve), "curve": self.curve}  # fmt: skip


class Recorder(Callback):
    """Fills the curve of a run, and stops the fit at its time limit."""

    def __init__(self, run: Run) -> None:
        self.run, self.began = run, time.process_time()

    def on_epoch_end(self, state: FitState) -> None:
        """Record the epoch."""
        self.run.curve.append((time.process_time() - self.began, state.metrics[METRIC]))
        if self.run.curve[-1][0] > self.run.limit:
            state.stop("time limit")


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of training until a validation metric is reached.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="folder that holds the dataset")
    parser.add_argument("--split", type=Path, help="folder with train, valid and test; a random split by default")
    parser.add_argument("--target", type=float, default=0.24, help=f"{METRIC} on the validation ratings")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16384])
    parser.add_argument("--time-limit", type=float, default=3600, help="processor seconds for each run of LightGCN")
    parser.add_argument("--config", type=Path, help="config of gnnrec, a YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting of gnnrec"
    )
    parser.add_argument("--json", type=Path, help="write the curves to this file, again after every run")
    parser.add_argument("--report", type=Path, help="write test results of LightGCN, of one batch size, to this file")
    arguments = parser.parse_args()
    try:
        measure(arguments, script_line("benchmarks/time_to_quality.py", parser, arguments, together=("batch_sizes",)))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def measure(arguments: argparse.Namespace, typed: str) -> None:
    if not 0 < arguments.target < 1:
        raise gnnrec.ConfigError(f"--target is an NDCG, between 0 and 1, not {arguments.target}")
    if not arguments.time_limit > 0:
        raise gnnrec.ConfigError(f"--time-limit must be above 0, not {arguments.time_limit}")
    if arguments.report and len(arguments.batch_sizes) > 1:
        raise gnnrec.ConfigError("--report is for one batch size")
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    split = (
        gnnrec.Split.from_folder(arguments.split, dataset)
        if arguments.split
        else gnnrec.splitting.random_split(dataset)
    )
    if split.valid.empty:
        raise gnnrec.ConfigError("the split has no validation ratings to measure the target on")
    config = gnnrec.Config.from_yaml(arguments.config) if arguments.config else DEFAULT
    config = config.override(["train.metric=ndcg", "train.k=20", *arguments.set])
    threads = torch.get_num_threads()
    console.print(f"{split!r}, target {METRIC} {arguments.target} on validation, {threads} threads", markup=False)
    runs = []
    planned = [(Run("gnnrec", arguments.target), get_estimator("gnn", config=config))]
    for size in arguments.batch_sizes:
        run = Run(f"LightGCN, batch {size}", arguments.target, arguments.time_limit)
        planned.append((run, get_estimator("lightgcn", batch_size=size)))
    for run, estimator in planned:
        if arguments.report and estimator.name == "lightgcn":
            options = {"seeds": 1, "out": arguments.report, "command": typed}
            gnnrec.benchmark(split, models=[estimator], callbacks=[Recorder(run)], progress=True, **options)
        else:
            estimator.fit(split, callbacks=[Recorder(run)], progress=True)
        runs.append(run)
        console.print(describe(run), highlight=False)
        record = {
            "command": typed,
            "dataset": split.name,
            "protocol": str(Fingerprint.from_split(split)),
            "metric": METRIC,
            "target": arguments.target,
            "time_limit": arguments.time_limit,
            "clock": "processor",
            "threads": threads,
            "packages": versions(),
            "settings": config.model_dump(mode="json"),
            "runs": [one.record() for one in runs],
            **ratio(runs),
        }
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(arguments.json, (json.dumps(record) + "\n").encode())
    console.print(table(runs, arguments.target))
    bound = "at least " if record["ratio_is_a_bound"] else ""
    if record["ratio"] is None:
        console.print(f"gnnrec did not reach {arguments.target}; there is no ratio")
    else:
        console.print(f"LightGCN takes {bound}{record['ratio']:.1f} times as long as gnnrec", highlight=False)


def ratio(runs: list[Run]) -> dict[str, Any]:
    """Return how many times as long LightGCN takes, and whether that is only a lower bound."""
    mine, others = runs[0].seconds, runs[1:]
    if mine is None or not others:
        return {"ratio": None, "ratio_is_a_bound": False}
    reached = [run.seconds for run in others if run.seconds is not None]
    least = min(reached or [run.curve[-1][0] for run in others])
    return {"ratio": least / mine, "ratio_is_a_bound": not reached}


def describe(run: Run) -> str:
    """Describe a run in one sentence."""
    if run.seconds is not None:
        return f"{run.model} reached {run.target} after {run.seconds:.1f} s"
    end, epochs = run.curve[-1][0], len(run.curve)
    return f"{run.model} did not reach {run.target}; best {run.best:.4f} in {end:.1f} s of training, {epochs} epochs"


def table(runs: list[Run], target: float) -> Table:
    grid = Table(title=f"Until {METRIC} on validation is {target}", title_justify="left", header_style="bold")
    for heading in ("model", "seconds", "best", "epochs", "seconds in all"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    for run in runs:
        seconds = "not reached" if run.seconds is None else f"{run.seconds:.1f}"
        grid.add_row(run.model, seconds, f"{run.best:.4f}", str(len(run.curve)), f"{run.curve[-1][0]:.1f}")
    return grid


if __name__ == "__main__":
    main()
