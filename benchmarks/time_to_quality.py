"""Seconds until a model is good: gnnrec against PyG's own LightGCN, in one process, with the same threads.

    python benchmarks/time_to_quality.py [--dataset ml-1m] [--split FOLDER] [--target 0.24]
        [--batch-sizes 2048 8192 32768 131072] [--limit-seconds 3600] [--config FILE.yaml] [--json FILE]

A model is good when NDCG@20 on the valid rows first reaches the target. The clock counts everything that is done to get
there, from the train rows on: the graph, the start from an SVD, the epochs. It stands still while the valid rows are
ranked, for both. LightGCN is `torch_geometric.nn.models.LightGCN` over a sparse matrix (the peer `lightgcn`), once for
each batch size; it is stopped when its clock is past the limit, and what it had reached by then is told. The ratio is
of its fastest run to ours, and a lower bound where none got there.
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
from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec._torch import pick_device
from gnnrec.benchmark import timed, valid_quality, versions
from gnnrec.cli.output import console
from gnnrec.cli.typed import script_line
from gnnrec.evaluation import Fingerprint
from gnnrec.fit import start
from gnnrec.models import PEERS, OptimizerConfig, Watch

METRIC = "ndcg@20"
DEFAULT = gnnrec.Config().override(["model.history_smoothing=0", "train.short_histories=0"])
"""Without what is for people who have just arrived, as LightGCN is."""


@dataclass
class Run:
    """One training: the clock and the quality after each epoch, until it is good enough or out of time."""

    model: str
    target: float
    limit: float = math.inf
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """When the target was first reached."""
        return next((second for second, quality in self.curve if quality >= self.target), None)

    @property
    def best(self) -> float:
        return max(quality for _, quality in self.curve)

    @property
    def over(self) -> bool:
        return self.seconds is not None or self.curve[-1][0] > self.limit

    def facts(self) -> dict[str, Any]:
        """Return what is written."""
        end = self.curve[-1][0]
        return {"model": self.model, "seconds": self.seconds, "best": self.best, "trained_seconds": end,
                "epochs": len(self.curve), "curve": self.curve}  # fmt: skip


class OverError(Exception):
    """Ends a training from between its epochs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds until a validation quality is reached.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="where to look for the dataset first")
    parser.add_argument("--split", type=Path, help="folder with train, valid and test; else a random one")
    parser.add_argument("--target", type=float, default=0.24, help=f"{METRIC} on the valid rows")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2048, 8192, 32768, 131072])
    parser.add_argument("--limit-seconds", type=float, default=3600, help="of training, for each run of LightGCN")
    parser.add_argument("--config", type=Path, help="YAML file of settings of gnnrec")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a setting of gnnrec")
    parser.add_argument("--json", type=Path, help="write the curves to this file, again after every run")
    arguments = parser.parse_args()
    try:
        measure(arguments, script_line("benchmarks/time_to_quality.py", parser, arguments, together=("batch_sizes",)))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def measure(arguments: argparse.Namespace, typed: str) -> None:
    if not 0 < arguments.target < 1:
        raise gnnrec.ConfigError(f"--target is an NDCG, between 0 and 1, not {arguments.target}")
    if not arguments.limit_seconds > 0:
        raise gnnrec.ConfigError(f"--limit-seconds must be above 0, not {arguments.limit_seconds}")
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    split = gnnrec.Split.from_folder(arguments.split, dataset) if arguments.split else gnnrec.splitting.random_split(dataset)
    if split.valid.empty:
        raise gnnrec.ConfigError("the split has no valid rows to measure the quality on")
    config = gnnrec.Config.from_yaml(arguments.config) if arguments.config else DEFAULT
    config = config.override(["train.metric=ndcg", "train.k=20", *arguments.set])
    threads = torch.get_num_threads()
    console.print(f"{split!r}, target {METRIC} {arguments.target} on valid, {threads} threads", markup=False)
    runs = []
    trainings = [partial(ours, config=config)]
    trainings += [partial(stock, batch_size=size, limit=arguments.limit_seconds) for size in arguments.batch_sizes]
    for train in trainings:
        run = train(split, arguments.target)
        runs.append(run)
        console.print(told(run), highlight=False)
        facts = {
            "command": typed,
            "dataset": split.name,
            "protocol": str(Fingerprint.of(split)),
            "metric": METRIC,
            "target": arguments.target,
            "limit_seconds": arguments.limit_seconds,
            "threads": threads,
            "packages": versions(),
            "settings": config.model_dump(mode="json"),
            "runs": [one.facts() for one in runs],
            **ratio(runs),
        }
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(arguments.json, (json.dumps(facts) + "\n").encode())
    console.print(table(runs, arguments.target))
    bound = "at least " if facts["ratio_is_a_bound"] else ""
    if facts["ratio"] is None:
        console.print(f"gnnrec did not reach {arguments.target}; there is no ratio")
    else:
        console.print(f"LightGCN takes {bound}{facts['ratio']:.1f} times as long as gnnrec", highlight=False)


def ours(split: gnnrec.Split, target: float, config: gnnrec.Config) -> Run:
    """Train gnnrec as always. Its history has the seconds of each epoch; what comes before them is timed here."""
    device = pick_device(config.train.device)
    _, clock = timed(lambda: start(gnnrec.Graph.from_dataset(split.dataset), config, device))
    run = Run("gnnrec", target)
    for entry in gnnrec.fit(split, config).history:
        clock += entry["seconds"]
        run.curve.append((clock, entry[METRIC]))
    return run


def stock(split: gnnrec.Split, target: float, batch_size: int, limit: float) -> Run:
    """Train PyG's LightGCN until it is as good, or until `limit`."""
    run, measured = Run(f"LightGCN, batch {batch_size}", target, limit), valid_quality(split)
    assert measured is not None
    ranking = 0.0
    began = time.perf_counter()

    def quality(model: gnnrec.Recommender) -> float:
        nonlocal ranking
        clock = time.perf_counter() - began - ranking
        value, seconds = timed(lambda: measured(model))
        run.curve.append((clock, value))
        status.update(f"{run.model}: epoch {len(run.curve)}, {clock:.0f} s, {METRIC} {value:.4f}")
        ranking += seconds
        if run.over:
            raise OverError
        return value

    with console.status(run.model) as status:
        try:
            forever = sys.maxsize
            graph = gnnrec.Graph.from_dataset(split.dataset)
            schedule = OptimizerConfig(epochs=forever, learning_rate=5e-3, batch_size=batch_size)
            PEERS["lightgcn"].fit(graph, schedule=schedule, watch=Watch(quality, patience=forever))
        except OverError:
            pass
    return run


def ratio(runs: list[Run]) -> dict[str, Any]:
    """Return how many times as long LightGCN takes, and whether that is a lower bound only."""
    mine, others = runs[0].seconds, runs[1:]
    if mine is None or not others:
        return {"ratio": None, "ratio_is_a_bound": False}
    reached = [run.seconds for run in others if run.seconds is not None]
    least = min(reached or [run.curve[-1][0] for run in others])
    return {"ratio": least / mine, "ratio_is_a_bound": not reached}


def told(run: Run) -> str:
    """Return a run in a sentence."""
    if run.seconds is not None:
        return f"{run.model} reached {run.target} after {run.seconds:.1f} s"
    end, epochs = run.curve[-1][0], len(run.curve)
    return f"{run.model} did not reach {run.target}; best {run.best:.4f} in {end:.1f} s of training, {epochs} epochs"


def table(runs: list[Run], target: float) -> Table:
    grid = Table(title=f"Until {METRIC} on the valid rows is {target}", title_justify="left", header_style="bold")
    for heading in ("model", "seconds", "best", "epochs", "seconds in all"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    for run in runs:
        seconds = "not reached" if run.seconds is None else f"{run.seconds:.1f}"
        grid.add_row(run.model, seconds, f"{run.best:.4f}", str(len(run.curve)), f"{run.curve[-1][0]:.1f}")
    return grid


if __name__ == "__main__":
    main()
