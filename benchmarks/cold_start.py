"""Movies nobody has rated, people nobody has met: how good is each model, and what does each kind of content bring?

    python benchmarks/cold_start.py movies|newest|users|both [--dataset ml-1m] [--features FOLDER] [--models gnn,ridge]
    python benchmarks/cold_start.py movies|warm --ablation [--features FOLDER] [--split FOLDER]
        [--folds 5] [--seeds 3] [--config FILE.yaml] [--set SECTION.KEY=VALUE] [--json FILE]

movies   the movies of each of five fixed folds, ranked among each other and among all
newest   the tenth of the movies that came last, likewise; one division, so models that draw are fitted for each seed
users    the people of each fold, with 0, 1, 3, 5 and 10 of their first ratings known
both     new people with five ratings, asked for new movies
warm     an ordinary division, the one in --split or a random one; here to see what content does where it is not needed

Features are the folder that `gnnrec features` wrote. With --ablation the models are the network with some kinds of
content only. Each model is fitted once for a fold, stopped and chosen on valid rows, and then asked all that is asked
of the fold, on its test rows. The file is written after every fit.
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

from rich.table import Table

import gnnrec
from gnnrec._io import write_atomic
from gnnrec.benchmark import MODELS, compare, draws, fit_model, format_skipped, timed, versions
from gnnrec.cli.options import read_dataset
from gnnrec.cli.output import console
from gnnrec.cli.typed import script_line
from gnnrec.splitting.splitters import FOLDS

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SUPPORTS = (5, 0, 1, 3, 10)  # the first is what models are chosen with
CONTENT = ("gnn", "ridge", "contentknn", "lightfm", "popularity")
QUESTIONS = {
    "movies": ("ml1m-content", CONTENT),
    "newest": ("ml1m-content", CONTENT),
    "users": ("ml1m-newcomers", ("gnn", "lightfm", "als", "ease", "popularity")),
    "both": ("ml1m-content", CONTENT),
    "warm": ("ml1m", ("gnn", "ease", "popularity")),
}
"""The config of the network and the models to compare, by question."""
VARIANTS = {
    "id only": ("[]", "false", "[]"),
    "genres": ("[genres]", "false", "[]"),
    "genres, text": ("[genres]", "false", "[text]"),
    "genres, poster": ("[genres]", "false", "[poster]"),
    "genres, facts": ("[genres]", "true", "[]"),
    "genres, people": ("[genres,directors,actors]", "false", "[]"),
    "all": ("[genres,directors,actors]", "true", "[text,poster]"),
    "all but text": ("[genres,directors,actors]", "true", "[poster]"),
    "all but poster": ("[genres,directors,actors]", "true", "[text]"),
}
"""What the network reads besides ids: sides, facts (year, runtime, length of the plot), modalities."""
METRICS = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20))

Fit = Callable[[gnnrec.Split, int], gnnrec.Recommender]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure cold starts.")
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--ablation", action="store_true", help="compare kinds of content, not models")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, help="where to look for the dataset first")
    parser.add_argument("--features", action="append", help="folder of `gnnrec features`, or NAME=FILE")
    parser.add_argument("--split", type=Path, help="of the question warm: folder with train, valid and test")
    parser.add_argument("--models", help=f"comma-separated, of {', '.join(MODELS)}")
    parser.add_argument("--variants", help="with --ablation: separated by semicolons, of those in this file")
    parser.add_argument("--folds", type=int, default=FOLDS, help="so many of the folds, from the first on")
    parser.add_argument("--seeds", type=int, default=3, help="where there are no folds")
    parser.add_argument("--limit-seconds", type=float, default=240, help="no peer starts an epoch after this")
    parser.add_argument(
        "--config", type=Path, help="YAML file of the network; else that of the question, or no file with --ablation"
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    try:
        run(arguments, script_line("benchmarks/cold_start.py", parser, arguments, positional=("question",)))
    except (gnnrec.GnnrecError, OSError) as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace, typed: str) -> None:
    if not 1 <= arguments.folds <= FOLDS or arguments.seeds < 1:
        raise gnnrec.ConfigError(f"--folds must be 1 to {FOLDS}, and --seeds 1 or more")
    dataset = read_dataset(arguments.dataset, arguments.data_dir, arguments.features)
    config, fits = models(arguments)
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for number, cases in enumerate(divisions(arguments, dataset)):
        first, split = next(iter(cases.items()))
        console.print(f"{arguments.question}, {number}: {split!r}", highlight=False, markup=False)
        for name, fit in fits.items():
            if name in left_out or (
                number and not has_folds(arguments.question) and name in MODELS and not draws(name)
            ):
                continue
            try:
                model, seconds = timed(partial(fit, split, number))
                rows = [(case, row) for case, part in cases.items() for row in compare({name: model}, part)]
            except (gnnrec.GnnrecError, FloatingPointError) as error:
                left_out[name] = str(error)
                console.print(format_skipped(name, str(error)))
                continue
            add(found, rows, seconds)
            row = found[first, name, "ndcg", 20]
            console.print(f"  {name}: NDCG@20 {row['values'][-1]:.4f}, fitted in {seconds:.1f} s", highlight=False)
            if arguments.json:
                facts = {"command": typed, "dataset": dataset.name, "question": arguments.question,
                         "ablation": arguments.ablation, "config": config.model_dump(mode="json"),
                         "packages": versions(), "left_out": left_out, "results": summary(found)}  # fmt: skip
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(arguments.json, (json.dumps(facts, indent=1) + "\n").encode())
    for case in dict.fromkeys(row["case"] for row in summary(found)):
        console.print(table([row for row in summary(found) if row["case"] == case], f"{arguments.question}: {case}"))


def has_folds(question: str) -> bool:
    return question in ("movies", "users", "both")


def divisions(arguments: argparse.Namespace, dataset: gnnrec.Dataset) -> Iterator[dict[str, gnnrec.Split]]:
    """Yield the cases of each fold; all have the same train rows, and the first is what models are chosen by."""
    for number in range(arguments.folds if has_folds(arguments.question) else arguments.seeds):
        of: dict[str, Callable[[], dict[str, gnnrec.Split]]] = {
            "movies": partial(by_candidates, partial(gnnrec.splitting.cold_movies_split, dataset, number)),
            "newest": partial(by_candidates, partial(gnnrec.splitting.cold_movies_by_time_split, dataset)),
            "both": partial(by_candidates, partial(gnnrec.splitting.cold_both_split, dataset, number)),
            "users": partial(by_support, partial(gnnrec.splitting.cold_users_split, dataset, number)),
            "warm": partial(warm, arguments.split, dataset),
        }
        yield of[arguments.question]()


def by_candidates(divide: Callable[..., gnnrec.Split]) -> dict[str, gnnrec.Split]:
    return {f"among {which}": divide(candidates=which) for which in ("held-out", "all")}


def by_support(divide: Callable[..., gnnrec.Split]) -> dict[str, gnnrec.Split]:
    return {f"{support} ratings": divide(support=support) for support in SUPPORTS}


def warm(folder: Path | None, dataset: gnnrec.Dataset) -> dict[str, gnnrec.Split]:
    return {"warm": gnnrec.Split.from_folder(folder, dataset) if folder else gnnrec.splitting.random_split(dataset)}


def models(arguments: argparse.Namespace) -> tuple[gnnrec.Config, dict[str, Fit]]:
    """Return the network's settings, and how to fit each model on the split of a fold, given its number as a seed."""
    default, names = QUESTIONS[arguments.question]
    file = arguments.config or (None if arguments.ablation else CONFIGS / f"{default}.yaml")
    config = (gnnrec.Config.from_yaml(file) if file else gnnrec.Config()).override(arguments.set)

    def fit(name: str, settings: gnnrec.Config, split: gnnrec.Split, seed: int) -> gnnrec.Recommender:
        seeded = settings.override([f"train.seed={seed}"])
        return fit_model(name, split, seeded, limit_seconds=arguments.limit_seconds, progress=console.is_terminal)

    if not arguments.ablation:
        wanted = arguments.models.split(",") if arguments.models else names
        if unknown := set(wanted) - set(MODELS):
            raise gnnrec.ConfigError(f"unknown model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
        return config, {name: partial(fit, name, config) for name in wanted}
    wanted = arguments.variants.split(";") if arguments.variants else list(VARIANTS)
    if unknown := set(wanted) - set(VARIANTS):
        raise gnnrec.ConfigError(f"unknown variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    found: dict[str, Fit] = {}
    for name in wanted:
        sides, facts, modalities = VARIANTS[name]
        own = [f"model.sides={sides}", f"model.facts={facts}", f"model.modalities={modalities}"]
        found[name] = partial(fit, "gnn", config.override(own))
    return config, found


def add(found: dict[tuple[str, str, str, int], dict[str, Any]], rows: list[Any], seconds: float) -> None:
    """Put the values of one fit beside those of the folds before."""
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
