"""Recorded commands as they are written today: some results were measured before 0.2 renamed options, settings and files.

The results files keep what was typed.
"""

from __future__ import annotations

import re

RENAMED = {
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


EXPLANATION = """Commands are written with today's names. Where files, options or settings were renamed after a measurement, the line
below the command says so; the files in `benchmarks/results` keep the command as it was typed."""
"""For the introduction of a page."""


def current(command: str) -> str:
    """Return a recorded command in today's spelling."""
    return re.sub(r"(\d)\.0(?=\s|$)", r"\1", _renamed(command))


def console_block(command: str) -> str:
    """Return a recorded command as a block, followed by a remark if it was typed differently at the time."""
    block = f"```console\n{current(command)}\n```"
    if _renamed(command) == command:
        return block
    return f"{block}\n\n*Today's spelling of the command that was run.*"


def _renamed(command: str) -> str:
    for old, new in RENAMED.items():
        command = re.sub(rf"{re.escape(old)}(?![\w-])", new, command)
    return command
