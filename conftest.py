"""What tests and doctests share: how Hypothesis looks for examples, where real data is, names that examples may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail, so no example has a deadline. On CI, and with CI=1, the examples are the same in
# every run, so that there need not be many.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("local"), max_examples=50, derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


# Imports and tests make many objects that stay: the garbage collector would visit them again and again.
gc.set_threshold(50_000, 50, 100)

# The plugin registers its names when it is imported; tests load a copy of it.
# Alembic runs its own file.
collect_ignore = ["tests/helpers/plugin.py", "gnnrec/service/migrations/env.py"]
# The prompt of `gnnrec shell` is a module of its own because of what it imports.
if find_spec("prompt_toolkit") is None:
    collect_ignore.append("gnnrec/cli/_prompt.py")
# Examples in the service need its packages.
if not all(find_spec(name) for name in ("fastapi", "alembic", "prometheus_client", "multipart")):
    collect_ignore_glob = ["gnnrec/service/*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that have slow tests, so that no worker is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported, here and in forks."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of real data that is not on this machine."""
    for mark in item.iter_markers("real_data"):
        for name in mark.args or ("ml-1m",):
            root = os.environ.get("GNNREC_DATA")
            if not root:
                pytest.skip(f"needs {name}; set GNNREC_DATA to the folder that holds it")
            if not (Path(root) / name).exists():
                pytest.skip(f"GNNREC_DATA has no {name}")


@pytest.fixture(scope="session")
def data_home() -> Path:
    """Return the folder of real data; for tests marked `real_data`."""
    return Path(os.environ["GNNREC_DATA"])


@pytest.fixture(autouse=True)
def doctest_names(request: pytest.FixtureRequest) -> None:
    """Let examples in docstrings use `gnnrec`, `pd`, `np`, `torch`, and a small `dataset`, `split` and `graph`."""
    test = getattr(request.node, "dtest", None)
    if test is None:
        return
    for name, make in EXAMPLES.items():
        # Names of the module itself come first; `doctest_namespace` would hide them.
        if name not in test.globs and any(name in example.source for example in test.examples):
            test.globs[name] = make()


def _module(name: str) -> Callable[[], Any]:
    return lambda: __import__(name)


@cache
def _dataset() -> Any:
    from gnnrec import load_dataset

    return load_dataset("sample", num_users=60, num_movies=40)


@cache
def _split() -> Any:
    from gnnrec.splitting import random_split

    return random_split(_dataset())


@cache
def _graph() -> Any:
    from gnnrec import Graph

    return Graph.from_dataset(_dataset())


EXAMPLES: dict[str, Callable[[], Any]] = {
    "gnnrec": _module("gnnrec"),
    "pd": _module("pandas"),
    "np": _module("numpy"),
    "torch": _module("torch"),
    "dataset": _dataset,
    "split": _split,
    "graph": _graph,
}
