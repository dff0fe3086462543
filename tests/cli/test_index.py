"""``gnnrec index``, and ``gnnrec recommend --index``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gnnrec import load, recommend
from gnnrec.models import MovieIndex
from tests.helpers.cli import fails, succeeds

pytest.importorskip("faiss", reason="needs faiss: pip install 'gnnrec[index]'")


def test_index(run: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(run, tmp_path / "run")
    assert f"run has no index; build it with: gnnrec index {copied}" in " ".join(
        fails("recommend", copied, "--user", 1, "--index").split()
    )
    assert "recall must be above 0 and at most 1" in fails("index", copied, "--recall", 2)
    told = " ".join(succeeds("index", copied, "--recall", 0.9).split())
    model = load(copied)
    index = MovieIndex.load(copied, model)  # type: ignore[arg-type]
    assert "index.safetensors" in told and repr(index) in told and index.recall >= 0.9
    expected = recommend(model, 1, k=4, index=index)["movie_id"].tolist()
    rows = json.loads(succeeds("recommend", copied, "--user", 1, "--index", "-k", 4, "--json"))
    assert [row["movie_id"] for row in rows] == expected
    assert "--index cannot be combined with --together" in fails(
        "recommend", copied, "--user", 1, "--together", 2, "--index"
    )
