"""The settings that `fit` chooses from the data, against tuned baselines: NDCG@10 on test ratings.

    python benchmarks/bench_defaults.py DATASET [--protocol random | --split FOLDER] [--seeds 3]
        [--models slim,ease,itemknn,popularity]

The network is fitted without a config. Every baseline chooses its hyperparameters on the validation ratings. Each seed
is another split where the protocol draws at random, and another seed of the network in any case. On the split of a
folder, baselines are fitted once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
from _common import console
from rich.table import Table

import gnnrec
from gnnrec.benchmarking import fit_best, timed
from gnnrec.evaluation import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="name or folder of a dataset")
    parser.add_argument("--protocol", default="random", help="as for gnnrec train")
    parser.add_argument("--split", type=Path, help="folder with train, valid and test instead of a protocol")
    parser.add_argument("--duplicates", default="error", help="which of several ratings of the same movie to keep")
    parser.add_argument("--models", default="slim,ease,itemknn,popularity", help="baselines, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    dataset = gnnrec.load_dataset(arguments.dataset, duplicates=arguments.duplicates)
    given = gnnrec.Split.from_folder(arguments.split, dataset) if arguments.split else None
    draws = given is None and arguments.protocol == "random"
    names, rows = ["gnn", *arguments.models.split(",")], []
    for seed in range(arguments.seeds):
        split = given or gnnrec.split(dataset, arguments.protocol, **({"seed": seed} if draws else {}))
        for name in names if seed == 0 or not given else ["gnn"]:
            if name == "gnn":
                model, seconds = timed(
                    lambda split=split, seed=seed: gnnrec.fit(split, overrides=(f"train.seed={seed}",), progress=False)
                )
            else:
                model, seconds = timed(lambda name=name, split=split: fit_best(name, split))
            found = evaluate(model, split, metrics=["ndcg"], ks=(10,))
            rows.append({"model": name, "ndcg@10": float(found["value"].iloc[0]), "seconds": seconds})
            console.print(f"seed {seed}  {name:12}{rows[-1]['ndcg@10']:.4f}  {seconds:.1f} s")
    title = arguments.split.name if given else arguments.protocol
    table = Table("model", "NDCG@10", "seconds", title=f"{dataset.name}, {title}, {arguments.seeds} seeds")
    for name, group in pd.DataFrame(rows).groupby("model", sort=False):
        values = group["ndcg@10"].tolist()
        spread = stdev(values) if len(values) > 1 else 0.0
        table.add_row(str(name), f"{mean(values):.4f} ± {spread:.4f}", f"{group['seconds'].mean():.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
