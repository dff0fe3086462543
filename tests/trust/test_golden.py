"""Runs of this version and of earlier ones, kept in the repository: equal answers, or an error that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnnrec
from gnnrec.models.storage import FORMAT

GOLDEN = Path(__file__).parent / "golden"
RUNS = sorted(path.parent for path in GOLDEN.glob("*/*/run.json"))


def answers(model: Any) -> dict[str, Any]:
    user = gnnrec.NewUser(age=30, gender="F", ratings={1: 5, 7: 4, 12: 2})
    questions = {
        "known": gnnrec.recommend(model, [1, 2], k=5),
        "new": gnnrec.recommend(model, user, k=5),
        "similar": gnnrec.similar_movies(model, 3, k=5),
    }
    return {
        name: {"movies": frame["movie_id"].tolist(), "scores": frame.iloc[:, -2].tolist()}
        for name, frame in questions.items()
    }


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_a_run_of_an_earlier_version(run: Path) -> None:
    layout = json.loads((run / "run.json").read_text(encoding="utf-8"))["format"]
    if layout != FORMAT:
        with pytest.raises(gnnrec.DataError, match=rf"has layout {layout}, .*use gnnrec .*, or train it again with"):
            gnnrec.load(run)
        return
    expected = json.loads(run.with_suffix(".json").read_text(encoding="utf-8"))
    found = answers(gnnrec.load(run))
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        assert found[name]["movies"] == one["movies"], name
        np.testing.assert_allclose(found[name]["scores"], one["scores"], rtol=0, atol=1e-6)


def test_there_is_a_run_of_this_version() -> None:
    assert {run.name for run in RUNS if run.parent.name == f"layout-{FORMAT}"} == {"gnn", "ease"}


@pytest.mark.parametrize("layout", [1, FORMAT - 1, FORMAT + 1])
def test_another_layout_is_refused_with_what_to_do(tmp_path: Path, layout: int) -> None:
    run = Path(shutil.copytree(RUNS[0], tmp_path / "run"))
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "format": layout, "gnnrec": "0.1.0"}), encoding="utf-8")
    with pytest.raises(
        gnnrec.DataError, match=rf"run has layout {layout}, which gnnrec 0\.1\.0 reads; .* train it again"
    ):
        gnnrec.load(run)
