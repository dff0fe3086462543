"""Compare gnnrec with well-known models from elsewhere: the same rows, the same measures, one run.

    pip install -r examples/requirements-peers.txt
    python examples/compare_peers.py [--dataset ml-1m] [--split FOLDER | --protocol NAME] [--models gnn,ease,sasrec]
        [--seeds 1] [--limit-seconds 600] [--config configs/ml1m.yaml] [--out peers.json]

Every model is fitted on the train rows; settings and the epoch to stop at are chosen on the valid rows (NDCG@20), as in
`gnnrec benchmark`. A model that cannot take part is named, with the reason. The file is written after every model.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.markup import escape

import gnnrec
from gnnrec.baselines import BASELINES, PEERS, Watch, fit_peer
from gnnrec.benchmark import compare, fit_baseline, table, timed
from gnnrec.cli import console

CLASSIC = tuple(reversed(BASELINES))
MODELS = ("gnn", *CLASSIC, *PEERS)
RANKING = tuple(name for name in MODELS if name not in PEERS or not PEERS[name].predicts_ratings)
DRAWING = ("gnn", *(name for name, peer in PEERS.items() if peer.seeded))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare gnnrec with other models on the same rows.")
    parser.add_argument("--dataset", default="ml-1m", help="a name, a folder, or a file of ratings")
    parser.add_argument("--data-dir", type=Path, help="where to look for a named dataset first")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--split", type=Path, help="folder with train.csv, valid.csv and test.csv")
    rows.add_argument("--protocol", default="random", help=f"one of {', '.join(gnnrec.data.PROTOCOLS)}")
    parser.add_argument("--models", default=",".join(RANKING), help=f"comma-separated: {', '.join(MODELS)}")
    parser.add_argument("--seeds", type=int, default=1, help="how often a model that draws at random is fitted")
    parser.add_argument("--limit-seconds", type=float, help="start no epoch after this (peers; gnn takes its own time)")
    parser.add_argument("--config", type=Path, help="YAML file of settings of gnn")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a setting of gnn")
    parser.add_argument("--out", type=Path, default=Path("peers.json"))
    try:
        run(parser.parse_args())
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace) -> None:
    names = checked(arguments.models, arguments.seeds)
    Watch(limit_seconds=arguments.limit_seconds)  # complains now and not once for each model
    config = gnnrec.Config.from_yaml(arguments.config) if arguments.config else gnnrec.Config()
    config = config.override(arguments.set)
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    if arguments.split:
        split = gnnrec.Split.from_folder(arguments.split, dataset)
    else:
        split = gnnrec.Split.by_protocol(arguments.protocol, dataset)
    console.print(repr(split), highlight=False, markup=False)

    results: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for name in names:
        try:
            results += measured(name, split, config, arguments.seeds, arguments.limit_seconds)
        except (gnnrec.GnnrecError, FloatingPointError) as error:
            left_out[name] = str(error)
            console.print(f"[bold yellow]LEFT OUT: {name}[/] {escape(str(error))}", highlight=False)
        write(arguments.out, split, results, left_out)
    if results:
        console.print(table(results, f"{split.name}, {split.protocol}, {torch.get_num_threads()} threads"))
    for name, reason in left_out.items():
        console.print(f"[bold yellow]LEFT OUT: {name}[/] {escape(reason)}", highlight=False)
    console.print(f"written to {arguments.out}", highlight=False, markup=False)


def checked(models: str, seeds: int) -> list[str]:
    """Return the names asked for, gnnrec's own model first."""
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if unknown := [name for name in names if name not in MODELS]:
        raise gnnrec.ConfigError(f"unknown model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    if not names:
        raise gnnrec.ConfigError(f"no model is named; there are {', '.join(MODELS)}")
    if seeds < 1:
        raise gnnrec.ConfigError(f"at least one seed is needed, not {seeds}")
    return sorted(names, key=lambda name: name != "gnn")


def measured(
    name: str, split: gnnrec.Split, config: gnnrec.Config, seeds: int, limit_seconds: float | None
) -> list[dict[str, Any]]:
    """Fit and evaluate a model, over several seeds if it draws at random; a row per metric, as of `benchmark`."""
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for seed in range(seeds if name in DRAWING else 1):
        with console.status(f"{name}: starting") as status:

            def show(entry: dict[str, float], title: str = f"{name}, seed {seed}") -> None:
                figures = "  ".join(f"{key} {value:.4g}" for key, value in entry.items())
                status.update(f"{title}: {figures}")

            watch = Watch(quality(split), limit_seconds=limit_seconds, report=show)
            model, seconds = timed(partial(fitted, name, split, config, seed, watch))
            status.update(f"{name}: ranking the test rows")
            found = compare({name: model}, split, fit_seconds={name: seconds})
        ndcg = next(row["mean"] for row in found if (row["metric"], row["k"]) == ("ndcg", 10))
        console.print(f"{name}, seed {seed}: NDCG@10 {ndcg:.4f}, fitted in {seconds:.1f} s", highlight=False)
        for row in found:
            runs.setdefault((row["metric"], row["k"]), []).append(row)
    rows = []
    for same in runs.values():
        values = [row["mean"] for row in same]
        means = {key: mean(row[key] for row in same) for key in ("mean", "fit_seconds", "evaluate_seconds")}
        std = stdev(values) if len(values) > 1 else 0.0
        rows.append({**same[0], **means, "std": std, "seeds": len(values), "values": values})
    return rows


def fitted(name: str, split: gnnrec.Split, config: gnnrec.Config, seed: int, watch: Watch) -> gnnrec.Recommender:
    """Fit one model on the train rows."""
    if name == "gnn":
        return gnnrec.fit(split, config.override([f"train.seed={config.train.seed + seed}"]), progress=False)
    if name in BASELINES:
        return fit_baseline(name, split)
    return fit_peer(name, gnnrec.Graph.from_dataset(split.dataset), seed=seed, watch=watch)


def quality(split: gnnrec.Split) -> Any:
    """Return the measure on valid rows that `fit_baseline` chooses by, None where there are no valid rows."""
    if split.valid.empty:
        return None

    def ndcg(model: gnnrec.Recommender) -> float:
        found = gnnrec.evaluate(
            model, split.valid, ks=[20], metrics=["ndcg"],
            candidates=split.catalogue, history=split.support, per_user=True,
        )  # fmt: skip
        return float(found["ndcg@20"].mean())

    return ndcg


def write(path: Path, split: gnnrec.Split, results: list[dict[str, Any]], left_out: dict[str, str]) -> None:
    """Write what is known so far."""
    packages = ("torch", "torch_geometric", "implicit")
    found = {name: importlib.metadata.version(name) for name in packages if installed(name)}
    report = {
        "dataset": split.name,
        "protocol": split.protocol,
        "threads": torch.get_num_threads(),
        "packages": found,
        "left_out": left_out,
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
