"""Write docs/cold-start.md and its pictures from the files in docs/results: python docs/make_cold_start.py

    python docs/make_cold_start.py --run [FILE ...] --features FOLDER    makes the results first (hours), or some

The page holds nothing that is not in those files, so a test can compare it with the one kept here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from cold_start_pictures import Rows, bars_of, lines_of
from make_leaderboard import RESULTS, SPLIT, heading, markdown

HERE = Path(__file__).resolve().parent
START = "python benchmarks/cold_start.py"
WARM = "--set model.history_smoothing=0 --set train.short_histories=0"  # what makes cold starts better is left out
COMMANDS = {
    "cold-movies.json": f"{START} movies --features FEATURES --limit-seconds 60",
    "cold-newest.json": f"{START} newest --features FEATURES --limit-seconds 60",
    "cold-users.json": f"{START} users",
    "cold-both.json": f"{START} both --features FEATURES --limit-seconds 60",
    "ablation-cold.json": f"{START} movies --ablation --features FEATURES --folds 3 {WARM}",
    "ablation-warm.json": f"{START} warm --ablation --features FEATURES --split {SPLIT} --seeds 2 {WARM}",
}
INTRODUCTION = """<!-- Written by docs/make_cold_start.py: `make cold-start-page` writes it anew. -->

# Cold start, measured

How good are recommendations of movies that nobody has rated, and for people whom nobody has met? All of MovieLens-1M,
divided [by published rules](reference/protocols.md#unseen-movies-and-people): five folds, in each of which a tenth of
the movies (or of the people) has no ratings for training. ± is the standard deviation over the folds, or over seeds
where there is one division only. Settings and epochs were chosen on the movies and people for validation.

Vectors of plots are those of `all-MiniLM-L6-v2`, for long plots; vectors of posters were given with the dataset. What
`--features` names was made by:

```console
gnnrec features --dataset ml-1m --text-encoder sentence:all-MiniLM-L6-v2 --poster-vectors posters.npy --poster-ids posters.csv --out features
```"""  # noqa: E501


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/cold-start.md.")
    parser.add_argument("--run", nargs="*", metavar="FILE", help="make these results first, all if none is named")
    parser.add_argument("--features", type=Path, default=Path("features/ml-1m"), help="of `gnnrec features`")
    parser.add_argument("--split", type=Path, help=f"the folder {SPLIT}; else the one in $GNNREC_DATA/splits")
    arguments = parser.parse_args()
    if unknown := set(arguments.run or ()) - set(COMMANDS):
        sys.exit(f"error: there is no {', '.join(sorted(unknown))}; there are {', '.join(COMMANDS)}")
    split = arguments.split or Path(os.environ.get("GNNREC_DATA", "data")) / "splits" / SPLIT
    stands_for = {"FEATURES": str(arguments.features.resolve()), SPLIT: str(split.resolve())}
    failed = []
    for file in arguments.run or (COMMANDS if arguments.run == [] else ()):
        print(f"{file}: {COMMANDS[file]}", flush=True)
        words = [stands_for.get(word, word) for word in COMMANDS[file].split()[1:]]
        done = subprocess.run([sys.executable, *words, "--json", str(RESULTS / file)], cwd=HERE.parent)
        failed += [file] if done.returncode else []
    for name, text in pages(RESULTS).items():
        (HERE / name).write_text(text, encoding="utf-8")
    if failed:
        sys.exit(f"error: these were not made: {', '.join(failed)}")


def pages(results: Path) -> dict[str, str]:
    """Return the page and its pictures by path, for a folder of results."""
    found = {file: json.loads((results / file).read_text(encoding="utf-8")) for file in COMMANDS}
    movies, newest, users, both, cold, warm = (found[file] for file in COMMANDS)
    parts = [
        INTRODUCTION,
        "## Movies nobody has rated",
        "Everybody's test movies are ranked among the held-out ones of the fold, or among all movies. What reads "
        "histories only (EASE, ALS, item-kNN) cannot tell new movies apart, so it is not in the table; popularity does "
        "not either, and shows what chance is.",
        section(movies, ("recall@20", "ndcg@20")),
        "## The newest movies",
        "The tenth of the movies whose first rating came last. Few people watch most of them.",
        section(newest, ("recall@20", "ndcg@20")),
        "## People nobody has met",
        "A tenth of the people, known by their age, gender and occupation and by the first few of their ratings, which "
        "were nearly all made at the first visit. All movies are ranked.",
        picture("cold-users.svg", "NDCG@10 of new people by how many of their ratings are known"),
        section(users, ("ndcg@10",), across=True),
        "## New people and new movies",
        "New people with five ratings of known movies, asked for their ratings of new movies.",
        section(both, ("recall@20", "ndcg@20")),
        "## What each kind of content brings",
        "The same network with some kinds of content only, for movies nobody has rated (among the held-out ones, three "
        f"folds) and for those everybody knows (`{SPLIT}`, two seeds). *Facts* are year, running time and length of "
        "the plot, *people* directors and actors.",
        picture("ablation.svg", "Recall@20 by what the network knows of movies"),
        ablation(cold, warm),
        "\n".join(f"- {line}" for line in findings(cold, warm)),
        *(f"```console\n{one['command']}\n```" for one in (cold, warm)),
    ]
    return {
        "cold-start.md": "\n\n".join(parts) + "\n",
        "pictures/cold-users.svg": lines_of(table_of(users)),
        "pictures/ablation.svg": bars_of(table_of(cold), table_of(warm)),
    }


def table_of(report: dict[str, Any]) -> Rows:
    """Return the rows of a report by case, model and metric."""
    return {(row["case"], row["model"], f"{row['metric']}@{row['k']}"): row for row in report["results"]}


def section(report: dict[str, Any], metrics: tuple[str, ...], across: bool = False) -> str:
    """Return tables of a report, with its command: one for each case, or one with the cases across."""
    rows = table_of(report)
    cases, models = (list(dict.fromkeys(key[i] for key in rows)) for i in (0, 1))
    if across:
        cases.sort(key=lambda case: int(case.split()[0]))
        text = [
            f"{heading(metrics[0])}, by how many ratings are known:",
            grid(rows, models, [(c, metrics[0]) for c in cases]),
        ]
    else:
        text = [
            part
            for case in cases
            for part in (f"{case.capitalize()} movies:", grid(rows, models, [(case, m) for m in metrics]))
        ]
    text += [f"**Left out: {name}.** {why}" for name, why in report["left_out"].items()]
    packages = ", ".join(f"{name} {version}" for name, version in report["packages"].items())
    return "\n\n".join([*text, f"```console\n{report['command']}\n```\n\n{packages}."])


def grid(rows: Rows, models: list[str], columns: list[tuple[str, str]]) -> str:
    """Return a table of models, the best of each column in bold."""
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
        lines.append((model, *cells))
    return markdown(lines)


def picture(file: str, alt: str) -> str:
    return f"![{alt}](pictures/{file})"


# What content brings


def ablation(cold: dict[str, Any], warm: dict[str, Any]) -> str:
    """Return what the network reaches with each choice of content, cold and warm."""
    metrics = ("recall@20", "ndcg@20")
    columns = {f"unseen {metric}": (cold, "among held-out", metric) for metric in metrics}
    columns |= {f"known {metric}": (warm, "warm", metric) for metric in metrics}
    lines = [("known of movies", *columns)]
    for variant in variants(cold):
        rows = [table_of(report)[case, variant, metric] for report, case, metric in columns.values()]
        lines.append((variant, *(f"{row['mean']:.4f} ± {row['std']:.4f}" for row in rows)))
    return markdown(lines)


def variants(report: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["model"] for row in report["results"]))


def findings(cold: dict[str, Any], warm: dict[str, Any]) -> list[str]:
    """Return in words which kinds of content help, by rows that differ in one kind, fold by fold."""
    pairs = {
        "Genres, beside nothing": ("genres", "id only"),
        "Facts, beside genres": ("genres, facts", "genres"),
        "People, beside genres": ("genres, people", "genres"),
        "Text, beside genres": ("genres, text", "genres"),
        "Posters, beside genres": ("genres, poster", "genres"),
        "Text, beside everything else": ("all", "all but text"),
        "Posters, beside everything else": ("all", "all but poster"),
    }
    return [
        f"{name}: {change(table_of(cold), 'among held-out', *pair)} for unseen movies, "
        f"{change(table_of(warm), 'warm', *pair)} for known ones."
        for name, pair in pairs.items()
    ]


def change(rows: Rows, case: str, more: str, less: str) -> str:
    """Return how recall changes, and whether it does so in the same direction in every fold."""
    after, before = (rows[case, name, "recall@20"]["values"] for name in (more, less))
    by = [a - b for a, b in zip(after, before, strict=True)]
    mean = sum(by) / len(by)
    if min(by) > 0:
        word = "helps every time"
    elif max(by) < 0:
        word = "hurts every time"
    else:
        word = "no clear effect"
    return f"{word} ({mean:+.4f} recall@20)"


if __name__ == "__main__":
    main()
