"""Write docs/results/leaderboard.md from benchmarks/results: python docs/_scripts/make_leaderboard.py

    python docs/_scripts/make_leaderboard.py --run [SECTION ...]    measure all sections first (hours), or some
    python docs/_scripts/make_leaderboard.py --run --keep           measure only what is missing

`leaderboard_sections.py` defines what is measured, `benchmarks/results/published.yaml` holds published numbers. The
page contains nothing else, so a test compares it with the committed one.
"""

from __future__ import annotations

import argparse
import json
import math
import operator
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from leaderboard_sections import INTRODUCTION, SECTIONS, SPLIT, TIME, Section
from recorded import console_block, protocol

from gnnrec.benchmarking import BenchmarkReport
from gnnrec.errors import GnnrecError

HOME = Path(__file__).resolve().parents[2]
PAGE = HOME / "docs" / "results" / "leaderboard.md"
RESULTS = HOME / "benchmarks" / "results"
NAMES = {
    "hit_rate": "HR",
    "ndcg": "NDCG",
    "recall": "Recall",
    "capped_recall": "Recall",
    "mrr": "MRR",
    "rmse": "RMSE",
    "mae": "MAE",
}
CHECKED = {"source": "read in the source", "second-hand": "second-hand, unchecked"}
OURS = {"gnnrec": "gnn"}
"""Our models, where the results have an earlier name."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/results/leaderboard.md.")
    parser.add_argument("--run", nargs="*", metavar="SECTION", help="measure these sections first, by default all")
    parser.add_argument("--keep", action="store_true", help="with --run, skip sections whose results exist")
    parser.add_argument("--split", type=Path, help=f"the folder {SPLIT}, by default $GNNREC_DATA/splits/{SPLIT}")
    arguments = parser.parse_args()
    failed = []
    if arguments.run is not None:
        known = [*SECTIONS, "time"]
        if unknown := set(arguments.run) - set(known):
            sys.exit(f"error: unknown section {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
        folder = arguments.split or Path(os.environ.get("GNNREC_DATA", "data")) / "splits" / SPLIT
        for name in arguments.run or known:
            for file, command in (SECTIONS[name].commands if name in SECTIONS else TIME).items():
                if not (arguments.keep and (RESULTS / file).exists()):
                    print(f"{file}: {command}", flush=True)
                    done = subprocess.run(argv(command, folder.resolve(), RESULTS / file), cwd=HOME)
                    failed += [file] if done.returncode else []
    try:
        PAGE.write_text(page(RESULTS), encoding="utf-8")
    except GnnrecError as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit(f"error: measuring failed: {', '.join(failed)}")


def argv(command: str, split: Path, out: Path) -> list[str]:
    """Return a command for this Python, to be run from the repository's root."""
    program, *rest = [str(split) if word == SPLIT else word for word in command.split()]
    if program == "gnnrec":
        return [sys.executable, "-m", "gnnrec.cli", *rest, "--out", str(out)]
    return [sys.executable, *rest, "--json", str(out)]


def page(results: Path) -> str:
    """Return the page for a folder of results."""
    published = yaml.safe_load((results / "published.yaml").read_text(encoding="utf-8"))
    if unknown := set(published) - set(SECTIONS):
        raise GnnrecError(f"published.yaml names an unknown section: {', '.join(sorted(unknown))}")
    usual = usual_run(results)
    parts = [
        INTRODUCTION,
        *([f"Unless a section says otherwise, results were measured with {usual}."] if usual else []),
    ]
    parts += [section_text(section, results, published.get(name, []), usual) for name, section in SECTIONS.items()]
    return "\n\n".join([*parts, time_text(results, usual)]) + "\n"


def usual_run(results: Path) -> str:
    """Return the threads and versions that most measurements share; empty without any."""
    files = [file for section in SECTIONS.values() for file in section.commands if (results / file).exists()]
    reports = [BenchmarkReport.read(results / file) for file in files]
    counted = Counter(about_run(report.threads, report.packages) for report in reports)
    return counted.most_common(1)[0][0] if counted else ""


def section_text(section: Section, results: Path, published: list[dict[str, Any]], usual: str = "") -> str:
    """Return a section: its protocol, our measurements and published results."""
    parts = [f"## {section.title}", section.about]
    reports = {file: BenchmarkReport.read(results / file) for file in section.commands if (results / file).exists()}
    rows = [
        {**row, "model": row_name(row["model"], one), "shown_seconds": shown_seconds(row, one)}
        for one in reports.values()
        for row in one.results
    ]
    if rows:
        parts.append(folded(protocol_text(section, rows)))
    for file, planned in section.commands.items():
        if file not in reports:
            parts.append(f"Not measured yet: `{planned}`")
            continue
        report = reports[file]
        parts += [console_block(report.command), *remarks(report.threads, report.packages, usual)]
        parts += [f"**Skipped: {name}.** {reason}" for name, reason in report.skipped.items()]
    if rows:
        stopped = {name: why for report in reports.values() for name, why in not_converged(report).items()}
        parts.append(our_table(section, rows, stopped))
    if published:
        parts += ["Published:", published_table(section, published)]
    return "\n\n".join(parts)


def row_name(model: str, report: BenchmarkReport) -> str:
    """Return the name of a model; the network that was measured with a single config, or without one, is named by it."""
    configs = re.findall(r"--config (\S+)", report.command)
    if model == "gnn" and not configs:
        return "gnn (default settings)"
    return f"gnn ({Path(configs[0]).stem})" if model == "gnn" and len(configs) == 1 else model


def folded(protocol: str) -> str:
    """Return the description of a protocol, shown on request."""
    return f":::{{dropdown}} Protocol {protocol.split()[0]}\n```text\n{protocol}\n```\n:::"


def remarks(threads: int, packages: dict[str, str], usual: str) -> list[str]:
    """Return what a measurement was made with, unless that is as usual."""
    made_with = about_run(threads, packages)
    return [] if made_with == usual else [f"{made_with[0].upper()}{made_with[1:]}."]


def protocol_text(section: Section, rows: list[dict[str, Any]]) -> str:
    """Return the protocol of all rows, one property per line."""
    protocols = {row["fingerprint"]: row["protocol"] for row in rows}
    if len(protocols) > 1:
        named = "; and ".join(protocols.values())
        raise GnnrecError(f"{section.title}: one table cannot mix protocols: {named}")
    return per_line(next(iter(protocols.values())))


def not_converged(report: BenchmarkReport) -> dict[str, str]:
    """Return the models that were not trained to the end, and why.

    A fit took as long as the time limit, which does not apply to gnnrec; or the last epoch was still the best.
    """
    limit = report.time_limit or math.inf
    found = {}
    for row in report.results:
        best, epochs = row.get("best_epochs", []), row.get("epochs", [])
        if row["fit_seconds"] >= limit:
            found[row["model"]] = f"stopped after {limit:g} s, not converged"
        elif not row["model"].startswith("gnn") and any(map(operator.eq, best, epochs)):
            found[row["model"]] = f"stopped after {max(epochs)} epochs, not converged"
    return found


def shown_seconds(row: dict[str, Any], report: BenchmarkReport) -> float:
    """Return the seconds of a fit: those of the processor if they are known and there was one thread."""
    seconds: float = row.get("fit_cpu_seconds", row["fit_seconds"]) if report.threads == 1 else row["fit_seconds"]
    return seconds


def our_table(section: Section, rows: list[dict[str, Any]], stopped: dict[str, str]) -> str:
    """Return our table, best model first, the best of each column in bold, models in `stopped` with the reason."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = row["metric"] if row["k"] is None else f"{row['metric']}@{row['k']}"
        if key in found.setdefault(row["model"], {}):
            raise GnnrecError(f"{section.title}: {row['model']} is in more than one file of results")
        found[row["model"]][key] = row
    if missing := [f"{model} {key}" for model, own in found.items() for key in section.columns if key not in own]:
        raise GnnrecError(f"{section.title}: not measured: {', '.join(missing)}")
    pick, sign = (min, 1) if section.lower_is_better else (max, -1)
    best = {key: pick(own[key]["mean"] for own in found.values()) for key in section.columns}
    lines = [("model", *map(heading, section.columns), "fits", "fit s")]
    for row_name, own in sorted(found.items(), key=lambda item: sign * item[1][section.sorted_by]["mean"]):
        model = OURS.get(row_name, row_name)
        cells = []
        for key in section.columns:
            row = own[key]
            spread = f" ± {row['std']:.4f}" if row["seeds"] > 1 else ""
            cells.append(f"**{row['mean']:.4f}{spread}**" if row["mean"] == best[key] else f"{row['mean']:.4f}{spread}")
        last = own[section.sorted_by]
        name = f"{model} *({stopped[row_name]})*" if row_name in stopped else model
        lines.append((name, *cells, str(last["seeds"]), f"{last['shown_seconds']:.1f}"))
    return markdown(lines)


def published_table(section: Section, published: list[dict[str, Any]]) -> str:
    """Return the table of published results."""
    lines = [("model", *map(heading, section.columns), "told when?", "same protocol?", "source", "number")]
    for entry in published:
        numbers = [entry.get(key, "") for key in section.columns]
        same = f"{entry['same']}: {entry['why']}"
        lines.append((entry["model"], *numbers, entry["told"], same, entry["source"], CHECKED[entry["checked"]]))
    return markdown(lines)


def time_text(results: Path, usual: str = "") -> str:
    """Return the section on training time until a target quality."""
    ((file, planned),) = TIME.items()
    about = (
        "Seconds until NDCG@20 on the validation ratings first reaches a target: `gnn (ml1m)` and the model `lightgcn`, "
        "both trained until early stopping ends them, one after the other in one process. Seconds are those of the "
        "processor, with the ranking of the validation ratings after each epoch."
    )
    parts = ["## Time to quality", about]
    if not (results / file).exists():
        return "\n\n".join([*parts, f"Not measured yet: `{planned}`"])
    found = json.loads((results / file).read_text(encoding="utf-8"))
    lines = [("model", f"s to {found['target']:g}", "best", "epochs", "s total")]
    for run in found["runs"]:
        reached = "not reached" if run["seconds"] is None else f"{run['seconds']:.1f}"
        own = (reached, f"{run['best']:.4f}", str(run["epochs"]), f"{run['trained_seconds']:.0f}")
        lines.append(("gnn (ml1m)" if run["model"] == "gnnrec" else run["model"], *own))
    parts.append(folded(per_line(found["protocol"])))
    parts += [console_block(found["command"]), *remarks(found["threads"], found["packages"], usual), markdown(lines)]
    if found["ratio"] is None:
        parts.append("The graph neural network did not reach the target.")
    elif found["ratio_is_a_bound"]:
        parts.append(
            f"LightGCN did not reach {found['target']:g} within {found['time_limit']:g} s, so there is no time to compare."
        )
    else:
        parts.append(f"To the same quality, LightGCN takes **{found['ratio']:.1f} times** as long.")
    return "\n\n".join(parts)


def per_line(text: str) -> str:
    return protocol(text).replace("; ", "\n")


def about_run(threads: int, packages: dict[str, str]) -> str:
    named = ", ".join(f"{name} {version}" for name, version in packages.items())
    return f"{threads} thread{'s' if threads > 1 else ''}, {named}"


def heading(key: str) -> str:
    metric, _, k = key.partition("@")
    return f"{NAMES[metric]}@{k}" if k else NAMES[metric]


def markdown(lines: list[tuple[str, ...]]) -> str:
    header, *rows = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


if __name__ == "__main__":
    main()
