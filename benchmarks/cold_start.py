"""Cold start: how good is each model for new movies and new users, and what does each kind of content contribute?

    python benchmarks/cold_start.py movies|newest|users|both [--dataset ml-1m] [--features FOLDER] [--models gnn,ridge]
    python benchmarks/cold_start.py movies|warm --ablation [--features FOLDER] [--split FOLDER]
        [--folds 5] [--seeds 3] [--config FILE.yaml] [--set SECTION.KEY=VALUE] [--json FILE]

movies   the movies of each of five fixed folds, ranked among each other and among all
newest   the newest tenth of the movies, likewise; a single split, so stochastic models are fitted once per seed
users    the users of each fold, with 0, 1, 3, 5 and 10 initial ratings revealed
both     new movies for new users with five ratings
warm     an ordinary split, the one in --split or a random one, to see what content contributes where it is not needed

--features is the folder that `gnnrec features` wrote. With --ablation the models are the network with some kinds of
content only. Each model is fitted once per fold, selected on the validation ratings, and evaluated on all cases of the
fold. The file is written after every fit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from _common import console, read_dataset, script_line
from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec.benchmarking import compare, fit_best, format_skipped, is_seeded, timed, versions
from gnnrec.registry import MODELS
from gnnrec.splitting.cold_splits import NUM_FOLDS

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NUM_KNOWN = (5, 0, 1, 3, 10)  # models are selected with the first
CONTENT = ("gnn", "ridge", "contentknn", "lightfm", "popularity")
SCENARIOS = {
    "movies": ("ml1m-content", CONTENT),
    "newest": ("ml1m-content", CONTENT),
    "users": ("ml1m-newcomers", ("gnn", "lightfm", "als", "ease", "popularity")),
    "both": ("ml1m-content", CONTENT),
    "warm": ("ml1m", ("gnn", "ease", "popularity")),
}
"""The config of the network and the models to compare, by scenario."""
VARIANTS = {
    "id only": ("[]", "false", "[]"),
    "genres": ("[genres]", "false", "[]"),
    "genres, text": ("[genres]", "false", "[text]"),
    "genres, poster": ("[genres]", "false", "[poster]"),
    "genres, numeric": ("[genres]", "true", "[]"),
    "genres, cast": ("[genres,directors,actors]", "false", "[]"),
    "all": ("[genres,directors,actors]", "true", "[text,poster]"),
    "all but text": ("[genres,directors,actors]", "true", "[poster]"),
    "all but poster": ("[genres,directors,actors]", "true", "[text]"),
}
"""Content of the network besides ids: attributes, numeric features (year, runtime, plot length), modalities."""
METRICS = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20))

Fit = Callable[[gnnrec.Split, int], gnnrec.Recommender]


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate cold starts.")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--ablation", action="store_true", help="compare kinds of content instead of models")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="folder that holds the dataset")
    parser.add_argument("--features", action="append", help="folder of `gnnrec features`, or NAME=FILE")
    parser.add_argument("--split", type=Path, help="scenario warm: folder with train, valid and test")
    parser.add_argument("--models", help=f"comma-separated, of {', '.join(MODELS.names())}")
    parser.add_argument("--variants", help="with --ablation: separated by semicolons, of those in this file")
    parser.add_argument("--folds", type=int, default=NUM_FOLDS, help="number of folds")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds where there are no folds")
    parser.add_argument("--time-limit", type=float, default=240, help="seconds after which a model starts no epoch")
    parser.add_argument(
        "--config",
        type=Path,
        help="config of the network; by default that of the scenario, or the defaults with --ablation",
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    try:
        run(arguments, script_line("benchmarks/cold_start.py", parser, arguments, positional=("scenario",)))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace, typed: str) -> None:
    if not 1 <= arguments.folds <= NUM_FOLDS or arguments.seeds < 1:
        raise gnnrec.ConfigError(f"--folds must be 1 to {NUM_FOLDS}, and --seeds 1 or more")
    dataset = read_dataset(arguments.dataset, arguments.data_dir, arguments.features)
    config, fits = models(arguments)
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    for number, cases in enumerate(scenario_splits(arguments, dataset)):
        first, split = next(iter(cases.items()))
        console.print(f"{arguments.scenario}, {number}: {split!r}", highlight=False, markup=False)
        for name, fit in fits.items():
            if name in skipped or (
                number and not has_folds(arguments.scenario) and name in MODELS and not is_seeded(name)
            ):
                continue
            try:
                model, seconds = timed(partial(fit, split, number))
                rows = [(case, row) for case, part in cases.items() for row in compare({name: model}, part)]
            except (gnnrec.GnnrecError, FloatingPointError) as error:
                skipped[name] = str(error)
                console.print(format_skipped(name, str(error)))
                continue
            add(found, rows, seconds)
            row = found[first, name, "ndcg", 20]
            console.print(f"  {name}: NDCG@20 {row['values'][-1]:.4f}, fitted in {seconds:.1f} s", highlight=False)
            if arguments.json:
                record = {"command": typed, "dataset": dataset.name, "scenario": arguments.scenario,
                         "ablation": arguments.ablation, "config": config.model_dump(mode="json"),
                         "packages": versions(), "skipped": skipped, "results": summary(found)}  # fmt: skip
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(arguments.json, (json.dumps(record, indent=1) + "\n").encode())
    for case in dict.fromkeys(row["case"] for row in summary(found)):
        console.print(table([row for row in summary(found) if row["case"] == case], f"{arguments.scenario}: {case}"))


def has_folds(scenario: str) -> bool:
    return scenario in ("movies", "users", "both")


def scenario_splits(arguments: argparse.Namespace, dataset: gnnrec.Dataset) -> Iterator[dict[str, gnnrec.Split]]:
    """Yield the cases of each fold. All share the training ratings; models are selected on the first."""
    for number in range(arguments.folds if has_folds(arguments.scenario) else arguments.seeds):
        of: dict[str, Callable[[], dict[str, gnnrec.Split]]] = {
            "movies": partial(by_candidates, partial(gnnrec.splitting.cold_movies_split, dataset, number)),
            "newest": partial(by_candidates, partial(gnnrec.splitting.cold_movies_by_time_split, dataset)),
            "both": partial(by_candidates, partial(gnnrec.splitting.cold_both_split, dataset, number)),
            "users": partial(by_num_known, partial(gnnrec.splitting.cold_users_split, dataset, number)),
            "warm": partial(warm, arguments.split, dataset),
        }
        yield of[arguments.scenario]()


def by_candidates(splitter: Callable[..., gnnrec.Split]) -> dict[str, gnnrec.Split]:
    return {f"among {which}": splitter(candidates=which) for which in ("held-out", "all")}


def by_num_known(splitter: Callable[..., gnnrec.Split]) -> dict[str, gnnrec.Split]:
    return {f"{n_known} ratings": splitter(n_known=n_known) for n_known in NUM_KNOWN}


def warm(folder: Path | None, dataset: gnnrec.Dataset) -> dict[str, gnnrec.Split]:
    return {"warm": gnnrec.Split.from_folder(folder, dataset) if folder else gnnrec.splitting.random_split(dataset)}


def models(arguments: argparse.Namespace) -> tuple[gnnrec.Config, dict[str, Fit]]:
    """Return the config of the network and a fit function per model, which takes a split and a seed."""
    default, names = SCENARIOS[arguments.scenario]
    file = arguments.config or (None if arguments.ablation else CONFIGS / f"{default}.yaml")
    config = (gnnrec.Config.from_yaml(file) if file else gnnrec.Config()).override(arguments.set)

    def fit(name: str, settings: gnnrec.Config, split: gnnrec.Split, seed: int) -> gnnrec.Recommender:
        seeded = settings.override([f"train.seed={seed}"])
        return fit_best(
            name, split, config=seeded, seed=seed, time_limit=arguments.time_limit, progress=console.is_terminal
        )

    if not arguments.ablation:
        wanted = arguments.models.split(",") if arguments.models else names
        if unknown := set(wanted) - set(MODELS.names()):
            raise gnnrec.ConfigError(
                f"unknown model {', '.join(sorted(unknown))}; there are {', '.join(MODELS.names())}"
            )
        return config, {name: partial(fit, name, config) for name in wanted}
    wanted = arguments.variants.split(";") if arguments.variants else list(VARIANTS)
    if unknown := set(wanted) - set(VARIANTS):
        raise gnnrec.ConfigError(f"unknown variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    found: dict[str, Fit] = {}
    for name in wanted:
        attributes, numeric, modalities = VARIANTS[name]
        own = [
            f"model.attributes={attributes}",
            f"model.numeric_features={numeric}",
            f"model.modalities={modalities}",
        ]
        found[name] = partial(fit, "gnn", config.override(own))
    return config, found


def add(found: dict[tuple[str, str, str, int], dict[str, Any]], rows: list[Any], seconds: float) -> None:
    """Add the results of one fit to those of earlier folds."""
    for case, row in rows:
        if (row["metric"], row["k"]) in METRICS:
            key = case, row["model"], row["metric"], row["k"]
            own = found.setdefault(key, {"values": [], "fit_seconds": [], "fingerprints": []})
            own["values"].append(row["mean"])
            own["fit_seconds"].append(round(seconds, 2))
            own["fingerprints"].append(row["fingerprint"])


def summary(found: dict[tuple[str, str, str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per case, model and metric, with mean and spread over folds or seeds."""
    return [
        {"case": case, "model": model, "metric": metric, "k": k, "mean": mean(own["values"]),
         "std": stdev(own["values"]) if len(own["values"]) > 1 else 0.0, **own}
        for (case, model, metric, k), own in found.items()
    ]  # fmt: skip


def table(rows: list[dict[str, Any]], title: str) -> Table:
    grid = Table(title=title, title_justify="left", header_style="bold")
    by = {(row["model"], row["metric"], row["k"]): row for row in rows}
    for heading in ("model", *(f"{metric}@{k}" for metric, k in METRICS), "fit s"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [by[name, metric, k] for metric, k in METRICS]
        spread = [f"{row['mean']:.4f} ± {row['std']:.4f}" for row in own]
        grid.add_row(name, *spread, f"{mean(own[0]['fit_seconds']):.1f}")
    return grid


if __name__ == "__main__":
    main()
