"""Lists for groups: how good are they for the happiest and the least happy member?

    python benchmarks/groups.py [--dataset ml-100k] [--model ease] [--set reg=200] [--groups 500] [--json FILE]

Random split; groups of two and four test users, drawn at random. A member's quality is the NDCG@10 of the group's list
with their own test ratings. Besides the strategies of `recommend_group`:

averaged lists  the members' own lists of 100, merged by their mean rank (Borda)
one history     the list of one new user with all members' ratings
common movie    movies similar to the one that most members have rated, of these the one with the highest ratings; the
                classic pairing of two users through a movie that both have rated
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import console, read_dataset, script_line
from rich.table import Table

import gnnrec
from gnnrec.cli._options import read_hyperparameters
from gnnrec.reranking import STRATEGIES
from gnnrec.splitting import random_split

K = 10
DEPTH = 100


def averaged_lists(model: gnnrec.Recommender, members: list[Any], history: pd.DataFrame) -> list[Any]:
    lists = model.recommend(members, DEPTH, exclude=history["movie_id"].unique())
    points = (DEPTH + 1 - lists["rank"]).groupby(lists["movie_id"], sort=False).sum()
    return points.sort_values(ascending=False, kind="stable").index[:K].tolist()


def one_history(model: gnnrec.Recommender, members: list[Any], history: pd.DataFrame) -> list[Any]:
    ratings = history.groupby("movie_id")["rating"].mean().to_dict()
    return model.recommend(gnnrec.NewUser(ratings=ratings), K)["movie_id"].tolist()


def common_movie(model: gnnrec.Recommender, members: list[Any], history: pd.DataFrame) -> list[Any]:
    rated = history.groupby("movie_id")["rating"].agg(["size", "mean"])
    anchor = rated.sort_values(["size", "mean"], ascending=False, kind="stable").index[0]
    found = model.similar_movies(anchor, K + len(rated))["movie_id"]
    return found[~found.isin(rated.index)].tolist()[:K]


def ndcg(listed: list[Any], relevant: set[Any]) -> float:
    gains = 1 / np.log2(np.arange(2, K + 2))
    hits = np.array([movie in relevant for movie in listed] + [False] * (K - len(listed)))
    return float(gains[hits].sum() / gains[: len(relevant)].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--model", default="ease")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = random_split(read_dataset(arguments.dataset, arguments.data_dir, None), (0.8, 0.0, 0.2), seed=0)
    model = gnnrec.fit(split, arguments.model, **read_hyperparameters(arguments.set))
    histories = dict(list(split.train.groupby("user_id")))
    tests = split.test.groupby("user_id")["movie_id"].agg(set)
    users = [user for user in tests.index if user in histories]
    methods: dict[str, Callable[..., list[Any]]] = {
        name: lambda model, members, history, name=name: gnnrec.recommend_group(model, members, K, strategy=name)[
            "movie_id"
        ].tolist()
        for name in STRATEGIES
    }
    methods |= {"averaged lists": averaged_lists, "one history": one_history, "common movie": common_movie}
    rows = []
    for size in (2, 4):
        rng = np.random.default_rng(0)
        groups = [[users[i] for i in rng.choice(len(users), size, replace=False)] for _ in range(arguments.groups)]
        for name, method in methods.items():
            found = []
            for members in groups:
                history = pd.concat([histories[user] for user in members])
                listed = method(model, members, history)
                # What another member has seen cannot be in the list, whatever the method.
                seen = set(history["movie_id"])
                found.append([ndcg(listed, wanted) for user in members if (wanted := tests[user] - seen)])
            values = [quality for quality in found if len(quality) == size]
            least, mean, most = (np.array([f(quality) for quality in values]) for f in (min, np.mean, max))
            rows.append(
                {
                    "size": size,
                    "method": name,
                    "groups": len(values),
                    "least_happy": float(least.mean()),
                    "mean": float(mean.mean()),
                    "happiest": float(most.mean()),
                    "somebody_has_nothing": float((least == 0).mean()),
                    "least_happy_error": float(least.std() / len(values) ** 0.5),
                }
            )
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    if arguments.json:
        result = {"command": script_line("benchmarks/groups.py", parser, arguments), "groups": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
