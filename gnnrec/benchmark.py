"""Several models on the same test rows: fitted, timed, evaluated, over several seeds."""

from __future__ import annotations

import inspect
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
from gnnrec.data.protocols import check_scope
from gnnrec.errors import ConfigError
from gnnrec.evaluate import evaluate
from gnnrec.fit import fit
from gnnrec.graph import Graph
from gnnrec.recommend import Recommender

T = TypeVar("T")

MODELS = ("gnn", *reversed(BASELINES))
"""What `benchmark` can run."""
FAST = ("gnn", "ease", "itemknn", "popularity")
"""What it runs when not told: the network and baselines that need seconds."""
SHOWN = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""The columns of a printed table, as far as they were measured."""


def benchmark(
    split: Split,
    config: Config | None = None,
    *,
    models: Iterable[str] = FAST,
    seeds: int = 3,
    ks: Sequence[int] = (10, 20),
    mask: str | None = None,
    history: str | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Fit and evaluate models on one split.

    Every model is fitted on the train rows. The network stops by the valid rows, and is fitted once for each seed. Of
    a baseline those settings are taken that do best on the valid rows; it runs once, or, if its fit takes a ``seed``,
    once for each. The test rows are used for the result only.

    Parameters
    ----------
    split : Split
    config : Config, optional
        Of the network; its seed is the first of the seeds.
    models : iterable of str
        Some of `MODELS`.
    seeds : int
        How often what draws at random is fitted.
    ks : sequence of int
        List lengths.
    mask : str, optional
        What is left out of the lists: ``"train"`` or ``"train+valid"`` rows; as the split says when not given.
    history : str, optional
        What is known of people at test time: ``"train"`` or ``"train+valid"`` rows, the latter without training on the
        valid ones; as the split says when not given.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of dict
        ``model, metric, k, mean, std, seeds, values, fit_seconds, evaluate_seconds, fingerprint, protocol``; values has
        one number per seed, std is their sample standard deviation (0 for one seed), seconds are means over seeds. A
        metric without a value (diversity where no genre is known) has no row. The last two are the digest and the text
        of the `Fingerprint` of the protocol.

    Raises
    ------
    ConfigError
        An unknown model, mask or history, or no seeds.
    """
    config, models = config or Config(), list(models)
    if unknown := [name for name in models if name not in MODELS]:
        raise ConfigError(f"unknown model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    check_scope(split.mask if mask is None else mask, "mask")
    check_scope(split.history if history is None else history, "history")
    if seeds < 1:
        raise ConfigError(f"at least one seed is needed, not {seeds}")
    results = []
    for name in models:
        runs = []
        for i in range(seeds if _draws(name) else 1):
            model, seconds = timed(partial(_fit, name, split, config, config.train.seed + i, progress))
            runs += compare({name: model}, split, ks=ks, mask=mask, history=history, fit_seconds={name: seconds})
        results += _over_seeds(runs)
    return results


def fit_baseline(name: str, split: Split, seed: int = 0) -> Recommender:
    """Fit a baseline on the train rows, with the settings of its grid that do best on the valid rows (NDCG@20).

    Without valid rows it keeps its defaults. One that draws nothing has no use for the seed.
    """
    graph = Graph.from_dataset(split.dataset)
    grid = GRIDS.get(name, [{}])
    fit_it = partial(BASELINES[name], seed=seed) if _draws(name) else BASELINES[name]
    if split.valid.empty or len(grid) == 1:
        return fit_it(graph)

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

    return max((fit_it(graph, **settings) for settings in grid), key=quality)


def compare(
    models: Mapping[str, Recommender],
    split: Split,
    *,
    ks: Sequence[int] = (10, 20),
    mask: str | None = None,
    history: str | None = None,
    fit_seconds: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate fitted models on the same test rows; the rows are those of `benchmark` with one seed.

    Where `fit_seconds` does not name a model, that entry is None.
    """
    rows = []
    for name, model in models.items():
        found, seconds = timed(partial(evaluate, model, split, ks=ks, mask=mask, history=history))
        known = found.dropna(subset="value")
        for metric, k, value in zip(known["metric"], known["k"], known["value"], strict=True):
            rows.append(
                {
                    "model": name,
                    "metric": metric,
                    "k": int(k),
                    "mean": float(value),
                    "std": 0.0,
                    "seeds": 1,
                    "values": [float(value)],
                    "fit_seconds": (fit_seconds or {}).get(name),
                    "evaluate_seconds": seconds,
                    "fingerprint": found.attrs["fingerprint"],
                    "protocol": found.attrs["protocol"],
                }
            )
    return rows


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns and the seconds it took."""
    started = time.perf_counter()
    value = function()
    return value, time.perf_counter() - started


def table(results: list[dict[str, Any]], title: str) -> Table:
    """Lay out results for the terminal: a row per model, the usual metrics, mean and spread; below, the protocol.

    Raises
    ------
    ConfigError
        The results are of different protocols, so that their numbers say nothing about each other.
    """
    protocols = {row.get("fingerprint"): row.get("protocol") for row in results}
    if len(protocols) > 1:
        named = "; ".join(str(text or "a protocol that was not recorded") for text in protocols.values())
        raise ConfigError(f"results of different protocols cannot stand in one table: {named}")
    frame = pd.DataFrame(results)
    shown = [key for key in SHOWN if ((frame["metric"] == key[0]) & (frame["k"] == key[1])).any()]
    grid = Table(title=escape(title), title_justify="left", header_style="bold", caption_justify="left")
    grid.caption = "\n".join(escape(text).replace("; ", "\n") for text in protocols.values() if text)
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


def _draws(name: str) -> bool:
    """Tell whether a model comes out differently for another seed."""
    return name == "gnn" or "seed" in inspect.signature(BASELINES[name]).parameters


def _fit(name: str, split: Split, config: Config, seed: int, progress: bool) -> Recommender:
    if name != "gnn":
        return fit_baseline(name, split, seed)
    return fit(split, config.override([f"train.seed={seed}"]), progress=progress)


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
            "values": [run["mean"] for run in group],
            "fit_seconds": mean(run["fit_seconds"] for run in group),
            "evaluate_seconds": mean(run["evaluate_seconds"] for run in group),
        }
        for group in groups.values()
    ]
