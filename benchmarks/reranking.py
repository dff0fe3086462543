"""What re-ranking costs and gives: accuracy against diversity, novelty and calibration; family-friendly lists; time.

    python benchmarks/reranking.py [--dataset ml-100k] [--model ease] [--set reg=200] [--json FILE]

Random split; lists of ten for every test user. Each option alone, at several values. Family-friendly lists are those of
users with at least a fifth of Children's movies in their history.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import console, read_dataset, script_line
from rich.table import Table

import gnnrec
from gnnrec.cli._options import read_hyperparameters
from gnnrec.evaluation import CatalogStatistics, ListUsers
from gnnrec.registry import METRICS
from gnnrec.reranking.family import ADULT_GENRES, FAMILY_GENRES
from gnnrec.splitting import Split, random_split

K = 10
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
OPTIONS: list[dict[str, Any]] = [
    {},
    *({name: share} for name in ("diversity", "novelty", "calibration") for share in SHARES),
    *({"max_per_genre": most} for most in (2, 3, 5)),
    {"diversity": 0.3, "novelty": 0.1, "calibration": 0.2},
]
SHOWN = (
    *("ndcg", "recall", "intra_list_distance", "diversity", "novelty", "popularity_lift", "genre_consistency"),
    *("miscalibration", "serendipity", "coverage", "gini"),
)


def measure(model: gnnrec.Recommender, split: Split, users: list[Any], options: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of the lists of some users."""
    graph = model.graph
    found = model.recommend(users, K, **options)
    row = pd.Index(users).get_indexer(found["user_id"])
    lists = torch.full((len(users), K), -1)
    lists[row, found["rank"].to_numpy() - 1] = graph.movie_nodes(found["movie_id"])
    test = split.test[split.test["user_id"].isin(users)]
    relevant = torch.zeros(len(users), graph.num_movies, dtype=torch.bool)
    relevant[pd.Index(users).get_indexer(test["user_id"]), graph.movie_nodes(test["movie_id"])] = True
    hits = relevant.gather(1, lists.clamp(min=0)) & (lists >= 0)
    batch = graph.user_batch(graph.user_nodes(users))
    known = ListUsers(batch.user_index, batch.movie_index, hits)
    catalog = CatalogStatistics.from_graph(graph, graph.num_movies, model.unit_similarity_embeddings)
    arguments = {
        "users": (hits, relevant.sum(1)),
        "lists": (lists, catalog),
        "histories": (lists, catalog, known),
        "catalog": (lists, catalog),
    }
    values = {}
    for name in SHOWN:
        value = METRICS.get(name)(*arguments[METRICS.metadata(name).get("of", "users")])
        values[name] = float(value if isinstance(value, float) else np.nanmean(value.numpy()))
    return values


def family(model: gnnrec.Recommender, split: Split) -> list[dict[str, Any]]:
    """Return how many movies for adults are in the lists of users who watch movies for children."""
    movies = split.movies.set_index("movie_id")["genres"].fillna("").str.casefold().str.split("|").map(set)
    adult, children = (
        movies.map(lambda own: bool(own & ADULT_GENRES)),
        movies.map(lambda own: bool(own & FAMILY_GENRES)),
    )
    share = split.train["movie_id"].map(children).groupby(split.train["user_id"]).mean()
    users = sorted(set(share.index[share >= 0.2]) & set(split.test["user_id"]))
    wanted = split.test[split.test["user_id"].isin(users) & split.test["movie_id"].map(children & ~adult)]
    rows = []
    for options in ({}, {"calibration": 0.5}, {"family_friendly": True}):
        found = model.recommend(users, K, **options)
        hits = len(found.merge(wanted, on=["user_id", "movie_id"]))
        rows.append(
            {
                "options": options,
                "num_users": len(users),
                "adult_share": float(found["movie_id"].map(adult).mean()),
                "children_share": float(found["movie_id"].map(children).mean()),
                "lists_with_an_adult_movie": float(found["movie_id"].map(adult).groupby(found["user_id"]).any().mean()),
                "recall_of_family_movies": hits / len(wanted),
            }
        )
    return rows


def milliseconds(model: gnnrec.Recommender, users: list[Any], options: dict[str, Any], repeats: int = 100) -> float:
    """Return the median processor time of a list for one user."""
    model.recommend(users[0], K, **options)
    times = []
    for user in (users * repeats)[:repeats]:
        start = time.process_time()
        model.recommend(user, K, **options)
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--model", default="ease")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = random_split(read_dataset(arguments.dataset, arguments.data_dir, None), (0.8, 0.0, 0.2), seed=0)
    model = gnnrec.fit(split, arguments.model, **read_hyperparameters(arguments.set))
    users = split.test["user_id"].unique().tolist()
    users = [user for user in users if user in set(split.train["user_id"])]
    rows = []
    table = Table("options", *SHOWN, "ms")
    for options in OPTIONS:
        values = measure(model, split, users, options)
        rows.append({"options": options, **values, "milliseconds": milliseconds(model, users, options)})
        table.add_row(
            ", ".join(f"{name} {value}" for name, value in options.items()) or "none",
            *(f"{values[name]:.3f}" for name in SHOWN),
            f"{rows[-1]['milliseconds']:.2f}",
        )
    console.print(table)
    friendly = family(model, split)
    for row in friendly:
        console.print(row)
    if arguments.json:
        result = {
            "command": script_line("benchmarks/reranking.py", parser, arguments),
            "lists": rows,
            "family_friendly": friendly,
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
