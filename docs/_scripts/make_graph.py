"""Write docs/results/graph.md and its figures from benchmarks/results/graph-ablation.json.

The page contains nothing but these results, so a test compares it with the committed one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from draw_graph_results import depth, smoothing
from make_leaderboard import HOME, RESULTS, heading, markdown
from recorded import console_block

Row = dict[str, Any]
TITLES = {
    "warm: ml-1m": "MovieLens-1M",
    "warm: ml-100k": "MovieLens-100k",
    "sparse: gowalla": "Gowalla",
    "next: amazon-beauty": "Beauty, next item",
    "next: ml-100k": "MovieLens-100k, next item",
    "cold-users: ml-1m": "New users, MovieLens-1M",
    "cold-users: ml-100k": "New users, MovieLens-100k",
    "cold-movies: ml-1m": "New movies, MovieLens-1M",
    "cold-movies: ml-100k": "New movies, MovieLens-100k",
}
"""Titles of the sections that the page can show, in their order."""
PROFILE, FACTORS = "0 layers: profile only", "0 layers: user table (ALS)"
DEPTH = ("1 layer", "2 layers", "3 layers")
SAME = 0.01
"""Relative differences up to this are called none where there is a single seed."""
INTRODUCTION = """<!-- Written by docs/_scripts/make_graph.py; do not edit. `make graph-page` rewrites it. -->

# Does the graph help?

What each layer, each kind of node and each encoder contributes, measured, and why a second layer adds little. The numbers are from
short trainings made for this comparison, so they are below those of the [leaderboard](leaderboard.md); compare rows only
within a table.

## What flows

A user has no embedding of their own, so the number of layers is the number of times that movies send messages to users:

| layers | what a list depends on |
| --- | --- |
| 0, profile only | age, gender and occupation. No message at all; close to popularity by group |
| 0, user table | a learned vector per user, solved for from the user's ratings: matrix factorization as wide as the others (ALS). The usual "no graph", but it cannot use a profile |
| 1 | also the movies that the user rated, each by its own learned vector: user ← movie |
| 2 | also, for each of those movies, who else rated it and what else they rated: user ← movie ← user ← movie |
| 3 | two hops more |

Every row was trained with several learning rates, all for the same number of epochs; the rate with the best NDCG on the validation
ratings (*valid*) is in the table and was used for all seeds, and only that model saw the test ratings. An *edge* beside a rate
means that it is the smallest or largest that was tried, so a better one may lie outside. ± is the
standard deviation over seeds; a number without it is a single fit."""


def main() -> None:
    for name, text in pages(RESULTS / "graph-ablation.json").items():
        (HOME / "docs" / name).write_text(text, encoding="utf-8")


def pages(file: Path) -> dict[str, str]:
    """Return the page and its pictures by path, for a file of results."""
    record = json.loads(file.read_text(encoding="utf-8"))["sections"]
    sections = {name: record[name] for name in TITLES if name in record}
    parts = [INTRODUCTION, "## In short", "\n".join(f"- {line}" for line in verdicts(sections))]
    parts += ["## Layers", picture("graph-depth.svg", "NDCG by number of layers, for each kind of data")]
    for name, section in sections.items():
        if shown := [row for row in section["rows"] if row["group"] == "depth"]:
            parts += [f"### {TITLES[name]}", protocol(section), table(shown, section["k"])]
            if text := lengths(shown, section["k"]):
                parts += ["By the number of training ratings of a user, NDCG:", text]
    if text := encoders(sections):
        parts += ["## LightGCN and GraphSAGE", text]
    parts += ["## Why more layers add little", *reasons(sections)]
    parts += ["## Genres, occupations, directors, transitions", *content(sections)]
    parts += ["## Commands", "Run in a checkout of the repository:"]
    for name, section in sections.items():
        commands = dict.fromkeys(row["command"] for row in section["rows"])
        parts += [f"{TITLES[name]} ({seconds(section)}; {versions(section)}):"]
        parts += [console_block("\n".join(commands))]
    return {
        "results/graph.md": "\n\n".join(parts) + "\n",
        "pictures/graph-depth.svg": depth(bars(sections), "NDCG"),
        "pictures/graph-smoothing.svg": smoothing(curves(sections)),
    }


def rows_of(section: Row) -> dict[str, Row]:
    """Return the rows of a section by name."""
    return {row["row"]: row for row in section["rows"]}


def values(row: Row, k: int, metric: str = "ndcg", case: str | None = None) -> list[float]:
    """Return the values of a metric by seed, on the first case by default."""
    found: list[float] = row["test"][next(iter(row["test"])) if case is None else case][f"{metric}@{k}"]
    return found


def spread(numbers: list[float]) -> str:
    if len(numbers) == 1:
        return f"{numbers[0]:.4f}"
    return f"{mean(numbers):.4f} ± {stdev(numbers):.4f}"


def rate(row: Row) -> str:
    """Return the chosen hyperparameters, and whether they are at the edge of the grid."""
    if isinstance(row["rate"], str):
        return row["rate"]
    tried = [float(name) for name in row["valid_by_rate"]]
    edge = " (edge)" if len(tried) > 1 and row["rate"] in (min(tried), max(tried)) else ""
    return f"{row['rate'] * row['learning_rate']:.2g}{edge}"


def table(rows: list[Row], k: int) -> str:
    """Return the metrics of rows; one column per case where there are several."""
    cases = list(rows[0]["test"])
    if len(cases) > 1:
        cases.sort(key=lambda case: int(case.split()[0]))
        lines = [("model", *(f"{heading(f'ndcg@{k}')}, {case}" for case in cases), "rate")]
        for row in rows:
            lines.append((row["row"], *(spread(values(row, k, case=case)) for case in cases), rate(row)))
        return markdown(lines)
    lines = [("model", heading(f"recall@{k}"), heading(f"ndcg@{k}"), "valid", "rate", "fit s")]
    for row in rows:
        both = (spread(values(row, k, metric)) for metric in ("recall", "ndcg"))
        lines.append((row["row"], *both, f"{row['valid']:.4f}", rate(row), f"{mean(row['fit_seconds']):.0f}"))
    return markdown(lines)


def protocol(section: Row) -> str:
    row = section["rows"][-1]
    return (
        f"{section['protocol'][0].upper()}{section['protocol'][1:]}. {row['embedding_dim']} dimensions, "
        f"{row['epochs']} epochs."
    )


def lengths(rows: list[Row], k: int) -> str:
    """Return NDCG by the length of the history."""
    rows = [row for row in rows if row["by_length"]]
    if not rows or len(rows[0]["by_length"]) < 2:
        return ""
    heads = [f"{one['from']} to {one['to']}" for one in rows[0]["by_length"]]
    lines = [("model", *heads)]
    lines += [(row["row"], *(f"{one[f'ndcg@{k}']:.4f}" for one in row["by_length"])) for row in rows]
    return markdown(lines)


def change(after: list[float], before: list[float]) -> tuple[str, float]:
    """Return "better", "worse" or "no clear difference", and the mean difference.

    With several seeds a difference is one that has the same sign in all of them; with one seed, one of more than `SAME`.
    """
    pairs = list(zip(after, before, strict=False))
    by = [a - b for a, b in pairs]
    if len(by) == 1:
        threshold = SAME * pairs[0][1]
        word = "better" if by[0] > threshold else "worse" if by[0] < -threshold else "no clear difference"
    else:
        word = "better" if min(by) > 0 else "worse" if max(by) < 0 else "no clear difference"
    return word, mean(by)


def said(after: list[float], before: list[float], k: int) -> str:
    word, by = change(after, before)
    number = min(len(after), len(before))
    return f"{word} ({by:+.4f} {heading(f'ndcg@{k}')}, {number} seed{'s' * (number > 1)})"


def verdicts(sections: dict[str, Row]) -> list[str]:
    """Return what the tables say about the layers, one sentence for each kind of data."""
    lines = []
    for name, section in sections.items():
        rows, k = rows_of(section), section["k"]
        if DEPTH[0] not in rows:
            continue
        one = values(rows[DEPTH[0]], k)
        found = []
        if PROFILE in rows:
            found.append(f"one layer against the profile alone: {said(one, values(rows[PROFILE], k), k)}")
        found += [
            f"{more.replace('2', 'two').replace('3', 'three')} against one: {said(values(rows[more], k), one, k)}"
            for more in DEPTH[1:]
            if more in rows
        ]
        if found:
            lines.append(f"**{TITLES[name]}**: {'; '.join(found)}.")
    return lines


def encoders(sections: dict[str, Row]) -> str:
    """Return LightGCN beside GraphSAGE."""
    found = []
    for name, section in sections.items():
        rows = rows_of(section)
        if shown := [row for row in section["rows"] if row["group"] == "encoder"]:
            own = [rows[one] for one in DEPTH if one in rows]
            found += [f"{TITLES[name]}:", table([*own, *shown], section["k"])]
    return "\n\n".join(found)


def reasons(sections: dict[str, Row]) -> list[str]:
    """Return the measurements that explain why layers add little."""
    deepest = deepest_rows(sections)
    parts = [
        "**LightGCN is linear in the vectors of movies, so one layer can already do what three do.** A second layer replaces the vector "
        "of a movie by a mixture of the vectors of all movies that its users rated. Whatever mixture that is, it could have been "
        "learned as the vector itself: a trained model of three layers, written as one layer with the mixed vectors as its table, gives "
        "the same scores, which a test checks. More layers change what is easy to learn, not what can be learned. Three cases are "
        "outside of this: movies without ratings (no messages reach them at any depth, only their attributes count), ratings added "
        "after training (a deeper model mixes them in, a shallow one only in the user's own history), and GraphSAGE, which is not "
        "linear.",
        "**The published gain is of another kind.** The LightGCN of [He et al. 2020](https://arxiv.org/abs/2002.02126) gains from three "
        "layers on Gowalla. It is linear, too, but it learns a vector for each user and starts from random vectors: its layers are what "
        "tells it which users and movies belong together. Here users are sums of their movies from the first layer on, and vectors "
        "start from a singular value decomposition of the ratings.",
        "**Over-smoothing.** Each step makes nodes more alike. The mean cosine of two movies or users, after each step of "
        "propagation in the trained models with the most layers:",
        picture("graph-smoothing.svg", "Mean cosine of two nodes after each step of propagation"),
    ]
    heads = ("data", "weights of the layers", "length of what each layer adds to a movie's message")
    lines: list[tuple[str, ...]] = [heads]
    for name, row in deepest.items():
        found = row["diagnosis"]
        lines.append((
            TITLES[name],
            ", ".join(f"{one:.2f}" for one in found["alpha"]),
            ", ".join(f"{one:.3f}" for one in found["shares"]),
        ))  # fmt: skip
    parts += ["What the layers got to say after training:", markdown(lines)]
    parts.append(
        "**Learning rate.** Deeper models need larger steps: each layer starts with an equal share of the weight, and the "
        "layers after the first shrink what they pass on. With one rate for all rows, two and three layers look worse than they "
        "are. NDCG on the validation ratings by learning rate, as a multiple of the config's:"
    )
    for name, section in sections.items():
        rows = rows_of(section)
        shown = [rows[one] for one in DEPTH if one in rows]
        tried = list(shown[0]["valid_by_rate"]) if shown else []
        if len(shown) > 1 and len(tried) > 1:
            lines = [(TITLES[name], *(f"× {float(one):g}" for one in tried))]
            for row in shown:
                lines.append((row["row"], *(f"{row['valid_by_rate'][one]:.4f}" for one in tried)))
            parts.append(markdown(lines))
    ratios = {TITLES[name]: row["diagnosis"]["hidden_ratio"] for name, row in deepest.items()}
    listed = ", ".join(f"{ratio:.2f} on {title}" for title, ratio in ratios.items())
    parts.append(
        "**Hidden ratings.** A rating that is to be predicted must not send messages, so each step of training hides a share of all "
        "ratings (`train.edge_dropout`), also those of users who are not in the batch. The messages from the second layer are shorter "
        f"in training than afterwards ({listed} of their later length), so a second layer counts for more than it was trained to. "
        "Two variants show what that costs: *made up for* lets the remaining ratings count for the hidden ones, *nothing hidden* "
        "lets movies gather from all ratings, which leaks."
    )
    for name, section in sections.items():
        rows = rows_of(section)
        lines = [
            f"- {TITLES[name]}, {row['row'].removeprefix('2 layers, ')}: "
            f"{said(values(row, section['k']), values(rows[DEPTH[1]], section['k']), section['k'])} against two layers as they are."
            for row in section["rows"]
            if row["group"] == "guard"
        ]
        parts += ["\n".join(lines)] if lines else []
    parts += compared(sections, "guard", DEPTH[1])
    parts.append(
        "**The start.** Vectors of movies start from a singular value decomposition of the ratings, which already knows which "
        "movies have users in common. From random vectors, layers have that to find out by themselves. *Before training* is "
        "NDCG on the validation ratings without any training."
    )
    for name, section in sections.items():
        rows = rows_of(section)
        shown = [rows[one] for one in DEPTH if one in rows]
        shown += [row for row in section["rows"] if row["group"] == "start"]
        if len(shown) > 1:
            lines = [("model", "before training", "valid", heading(f"ndcg@{section['k']}"), "rate")]
            for row in shown:
                ndcg = spread(values(row, section["k"]))
                lines.append((row["row"], f"{row['untrained']:.4f}", f"{row['valid']:.4f}", ndcg, rate(row)))
            parts += [f"{TITLES[name]}:", markdown(lines)]
    return parts


def deepest_rows(sections: dict[str, Row]) -> dict[str, Row]:
    """Return the row with the most layers of each section where there are two or more."""
    found = {}
    for name, section in sections.items():
        rows = rows_of(section)
        if deep := [rows[one] for one in DEPTH[1:] if one in rows]:
            found[name] = deep[-1]
    return found


def compared(sections: dict[str, Row], group: str, to: str) -> list[str]:
    """Return the rows of a group below the row that they are compared with, for each kind of data."""
    parts = []
    for name, section in sections.items():
        rows = rows_of(section)
        if to in rows and (shown := [row for row in section["rows"] if row["group"] == group]):
            parts += [f"{TITLES[name]}:", table([rows[to], *shown], section["k"])]
    return parts


def content(sections: dict[str, Row]) -> list[str]:
    """Return the rows with more or fewer kinds of nodes, and what they say."""
    lines = [
        f"{TITLES[name]}, {row['row'].removeprefix('1 layer, ')}: {said(values(row, section['k']), values(rows[DEPTH[0]], section['k']), section['k'])}."
        for name, section in sections.items()
        for rows in [rows_of(section)]
        for row in section["rows"]
        if row["group"] in ("content", "start") and row["row"].startswith("1 layer, ")
    ]
    intro = (
        "Each row is one layer with more or fewer kinds of nodes, and the learning rate of the row that it is compared with. "
        "*Transitions* are a start of the movie vectors, not nodes."
    )
    return [intro, "\n".join(f"- {line}" for line in lines), *compared(sections, "content", DEPTH[0])]


def bars(sections: dict[str, Row]) -> dict[str, dict[str, float]]:
    """Return NDCG by number of layers for the picture."""
    wanted = {PROFILE: "0 layers, profile only", **{name: name for name in DEPTH}}
    found = {}
    for name, section in sections.items():
        rows = rows_of(section)
        own = {label: mean(values(rows[one], section["k"])) for one, label in wanted.items() if one in rows}
        if len(own) > 1:
            found[TITLES[name]] = own
    return found


def curves(sections: dict[str, Row]) -> dict[str, list[float]]:
    """Return the mean cosine after each step, movies and users in turn, of the models with the most layers."""
    found = {}
    for name, row in deepest_rows(sections).items():
        movies, users = row["diagnosis"]["cosine_movies"], row["diagnosis"]["cosine_users"]
        found[TITLES[name]] = [one for pair in zip(movies, users, strict=True) for one in pair]
    return found


def seconds(section: Row) -> str:
    """Return how long the reported fits took together."""
    return f"the reported fits took {sum(sum(row['fit_seconds']) for row in section['rows']):,.0f} s on a busy machine"


def versions(section: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in section["packages"].items())


def picture(file: str, alt: str) -> str:
    return f"![{alt}](../pictures/{file})"


if __name__ == "__main__":
    main()
