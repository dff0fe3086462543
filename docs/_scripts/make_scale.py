"""Write docs/results/scale.md and its curves from benchmarks/results/scale-*.json: python docs/_scripts/make_scale.py

    python docs/_scripts/make_scale.py --run SIZE [...]     measure some sizes first, such as 1m and 3m (hours for 27m)

The page contains nothing but these results. Sizes and stages that were not measured are not on it.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svg import color, figure, text

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS.parent / "benchmarks" / "results"
SIZES = {"1m": (6040, 3900, 1), "3m": (18120, 11700, 3), "10m": (60400, 32000, 10), "27m": (163080, 62128, 27)}
"""People, movies, and millions of ratings."""
STAGES = {
    "read": "read CSV",
    "read-parquet": "read Parquet",
    "split": "split",
    "graph": "graph",
    "start": "SVD start",
    "epoch": "one epoch",
    "evaluate": "evaluate",
    "lists": "lists for everybody",
    "als": "ALS, 8 iterations",
    "als-lists": "ALS, lists for everybody",
    "lightgcn": "PyG LightGCN, one epoch",
    "ease": "EASE",
}
CURVES = {
    "read": "movie",
    "graph": "genre",
    "epoch": "new",
    "lists": "user",
    "als": "occupation",
    "lightgcn": "negative",
}
"""Colors of the curves; `start` is left out of the pictures, because it is measured together with the epoch."""
GIB = 1 << 30
LEFT, TOP, WIDE, HIGH = 70, 30, 430, 260
Results = list[dict[str, Any]]


def stage(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what was measured in a stage; the start is measured with the epoch."""
    if name != "start":
        found: dict[str, Any] = record["stages"].get(name, {})
        return found
    found = record["stages"].get("epoch", {})
    return {key.removeprefix("start_"): value for key, value in found.items() if key.startswith("start_")}


def millions(record: Mapping[str, Any]) -> str:
    """Return the number of ratings, such as ``10 M``."""
    return f"{record['data']['written'] / 1e6:.0f} M"


def seconds(value: float) -> str:
    """Return seconds with two significant digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def table(results: Results, cell: Callable[[Mapping[str, Any]], str]) -> str:
    """Return a Markdown table of stages by size."""
    head = ["stage", *map(millions, results)]
    lines = [head, ["---", *["---:"] * len(results)]]
    for name, label in STAGES.items():
        found = [stage(record, name) for record in results]
        if any(found):
            lines.append([label, *(_cell(one, cell) for one in found)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(found: Mapping[str, Any], cell: Callable[[Mapping[str, Any]], str]) -> str:
    if not found:
        return ""
    if "refused" in found:
        return "refused"
    return "failed" if "failed" in found else cell(found)


def curves(results: Results, title: str, value: Callable[[Mapping[str, Any]], float]) -> str:
    """Return curves of the stages by the number of ratings, on logarithmic axes, as SVG."""
    points: dict[str, list[tuple[float, float]]] = {}
    for name in CURVES:
        measured = [(record, stage(record, name)) for record in results]
        points[name] = [(r["data"]["written"], value(one)) for r, one in measured if "cpu_seconds" in one]
    every = [y for line in points.values() for _, y in line]
    low_x, high_x = (math.log10(record["data"]["written"]) for record in (results[0], results[-1]))
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low_x) / max(high_x - low_x, 1e-9)
        return LEFT + WIDE * across, TOP + HIGH * (1 - (math.log10(y) - low) / (high - low))

    parts = [f'<path d="M{LEFT},{TOP} V{TOP + HIGH} H{LEFT + WIDE}" fill="none" stroke="{color("muted")}"/>']
    for power in range(low, high + 1):
        parts.append(text(LEFT - 8, place(10**low_x, 10**power)[1] + 4, f"{10.0**power:,g}", anchor="end"))
    for record in results:
        x, _ = place(record["data"]["written"], 10**low)
        parts.append(text(x, TOP + HIGH + 20, millions(record), anchor="middle"))
    parts.append(text(LEFT + WIDE / 2, TOP + HIGH + 42, "ratings", "muted", anchor="middle"))
    labels: list[float] = []
    for name, line in sorted(points.items(), key=lambda item: -item[1][-1][1] if item[1] else 0.0):
        if not line:
            continue
        places = [place(*point) for point in line]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{color(CURVES[name])}" stroke-width="2.2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color(CURVES[name])}"/>' for x, y in places]
        labels.append(max(places[-1][1] + 4, *(other + 17 for other in labels), 0.0) if labels else places[-1][1] + 4)
        parts.append(text(LEFT + WIDE + 12, labels[-1], STAGES[name], CURVES[name], bold=True))
    return figure(740, 360, title, *parts)


def page(results: Results) -> str:
    """Return the page."""
    first = results[0]
    sizes = "\n".join(
        f"| {millions(record)} | {record['data']['users']:,} | {record['data']['movies']:,} |" for record in results
    )
    quality = [
        [millions(record), *(_quality(stage(record, name)) for name in ("evaluate", "als"))]
        for record in results
        if "ndcg@20" in stage(record, "evaluate") and "ndcg@20" in stage(record, "als")
    ]
    refusals = [
        f"- {millions(record)}: *{stage(record, 'ease')['refused']}*"
        for record in results
        if "refused" in stage(record, "ease")
    ]
    threads = sorted({one["threads"] for record in results for one in record["stages"].values()})
    commands = sorted(
        {one["command"] for record in results for one in record["stages"].values()}, key=lambda line: (len(line), line)
    )
    packages = ", ".join(f"{name} {version}" for name, version in first["packages"].items())
    parts = [
        f"""<!-- Written by docs/_scripts/make_scale.py; do not edit. -->

# Scale

What each stage costs as the number of ratings grows, from a file to lists of ten movies for everybody. The data are made up, with a
long tail of movies and tastes that drift, and in the proportions of MovieLens:

| ratings | users | movies |
| --- | ---: | ---: |
{sizes}

Each stage ran in a process of its own with {" or ".join(map(str, threads))} thread{"s" if threads != [1] else ""}, on a machine that
was busy with other work: processor time is given, which that may have raised by as much as half. Memory is the largest resident
memory during the stage, with the data that it works on, the program and its libraries. Training uses the config `ml1m` with
{_batch(results)} users per step; 2% of the ratings are held out. ALS is `implicit`'s, with 96 factors. The epoch of LightGCN is
estimated from {stage(first, "lightgcn").get("steps", 3)} steps of {_steps(results)} for PyG's `LightGCN` with 3 layers and 64
dimensions. Its memory is that of the steps.

{packages}.""",
        f"## Processor seconds\n\n![Processor seconds by number of ratings](../pictures/scale-seconds.svg)\n\n"
        f"{table(results, lambda found: seconds(found['cpu_seconds']))}",
        f"## Peak memory in GiB\n\n![Peak memory by number of ratings](../pictures/scale-memory.svg)\n\n"
        f"{table(results, lambda found: format(found['peak_bytes'] / GIB, '.2f'))}",
    ]
    if refusals:
        parts.append(
            "EASE, SLIM, item-kNN and content kNN have a matrix of all movies by all movies. They compare what it needs "
            "with what is left before they take any memory:\n\n" + "\n".join(refusals)
        )
    if quality:
        rows = [["ratings", "gnnrec after one epoch", "ALS"], ["---"] * 3, *quality]
        parts.append(
            "## Quality\n\nRecall@20 / NDCG@20 on the held-out ratings. Neither was tuned for these data, which have simpler "
            "tastes than users have.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        )
    parts.append("## Commands\n\n```console\n" + "\n".join(commands) + "\n```")
    return "\n\n".join(parts) + "\n"


def _quality(found: Mapping[str, Any]) -> str:
    return f"{found['recall@20']:.4f} / {found['ndcg@20']:.4f}"


def _batch(results: Results) -> str:
    return f"{results[0]['batch_size']:,}"


def _steps(results: Results) -> str:
    steps = [f"{found['steps_per_epoch']:,}" for r in results if "steps_per_epoch" in (found := stage(r, "lightgcn"))]
    return " and ".join(steps) if len(steps) < 3 else f"{', '.join(steps[:-1])} and {steps[-1]}"


def pages(folder: Path) -> dict[str, str]:
    """Return the page and its pictures by path, for a folder of results."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("scale-*.json")]
    results.sort(key=lambda record: record["data"]["written"])
    return {
        "results/scale.md": page(results),
        "pictures/scale-seconds.svg": curves(
            results, "Processor seconds of each stage, by the number of ratings", lambda one: one["cpu_seconds"]
        ),
        "pictures/scale-memory.svg": curves(
            results, "Peak memory of each stage in GiB, by the number of ratings", lambda one: one["peak_bytes"] / GIB
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/results/scale.md.")
    parser.add_argument("--run", nargs="+", choices=SIZES, default=[], help="measure these sizes first")
    parser.add_argument("--folder", type=Path, default=Path("scale-data"), help="where the data are written")
    arguments = parser.parse_args()
    for name in arguments.run:
        people, movies, ratings = SIZES[name]
        words = [sys.executable, "benchmarks/scale.py", "--people", people, "--movies", movies]
        words += ["--ratings", ratings * 10**6, "--config", "configs/ml1m.yaml", "--folder", arguments.folder / name]
        words += ["--json", RESULTS / f"scale-{name}.json"]
        subprocess.run(list(map(str, words)), cwd=DOCS.parent, check=True)
    for name, content in pages(RESULTS).items():
        (DOCS / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
