"""Continued training beside training from scratch, when the newest ratings of a dataset come in.

    python benchmarks/continue_training.py [--dataset ml-1m] [--config ml1m] [--new 0.1] [--seeds 3] [--set KEY=VALUE]

The ratings are divided in the order of time. A first model is trained on the older ones; then the newer ones are added,
and a model is trained on all of them: from scratch, and with ``start=`` the first one. Both have the same training and
validation ratings, and the processor time of one thread is taken until the validation NDCG@20 reaches the best one of
the training from scratch. Test ratings of the older part tell what is forgotten.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import console
from rich.table import Table

import gnnrec
from gnnrec.splitting import random_split
from gnnrec.splitting.splitters import random_ratings_split
from gnnrec.training.callbacks import Callback, FitState

OLD, NEW = (0.8, 0.1, 0.1), (0.6, 0.2, 0.2)
"""Shares of training, validation and test ratings among the older and the newer ones."""
K = 20


class Clock(Callback):
    """Records the processor time after each epoch, with that of the preparations, and its validation metric."""

    def __init__(self) -> None:
        self.began = time.process_time()
        self.epochs: list[tuple[float, float]] = []

    def on_epoch_end(self, state: FitState) -> None:
        self.epochs.append((time.process_time() - self.began, next(iter(state.metrics.values()))))

    def time_to(self, metric: float) -> float | None:
        """Return the seconds after which the metric was reached, None if it never was."""
        return next((seconds for seconds, value in self.epochs if value >= metric), None)

    @property
    def best(self) -> float:
        return max(value for _, value in self.epochs)


def divide(dataset: gnnrec.Dataset, share: float, seed: int) -> tuple[gnnrec.Split, gnnrec.Split, pd.DataFrame]:
    """Return the split of the older ratings, that of all, and the test ratings among the newer ones."""
    order = np.argsort(dataset.ratings["timestamp"].to_numpy(), kind="stable")
    cut = round(len(order) * (1 - share))
    old = random_split(dataset.take(np.sort(order[:cut])), OLD, seed=seed)
    new = random_ratings_split(dataset.take(np.sort(order[cut:])), NEW, seed=seed)
    users = old.train["user_id"].unique()
    movies = old.train["movie_id"].unique()
    first = gnnrec.Split(
        old.train,
        old.valid[old.valid["movie_id"].isin(movies)],
        old.test[old.test["movie_id"].isin(movies)],
        dataset.movies[dataset.movies["movie_id"].isin(movies)],
        dataset.users[dataset.users["user_id"].isin(users)],
        dataset.name,
    )
    parts = [pd.concat([getattr(first, part), getattr(new, part)]) for part in ("train", "valid", "test")]
    return first, gnnrec.Split(*parts, dataset.movies, dataset.users, dataset.name), new.test


def measure(dataset: gnnrec.Dataset, config: gnnrec.Config, share: float, seed: int) -> dict[str, Any]:
    """Return the results of one seed."""
    config = config.override([f"train.seed={seed}", "train.device=cpu"])
    first, whole, new_test = divide(dataset, share, seed)
    start = gnnrec.fit(first, config=config, progress=False)
    clocks, models = {}, {}
    for name, options in {"from scratch": {"config": config}, "continued": {"start": start}}.items():
        clocks[name] = Clock()
        models[name] = gnnrec.fit(whole, callbacks=[clocks[name]], progress=False, **options)
    goal = clocks["from scratch"].best
    grown = start.with_graph(gnnrec.Graph.from_dataset(first_movies_first(whole, start), start.graph.vocabularies))
    tests = {"old": first.test, "new": new_test}
    found: dict[str, Any] = {"rows": (len(first.train), len(whole.train)), "users": count(first, whole, "user_id")}
    found["movies"] = count(first, whole, "movie_id")
    for name, model in {"not trained further": grown, **models}.items():
        found[name] = {part: ndcg(model, test) for part, test in tests.items()}
        if name in clocks:
            found[name] |= {"valid": clocks[name].best, "seconds": clocks[name].time_to(goal)}
            found[name]["all seconds"] = clocks[name].epochs[-1][0]
            found[name]["first"] = clocks[name].epochs[0]
    return found


def first_movies_first(whole: gnnrec.Split, start: gnnrec.RecGraph) -> gnnrec.Dataset:
    """Return the training ratings with the movies of a model first, as its network expects them."""
    known = start.dataset.movies
    rest = whole.movies[~whole.movies["movie_id"].isin(known["movie_id"])]
    return gnnrec.Dataset(whole.train, pd.concat([known, rest]), whole.users, whole.name)


def count(first: gnnrec.Split, whole: gnnrec.Split, column: str) -> tuple[int, int]:
    return first.train[column].nunique(), whole.train[column].nunique()


def ndcg(model: gnnrec.RecGraph, test: pd.DataFrame) -> float:
    return float(gnnrec.evaluate(model, test, ks=[K], metrics=["ndcg"])["value"].iloc[0])


def main() -> None:
    parser = argparse.ArgumentParser(description="Continued training beside training from scratch.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--config", default="ml1m")
    parser.add_argument("--new", type=float, default=0.1, help="share of the newest ratings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    config = gnnrec.Config.from_yaml(arguments.config).override(arguments.set)
    results = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the last epoch|no epoch was better")
        for seed in range(arguments.seeds):
            results.append(measure(dataset, config, arguments.new, seed))
            console.print(seed, results[-1], highlight=False)
    grid = Table(title="Mean (standard deviation) over seeds", title_justify="left")
    columns = ("", "CPU-s to the NDCG of training from scratch", "CPU-s in all", "valid", "old test", "new test")
    for column in columns:
        grid.add_column(column, justify="right" if column else "left")
    for name in ("from scratch", "continued", "not trained further"):
        rows = [one[name] for one in results]
        keys = ("seconds", "all seconds", "valid", "old", "new")
        grid.add_row(name, *(summary([row.get(key) for row in rows], key) for key in keys))
    console.print(grid)


def summary(values: list[float | None], key: str) -> str:
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return "" if not numbers else f"not reached by {len(values) - len(numbers)}"
    digits = 1 if "seconds" in key else 4
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return f"{statistics.mean(numbers):.{digits}f} ({deviation:.{digits}f})"


if __name__ == "__main__":
    main()
