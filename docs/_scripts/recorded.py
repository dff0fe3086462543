"""Recorded commands as they are written today: some results were measured before 0.2 renamed options, settings and files.

The results files keep what was typed.
"""

from __future__ import annotations

import re

RENAMED = {
    "configs/ml1m.yaml": "ml1m",
    "configs/ml1m-next.yaml": "ml1m-next",
    "configs/ml1m-chronological.yaml": "ml1m-chronological",
    "examples/cold_start.py": "benchmarks/cold_start.py",
    "examples/time_to_quality.py": "benchmarks/time_to_quality.py",
    "--limit-seconds": "--time-limit",
    "--protocol next-movie-99": "--protocol next-item-99",
    "--protocol next-movie": "--protocol next-item",
    "--protocol last-tenth": "--protocol temporal-last-10",
    "--protocol next-tenth": "--protocol temporal-next-10",
    "--protocol chronological-10core --history train+valid": "--protocol temporal-10core:history=train+valid",
    "--protocol chronological-10core": "--protocol temporal-10core",
    "model.history_smoothing": "model.user_degree_smoothing",
    "train.short_histories": "train.history_truncation",
}


EXPLANATION = """Commands are shown with the current names of options, settings and files; `benchmarks/results` keeps each command as it
was typed. Commands that begin with `python` are run in a checkout of the repository."""
"""For the introduction of a page."""


def current(command: str) -> str:
    """Return a recorded command in today's spelling."""
    return re.sub(r"(\d)\.0(?=\s|$)", r"\1", _renamed(command))


def console_block(command: str) -> str:
    """Return a recorded command in today's spelling as a block."""
    return f"```console\n{current(command)}\n```"


def protocol(text: str) -> str:
    """Return a recorded description of a protocol in today's words."""
    return text.replace("leave last out", "leave one out")


def _renamed(command: str) -> str:
    for old, new in RENAMED.items():
        command = re.sub(rf"{re.escape(old)}(?![\w-])", new, command)
    return command
