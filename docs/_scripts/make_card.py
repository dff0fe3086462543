"""Write the tables of the model card from the results of the leaderboard, so that both agree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from leaderboard_sections import SECTIONS, Section
from make_leaderboard import RESULTS, heading, markdown, row_name

from gnnrec.benchmarking import BenchmarkReport

OTHERS = {"EASE": "ease", "popularity": "popularity", "movie and user biases": "movie and user biases"}
LIST_METRICS = ("coverage", "novelty", "diversity")
FIRST = "m1"


def write(folder: Path) -> None:
    """Write ``model-card.md`` and ``model-card-lists.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model-card.md").write_text(accuracy_table(RESULTS) + "\n", encoding="utf-8")
    (folder / "model-card-lists.md").write_text(list_table(RESULTS) + "\n", encoding="utf-8")


def accuracy_table(results: Path) -> str:
    """Return a table of our best model in each section that measured one, next to simple baselines."""
    lines: list[tuple[str, ...]] = [("protocol", "config", "metric", "gnnrec", "baselines")]
    for section in SECTIONS.values():
        rows = measured(section, results)
        if not any(name.startswith("gnn") for name in rows):
            continue
        best = best_of_ours(section, rows)
        others = [
            f"{shown} {' / '.join(value(rows[name], key, spread=False) for key in section.columns)}"
            for shown, name in OTHERS.items()
            if name in rows
        ]
        what = " / ".join(map(heading, section.columns))
        own = " / ".join(value(rows[best], key) for key in section.columns)
        lines.append((section.title, config_of(best), what, f"**{own}**", "; ".join(others)))
    return markdown(lines)


def config_of(name: str) -> str:
    """Return the config of one of our models, by the name of its row; the script, for rating prediction."""
    if name == "gnnrec":
        return "`examples/rate_ml1m.py`"
    return f"`{name.removeprefix('gnn').strip(' ()')}`"


def list_table(results: Path) -> str:
    """Return beyond-accuracy metrics of the top-10 lists in the first section."""
    rows = measured(SECTIONS[FIRST], results)
    lines: list[tuple[str, ...]] = [("model", "coverage@10", "novelty@10, bits", "diversity@10")]
    names = {"gnnrec": best_of_ours(SECTIONS[FIRST], rows), "EASE": "ease", "popularity": "popularity"}
    for shown, name in names.items():
        found = [rows[name][f"{metric}@10"]["mean"] for metric in LIST_METRICS]
        lines.append((shown, f"{found[0]:.1%}", f"{found[1]:.2f}", f"{found[2]:.2f}"))
    return markdown(lines)


def measured(section: Section, results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the rows of a section by model and metric; empty if nothing was measured."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for file in section.commands:
        if (results / file).exists():
            report = BenchmarkReport.read(results / file)
            for row in report.results:
                key = row["metric"] if row["k"] is None else f"{row['metric']}@{row['k']}"
                found.setdefault(row_name(row["model"], report), {})[key] = row
    return found


def best_of_ours(section: Section, rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the name of our best model by the column that sorts the section."""
    names = [name for name in rows if name.startswith("gnn")]
    pick = min if section.lower_is_better else max
    return pick(names, key=lambda name: rows[name][section.sorted_by]["mean"])


def value(of_model: dict[str, dict[str, Any]], key: str, *, spread: bool = True) -> str:
    """Return a mean, with its standard deviation over seeds if there are several."""
    row = of_model[key]
    return f"{row['mean']:.4f}" + (f" ± {row['std']:.4f}" if spread and row["seeds"] > 1 else "")
