"""Commands as they are written today, for results that were measured before 0.2 renamed options and files."""

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


def current(command: str) -> str:
    """Return a recorded command in today's spelling."""
    for old, new in RENAMED.items():
        command = re.sub(rf"{re.escape(old)}(?![\w-])", new, command)
    return re.sub(r"(\d)\.0(?=\s|$)", r"\1", command)
