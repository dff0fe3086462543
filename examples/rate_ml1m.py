"""Predict held-out ratings of MovieLens-1M, beside means, biases and matrix factorisation.

    python examples/rate_ml1m.py [--dataset ml-1m] [--data-dir FOLDER] [--seeds 3] [--with-content-only]

Each seed divides all ratings anew at random, 90% to train and 10% to test, and trains everything anew. Settings are the
library's defaults; they were chosen on 5% of the ratings, cut from the train rows of seed 0. No rating's date is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

import gnnrec
from gnnrec.benchmark import timed
from gnnrec.cli import console
from gnnrec.rating import RatingPredictor, evaluate_ratings, fit_ratings, split_ratings
from gnnrec.rating.baselines import BiasedMF, Biases


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict held-out ratings.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="where to look for the dataset first")
    parser.add_argument("--seeds", type=int, default=3, help="how many random splits")
    parser.add_argument("--draws", type=int, default=gnnrec.RatingConfig().num_samples, help="draws of the head")
    parser.add_argument("--with-content-only", action="store_true", help="also a head that sees no graph vectors")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="of the graph's model")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except gnnrec.GnnrecError as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace) -> None:
    if arguments.seeds < 1:
        raise gnnrec.ConfigError(f"--seeds must be 1 or more, not {arguments.seeds}")
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    results: dict[str, list[tuple[float, float, float]]] = {}  # RMSE, MAE, seconds of each seed
    for seed in range(arguments.seeds):
        split = split_ratings(dataset, seed=seed)
        console.print(repr(split), highlight=False, markup=False)
        for name, fit in models(split, arguments, seed).items():
            model, seconds = timed(fit)
            found = evaluate_ratings(model, split).set_index("metric")
            low, high = found.loc["rmse", ["ci_low", "ci_high"]]
            rmse, mae = found["value"]
            results.setdefault(name, []).append((rmse, mae, seconds))
            interval = f"({low:.4f} to {high:.4f})"
            console.print(f"  {name}: RMSE {rmse:.4f} {interval}, MAE {mae:.4f}, {seconds:.0f} s", highlight=False)
    console.print(table(results, f"{dataset.name}, random 90/10, mean of {arguments.seeds} splits"))


def models(split: gnnrec.Split, arguments: argparse.Namespace, seed: int) -> dict[str, Callable[[], RatingPredictor]]:
    """Return how to fit each model on the train rows."""
    train = split.dataset
    graph = gnnrec.Graph.from_dataset(train)
    config = gnnrec.Config().override([f"train.seed={seed}", *arguments.set])
    head = partial(gnnrec.RatingConfig.of, num_samples=arguments.draws, seed=seed)
    found: dict[str, Callable[[], RatingPredictor]] = {
        "mean of all": partial(Biases.fit, graph, movie_reg=inf, user_reg=inf),
        "mean of the movie": partial(Biases.fit, graph, user_reg=inf),
        "movie and user biases": partial(Biases.fit, graph),
        "biased MF": partial(BiasedMF.fit, graph, seed=seed),
        "gnnrec": partial(fit_ratings, train, config, head()),
    }
    if arguments.with_content_only:
        # The model underneath is trained and not looked at, so one epoch of it is enough.
        blind = config.override(["train.epochs=1"])
        found["gnnrec, content only"] = partial(fit_ratings, train, blind, head(use_vectors=False))
    return found


def table(results: dict[str, list[tuple[float, float, float]]], title: str) -> Table:
    grid = Table(title=title, title_justify="left", header_style="bold")
    for heading in ("model", "RMSE", "MAE", "fit"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    for name, rows in results.items():
        rmse, mae, seconds = zip(*rows, strict=True)
        grid.add_row(name, spread(rmse), spread(mae), f"{mean(seconds):.1f} s")
    return grid


def spread(values: tuple[float, ...]) -> str:
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
