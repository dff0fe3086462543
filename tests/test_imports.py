"""The public names, what importing them costs, and the layers of the package."""

from __future__ import annotations

import importlib
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


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that a fresh process has loaded after running some code."""
    code += "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOME)
    return set(found.stdout.split())


def test_public_names_exist_and_are_sorted() -> None:
    assert sorted(gnnrec.__all__) == gnnrec.__all__
    for name in gnnrec.__all__:
        assert getattr(gnnrec, name) is not None, name
    functions = {"load_dataset", "split", "fit", "recommend", "similar_movies", "evaluate", "tune", "load", "analyze"}
    classes = {"Dataset", "Split", "NewUser", "NewMovie", "Config", "RecGraph"}
    assert functions | classes <= set(gnnrec.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'recomend'"):
        _ = gnnrec.recomend


def test_packages_are_imported_on_first_use() -> None:
    packages = {module.name for module in pkgutil.iter_modules(gnnrec.__path__) if module.ispkg} - {"cli"}
    code = f"import gnnrec; print(*[getattr(gnnrec, name).__name__ for name in {sorted(packages)}])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOME)
    assert found.stdout.split() == [f"gnnrec.{name}" for name in sorted(packages)]


def test_no_public_name_is_also_a_module() -> None:
    # Importing a submodule would replace the function of the same name.
    modules = {module.name for module in pkgutil.iter_modules(gnnrec.__path__)}
    assert not modules & set(gnnrec.__all__)


def test_names_are_imported_on_first_use() -> None:
    assert not loaded_by("import gnnrec") & {"torch", "torch_geometric", "pandas", "matplotlib", "optuna", "PIL"}


def test_training_needs_neither_plots_nor_studies() -> None:
    # PyG itself imports torchvision and transformers, and with them Pillow and more, where they are installed.
    code = "import sys, torch_geometric; before = set(sys.modules); import gnnrec"
    names = "gnnrec.fit, gnnrec.recommend, gnnrec.load_dataset, gnnrec.evaluate"
    ours = loaded_by(f"{code}; {names}; [sys.modules.pop(name) for name in before if name != 'sys']")
    assert "gnnrec" in ours
    assert not ours & {"matplotlib", "optuna", "PIL", "sklearn", "typer", "rich", "implicit"}


def test_a_run_is_loaded_without_the_compiler_of_pytorch(tmp_path: Path) -> None:
    config = gnnrec.Config().override(["model.embedding_dim=4", "train.epochs=1"])
    run = gnnrec.fit(make_sample(60, 40), config=config, progress=False).save(tmp_path / "run")
    loaded = loaded_by(f"import gnnrec; model = gnnrec.load({str(run)!r}); gnnrec.recommend(model, 1)")
    assert "torch" in loaded and "sympy" not in loaded  # which the compiler imports


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
