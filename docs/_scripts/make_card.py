"""Write the tables of the model card from the results of the leaderboard, so that both say the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from leaderboard_sections import SECTIONS, Section
from make_leaderboard import RESULTS, heading, markdown

from gnnrec.benchmark import BenchmarkReport

OTHERS = {"EASE": "ease", "popularity": "popularity", "movie and user biases": "movie and user biases"}
OF_LISTS = ("coverage", "novelty", "diversity")
FIRST = "m1"


def write(folder: Path) -> None:
    """Write ``model-card.md`` and ``model-card-lists.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model-card.md").write_text(numbers(RESULTS) + "\n", encoding="utf-8")
    (folder / "model-card-lists.md").write_text(lists(RESULTS) + "\n", encoding="utf-8")


def numbers(results: Path) -> str:
    """Return a table of our best network in each section that is measured, with its simplest rivals."""
    lines: list[tuple[str, ...]] = [("question", "metric", "gnnrec", "beside it")]
    for section in SECTIONS.values():
        rows = measured(section, results)
        if not rows:
            continue
        best = ours(section, rows)
        others = [
            f"{shown} {' / '.join(value(rows[name], key, spread=False) for key in section.columns)}"
            for shown, name in OTHERS.items()
            if name in rows
        ]
        what = " / ".join(map(heading, section.columns))
        own = " / ".join(value(rows[best], key) for key in section.columns)
        lines.append((section.title, what, f"**{own}**", "; ".join(others)))
    return markdown(lines)


def lists(results: Path) -> str:
    """Return what the lists of ten of the first section look like."""
    rows = measured(SECTIONS[FIRST], results)
    lines: list[tuple[str, ...]] = [("model", "coverage@10", "novelty@10, bits", "diversity@10")]
    names = {"gnnrec": ours(SECTIONS[FIRST], rows), "EASE": "ease", "popularity": "popularity"}
    for shown, name in names.items():
        found = [rows[name][f"{metric}@10"]["mean"] for metric in OF_LISTS]
        lines.append((shown, f"{found[0]:.1%}", f"{found[1]:.2f}", f"{found[2]:.2f}"))
    return markdown(lines)


def measured(section: Section, results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the rows of a section by model and metric; empty when nothing was measured."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for file in section.commands:
        if (results / file).exists():
            for row in BenchmarkReport.read(results / file).results:
                key = row["metric"] if row["k"] is None else f"{row['metric']}@{row['k']}"
                found.setdefault(row["model"], {})[key] = row
    return found


def ours(section: Section, rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the name of our best network by the column that sorts the section."""
    names = [name for name in rows if name.startswith("gnn")]
    pick = min if section.lower_is_better else max
    return pick(names, key=lambda name: rows[name][section.sorted_by]["mean"])


def value(of_model: dict[str, dict[str, Any]], key: str, *, spread: bool = True) -> str:
    """Return a mean, with its standard deviation where there are seeds."""
    row = of_model[key]
    return f"{row['mean']:.4f}" + (f" ± {row['std']:.4f}" if spread and row["seeds"] > 1 else "")
