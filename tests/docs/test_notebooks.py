"""The notebooks of the documentation are kept without outputs, and run from the first cell to the last.

The build of the documentation runs those that it shows with outputs, and fails where they do; the others run here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import gnnrec

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
LICENSED = {"movielens-1m"}
"""Notebooks about data that cannot be passed on; the documentation shows them without outputs."""
QUICKER = {
    "RatingConfig()": "RatingConfig(num_samples=5)",
    'Config.from_yaml("ml1m")': 'Config.from_yaml("ml1m").override(["train.epochs=2", "model.embedding_dim=16"])',
    "head(300)": "head(20)",
}


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"explore", "movielens-1m", "train-and-recommend"}
    settings = (NOTEBOOKS[0].parents[1] / "conf.py").read_text(encoding="utf-8")
    assert 'nb_execution_mode = "force"' in settings and "nb_execution_raise_on_error = True" in settings
    assert all(f'"notebooks/{name}.ipynb"' in settings for name in LICENSED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_was_printed_is_kept(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    name = "ml-1m" if path.stem in LICENSED else "sample"
    assert sum(f'DATASET = "{name}"' in cell.source for cell in notebook.cells) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem in LICENSED], ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    (first,) = (cell for cell in notebook.cells if "load_dataset(DATASET)" in cell.source)
    first.source = first.source.replace("load_dataset(DATASET)", 'load_dataset("sample", num_users=100)')  # quicker
    titles = gnnrec.load_dataset("sample", num_users=100).movies["title"].tolist()
    mine = f"MY_RATINGS = {dict(zip(titles[:5], (5, 4, 2, 5, 5), strict=True))}"
    for cell in notebook.cells:
        cell.source = re.sub(r"MY_RATINGS = \{.*?\}", lambda _: mine, cell.source, flags=re.DOTALL)
        for whole, quicker in QUICKER.items():
            cell.source = cell.source.replace(whole, quicker)
    patient = {"timeout": 900, "startup_timeout": 600, "iopub_timeout": 600}
    NotebookClient(notebook, **patient, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = outputs(notebook)
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    assert all(output["metadata"]["image/png"]["width"] > 300 for output in pictures), "sharp, and not too small"
    assert any("because" in output.get("data", {}).get("text/plain", "") for output in shown)
