"""Running commands in tests: the app in this process, or ``python -m gnnrec`` in one of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gnnrec import Config
from gnnrec.cli import app

HOME = Path(__file__).resolve().parents[2]
QUICK = ("--set", "model.embedding_dim=8", "--set", "train.batch_size=32", "--set", "train.epochs=2")
TINY = Config().override(QUICK[1::2])
"""The config that `QUICK` makes of the defaults."""
BRACKETS = "Heat [director's cut] (1995)"
"""A title of the test dataset that terminal markup would change."""


def call(*arguments: object) -> Any:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def succeeds(*arguments: object) -> str:
    """Return the standard output of a command that must succeed."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def fails(*arguments: object) -> str:
    """Return the only line on standard error of a command that must fail, without ``error: ``."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return str(lines[0].removeprefix("error: "))


def run_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m gnnrec`` in a process of its own."""
    command = [sys.executable, "-m", "gnnrec", *map(str, arguments)]
    paths = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths} | environment, capture_output=True, timeout=300
    )


def cells(output: str) -> list[list[str]]:
    """Return the body of the plain table in an output; empty cells are left out."""
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines() if re.search(r"\S {2,}\S", line)]
    return rows[1:]
