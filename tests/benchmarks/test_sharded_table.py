"""The simulation of a sharded table: two processes learn what one does, and send what the page's formula says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers.cli import HOME


@pytest.mark.slow
def test_two_processes_equal_one_and_bytes_follow_the_formula() -> None:
    words = [
        "--movies",
        "2000",
        "--dim",
        "8",
        "--users",
        "16",
        "--history",
        "5",
        "--negatives",
        "10",
        "--steps",
        "3",
        "--check",
    ]
    command = [sys.executable, str(HOME / "benchmarks" / "sharded_table.py"), *words]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert output.splitlines()[-1] == "one process has the same losses"
    found = re.search(r"ratio ([\d.]+)$", output, re.MULTILINE)
    assert found is not None
    assert 0.95 < float(found[1]) < 1.05
