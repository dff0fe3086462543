"""Imports go one way through the rooms, so that each can be read knowing only those before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnnrec

PACKAGE = Path(gnnrec.__file__).parent
ROOMS = (
    "errors", "files", "device", "config", "data", "features", "propagate", "graph", "nn", "storage", "recommend",
    "explain", "recgraph", "baselines", "evaluate", "checkpoint", "progress", "plots", "analysis", "objective", "fit",
    "rating", "benchmark", "study", "cli",
)  # fmt: skip
ALLOWED = {
    ("storage", "plots"): "inside a function: drawing is the last thing that saving does, matplotlib is slow to import",
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Yield the rooms that a source imports from anywhere in it; "" is the package's own front door."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "gnnrec":
                room = rest.split(".")[0]
                is_room = (PACKAGE / f"{room}.py").exists() or (PACKAGE / room).is_dir()
                yield room if room and is_room else ""


def test_what_counts_as_an_import() -> None:
    source = """
import torch, gnnrec.nn.losses
from gnnrec import fit, __version__
from gnnrec.splitting.split import Split
def late():
    from gnnrec.cli import app
"""
    assert sorted(imported(source)) == ["", "cli", "data", "fit", "nn"]


def test_every_room_is_in_the_list() -> None:
    found = {room_of(module) for module in MODULES} - {"__init__", "__main__"}
    assert found <= set(ROOMS), "a new room needs a place in the order"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_one_way(module: Path) -> None:
    room = room_of(module)
    if room in ("__init__", "__main__"):
        return  # the front door shows everything
    wrong = []
    for other in imported((PACKAGE / module).read_text(encoding="utf-8")):
        # The package is not whole yet while its rooms are being imported; only what comes last may look back.
        forward = room != "cli" if other == "" else ROOMS.index(other) > ROOMS.index(room)
        if forward and (room, other) not in ALLOWED:
            wrong.append(other or "gnnrec")
    assert not wrong


def test_exceptions_are_still_needed() -> None:
    for room, other in ALLOWED:
        assert other in set(imported((PACKAGE / f"{room}.py").read_text(encoding="utf-8")))


def test_importing_does_not_draw() -> None:
    code = "import sys, gnnrec; print(sorted({'matplotlib', 'typer', 'gnnrec.plots', 'gnnrec.cli'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_everything_promised_is_there() -> None:
    assert sorted(gnnrec.__all__) == gnnrec.__all__
    for name in gnnrec.__all__:
        assert getattr(gnnrec, name).__module__.startswith("gnnrec.")
    verbs = {"load_dataset", "fit", "recommend", "similar_movies", "evaluate", "load"}
    nouns = {"Dataset", "Split", "NewUser", "Config", "RecGraph"}
    assert verbs | nouns <= set(gnnrec.__all__)
