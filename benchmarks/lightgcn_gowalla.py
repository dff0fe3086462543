"""LightGCN as published on its own split of Gowalla, which has no validation rows.

    python benchmarks/lightgcn_gowalla.py --split FOLDER --choose [--learning-rate 0.02] [--reg 1e-4]
    python benchmarks/lightgcn_gowalla.py --split FOLDER [--epochs 100] [--json FILE]

The folder holds train.csv and test.csv. With ``--choose`` a tenth of the training rows is held out, and training ends
when NDCG@20 on those of 3,000 users no longer improves; the defaults were chosen in this way. Without it, the model is
fitted to all training rows for the given number of epochs and evaluated once on the test rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _common import console, script_line

import gnnrec
from gnnrec.models import LightGCNReference

HELD_OUT, USERS = 0.1, 3000
"""Fraction of the training rows held out by ``--choose``, and how many users are validated."""


def main() -> None:
    parser = argparse.ArgumentParser(description="LightGCN on its split of Gowalla.")
    parser.add_argument("--split", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--choose", action="store_true", help="choose on held-out training rows instead of testing")
    parser.add_argument("--epochs", type=int, default=100, help="number of epochs; the maximum with --choose")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--final-lr-ratio", type=float, default=1.0, help="learning rate at the end, as a ratio")
    parser.add_argument("--reg", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=16384)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    try:
        run(arguments, script_line("benchmarks/lightgcn_gowalla.py", parser, arguments))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace, typed: str) -> None:
    train, test = (pd.read_csv(arguments.split / f"{part}.csv") for part in ("train", "test"))
    estimator = LightGCNReference(
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        final_lr_ratio=arguments.final_lr_ratio,
        reg=arguments.reg,
        batch_size=arguments.batch_size,
    )
    if arguments.choose:
        history = estimator.fit(held_out(train), progress=True).history
        best = max(history, key=lambda record: record["ndcg@20"])
        console.print(f"best epoch {best['epoch']} of {len(history)}: NDCG@20 {best['ndcg@20']:.4f}", highlight=False)
        return
    split = gnnrec.Split(train, train[:0], test, name=arguments.split.name, protocol="given files")
    report = gnnrec.benchmark(
        split, models=[estimator], seeds=arguments.seeds, metrics=["recall", "ndcg"], ks=[20], command=typed
    )
    for row in report.results:
        console.print(f"{row['metric']}@20 {row['mean']:.4f} ± {row['std']:.4f}", highlight=False)
    if arguments.json:
        report.write(arguments.json)


def held_out(rows: pd.DataFrame) -> gnnrec.Split:
    """Return a random tenth of the rows as validation ratings, only those of some of the users."""
    generator = np.random.default_rng(0)
    chosen = generator.random(len(rows)) < HELD_OUT
    train, valid = rows[~chosen], rows[chosen]
    known = valid[valid["user_id"].isin(train["user_id"]) & valid["movie_id"].isin(train["movie_id"])]
    users = known["user_id"].unique()
    users = generator.choice(users, min(USERS, len(users)), replace=False)
    return gnnrec.Split(train, known[known["user_id"].isin(users)], rows[:0])


if __name__ == "__main__":
    main()
