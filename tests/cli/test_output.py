"""Starting quickly, plain text in pipes, and terminals that lack characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import gnnrec
from gnnrec import Dataset, fit, recommend
from gnnrec.cli import _output, app
from tests.helpers.cli import HOME, cells, fails, run_process, succeeds

COMMANDS = [str(command.name) for command in app.registered_commands]
HEAVY = ("torch", "torch_geometric", "numpy", "pandas", "matplotlib", "optuna", "yaml", "sklearn", "PIL")


def test_help_and_usage_errors_load_nothing_heavy() -> None:
    """One process runs them one after the other, and tells after each the status and what was loaded until then."""
    helps = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    errors = [["train", "--modle", "gnn"], ["train", "--time-limit", "soon"]]
    code = f"""
import sys, runpy
for words in {[*helps, *errors]!r}:
    sys.argv = ["gnnrec", *words]
    try:
        runpy.run_module("gnnrec", run_name="__main__", alter_sys=False)
    except SystemExit as stop:
        status = stop.code or 0
    print("|", status, *[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HOME, check=True)
    told = [line[1:].split() for line in done.stdout.splitlines() if line.startswith("|")]
    assert told == [["0"]] * len(helps) + [["2"]] * len(errors)


def complete(line: str) -> dict[str, str]:
    """Return the environment in which a shell asks for completions."""
    return {
        "_GNNREC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gnnrec rec", {"recommend"}),
        ("gnnrec train --model sas", {"sasrec", "sasrec-binary"}),
        ("gnnrec train --protocol cold-m", {"cold-movies", "cold-movies-by-time"}),
    ],
)
def test_completion(line: str, expected: set[str]) -> None:
    result = CliRunner().invoke(app, prog_name="gnnrec", env=complete(line))
    assert set(result.stdout.split()) == expected


def test_completion_in_a_process() -> None:
    assert "ml1m-fast" in run_process(**complete("gnnrec train --config ml1m-f")).stdout.decode().split()


def test_commands_and_version() -> None:
    assert COMMANDS[:18] == [
        "train", "evaluate", "benchmark", "recommend", "shell", "predict", "search", "similar", "features", "fetch", "tune",
        "analyze", "download", "prepare", "map", "export", "index", "serve",
    ]  # fmt: skip
    files = {path.stem for path in (HOME / "gnnrec" / "cli").glob("[!_]*.py")}
    assert set(COMMANDS) == files
    assert COMMANDS[18:] == sorted(COMMANDS[18:])
    for words in (["-m", "gnnrec"], ["-m", "gnnrec.cli"]):
        done = subprocess.run([sys.executable, *words, "--version"], capture_output=True, text=True, cwd=HOME)
        assert done.stdout == f"gnnrec {gnnrec.__version__}\n"
    assert call_without_arguments() == 2


def call_without_arguments() -> int:
    return run_process().returncode


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_in_a_pipe_is_plain(command: str) -> None:
    output = succeeds(*command.split(), "--help")
    assert output.startswith(f"Usage: root {command}".rstrip()) or "Usage: " in output
    assert output.isascii()
    assert "[bold" not in output


# Tables


def test_plain_tables(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(
        {"title": ["Heat", "Dune, Part\nTwo"], "n": [5, 1234], "ndcg": [0.123456, float("nan")], "by": [None, "x"]}
    )
    _output.show(frame, title="movies")
    assert capsys.readouterr().out.splitlines() == [
        "movies",
        "title              n    ndcg  by",
        "Heat               5  0.1235",
        "Dune, Part Two  1234          x",
    ]
    _output.show(frame.head(0))
    assert capsys.readouterr().out == "title  n  ndcg  by\n"


def test_wide_characters_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    _output.show(pd.DataFrame({"title": ["七人の侍", "Heat"], "k": [1, 2]}))
    assert capsys.readouterr().out.splitlines() == ["title     k", "七人の侍  1", "Heat      2"]


def test_json_has_all_digits(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"x": [0.1 + 0.2, float("nan"), float("inf")], "id": [1, 2, 3], "t": ["ä", "b", None]})
    frame["f"] = pd.Series([0.1, 1.5, 2.0], dtype="float32")
    _output.show(frame, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["x"] for row in rows] == [0.1 + 0.2, None, None]
    assert [row["f"] for row in rows] == [0.1, 1.5, 2.0]
    assert [(row["id"], row["t"]) for row in rows] == [(1, "ä"), (2, "b"), (3, None)]
    _output.show(frame.head(0), as_json=True)
    assert json.loads(capsys.readouterr().out) == []


# Terminals and pipes


@pytest.fixture(scope="module")
def accents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 2, 1, 3]})
    movies = pd.DataFrame({"movie_id": [1, 2, 3], "title": ["Amélie (2001)", "Léon (1994)", "七人の侍 (1954)"]})
    return fit(Dataset(ratings, movies), "ease").save(tmp_path_factory.mktemp("accents") / "run")


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale without other characters than those of ASCII, also in files."""


@pytest.mark.slow
def test_terminals_that_cannot_show_a_title(accents: Path, tmp_path: Path) -> None:
    """Three commands on streams of the locale, and on those of PYTHONIOENCODING; and a pipe that is closed early.

    One process does it all. The last command ends with the process, which writes what is left to the pipe.
    """
    commands = [
        ["recommend", str(accents), "--user", "1", "--json"],
        ["recommend", str(accents), "--rating", "Nikita"],
        ["--help"],
    ]
    code = f"""
import os, sys
from gnnrec.cli import app
for encoding in ("", "ascii"):
    if encoding:
        sys.stdout.reconfigure(encoding=encoding, errors="strict")
        sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")
    for words in {commands!r}:
        try:
            app(words, prog_name="gnnrec")
        except SystemExit as stop:
            print("|", stop.code or 0)
    print("# next")
sys.stdout.flush()
read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
print("# closed", file=sys.stderr, flush=True)
app(["recommend", {str(accents)!r}, "--user", "1"], prog_name="gnnrec")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | PLAIN, capture_output=True, cwd=HOME, timeout=300
    )
    assert done.stdout.isascii() and done.stderr.isascii()
    *parts, last = done.stdout.decode().split("# next\n")
    assert (len(parts), last) == (2, "")
    for part in parts:
        found, _, rest = part.partition("| 0\n")
        (row,) = json.loads(found)
        assert row["title"] == "???? (1954)"
        assert rest.startswith("| 1\n") and rest.endswith("| 0\n") and "recommend" in rest
    errors, _, closed = done.stderr.partition(b"# closed\n")
    assert errors.count(b"error: ") == 2
    assert b"Traceback" not in closed and b"error:" not in closed


def test_streams_of_the_environment() -> None:
    """What the process of the test above sets is what Python makes of PYTHONIOENCODING."""
    code = "import sys; print(*[(one.encoding, one.errors) for one in (sys.stdout, sys.stderr)])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "('ascii', 'strict') ('ascii', 'backslashreplace')"


def test_titles_are_whole_in_utf8(accents: Path) -> None:
    (row,) = cells(succeeds("recommend", accents, "--user", 1))
    assert row[1] == "七人の侍 (1954)"
    model = gnnrec.load(accents)
    assert recommend(model, 1)["title"].tolist() == ["七人の侍 (1954)"]
    assert "did you mean 'Amélie (2001)'" in fails("recommend", accents, "--rating", "Amelia (2001)")
