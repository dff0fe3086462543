"""Write docs/leaderboard.md from the files in docs/results: python docs/make_leaderboard.py

    python docs/make_leaderboard.py --run [SECTION ...]    makes the results first: all of them (hours), or some
    python docs/make_leaderboard.py --run --keep           only those that are not there yet

What is measured is in `leaderboard_sections.py`, what others published in `results/published.yaml`. The page holds
nothing else, so a test can compare it with the one kept here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))

from leaderboard_sections import INTRODUCTION, SECTIONS, SPLIT, TIME, Section

from gnnrec.benchmark import BenchmarkReport
from gnnrec.errors import GnnrecError

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NAMES = {"hit_rate": "HR", "ndcg": "NDCG", "recall": "Recall", "mrr": "MRR", "rmse": "RMSE", "mae": "MAE"}
CHECKED = {"source": "read in the source", "second-hand": "second-hand, not checked"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/leaderboard.md.")
    parser.add_argument("--run", nargs="*", metavar="SECTION", help="make these results first, all if none is named")
    parser.add_argument("--keep", action="store_true", help="with --run, leave out what is there")
    parser.add_argument("--split", type=Path, help=f"the folder {SPLIT}; else the one in $GNNREC_DATA/splits")
    arguments = parser.parse_args()
    failed = []
    if arguments.run is not None:
        known = [*SECTIONS, "time"]
        if unknown := set(arguments.run) - set(known):
            sys.exit(f"error: there is no section {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        folder = arguments.split or Path(os.environ.get("GNNREC_DATA", "data")) / "splits" / SPLIT
        for name in arguments.run or known:
            for file, command in (SECTIONS[name].commands if name in SECTIONS else TIME).items():
                if not (arguments.keep and (RESULTS / file).exists()):
                    print(f"{file}: {command}", flush=True)
                    done = subprocess.run(words(command, folder.resolve(), RESULTS / file), cwd=HERE.parent)
                    failed += [file] if done.returncode else []
    try:
        (HERE / "leaderboard.md").write_text(page(RESULTS), encoding="utf-8")
    except GnnrecError as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit(f"error: these were not made: {', '.join(failed)}")


def words(command: str, split: Path, out: Path) -> list[str]:
    """Return a command as it is run here, from the folder of the repository."""
    program, *rest = [str(split) if word == SPLIT else word for word in command.split()]
    start = {"gnnrec": [sys.executable, "-m", "gnnrec.cli"], "python": [sys.executable]}[program]
    return [*start, *rest, "--json", str(out)]


def page(results: Path) -> str:
    """Return the page for a folder of results."""
    published = yaml.safe_load((results / "published.yaml").read_text(encoding="utf-8"))
    if unknown := set(published) - set(SECTIONS):
        raise GnnrecError(f"published.yaml has numbers for {', '.join(sorted(unknown))}, which is no section")
    parts = [INTRODUCTION]
    parts += [section_text(section, results, published.get(name, [])) for name, section in SECTIONS.items()]
    return "\n\n".join([*parts, time_text(results)]) + "\n"


def section_text(section: Section, results: Path, published: list[dict[str, Any]]) -> str:
    """Return a section: its protocol, our numbers, and those of others."""
    parts = [f"## {section.title}", section.about]
    reports = {file: BenchmarkReport.read(results / file) for file in section.commands if (results / file).exists()}
    rows = [row for report in reports.values() for row in report.results]
    if rows:
        parts.append(f"```text\n{the_protocol(section, rows)}\n```")
    for file, planned in section.commands.items():
        if file not in reports:
            parts.append(f"Not measured yet: `{planned}`")
            continue
        report = reports[file]
        limit = f"; peers started no epoch after {report.limit_seconds:g} s" if report.limit_seconds else ""
        parts.append(f"```console\n{report.command}\n```\n\n{about_run(report.threads, report.packages)}{limit}.")
        parts += [f"**Left out: {name}.** {reason}" for name, reason in report.left_out.items()]
    if rows:
        parts.append(ours(section, rows))
    if published:
        parts += ["Published:", theirs(section, published)]
    return "\n\n".join(parts)


def the_protocol(section: Section, rows: list[dict[str, Any]]) -> str:
    """Return the one protocol of all rows, a fact per line."""
    protocols = {row["fingerprint"]: row["protocol"] for row in rows}
    if len(protocols) > 1:
        named = "; and ".join(protocols.values())
        raise GnnrecError(f"{section.title}: results of different protocols cannot stand in one table: {named}")
    return per_line(next(iter(protocols.values())))


def ours(section: Section, rows: list[dict[str, Any]]) -> str:
    """Return a table of models, the best first, and the best of each column in bold."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = row["metric"] if row["k"] is None else f"{row['metric']}@{row['k']}"
        if key in found.setdefault(row["model"], {}):
            raise GnnrecError(f"{section.title}: {row['model']} is in more than one file of results")
        found[row["model"]][key] = row
    if lacking := [f"{model} {key}" for model, own in found.items() for key in section.columns if key not in own]:
        raise GnnrecError(f"{section.title}: not measured: {', '.join(lacking)}")
    pick, sign = (min, 1) if section.lower_is_better else (max, -1)
    best = {key: pick(own[key]["mean"] for own in found.values()) for key in section.columns}
    lines = [("model", *map(heading, section.columns), "fit s")]
    for model, own in sorted(found.items(), key=lambda item: sign * item[1][section.sorted_by]["mean"]):
        cells = []
        for key in section.columns:
            row = own[key]
            spread = f" ± {row['std']:.4f}" if row["seeds"] > 1 else ""
            cells.append(f"**{row['mean']:.4f}{spread}**" if row["mean"] == best[key] else f"{row['mean']:.4f}{spread}")
        lines.append((model, *cells, f"{own[section.sorted_by]['fit_seconds']:.1f}"))
    return markdown(lines)


def theirs(section: Section, published: list[dict[str, Any]]) -> str:
    """Return a table of what others have published."""
    lines = [("model", *map(heading, section.columns), "same protocol?", "source", "number")]
    for entry in published:
        numbers = [entry.get(key, "") for key in section.columns]
        same = f"{entry['same']}: {entry['why']}"
        lines.append((entry["model"], *numbers, same, entry["source"], CHECKED[entry["checked"]]))
    return markdown(lines)


def time_text(results: Path) -> str:
    """Return the section about the time that a quality takes."""
    ((file, planned),) = TIME.items()
    about = (
        "Seconds of training until NDCG@20 on the valid rows first reaches a target: gnnrec, and PyG's own LightGCN "
        "with several batch sizes, one after the other in one process with the same threads. The clock stands still "
        "while the valid rows are ranked."
    )
    parts = ["## Time to quality", about]
    if not (results / file).exists():
        return "\n\n".join([*parts, f"Not measured yet: `{planned}`"])
    found = json.loads((results / file).read_text(encoding="utf-8"))
    lines = [("model", f"s until {found['target']:g}", "best", "epochs", "s in all")]
    for run in found["runs"]:
        reached = "not reached" if run["seconds"] is None else f"{run['seconds']:.1f}"
        own = (reached, f"{run['best']:.4f}", str(run["epochs"]), f"{run['trained_seconds']:.0f}")
        lines.append((run["model"], *own))
    parts.append(f"```text\n{per_line(found['protocol'])}\n```")
    limit = f"LightGCN was stopped after {found['limit_seconds']:g} s"
    run_with = about_run(found["threads"], found["packages"])
    parts.append(f"```console\n{found['command']}\n```\n\n{run_with}; {limit}.")
    parts.append(markdown(lines))
    if found["ratio"] is None:
        parts.append("gnnrec did not reach the target, so there is no ratio.")
    else:
        bound = "at least " if found["ratio_is_a_bound"] else ""
        parts.append(f"LightGCN takes **{bound}{found['ratio']:.1f} times** as long as gnnrec.")
    return "\n\n".join(parts)


def per_line(protocol: str) -> str:
    return protocol.replace("; ", "\n")


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
