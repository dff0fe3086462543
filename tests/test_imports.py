"""The public names, what importing them costs, and the layers of the package."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gnnrec
from gnnrec import registry
from gnnrec.datasets import make_sample
from gnnrec.registry import Registry

HOME = Path(__file__).resolve().parents[1]
REGISTRIES = {name: found for name, found in vars(registry).items() if isinstance(found, Registry)}


PACKAGES = sorted({module.name for module in pkgutil.iter_modules(gnnrec.__path__) if module.ispkg} - {"cli"})
STEPS = {
    "import": "import gnnrec",
    "load": "gnnrec.recommend(gnnrec.load({run!r}), 1)",
    "names": "gnnrec.fit, gnnrec.recommend, gnnrec.load_dataset, gnnrec.evaluate",
    "fit": "config = gnnrec.Config().override(['model.embedding_dim=4', 'train.epochs=1'])\n"
    "gnnrec.fit(gnnrec.load_dataset('sample', num_users=60, num_movies=40), config=config, progress=False)",
    "packages": f"names = [gnnrec.__getattr__(name).__name__ for name in {PACKAGES}]",
}
"""What a new process does, one after the other."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the top-level packages that a new process has loaded after each of `STEPS`, and the packages it names."""
    config = gnnrec.Config().override(["model.embedding_dim=4", "train.epochs=1"])
    model = gnnrec.fit(make_sample(60, 40), config=config, progress=False)
    run = model.save(tmp_path_factory.mktemp("imports") / "run")
    code = "import json, sys\nfound = {}\n"
    for name, step in STEPS.items():
        code += step.format(run=str(run))
        code += f"\nfound[{name!r}] = sorted({{name.partition('.')[0] for name in sys.modules}})\n"
    code += "print(json.dumps(found | {'named': names}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOME)
    return dict(json.loads(done.stdout))


def test_public_names_exist_and_are_sorted() -> None:
    assert sorted(gnnrec.__all__) == gnnrec.__all__
    for name in gnnrec.__all__:
        assert getattr(gnnrec, name) is not None, name
    functions = {"load_dataset", "split", "fit", "recommend", "similar_movies", "evaluate", "tune", "load", "analyze"}
    classes = {"Dataset", "Split", "NewUser", "NewMovie", "Config", "RecGraph"}
    assert functions | classes <= set(gnnrec.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'recomend'"):
        _ = gnnrec.recomend


def test_packages_are_imported_on_first_use(loaded: dict[str, list[str]]) -> None:
    assert loaded["named"] == [f"gnnrec.{name}" for name in PACKAGES]


def test_no_public_name_is_also_a_module() -> None:
    # Importing a submodule would replace the function of the same name.
    modules = {module.name for module in pkgutil.iter_modules(gnnrec.__path__)}
    assert not modules & set(gnnrec.__all__)


def test_names_are_imported_on_first_use(loaded: dict[str, list[str]]) -> None:
    heavy = {"torch", "torch_geometric", "pandas", "matplotlib", "optuna", "PIL"}
    assert "gnnrec" in loaded["import"] and not heavy & set(loaded["import"])


@pytest.mark.parametrize("step", ["load", "fit"])
def test_the_compiler_of_pytorch_is_not_imported(loaded: dict[str, list[str]], step: str) -> None:
    assert "torch" in loaded[step] and "sympy" not in loaded[step]  # which the compiler imports


def test_training_needs_neither_plots_nor_studies(loaded: dict[str, list[str]]) -> None:
    assert "pandas" in loaded["names"]
    unneeded = {"matplotlib", "optuna", "PIL", "sklearn", "typer", "rich", "implicit", "torch_geometric"}
    assert not unneeded & set(loaded["names"])
    assert "optuna" in loaded["packages"]  # which shows that the process tells what it loads


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_built_in_name_is_registered_by_its_module(kind: str) -> None:
    for name, module in REGISTRIES[kind].builtin.items():
        importlib.import_module(module)
        assert REGISTRIES[kind].get(name) is not None


@pytest.mark.slow
def test_layers() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    run = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    found = subprocess.run(run, capture_output=True, text=True, cwd=HOME)
    assert found.returncode == 0, found.stdout
