"""Training time until a validation metric is reached: gnnrec against PyG's own LightGCN, in one process.

    python benchmarks/time_to_quality.py [--dataset ml-1m] [--split FOLDER] [--target 0.24]
        [--batch-sizes 2048 8192 32768 131072] [--time-limit 3600] [--config FILE.yaml] [--json FILE]

The target is NDCG@20 on the validation ratings. Time counts everything from the training ratings on: building the
graph, the SVD initialization, the epochs; ranking the validation ratings is excluded, for both. LightGCN is
`torch_geometric.nn.models.LightGCN` on a sparse matrix (the model `lightgcn`), once per batch size; it is stopped at
the time limit, and its best value is reported. The ratio compares its fastest run with gnnrec, and is a lower bound
if no run reached the target.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _common import console, script_line
from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec._torch import pick_device
from gnnrec.benchmarking import timed, versions
from gnnrec.evaluation import Fingerprint, validate
from gnnrec.models.gnn_training import init_training
from gnnrec.registry import MODELS
from gnnrec.training.callbacks import EarlyStopping
from gnnrec.training.loop import FitRun

METRIC = "ndcg@20"
FOREVER = sys.maxsize
DEFAULT = gnnrec.Config().override(["model.user_degree_smoothing=0", "train.history_truncation=0"])
"""Without the settings for cold-start users, which LightGCN does not serve either."""


@dataclass
class Run:
    """One fit: time and validation metric after each epoch, until the target or the time limit is reached."""

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

    @property
    def finished(self) -> bool:
        return self.seconds is not None or self.curve[-1][0] > self.limit

    def record(self) -> dict[str, Any]:
        """Return the values for the JSON file."""
        end = self.curve[-1][0]
        return {"model": self.model, "seconds": self.seconds, "best": self.best, "trained_seconds": end,
                "epochs": len(self.curve), "curve": self.curve}  # fmt: skip


class TargetReached(Exception):  # noqa: N818
    """Ends a fit between two epochs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of training until a validation metric is reached.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="folder that holds the dataset")
    parser.add_argument("--split", type=Path, help="folder with train, valid and test; a random split by default")
    parser.add_argument("--target", type=float, default=0.24, help=f"{METRIC} on the validation ratings")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2048, 8192, 32768, 131072])
    parser.add_argument("--time-limit", type=float, default=3600, help="seconds of training for each run of LightGCN")
    parser.add_argument("--config", type=Path, help="config of gnnrec, a YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting of gnnrec"
    )
    parser.add_argument("--json", type=Path, help="write the curves to this file, again after every run")
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
    estimators = [
        MODELS.get("lightgcn")(epochs=FOREVER, learning_rate=5e-3, batch_size=size) for size in arguments.batch_sizes
    ]
    trainings = [partial(ours, config=config)]
    trainings += [partial(stock, estimator=estimator, limit=arguments.time_limit) for estimator in estimators]
    for train in trainings:
        run = train(split, arguments.target)
        runs.append(run)
        console.print(describe(run), highlight=False)
        record = {
            "command": typed,
            "dataset": split.name,
            "protocol": str(Fingerprint.from_split(split)),
            "metric": METRIC,
            "target": arguments.target,
            "time_limit": arguments.time_limit,
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


def ours(split: gnnrec.Split, target: float, config: gnnrec.Config) -> Run:
    """Fit gnnrec. Its history has the seconds of each epoch; everything before the epochs is timed here."""
    device = pick_device(config.train.device)
    _, clock = timed(lambda: init_training(gnnrec.Graph.from_dataset(split.dataset), config, device))
    run = Run("gnnrec", target)
    for entry in gnnrec.fit(split, config=config).history:
        clock += entry["seconds"]
        run.curve.append((clock, entry[METRIC]))
    return run


def stock(split: gnnrec.Split, target: float, estimator: Any, limit: float) -> Run:
    """Fit PyG's LightGCN until it reaches the target or the time limit."""
    run, measured = Run(f"LightGCN, batch {estimator.batch_size}", target, limit), partial(validate, split=split)
    ranking = 0.0
    began = time.perf_counter()

    def validate_and_stop(model: gnnrec.Recommender) -> float:
        nonlocal ranking
        clock = time.perf_counter() - began - ranking
        value, seconds = timed(lambda: measured(model))
        run.curve.append((clock, value))
        status.update(f"{run.model}: epoch {len(run.curve)}, {clock:.0f} s, {METRIC} {value:.4f}")
        ranking += seconds
        if run.finished:
            raise TargetReached
        return value

    with console.status(run.model) as status:
        try:
            graph = gnnrec.Graph.from_dataset(split.dataset)
            estimator.fit_graph(graph, FitRun(validate=validate_and_stop, callbacks=[EarlyStopping(FOREVER)]))
        except TargetReached:
            pass
    return run


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
