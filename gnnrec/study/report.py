"""The folder of a study: configs to train with, the table of trials, pictures, and a report to read."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gnnrec._io import write_atomic
from gnnrec.errors import ConfigError
from gnnrec.study.pictures import ALONE, SEVERAL, pictures
from gnnrec.study.result import Candidate, StudyResult

SHOWN = 10
"""Trials in the table of the report."""


def write_report(result: StudyResult, folder: Path, command: str) -> Path:
    """Write everything; the report, which names the rest, comes last."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder for the results")
    several, front = len(result.objectives) > 1, result.front
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "best.yaml", config_text(result, front[0]).encode())
    before = yaml.safe_dump(result.space.base.model_dump(mode="json"), sort_keys=False)
    write_atomic(folder / "before.yaml", f"# What study {_line(result.name)} varied.\n{before}".encode())
    points = {f"trial-{one.trial:03d}.yaml": one for one in front} if several else {}
    for old in (folder / "pareto").glob("trial-*.yaml"):
        if old.name not in points:
            old.unlink()
    for name, one in points.items():
        (folder / "pareto").mkdir(exist_ok=True)
        write_atomic(folder / "pareto" / name, config_text(result, one).encode())
    if not several:
        with contextlib.suppress(OSError):  # it is not there, or somebody keeps files of their own in it
            (folder / "pareto").rmdir()
    write_atomic(folder / "trials.csv", result.trials.to_csv(index=False).encode())
    drawn = pictures(result.as_study(), result.objectives)
    for name in {*ALONE, *SEVERAL} - set(drawn):
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name, (png, _) in drawn.items():
        write_atomic(folder / f"{name}.png", png)
    captions = {name: caption for name, (_, caption) in drawn.items()}
    write_atomic(folder / "report.md", report_text(result, captions, command).encode())
    return folder


def config_text(result: StudyResult, one: Candidate) -> str:
    """Return a config as YAML, with a first line that says where it comes from."""
    values = ", ".join(f"{name} {value:.4f}" for name, value in one.values.items())
    about = (
        f"# Study {_line(result.name)}, trial {one.trial}: {values} on the valid rows of {_line(result.data['name'])}."
    )
    return f"{about}\n" + yaml.safe_dump(one.config.model_dump(mode="json"), sort_keys=False)


def report_text(result: StudyResult, captions: dict[str, str], command: str = "") -> str:
    """Return the report in Markdown; `captions` are of the pictures that are there."""
    parts = [f"# Study {_line(result.name)}", _about(result, command), _found(result)]
    if len(result.objectives) > 1:
        parts += ["## Pareto front", _front(result)]
    parts += ["## Settings", _settings(result), "## Trials", _trials(result)]
    if captions:
        parts += ["## Pictures", *(f"{caption}\n\n![{name}]({name}.png)" for name, caption in captions.items())]
    else:
        parts += ["There are no pictures: at least two completed trials are needed."]
    parts += ["## Measure the winner", _next(result)]
    return "\n\n".join(parts) + "\n"


def _about(result: StudyResult, command: str) -> str:
    data, states = result.data, result.trials["state"].value_counts()
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    seconds = result.trials["seconds"].sum()
    lines = [
        f"- Data: {data['name']}, {data['protocol']}; {data['train']:,} train and {data['valid']:,} valid rows "
        f"(`{data['digest']}`). Test rows were not read.",
        f"- Objective: {' and '.join(result.objectives)}, on the valid rows.",
        f"- Trials: {len(result.trials)} ({counted}), {seconds / 60:.1f} minutes of fitting; kept in: {result.storage}",
        *([f"- Command: `{command}`"] if command else []),
    ]
    return "\n".join(lines)


def _found(result: StudyResult) -> str:
    best, start, name = result.front[0], result.start, result.objectives[0]
    text = f"**Best {name}: {best.values[name]:.4f}**, trial {best.trial} (`best.yaml`)."
    if start is None:
        why = f"; it does not hold {', '.join(result.space.left_out)} as it is there" if result.space.left_out else ""
        return f"{text} The config that was varied is not among the completed trials{why}."
    if start.trial == best.trial:
        return f"{text} That is the config that was varied: nothing better was found."
    gain = best.values[name] - start.values[name]
    return (
        f"{text} The config that was varied has {start.values[name]:.4f} (trial {start.trial}); gain {gain:+.4f}."
        " The best of many trials is in part luck, so measure it with several seeds, on the test rows."
    )


def _front(result: StudyResult) -> str:
    rows = [
        {"trial": one.trial, **{name: _number(value) for name, value in one.values.items()}, **_varied(result, one)}
        for one in result.front
    ]
    return (
        f"No other trial is better in all objectives; `pareto/` has a config for each.\n\n{_table(pd.DataFrame(rows))}"
    )


def _settings(result: StudyResult) -> str:
    best = _varied(result, result.front[0])
    rows = [
        {"setting": f"`{key}`", "tried": str(one), "before": _number(result.space.value(key)), "best": best[key]}
        for key, one in result.space.settings.items()
    ]
    return _table(pd.DataFrame(rows))


def _trials(result: StudyResult) -> str:
    frame, first = result.trials, result.objectives[0]
    top = frame[frame["state"] == "complete"].sort_values(first, ascending=False, kind="stable").head(SHOWN)
    top = top.drop(columns=["state", "reason"]).rename(columns=lambda name: name.partition(".")[2] or name)
    parts = [
        f"The best {len(top)} of {int(sum(frame['state'] == 'complete'))} completed trials; all are in `trials.csv`.",
        _table(top),
    ]
    pruned = frame[frame["state"] == "pruned"]
    if len(pruned):
        parts.append(f"{len(pruned)} trials were pruned, after {pruned['epochs'].median():g} epochs in the median.")
    failed = frame.loc[frame["state"] == "failed", "reason"].value_counts()
    parts += ["\n".join(f"- {number} failed: {reason}" for reason, number in failed.items())] if len(failed) else []
    lost = int((frame["state"] == "lost").sum())
    parts += [f"{lost} lost: interrupted, given way to another worker, or the worker died."] if lost else []
    return "\n\n".join(parts)


def _next(result: StudyResult) -> str:
    return (
        "On test rows, beside the config that was varied, with seeds. Give it the `--split` or `--protocol` of the "
        "study. A study that had neither kept no test rows apart: those that are drawn here helped to choose the "
        "winner, and its number is too good.\n\n"
        f"```text\ngnnrec benchmark --dataset {result.data['name']} --models gnn --seeds 3 --config best.yaml "
        "--config before.yaml\n```"
    )


def _varied(result: StudyResult, one: Candidate) -> dict[str, str]:
    values = one.config.model_dump()
    return {key: _number(values[key.partition(".")[0]][key.partition(".")[2]]) for key in result.space.settings}


def _line(text: str) -> str:
    """Return a name, which may hold anything, on one line."""
    return " ".join(text.split())


def _table(frame: pd.DataFrame) -> str:
    lines: list[list[Any]] = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(object).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(_number(cell) for cell in line)} |" for line in lines)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return yaml.safe_dump(list(value), default_flow_style=True).strip()
    return str(value).replace("|", "\\|").replace("\n", " ")
