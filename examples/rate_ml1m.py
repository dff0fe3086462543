"""Predict held-out ratings of MovieLens-1M, beside means, biases and matrix factorisation.

    python examples/rate_ml1m.py [--dataset ml-1m] [--data-dir FOLDER] [--seeds 3] [--with-attention]
        [--with-content-only] [--json FILE]

Each seed divides all ratings anew at random, 90% to train and 10% to test, and trains everything anew. Settings are
the library's defaults, but for what helps people who have just arrived; they were chosen on 5% of the ratings, cut
from the train rows of seed 0. No rating's date is used, save by the attention over the history, which reads a
person's latest 100 ratings; a tenth of the train rows, held back at random, tells when its training stops.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from rich.table import Table

import gnnrec
from gnnrec.benchmark import BenchmarkReport, aggregate_seeds, timed
from gnnrec.cli.output import console
from gnnrec.cli.typed import script_line
from gnnrec.evaluation import Fingerprint
from gnnrec.models import Watch
from gnnrec.rating import RatingPredictor, evaluate_ratings, fit_ratings, split_ratings
from gnnrec.rating.attention import SCHEDULE, HistoryAttention
from gnnrec.rating.baselines import BiasedMF, Biases

CONFIG = gnnrec.Config().override(["model.history_smoothing=0", "train.short_histories=0"])
"""Of the graph: without what is for people who have just arrived."""
METRICS = "rmse and mae, each rating counts alike"


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict held-out ratings.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="where to look for the dataset first")
    parser.add_argument("--seeds", type=int, default=3, help="how many random splits")
    parser.add_argument("--draws", type=int, default=gnnrec.RatingConfig().num_samples, help="draws of the head")
    parser.add_argument("--with-attention", action="store_true", help="also attention over the history")
    parser.add_argument("--attention-epochs", type=int, default=SCHEDULE.epochs, help="at most so many of them")
    parser.add_argument("--with-content-only", action="store_true", help="also a head that sees no graph vectors")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="of the graph's model")
    parser.add_argument("--json", type=Path, help="write the results to this file, again after every split")
    arguments = parser.parse_args()
    try:
        run(arguments, script_line("examples/rate_ml1m.py", parser, arguments))
    except gnnrec.GnnrecError as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace, typed: str) -> None:
    if arguments.seeds < 1:
        raise gnnrec.ConfigError(f"--seeds must be 1 or more, not {arguments.seeds}")
    config = CONFIG.override(arguments.set)
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    found: dict[str, list[dict[str, Any]]] = {}  # for each model a row per split and metric
    followed: list[Fingerprint] = []
    for seed in range(arguments.seeds):
        split = split_ratings(dataset, seed=seed)
        console.print(repr(split), highlight=False, markup=False)
        followed.append(replace(Fingerprint.of(split), mask="nothing", candidates="test pairs", metrics=METRICS))
        for name, fit in models(split, arguments, seed).items():
            model, seconds = timed(fit)
            errors, asked = timed(partial(evaluate_ratings, model, split))
            errors = errors.set_index("metric")
            low, high = errors.loc["rmse", ["ci_low", "ci_high"]]
            rmse, mae = errors["value"]
            facts = {"model": name, "k": None, "fit_seconds": seconds, "evaluate_seconds": asked}
            own = [{**facts, "metric": metric, "mean": float(value)} for metric, value in errors["value"].items()]
            found.setdefault(name, []).extend(own)
            interval = f"({low:.4f} to {high:.4f})"
            console.print(f"  {name}: RMSE {rmse:.4f} {interval}, MAE {mae:.4f}, {seconds:.0f} s", highlight=False)
        digest, protocol = of_all(followed)
        judged = {"fingerprint": digest, "protocol": protocol}
        results = [{**row, **judged} for rows in found.values() for row in aggregate_seeds(rows)]
        if arguments.json:
            head = gnnrec.RatingConfig.of(num_samples=arguments.draws)
            settings = {"gnnrec": {**config.model_dump(mode="json"), "rating": head.model_dump(mode="json")}}
            BenchmarkReport(dataset.name, results, settings=settings, command=typed).write(arguments.json)
    console.print(table(results, f"{dataset.name}, random 90/10, mean of {arguments.seeds} splits"))


def of_all(followed: list[Fingerprint]) -> tuple[str, str]:
    """Return the digest of several divisions, the seeds in order, and what was followed in words."""
    digest = hashlib.blake2b(" ".join(one.digest for one in followed).encode(), digest_size=4).hexdigest()
    first, last = followed[0], len(followed) - 1
    seeds = f"seeds 0 to {last}" if last else "seed 0"
    parts = [
        f"seed {seed} {part} {rows}"
        for seed, one in enumerate(followed)
        for part, rows in one.parts.items()
        if rows.rows
    ]
    text = f"{digest} = {first.dataset}, random 90/10 of all ratings, {seeds}; {'; '.join(parts)}"
    return digest, f"{text}; history {first.history}; metrics {first.metrics}"


def models(split: gnnrec.Split, arguments: argparse.Namespace, seed: int) -> dict[str, Callable[[], RatingPredictor]]:
    """Return how to fit each model on the train rows."""
    train = split.dataset
    graph = gnnrec.Graph.from_dataset(train)
    config = CONFIG.override([f"train.seed={seed}", *arguments.set])
    head = partial(gnnrec.RatingConfig.of, num_samples=arguments.draws, seed=seed)
    found: dict[str, Callable[[], RatingPredictor]] = {
        "mean of all": partial(Biases.fit, graph, movie_reg=inf, user_reg=inf),
        "mean of the movie": partial(Biases.fit, graph, user_reg=inf),
        "movie and user biases": partial(Biases.fit, graph),
        "biased MF": partial(BiasedMF.fit, graph, seed=seed),
    }
    if arguments.with_attention:
        found["history attention"] = partial(attention, split, arguments.attention_epochs, seed)
    found["gnnrec"] = partial(fit_ratings, train, config, head())
    if arguments.with_content_only:
        # The model underneath is trained and not looked at, so one epoch of it is enough.
        blind = config.override(["train.epochs=1"])
        found["gnnrec, content only"] = partial(fit_ratings, train, blind, head(use_vectors=False))
    return found


def attention(split: gnnrec.Split, epochs: int, seed: int) -> HistoryAttention:
    """Hold a tenth of the train rows back to know when to stop; the model then reads them as part of the histories."""
    part = split_ratings(split.dataset, seed=seed)
    watch = Watch(quality=lambda model: -float(evaluate_ratings(model, part)["value"][0]))
    schedule = replace(SCHEDULE, epochs=epochs)
    model = HistoryAttention.fit(gnnrec.Graph.from_dataset(part.dataset), schedule=schedule, seed=seed, watch=watch)
    return model.with_graph(gnnrec.Graph.from_dataset(split.dataset))


def table(results: list[dict[str, Any]], title: str) -> Table:
    grid = Table(title=title, title_justify="left", header_style="bold")
    for heading in ("model", "RMSE", "MAE", "fit"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    by = {(row["model"], row["metric"]): row for row in results}
    for name in dict.fromkeys(row["model"] for row in results):
        rmse, mae = by[name, "rmse"], by[name, "mae"]
        grid.add_row(name, spread(rmse), spread(mae), f"{rmse['fit_seconds']:.1f} s")
    return grid


def spread(row: dict[str, Any]) -> str:
    return f"{row['mean']:.4f}" + (f" ± {row['std']:.4f}" if row["seeds"] > 1 else "")


if __name__ == "__main__":
    main()
