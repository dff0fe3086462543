"""Does the graph help? More or fewer layers, LightGCN and GraphSAGE, with and without each kind of node.

    python benchmarks/graph_ablation.py SECTION [--dataset ml-100k] [--split FOLDER] [--rows "2 layers;3 layers"]
        [--groups depth,content] [--rates 0.3,1,3] [--seeds 3] [--set SECTION.KEY=VALUE] [--json FILE]

warm          random ratings of known users: the split in --split, or a random one
sparse        ratings without content, by default in the folder that --dataset names, as LightGCN's split of Gowalla
next          each user's last rating
cold-users    one fold of new users, with 0, 1, 3, 5 and 10 initial ratings revealed
cold-movies   one fold of movies without ratings, ranked among each other

Every row is trained with each learning rate of the grid, a multiple of that of its config, for the same number of
epochs; the last epoch is kept. The rate with the best NDCG on the validation ratings is used for all seeds, and only
that model is evaluated on the test ratings. A row that names another one has its rate. Rows are added to the file after
each of them, so that a section can be measured in parts.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import console, read_dataset, script_line
from graph_diagnosis import diagnose, untrained
from torch import Tensor

import gnnrec
from gnnrec import register_encoder
from gnnrec._io import write_atomic
from gnnrec.benchmarking import timed, versions
from gnnrec.evaluation import evaluate, validate
from gnnrec.graph import UserBatch
from gnnrec.models.estimator import BaseEstimator, get_estimator
from gnnrec.models.gnn import RecGraph
from gnnrec.nn import DropMask, GraphTensors, LightGCN, MovieEmbeddings, NodeFeatures
from gnnrec.nn.lightgcn import LightGCNConfig
from gnnrec.splitting import Split, cold_movies_split, cold_users_split, random_split

NUM_KNOWN = (5, 0, 1, 3, 10)  # rates are chosen with the first
RATES = (0.3, 1.0, 3.0)
NUM_BINS = 4


@register_encoder("profile-only", config=LightGCNConfig)
class ProfileOnly(LightGCN):
    """LightGCN without messages: a user is their profile."""

    def aggregate(self, users: UserBatch, movies: MovieEmbeddings, edge_mask: Tensor | None = None) -> Tensor:
        """See `Encoder.aggregate`."""
        profile: Tensor = self.profile(NodeFeatures.from_users(users))
        return profile


@register_encoder("lightgcn-unguarded", config=LightGCNConfig)
class Unguarded(LightGCN):
    """LightGCN whose movies gather from all ratings in training, also from those that are to be predicted."""

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.embed_movies`."""
        return super().embed_movies(graph, None, drop_mask)


@register_encoder("lightgcn-rescaled", config=LightGCNConfig)
class Rescaled(LightGCN):
    """LightGCN whose movies gather as much in training, where ratings are hidden, as they do afterwards."""

    def embed_movies(
        self, graph: GraphTensors, edge_mask: Tensor | None = None, drop_mask: DropMask | None = None
    ) -> MovieEmbeddings:
        """See `Encoder.embed_movies`."""
        scaled = None if edge_mask is None else edge_mask / edge_mask.mean().clamp(min=1e-6)
        return super().embed_movies(graph, scaled, drop_mask)


@dataclass(frozen=True)
class Row:
    """One model of a section: the changes to its config, and the columns of the data that it must do without."""

    name: str
    group: str
    settings: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    estimators: tuple[BaseEstimator, ...] = ()
    rate_of: str | None = None


def layers(number: int, *settings: str) -> tuple[str, ...]:
    """Return the settings of a model with some layers."""
    return (f"model.num_layers={number}", *settings)


NO_HISTORY = Row("0 layers: profile only", "depth", ("model.encoder=profile-only",))
DEPTH = tuple(Row(f"{n} layer{'s' * (n > 1)}", "depth", layers(n)) for n in (1, 2, 3))
SAGE = tuple(
    Row(f"GraphSAGE, {row.name}", "encoder", layers(n, "model.encoder=graphsage")) for n, row in enumerate(DEPTH, 1)
)
RANDOM = tuple(
    Row(f"random start, {row.name}", "start", layers(n, "model.init=random")) for n, row in enumerate(DEPTH, 1)
)
GUARD = (
    Row("2 layers, hidden ratings made up for", "guard", layers(2, "model.encoder=lightgcn-rescaled")),
    Row("2 layers, nothing hidden from movies", "guard", layers(2, "model.encoder=lightgcn-unguarded")),
)
ONE, TWO = DEPTH[0].name, DEPTH[1].name
NO_CONTENT = ("model.attributes=[]", "model.numeric_features=false")
CONTENT = (
    Row("1 layer, ids only", "content", NO_CONTENT, ("age", "gender", "occupation"), rate_of=ONE),
    Row("1 layer, without genres", "content", ("model.attributes=[]",), rate_of=ONE),
    Row("1 layer, without occupations", "content", (), ("occupation",), rate_of=ONE),
    Row("1 layer, with directors", "content", ("model.attributes=[genres,directors]",), rate_of=ONE),
)
FACTORIZATION = "0 layers: user table (ALS)"


@dataclass(frozen=True)
class Section:
    """What is measured on one kind of split."""

    config: str | None
    settings: tuple[str, ...]
    k: int
    rows: tuple[Row, ...]


SHORT = ("train.epochs=12", "train.final_lr_ratio=0.1")
SECTIONS = {
    "warm": Section("ml1m", SHORT, 20, (NO_HISTORY, *DEPTH, *SAGE, *RANDOM, *GUARD, *CONTENT)),
    "sparse": Section(None, (), 20, (*DEPTH, *RANDOM, *GUARD)),
    "next": Section(
        None,
        (),
        10,
        (
            *DEPTH,
            Row("1 layer, start without transitions", "start", ("model.init=svd",)),
            Row("1 layer, random start", "start", ("model.init=random",)),
            Row("1 layer, without genres", "content", ("model.attributes=[]",), rate_of=ONE),
        ),
    ),
    "cold-users": Section("ml1m-cold-users", SHORT, 10, (NO_HISTORY, *DEPTH, CONTENT[2])),
    "cold-movies": Section("ml1m-content", ("model.attributes=[genres]", *SHORT), 20, (*DEPTH, *CONTENT[1::2])),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--dataset", default="ml-1m", help="a name, or a folder")
    parser.add_argument("--data-dir", type=Path, help="folder that holds the dataset")
    parser.add_argument("--split", type=Path, help="folder with train, valid and test, for the section warm")
    parser.add_argument("--rows", help="separated by semicolons; all by default")
    parser.add_argument("--groups", help="groups of rows, separated by commas; all by default")
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES), help="multiples of learning rates")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--fold", type=int, default=0, help="fold of the sections on cold starts")
    parser.add_argument("--users", type=int, help="evaluate this many users only, the same ones for every row")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    arguments = parser.parse_args()
    try:
        run(arguments, script_line("benchmarks/graph_ablation.py", parser, arguments, positional=("section",)))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace, typed: str) -> None:
    """Measure the chosen rows and add each to the file."""
    if arguments.seeds < 1:
        raise gnnrec.ConfigError("--seeds must be 1 or more")
    try:
        rates = [float(word) for word in arguments.rates.split(",")]
    except ValueError:
        raise gnnrec.ConfigError(f"--rates must be numbers separated by commas, not {arguments.rates!r}") from None
    section, chosen = SECTIONS[arguments.section], choose_rows(arguments)
    if arguments.section == "sparse":
        dataset = gnnrec.Dataset(pd.read_csv(Path(arguments.dataset) / "train.csv"), name=Path(arguments.dataset).name)
    else:
        dataset = read_dataset(arguments.dataset, arguments.data_dir, None)
    prepared: dict[tuple[str, ...], dict[str, Split]] = {}
    done = read_rows(arguments.json, arguments.section, dataset.name)
    for row in chosen:
        if row.without not in prepared:
            prepared = {row.without: cases_of(arguments, without(dataset, row.without))}
        cases = prepared[row.without]
        first = next(iter(cases.values()))
        config = gnnrec.Config.from_yaml(section.config) if section.config else gnnrec.suggest_config(first)
        config = config.override(["model.num_members=1", "model.ease_dim=0"])  # one network, and only the graph
        config = config.override([*section.settings, *arguments.set, *row.settings, f"train.k={section.k}"])
        found = measure(row, cases, config, rates, arguments.seeds, section.k, done)
        done[row.name] = {"row": row.name, "group": row.group, "command": typed, **found}
        console.print(
            f"{row.name}: valid {found['valid']:.4f}, test "
            + ", ".join(f"{case} {np.mean(values[f'ndcg@{section.k}']):.4f}" for case, values in found["test"].items())
            + f", rate x{found['rate']}, {sum(found['fit_seconds']):.0f} s",
            highlight=False,
        )
        if arguments.json:
            add_rows(arguments.json, arguments.section, dataset.name, first.protocol, section.k, done)


def choose_rows(arguments: argparse.Namespace) -> list[Row]:
    rows = {row.name: row for row in SECTIONS[arguments.section].rows}
    if arguments.section == "warm":
        rows[FACTORIZATION] = factorization(arguments)
    if arguments.rows:
        names = arguments.rows.split(";")
        if unknown := [name for name in names if name not in rows]:
            raise gnnrec.ConfigError(f"unknown row {unknown[0]!r}; choose from {'; '.join(rows)}")
        return [rows[name] for name in names]
    groups = arguments.groups.split(",") if arguments.groups else {row.group for row in rows.values()}
    if unknown := sorted(set(groups) - {row.group for row in rows.values()}):
        raise gnnrec.ConfigError(f"unknown group {unknown[0]!r} of the section {arguments.section}")
    return [row for row in rows.values() if row.group in groups]


def factorization(arguments: argparse.Namespace) -> Row:
    """Return the model without messages that learns a table of users, as wide as the others."""
    config = gnnrec.Config.from_yaml("ml1m").override(arguments.set)
    grid = ({"alpha": 4.0, "reg": 50.0}, {"alpha": 4.0, "reg": 25.0}, {"alpha": 10.0, "reg": 100.0})
    wide = config.model.embedding_dim
    return Row(
        FACTORIZATION, "depth", estimators=tuple(get_estimator("als", embedding_dim=wide, **one) for one in grid)
    )


def without(dataset: gnnrec.Dataset, columns: tuple[str, ...]) -> gnnrec.Dataset:
    """Return the dataset without some columns of movies and users."""
    if not columns:
        return dataset
    tables = [table.drop(columns=[c for c in columns if c in table]) for table in (dataset.movies, dataset.users)]
    return gnnrec.Dataset(dataset.ratings, *tables, name=dataset.name)


def cases_of(arguments: argparse.Namespace, dataset: gnnrec.Dataset) -> dict[str, Split]:
    """Return the splits of a section by case. All share the training ratings; rates are chosen on the first."""
    makers: dict[str, Callable[[], dict[str, Split]]] = {
        "warm": lambda: {"": Split.from_folder(arguments.split, dataset) if arguments.split else random_split(dataset)},
        "sparse": lambda: {"": sparse(dataset, Path(arguments.dataset) / "test.csv")},
        "next": lambda: {"": gnnrec.split(dataset, "next-item")},
        "cold-users": lambda: {f"{n} ratings": cold_users_split(dataset, arguments.fold, n) for n in NUM_KNOWN},
        "cold-movies": lambda: {"": cold_movies_split(dataset, arguments.fold)},
    }
    return {case: of_some_users(split, arguments.users) for case, split in makers[arguments.section]().items()}


def sparse(dataset: gnnrec.Dataset, test: Path) -> Split:
    """Return a split of given files with a tenth of the training ratings for validation, which are known at test."""
    held = random_split(dataset, (0.9, 0.1, 0.0))
    return Split(
        held.train, held.valid, pd.read_csv(test), name=dataset.name, mask="train+valid", history="train+valid",
        protocol=f"given files ({dataset.name}), a tenth of train for validation",
    )  # fmt: skip


def of_some_users(split: Split, number: int | None) -> Split:
    """Return the split with the validation and test ratings of some random users only."""
    users = np.sort(split.test["user_id"].unique())
    if number is None or number >= len(users):
        return split
    kept = np.random.default_rng(0).choice(users, number, replace=False)
    return split._with(
        test=split.test[split.test["user_id"].isin(kept)].reset_index(drop=True),
        valid=split.valid[split.valid["user_id"].isin(kept)].reset_index(drop=True),
        protocol=f"{split.protocol}; {number:,} users evaluated",
    )


def measure(
    row: Row,
    cases: Mapping[str, Split],
    config: gnnrec.Config,
    rates: list[float],
    seeds: int,
    k: int,
    done: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Choose the learning rate on the validation ratings, fit with every seed, and evaluate these models."""
    split = next(iter(cases.values()))
    base = config.train.learning_rate
    if row.rate_of is not None:
        if row.rate_of not in done:
            raise gnnrec.ConfigError(f"{row.name!r} has the learning rate of {row.rate_of!r}; measure that row first")
        rates = [done[row.rate_of]["rate"]]
    grid: dict[Any, Callable[[int], BaseEstimator]] = {
        rate: partial(network, config.override([f"train.learning_rate={base * rate:.4g}"])) for rate in rates
    }
    if row.estimators:
        grid = {f"alpha {one.alpha:g}, reg {one.reg:g}": one.with_seed for one in row.estimators}  # type: ignore[attr-defined]
    best, valid, fits = None, {}, {}
    for name, estimator in grid.items():
        try:
            fits[name] = fit(estimator(0), split)
        except FloatingPointError:
            valid[name] = 0.0  # diverged
            continue
        valid[name] = validate(fits[name][0], split, "ndcg", k)
    best = max(valid, key=lambda name: valid[name])
    test: dict[str, dict[str, list[float]]] = {}
    lengths: list[pd.DataFrame] = []
    seconds = []
    for seed in range(seeds):
        model, took = fits[best] if seed == 0 else fit(grid[best](seed), split)
        seconds.append(round(took, 1))
        for case, part in cases.items():
            users = evaluate(model, part, ks=[k], metrics=["recall", "ndcg"], per_user=True)
            for column in (f"recall@{k}", f"ndcg@{k}"):
                test.setdefault(case, {}).setdefault(column, []).append(float(users[column].mean()))
            lengths.append(users.assign(case=case))
    found = {
        "settings": list(row.settings),
        "without": list(row.without),
        "learning_rate": base,
        "epochs": config.train.epochs,
        "embedding_dim": config.model.embedding_dim,
        "valid_by_rate": {str(name): value for name, value in valid.items()},
        "rate": best,
        "valid": valid[best],
        "seeds": list(range(seeds)),
        "test": test,
        "by_length": by_length(lengths, split, k) if len(cases) == 1 else [],
        "fit_seconds": seconds,
    }
    model = fits[best][0]
    if isinstance(model, RecGraph) and isinstance(model.encoder, LightGCN):
        found["diagnosis"] = diagnose(model)
        found["untrained"] = validate(untrained(model), split, "ndcg", k)
    return found


def network(config: gnnrec.Config, seed: int) -> BaseEstimator:
    return get_estimator("gnn", config=config.override([f"train.seed={seed}"]))


def fit(estimator: BaseEstimator, split: Split) -> tuple[Any, float]:
    """Fit on the training ratings without looking at the validation ratings, and return the seconds, too."""
    blind = split._with(valid=split.valid.iloc[:0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no validation ratings")
        return timed(partial(estimator.fit, blind, progress=False))


def by_length(found: list[pd.DataFrame], split: Split, k: int) -> list[dict[str, Any]]:
    """Return the metrics by the number of training ratings of the users, in bins of as many users each."""
    users = pd.concat(found)
    count = users["user_id"].map(split.train["user_id"].value_counts()).fillna(0)
    edges = np.unique(np.quantile(count, np.linspace(0, 1, NUM_BINS + 1)).round())
    rows = []
    for low, high in pairwise(edges):
        own = users[(count >= low if low == edges[0] else count > low) & (count <= high)]
        if len(own):
            first = int(low) if low == edges[0] else int(low) + 1
            values = {column: float(own[column].mean()) for column in (f"recall@{k}", f"ndcg@{k}")}
            rows.append({"from": first, "to": int(high), "users": len(own) // len(found), **values})
    return rows


def read_rows(file: Path | None, section: str, dataset: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a section that were measured before, by name."""
    if file is None or not file.exists():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))["sections"].get(f"{section}: {dataset}", {"rows": []})
    return {row["row"]: row for row in found["rows"]}


def add_rows(file: Path, section: str, dataset: str, protocol: str, k: int, rows: dict[str, dict[str, Any]]) -> None:
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"sections": {}}
    order = [row.name for row in SECTIONS[section].rows]
    listed = sorted(rows.values(), key=lambda row: order.index(row["row"]) if row["row"] in order else -1)
    record["sections"][f"{section}: {dataset}"] = {"protocol": protocol, "k": k, "packages": versions(), "rows": listed}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
