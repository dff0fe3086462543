"""Write the page on re-ranking and groups, and its curve, from the recorded results of the two benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from svg import SERIES, color, figure, text

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS.parent / "benchmarks" / "results"
LEFT, TOP, WIDE, HIGH = 80, 30, 600, 280
CURVES = {"diversity": "intra_list_distance", "novelty": "popularity_lift", "calibration": "miscalibration"}
COLUMNS = (
    "ndcg",
    "intra_list_distance",
    "popularity_lift",
    "miscalibration",
    "genre_consistency",
    "serendipity",
    "gini",
    "coverage",
)
SHOWN = ("none", "diversity 0.7", "novelty 0.5", "calibration 0.3", "max_per_genre 3")
"""Rows of the table, and the one that combines options; `benchmarks/results` has them all."""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def curve(lists: list[dict[str, Any]]) -> str:
    """Return NDCG relative to the unchanged list, by the strength of three options, as SVG."""
    best = lists[0]["ndcg"]
    parts = [
        f'<path d="M{LEFT},{TOP} V{TOP + HIGH} H{LEFT + WIDE}" fill="none" stroke="{color("muted")}"/>',
        text(LEFT + WIDE / 2, TOP + HIGH + 44, "value of the option", "muted", anchor="middle"),
    ]
    for share in (0, 0.5, 1):
        parts.append(text(LEFT - 10, TOP + HIGH * (1 - share) + 4, f"{share:.0%}", anchor="end"))
        parts.append(text(LEFT + WIDE * share, TOP + HIGH + 20, f"{share:g}", anchor="middle"))
    for i, name in enumerate(CURVES):
        rows = [lists[0], *(row for row in lists if list(row["options"]) == [name])]
        points = " ".join(
            f"{LEFT + WIDE * row['options'].get(name, 0):.1f},{TOP + HIGH * (1 - min(1.0, row['ndcg'] / best)):.1f}"
            for row in rows
        )
        role = SERIES[i % len(SERIES)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color(role)}" stroke-width="2.2"/>')
        parts.append(text(LEFT + 20, TOP + HIGH - 60 + 20 * i, name, role, bold=True))
    return figure(
        740,
        380,
        "NDCG@10 relative to the unchanged list, by the strength of diversity, novelty and calibration",
        *parts,
    )


def label(options: dict[str, Any]) -> str:
    """Return options as they are shown."""
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "none"


def page() -> str:
    """Return the page."""
    lists, groups = (
        json.loads((RESULTS / f"{name}-ml100k-ease.json").read_text(encoding="utf-8"))
        for name in ("reranking", "groups")
    )
    shown = [
        [
            label(row["options"]),
            *(f"{row[name]:.3f}" for name in COLUMNS),
            f"{row['milliseconds']:.1f}",
        ]
        for row in lists["lists"]
        if label(row["options"]) in SHOWN or len(row["options"]) > 1
    ]
    family = [
        [
            label(row["options"]),
            f"{row['adult_share']:.0%}",
            f"{row['lists_with_an_adult_movie']:.0%}",
            f"{row['recall_of_family_movies']:.3f}",
        ]
        for row in lists["family_friendly"]
    ]
    together = [
        [str(row["size"]), row["method"], *(f"{row[name]:.3f}" for name in ("least_happy", "mean", "happiest"))]
        for row in groups["groups"]
    ]
    return f"""# Re-ranking and groups

What [re-ranking](../how-to/lists.md) costs in accuracy and what it improves: MovieLens-100k, EASE, a random split, lists of ten.
[Metrics](../reference/metrics.md) defines the columns. The commands are run in a checkout of the repository.

## Re-ranking

`{lists["command"]}`

![NDCG by re-ranking strength](../pictures/reranking.svg)

{table(["options", *(name.replace("_", " ") for name in COLUMNS), "ms"], shown)}

The option `diversity` compares embeddings, so it improves `intra_list_distance`. Milliseconds are processor time for one user, on a
machine that was busy with other work.

## Families

{lists["family_friendly"][0]["num_users"]} users with at least a fifth of Children's movies in their history. Movies for adults are those with a genre that
the filter excludes, so its zero is by construction. Recall is measured on held-out Children's movies that are not for adults.

{table(["options", "movies for adults", "lists with one", "recall"], family)}

## Groups

`{groups["command"]}`

NDCG@10 of the group's list, measured with the held-out ratings of each member: of the member it serves worst, on average, and of the
member it serves best.

{table(["members", "list", "worst", "mean", "best"], together)}

*Averaged lists* merges the members' own lists by rank; *one history* recommends to one user with the ratings of all members; *common
movie* lists movies similar to one that most members have rated.
"""


if __name__ == "__main__":
    (DOCS / "results" / "reranking.md").write_text(page(), encoding="utf-8")
    recorded = json.loads((RESULTS / "reranking-ml100k-ease.json").read_text(encoding="utf-8"))["lists"]
    (DOCS / "pictures" / "reranking.svg").write_text(curve(recorded), encoding="utf-8")
