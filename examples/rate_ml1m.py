"""Rating prediction on MovieLens-1M: gnnrec against means, biases and matrix factorization.

    python examples/rate_ml1m.py [--dataset ml-1m] [--data-dir FOLDER] [--seeds 3] [--with-attention]
        [--with-content-only] [--json FILE]

Each seed draws a new random split, 90% train and 10% test, and trains all models from scratch. Hyperparameters are the
library's defaults, except those that only help cold-start users; they were tuned on 5% of the ratings, taken from the
train rows of seed 0. Dates are not used, except by the history attention, which reads a user's latest 100 ratings and
stops early on a random tenth of the train rows.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

import gnnrec
from gnnrec.benchmarking import BenchmarkReport, aggregate_seeds, timed
from gnnrec.evaluation import Fingerprint
from gnnrec.ratings import BiasedMF, Biases, HistoryAttention, RatingPredictor, evaluate_ratings, fit_rating_model
from gnnrec.splitting import random_ratings_split

CONFIG = gnnrec.Config().override(["model.user_degree_smoothing=0", "train.history_truncation=0"])
"""Config of the graph model, without the settings for cold-start users."""
METRICS = "rmse and mae, each rating counts alike"


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate rating prediction on random 90/10 splits.")
    parser.add_argument("--dataset", default="ml-1m", help="name or folder of the dataset")
    parser.add_argument("--data-dir", type=Path, help="folder to search for the dataset first")
    parser.add_argument("--seeds", type=int, default=3, help="number of random splits")
    parser.add_argument(
        "--num-samples", type=int, default=gnnrec.RatingConfig().num_samples, help="posterior samples of the head"
    )
    parser.add_argument("--with-attention", action="store_true", help="also fit the history attention")
    parser.add_argument(
        "--attention-epochs", type=int, default=HistoryAttention().epochs, help="maximum epochs of the attention"
    )
    parser.add_argument("--with-content-only", action="store_true", help="also fit a head without graph embeddings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override the graph model's config"
    )
    parser.add_argument("--json", type=Path, help="file to write the results to, updated after every split")
    arguments = parser.parse_args()
    try:
        run(arguments, command_line(parser, arguments))
    except gnnrec.GnnrecError as error:
        sys.exit(f"error: {error}")


def command_line(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """Return the command for the results file: options that differ from their defaults, folders by name only."""
    words = ["python", "examples/rate_ml1m.py"]
    for name, value in vars(arguments).items():
        if name in ("data_dir", "json") or value == parser.get_default(name):
            continue
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [option, Path(one).name if Path(str(one)).is_absolute() else str(one)]
    return shlex.join(words)


def run(arguments: argparse.Namespace, command: str) -> None:
    if arguments.seeds < 1:
        raise gnnrec.ConfigError(f"--seeds must be 1 or more, not {arguments.seeds}")
    config = CONFIG.override(arguments.set)
    dataset = gnnrec.load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    rows: dict[str, list[dict[str, Any]]] = {}  # one row per split and metric for each model
    fingerprints: list[Fingerprint] = []
    for seed in range(arguments.seeds):
        split = random_ratings_split(dataset, seed=seed)
        print(split)
        fingerprints.append(
            replace(Fingerprint.from_split(split), mask="nothing", candidates="test pairs", metrics=METRICS)
        )
        for name, fit in models(split, arguments, seed).items():
            model, fit_seconds = timed(fit)
            errors, evaluate_seconds = timed(partial(evaluate_ratings, model, split))
            errors = errors.set_index("metric")
            low, high = errors.loc["rmse", ["ci_low", "ci_high"]]
            rmse, mae = errors["value"]
            facts = {"model": name, "k": None, "fit_seconds": fit_seconds, "evaluate_seconds": evaluate_seconds}
            measured = [{**facts, "metric": metric, "mean": float(value)} for metric, value in errors["value"].items()]
            rows.setdefault(name, []).extend(measured)
            print(f"  {name}: RMSE {rmse:.4f} ({low:.4f} to {high:.4f}), MAE {mae:.4f}, {fit_seconds:.0f} s")
        digest, protocol = combined_fingerprint(fingerprints)
        results = [
            {**row, "fingerprint": digest, "protocol": protocol}
            for model_rows in rows.values()
            for row in aggregate_seeds(model_rows)
        ]
        if arguments.json:
            rating_config = gnnrec.RatingConfig(num_samples=arguments.num_samples)
            settings = {"gnnrec": {**config.model_dump(mode="json"), "rating": rating_config.model_dump(mode="json")}}
            BenchmarkReport(dataset.name, results, settings=settings, command=command).write(arguments.json)
    print(f"\n{dataset.name}, random 90/10, mean of {arguments.seeds} splits")
    print(table(results).to_string())


def combined_fingerprint(fingerprints: list[Fingerprint]) -> tuple[str, str]:
    """Return the digest of several splits, in the order of their seeds, and the protocol as text."""
    digest = hashlib.blake2b(" ".join(one.digest for one in fingerprints).encode(), digest_size=4).hexdigest()
    first, last = fingerprints[0], len(fingerprints) - 1
    seeds = f"seeds 0 to {last}" if last else "seed 0"
    parts = [
        f"seed {seed} {part} {rows}"
        for seed, one in enumerate(fingerprints)
        for part, rows in one.parts.items()
        if rows.rows
    ]
    text = f"{digest} = {first.dataset}, random 90/10 of all ratings, {seeds}; {'; '.join(parts)}"
    return digest, f"{text}; history {first.history}; metrics {first.metrics}"


def models(split: gnnrec.Split, arguments: argparse.Namespace, seed: int) -> dict[str, Callable[[], RatingPredictor]]:
    """Return a function for each model that fits it on the train rows."""
    config = CONFIG.override([f"train.seed={seed}", *arguments.set])
    rating_config = gnnrec.RatingConfig(num_samples=arguments.num_samples, seed=seed)
    fits: dict[str, Callable[[], RatingPredictor]] = {
        "mean of all": partial(Biases(movie_reg=inf, user_reg=inf).fit, split),
        "mean of the movie": partial(Biases(user_reg=inf).fit, split),
        "movie and user biases": partial(Biases().fit, split),
        "biased MF": partial(BiasedMF(seed=seed).fit, split),
    }
    if arguments.with_attention:
        fits["history attention"] = partial(fit_attention, split, arguments.attention_epochs, seed)
    # The graph model holds out a tenth of each user's training ratings for early stopping.
    fits["gnnrec"] = partial(fit_rating_model, split.dataset, config, rating_config)
    if arguments.with_content_only:
        # The head ignores the graph model's embeddings, so one epoch of it is enough.
        one_epoch = config.override(["train.epochs=1"])
        content_only = rating_config.model_copy(update={"use_graph_embeddings": False})
        fits["gnnrec, content only"] = partial(fit_rating_model, split.dataset, one_epoch, content_only)
    return fits


def fit_attention(split: gnnrec.Split, epochs: int, seed: int) -> RatingPredictor:
    """Stop early on a tenth of the train rows; the returned model includes them in the users' histories."""
    inner = random_ratings_split(split.dataset, (0.9, 0.1, 0.0), seed=seed)
    model = HistoryAttention(epochs=epochs, seed=seed).fit(inner)
    return model.with_graph(gnnrec.Graph.from_dataset(split.dataset))


def table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per model: mean and spread of the errors, seconds of fitting."""
    by_metric = {(row["model"], row["metric"]): row for row in results}
    rows = {
        name: {
            "RMSE": mean_and_std(by_metric[name, "rmse"]),
            "MAE": mean_and_std(by_metric[name, "mae"]),
            "fit": f"{by_metric[name, 'rmse']['fit_seconds']:.1f} s",
        }
        for name in dict.fromkeys(row["model"] for row in results)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def mean_and_std(row: dict[str, Any]) -> str:
    return f"{row['mean']:.4f}" + (f" ± {row['std']:.4f}" if row["seeds"] > 1 else "")


if __name__ == "__main__":
    main()
