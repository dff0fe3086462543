"""Write docs/results/cold-start.md and its figures from benchmarks/results: python docs/_scripts/make_cold_start.py

    python docs/_scripts/make_cold_start.py --run [FILE ...] --features FOLDER    measure first (hours), or some files

The page contains nothing but these results, so a test compares it with the committed one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Container
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from draw_cold_start import Rows, ndcg_by_ratings, recall_by_content
from make_leaderboard import HOME, RESULTS, SPLIT, heading, markdown
from recorded import EXPLANATION, console_block

from gnnrec.errors import GnnrecError

CUT_OFF = "†"
"""Marks models that a time limit stopped in some of their fits."""
START = "python benchmarks/cold_start.py"
WARM = "--set model.user_degree_smoothing=0 --set train.history_truncation=0"  # settings that favor cold start are off
COMMANDS = {
    "cold-movies.json": f"{START} movies --features FEATURES --time-limit 60",
    "cold-movies-gnn.json": f"{START} movies --features FEATURES --time-limit 60 --models gnn",
    "cold-newest.json": f"{START} newest --features FEATURES --time-limit 60",
    "cold-users.json": f"{START} users --time-limit 900",
    "cold-both.json": f"{START} both --features FEATURES --time-limit 60",
    "cold-both-gnn.json": f"{START} both --features FEATURES --time-limit 60 --models gnn",
    "ablation-cold.json": f"{START} movies --ablation --features FEATURES --folds 3 {WARM}",
    "ablation-warm.json": f"{START} warm --ablation --features FEATURES --split {SPLIT} --seeds 2 {WARM}",
}
INTRODUCTION = f"""<!-- Written by docs/_scripts/make_cold_start.py; do not edit. `make cold-start-page` rewrites it. -->

# Cold start

How well do models recommend movies without ratings, and recommend to users without ratings? MovieLens-1M is divided by
[fixed rules](../reference/protocols.md#cold-movies-and-cold-users) into five folds; in each, the ratings of a tenth of
the movies (or users) are held out from training. ± is the standard deviation over folds, or over seeds where there is a
single split; a number without it comes from a single fit. Hyperparameters and epochs were chosen on validation movies and
users. `gnn` uses the config `ml1m-content` for cold movies and `ml1m-cold-users` for cold users alone; the ablation uses the
default settings with the changes in its commands. A plain `gnnrec.fit(dataset)` has neither plots nor posters.

**Not all fits had the same time.** All models except gnnrec had a time limit; those that it stopped in some fold are marked
with {CUT_OFF} and may be better with more time.

The versions that measured a table are named below it; gnnrec 0.1.0 is the version string of the repository before its first
release. The newest movies and the ablation are from before the regression of [movie
content](../explanation/cold-start.md#what-is-used) was changed, and were not measured again.

{EXPLANATION}

Plots are encoded by `all-MiniLM-L6-v2`; poster embeddings came with the dataset. The folder for `--features` was made by:

```console
gnnrec features --dataset ml-1m --text-encoder sentence:all-MiniLM-L6-v2 --poster-embeddings posters.npy --poster-ids posters.csv --out features
```"""
DEFAULT_LIMIT = 240.0
"""Time limit of `benchmarks/cold_start.py` in seconds, if a command does not name one."""
CONTENT = {"facts": "numeric", "people": "cast"}
"""Kinds of content that had other names in results before 0.2."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/results/cold-start.md.")
    parser.add_argument("--run", nargs="*", metavar="FILE", help="measure these files first, by default all")
    parser.add_argument(
        "--features", type=Path, default=Path("features/ml-1m"), help="folder that `gnnrec features` wrote"
    )
    parser.add_argument("--split", type=Path, help=f"the folder {SPLIT}, by default $GNNREC_DATA/splits/{SPLIT}")
    arguments = parser.parse_args()
    if unknown := set(arguments.run or ()) - set(COMMANDS):
        sys.exit(f"error: unknown file {', '.join(sorted(unknown))}; choose from {', '.join(COMMANDS)}")
    split = arguments.split or Path(os.environ.get("GNNREC_DATA", "data")) / "splits" / SPLIT
    substitutes = {"FEATURES": str(arguments.features.resolve()), SPLIT: str(split.resolve())}
    failed = []
    for file in arguments.run or (COMMANDS if arguments.run == [] else ()):
        print(f"{file}: {COMMANDS[file]}", flush=True)
        words = [substitutes.get(word, word) for word in COMMANDS[file].split()[1:]]
        done = subprocess.run([sys.executable, *words, "--json", str(RESULTS / file)], cwd=HOME)
        failed += [file] if done.returncode else []
    for name, text in pages(RESULTS).items():
        (HOME / "docs" / name).write_text(text, encoding="utf-8")
    if failed:
        sys.exit(f"error: measuring failed: {', '.join(failed)}")


def pages(results: Path) -> dict[str, str]:
    """Return the page and its pictures by path, for a folder of results."""
    found = {file: json.loads((results / file).read_text(encoding="utf-8")) for file in COMMANDS}
    movies, both = (
        with_newer(found[f"cold-{name}.json"], found[f"cold-{name}-gnn.json"]) for name in ("movies", "both")
    )
    newest, users, cold, warm = (
        found[file] for file in ("cold-newest.json", "cold-users.json", "ablation-cold.json", "ablation-warm.json")
    )
    parts = [
        INTRODUCTION,
        "## Cold movies",
        "Each user's test movies are ranked among the held-out movies of the fold, or among all movies. Models that use "
        "histories alone (EASE, ALS, item-kNN) cannot rank movies without ratings and are not listed; popularity cannot "
        "either, and shows the level of chance.",
        section(movies, ("recall@20", "ndcg@20")),
        "## Newest movies",
        "The 10% of movies whose first rating is the most recent. Most of them have few ratings.",
        section(newest, ("recall@20", "ndcg@20")),
        "## Cold users",
        "10% of the users, known by age, gender, occupation and their first few ratings, nearly all of which were made "
        "during their first visit. All movies are ranked.",
        picture("cold-users.svg", "NDCG@10 for new users, by the number of known ratings"),
        section(users, ("ndcg@10",), across=True),
        "## Cold users and cold movies",
        "New users with five ratings of warm movies; their ratings of cold movies are to be predicted.",
        section(both, ("recall@20", "ndcg@20")),
        "## Content ablation",
        "The same model with some kinds of content only, for cold movies (among the held-out ones, three folds) and for "
        f"warm movies (`{SPLIT}`, two seeds). *Numeric* is year, runtime and plot length, *cast* is directors and actors.",
        picture("ablation.svg", "Recall@20 by the movie content that the model uses"),
        ablation(cold, warm),
        "\n".join(f"- {line}" for line in findings(cold, warm)),
        *measured(cold),
        *measured(warm),
    ]
    return {
        "results/cold-start.md": "\n\n".join(parts) + "\n",
        "pictures/cold-users.svg": ndcg_by_ratings(table_of(users)),
        "pictures/ablation.svg": recall_by_content(table_of(cold), table_of(warm)),
    }


def table_of(report: dict[str, Any]) -> Rows:
    """Return the rows of a report by case, model and metric."""
    return {(row["case"], content_name(row["model"]), f"{row['metric']}@{row['k']}"): row for row in report["results"]}


def content_name(name: str) -> str:
    """Return today's name of a choice of content; names of models stay."""
    return " ".join(CONTENT.get(word.rstrip(","), word.rstrip(",")) + "," * word.endswith(",") for word in name.split())


def section(report: dict[str, Any], metrics: tuple[str, ...], across: bool = False) -> str:
    """Return the tables of a report and its command: one table per case, or one with the cases as columns."""
    rows = table_of(report)
    cases, models = (list(dict.fromkeys(key[i] for key in rows)) for i in (0, 1))
    if across:
        cases.sort(key=lambda case: int(case.split()[0]))
        text = [
            f"{heading(metrics[0])} by the number of known ratings:",
            grid(rows, models, [(c, metrics[0]) for c in cases], cut_off(report)),
        ]
    else:
        text = [
            part
            for case in cases
            for part in (
                f"{case.capitalize()} movies:",
                grid(rows, models, [(case, m) for m in metrics], cut_off(report)),
            )
        ]
    if stopped := cut_off(report):
        named = ", ".join(f"{name} in {count} of {fits} fits" for name, (count, fits) in stopped.items())
        text.append(f"{CUT_OFF} Stopped by the time limit of {time_limit(report):g} s: {named}.")
    text += [f"**Skipped: {name}.** {why}" for name, why in report["skipped"].items()]
    return "\n\n".join([*text, *measured(report)])


def with_newer(report: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Return a report with the rows of a later one, on the same splits, in the place of its own."""
    rows = {(row["case"], row["model"], row["metric"], row["k"]): row for row in report["results"]}
    for row in newer["results"]:
        key = row["case"], row["model"], row["metric"], row["k"]
        if row["fingerprints"] != rows[key]["fingerprints"]:
            raise GnnrecError(f"{newer['command']}: {row['model']} was measured on other splits than the other models")
        rows[key] = row
    return {**report, "results": list(rows.values()), "newer": newer}


def measured(report: dict[str, Any]) -> list[str]:
    """Return the commands that measured a report, and the versions of the packages."""
    newer = measured(report["newer"]) if "newer" in report else []
    return [console_block(report["command"]), f"{versions(report)}.", *newer]


def versions(report: dict[str, Any]) -> str:
    """Return the versions of the packages that a report was measured with."""
    return ", ".join(f"{name} {version}" for name, version in report["packages"].items())


def time_limit(report: dict[str, Any]) -> float:
    """Return the time limit of the models other than gnnrec, in seconds."""
    typed = re.search(r"--(?:time-limit|limit-seconds) ([\d.]+)", report["command"])
    return float(typed[1]) if typed else DEFAULT_LIMIT


def cut_off(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the models that the time limit stopped: in how many of how many fits."""
    limit, found = time_limit(report), {}
    for row in report["results"]:
        count = sum(seconds >= limit for seconds in row["fit_seconds"])
        if row["model"] != "gnn" and count:
            found[row["model"]] = (count, len(row["fit_seconds"]))
    return found


def grid(rows: Rows, models: list[str], columns: list[tuple[str, str]], stopped: Container[str] = ()) -> str:
    """Return a table of models, the best of each column in bold, models in `stopped` marked."""
    best = {column: max(rows[column[0], model, column[1]]["mean"] for model in models) for column in columns}
    metrics = {metric for _, metric in columns}
    heads = [case.split()[0] if len(metrics) == 1 else heading(metric) for case, metric in columns]
    lines = [("model", *heads)]
    for model in models:
        cells = []
        for case, metric in columns:
            row = rows[case, model, metric]
            text = f"{row['mean']:.4f} ± {row['std']:.4f}" if len(row["values"]) > 1 else f"{row['mean']:.4f}"
            cells.append(f"**{text}**" if row["mean"] == best[case, metric] else text)
        lines.append((f"{model} {CUT_OFF}" if model in stopped else model, *cells))
    return markdown(lines)


def picture(file: str, alt: str) -> str:
    return f"![{alt}](../pictures/{file})"


def ablation(cold: dict[str, Any], warm: dict[str, Any]) -> str:
    """Return the metrics of each choice of content, for cold and warm movies."""
    metrics = ("recall@20", "ndcg@20")
    columns = {f"cold {heading(metric)}": (cold, "among held-out", metric) for metric in metrics}
    columns |= {f"warm {heading(metric)}": (warm, "warm", metric) for metric in metrics}
    lines = [("content", *columns)]
    for variant in variants(cold):
        rows = [table_of(report)[case, variant, metric] for report, case, metric in columns.values()]
        lines.append((variant, *(f"{row['mean']:.4f} ± {row['std']:.4f}" for row in rows)))
    return markdown(lines)


def variants(report: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(key[1] for key in table_of(report)))


def findings(cold: dict[str, Any], warm: dict[str, Any]) -> list[str]:
    """Return the effect of each kind of content in words, from pairs that differ in that kind alone."""
    pairs = {
        "Genres, added to ids": ("genres", "id only"),
        "Numeric features, added to genres": ("genres, numeric", "genres"),
        "Cast, added to genres": ("genres, cast", "genres"),
        "Plots, added to genres": ("genres, text", "genres"),
        "Posters, added to genres": ("genres, poster", "genres"),
        "Plots, added to everything else": ("all", "all but text"),
        "Posters, added to everything else": ("all", "all but poster"),
    }
    return [
        f"{name}: {change(table_of(cold), 'among held-out', *pair)} for cold movies, "
        f"{change(table_of(warm), 'warm', *pair)} for warm movies."
        for name, pair in pairs.items()
    ]


def change(rows: Rows, case: str, more: str, less: str) -> str:
    """Return the change in recall, and whether it has the same sign in every fit."""
    after, before = (rows[case, name, "recall@20"]["values"] for name in (more, less))
    by = [a - b for a, b in zip(after, before, strict=True)]
    mean = sum(by) / len(by)
    if min(by) > 0:
        word = "better in every fit"
    elif max(by) < 0:
        word = "worse in every fit"
    else:
        word = "no clear effect"
    return f"{word} ({mean:+.4f} Recall@20)"


if __name__ == "__main__":
    main()
