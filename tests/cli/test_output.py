"""Starting quickly, plain text in pipes, and terminals that lack characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import gnnrec
from gnnrec import Dataset, fit, recommend
from gnnrec.cli import _output, app
from tests.helpers.cli import HOME, cells, fails, run_process, succeeds

COMMANDS = [str(command.name) for command in app.registered_commands]
HEAVY = ("torch", "torch_geometric", "numpy", "pandas", "matplotlib", "optuna", "yaml", "sklearn", "PIL")


def loaded_after(*words: str) -> tuple[int, set[str]]:
    """Return the exit status of a command in a fresh process and which heavy packages it loaded."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['gnnrec', *{words!r}]\n"
        "try: runpy.run_module('gnnrec', run_name='__main__', alter_sys=False)\n"
        "except SystemExit as stop: status = stop.code or 0\n"
        f"print('|', status, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HOME, check=True)
    status, *loaded = done.stdout.rpartition("|")[2].split()
    return int(status), set(loaded)


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert loaded_after(*words) == (0, set())


def test_usage_errors_load_nothing_heavy() -> None:
    assert loaded_after("train", "--modle", "gnn") == (2, set())
    assert loaded_after("train", "--time-limit", "soon") == (2, set())


def test_completion() -> None:
    def complete(line: str) -> set[str]:
        words = {"_GNNREC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return set(run_process(**words).stdout.decode().split())

    assert complete("gnnrec rec") == {"recommend"}
    assert complete("gnnrec train --model sas") == {"sasrec", "sasrec-binary"}
    assert complete("gnnrec train --protocol cold-m") == {"cold-movies", "cold-movies-by-time"}
    assert "ml1m-fast" in complete("gnnrec train --config ml1m-f")


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_terminals_that_cannot_show_a_title(accents: Path, environment: dict[str, str]) -> None:
    done = run_process("recommend", accents, "--user", 1, "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    (row,) = json.loads(done.stdout)
    assert row["title"] == "???? (1954)"
    done = run_process("recommend", accents, "--rating", "Nikita", **environment)
    assert done.returncode == 1
    assert done.stderr.isascii()
    done = run_process("--help", **environment)
    assert done.returncode == 0
    assert b"recommend" in done.stdout


@pytest.mark.slow
def test_a_pipe_that_is_closed_early(accents: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "gnnrec", "recommend", str(accents), "--user", "1"]
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, cwd=HOME, timeout=300)
    assert b"Traceback" not in done.stderr
    assert b"error:" not in done.stderr


def test_titles_are_whole_in_utf8(accents: Path) -> None:
    (row,) = cells(succeeds("recommend", accents, "--user", 1))
    assert row[1] == "七人の侍 (1954)"
    model = gnnrec.load(accents)
    assert recommend(model, 1)["title"].tolist() == ["七人の侍 (1954)"]
    assert "did you mean 'Amélie (2001)'" in fails("recommend", accents, "--rating", "Amelia (2001)")
