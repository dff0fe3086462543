"""Several models on the same test rows: fitted, timed, evaluated, over several seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import mean, stdev
from typing import Any, TypeVar

import pandas as pd
from rich.markup import escape
from rich.table import Table

from gnnrec.baselines import BASELINES, GRIDS
from gnnrec.config import Config
from gnnrec.data import Split
from gnnrec.errors import ConfigError
from gnnrec.evaluate import evaluate
from gnnrec.fit import fit
from gnnrec.graph import Graph
from gnnrec.recommend import Recommender

T = TypeVar("T")

MODELS = ("gnn", *reversed(BASELINES))
"""What `benchmark` can run, best first."""
MASKS = ("train", "train+valid")
SHOWN = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""The columns of a printed table, as far as they were measured."""


def benchmark(
    split: Split,
    config: Config | None = None,
    *,
    models: Iterable[str] = MODELS,
    seeds: int = 3,
    ks: Sequence[int] = (10, 20),
    mask: str = "train",
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Fit and evaluate models on one split.

    Every model is fitted on the train rows. The network stops by the valid rows, and is fitted once for each seed; the
    baselines draw nothing, and run once with the settings that do best on the valid rows. The test rows are used for
    the result only.

    Parameters
    ----------
    split : Split
    config : Config, optional
        Of the network; its seed is the first of the seeds.
    models : iterable of str
        Some of `MODELS`.
    seeds : int
        How often the network is fitted.
    ks : sequence of int
        List lengths.
    mask : str
        What is left out of the lists: ``"train"`` or ``"train+valid"`` rows.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of dict
        ``model, metric, k, mean, std, seeds, fit_seconds, evaluate_seconds``; std is the sample standard deviation over
        seeds (0 for one seed), seconds are means over seeds. A metric without a value (diversity where no genre is
        known) has no row.

    Raises
    ------
    ConfigError
        An unknown model or mask, or no seeds.
    """
    config, models = config or Config(), list(models)
    if unknown := [name for name in models if name not in MODELS]:
        raise ConfigError(f"unknown model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    if mask not in MASKS:
        raise ConfigError(f"mask must be one of {', '.join(MASKS)}, not {mask!r}")
    if seeds < 1:
        raise ConfigError(f"at least one seed is needed, not {seeds}")
    results = []
    for name in models:
        runs = []
        for i in range(seeds if name == "gnn" else 1):
            model, seconds = timed(partial(_fit, name, split, config, i, progress))
            runs += compare({name: model}, split, ks=ks, mask=mask, fit_seconds={name: seconds})
        results += _over_seeds(runs)
    return results


def fit_baseline(name: str, split: Split) -> Recommender:
    """Fit a baseline on the train rows, with the settings of its grid that do best on the valid rows (NDCG@20).

    Without valid rows it keeps its defaults.
    """
    graph = Graph.from_dataset(split.dataset)
    grid = GRIDS[name]
    if split.valid.empty or len(grid) == 1:
        return BASELINES[name](graph)

    def quality(model: Recommender) -> float:
        found = evaluate(
            model,
            split.valid,
            ks=[20],
            metrics=["ndcg"],
            candidates=split.catalogue,
            history=split.support,
            per_user=True,
        )
        return float(found["ndcg@20"].mean())

    return max((BASELINES[name](graph, **settings) for settings in grid), key=quality)


def compare(
    models: Mapping[str, Recommender],
    split: Split,
    *,
    ks: Sequence[int] = (10, 20),
    mask: str = "train",
    fit_seconds: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate fitted models on the same test rows; the rows are those of `benchmark` with one seed.

    Where `fit_seconds` does not name a model, that entry is None.
    """
    hidden = split.valid if mask == "train+valid" else None
    rows = []
    for name, model in models.items():
        table, seconds = timed(partial(evaluate, model, split, ks=ks, mask=hidden))
        known = table.dropna(subset="value")
        for metric, k, value in zip(known["metric"], known["k"], known["value"], strict=True):
            rows.append(
                {
                    "model": name,
                    "metric": metric,
                    "k": int(k),
                    "mean": float(value),
                    "std": 0.0,
                    "seeds": 1,
                    "fit_seconds": (fit_seconds or {}).get(name),
                    "evaluate_seconds": seconds,
                }
            )
    return rows


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns and the seconds it took."""
    started = time.perf_counter()
    value = function()
    return value, time.perf_counter() - started


def table(results: list[dict[str, Any]], title: str) -> Table:
    """Lay out results for the terminal: a row per model, the usual metrics, mean and spread."""
    frame = pd.DataFrame(results)
    shown = [key for key in SHOWN if ((frame["metric"] == key[0]) & (frame["k"] == key[1])).any()]
    grid = Table(title=escape(title), title_justify="left", header_style="bold")
    grid.add_column("model")
    for metric, k in shown:
        grid.add_column(f"{metric.replace('_', ' ')}@{k}", justify="right")
    grid.add_column("fit s", justify="right")
    grid.add_column("eval s", justify="right")
    for name, rows in frame.groupby("model", sort=False):
        cells = []
        for metric, k in shown:
            row = rows[(rows["metric"] == metric) & (rows["k"] == k)].iloc[0]
            spread = f" ± {row['std']:.4f}" if row["seeds"] > 1 else ""
            cells.append(f"{row['mean']:.4f}{spread}")
        first = rows[["fit_seconds", "evaluate_seconds"]].iloc[0].astype("float64")
        seconds = ["" if pd.isna(value) else f"{value:.1f}" for value in first]
        grid.add_row(str(name), *cells, *seconds)
    return grid


def _fit(name: str, split: Split, config: Config, seed: int, progress: bool) -> Recommender:
    if name != "gnn":
        return fit_baseline(name, split)
    return fit(split, config.override([f"train.seed={config.train.seed + seed}"]), progress=progress)


def _over_seeds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["metric"], run["k"]), []).append(run)
    return [
        {
            **group[0],
            "mean": mean(run["mean"] for run in group),
            "std": stdev(run["mean"] for run in group) if len(group) > 1 else 0.0,
            "seeds": len(group),
            "fit_seconds": mean(run["fit_seconds"] for run in group),
            "evaluate_seconds": mean(run["evaluate_seconds"] for run in group),
        }
        for group in groups.values()
    ]
