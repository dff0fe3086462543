"""`benchmarks/groups.py` and `benchmarks/reranking.py` on a small dataset: all rows, and values that must hold."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from gnnrec import Dataset
from gnnrec.datasets import make_sample
from gnnrec.reranking import STRATEGIES

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a script on a small dataset and returns what it writes."""
    sample = make_sample(150, 80)
    movies = sample.movies.assign(genres=sample.movies["genres"].str.replace("Comedy", "Children's"))
    Dataset(sample.ratings, movies, sample.users, name="small").to_folder(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.delitem(sys.modules, "_common", raising=False)

    def call(script: str, *options: str, **values: Any) -> Any:
        monkeypatch.setattr(sys, "argv", [script, "--dataset", "small", "--json", "found.json", *options])
        main = runpy.run_path(str(BENCHMARKS / script))["main"]
        main.__globals__.update(values)
        main()
        return json.loads(Path("found.json").read_text(encoding="utf-8"))

    return call


def test_groups(run: Any) -> None:
    found = run("groups.py", "--groups", "20")
    assert found["command"] == "python benchmarks/groups.py --dataset small --groups 20"
    methods = [*STRATEGIES, "averaged lists", "one history", "common movie"]
    assert [(row["size"], row["method"]) for row in found["groups"]] == [(n, name) for n in (2, 4) for name in methods]
    for row in found["groups"]:
        assert 0 <= row["least_happy"] <= row["mean"] <= row["happiest"] <= 1
        assert 0 < row["groups"] <= 20


def test_reranking(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    options = [{}, {"diversity": 0.9}, {"max_per_genre": 2}]
    found = run("reranking.py", OPTIONS=options)
    assert [row["options"] for row in found["lists"]] == options
    plain, diverse, _ = found["lists"]
    assert diverse["intra_list_distance"] > plain["intra_list_distance"]
    assert all(row["milliseconds"] > 0 and 0 <= row["ndcg"] <= 1 for row in found["lists"])
    family = {json.dumps(row["options"]): row for row in found["family_friendly"]}
    assert family['{"family_friendly": true}']["adult_share"] == 0
    assert "max_per_genre 2" in capsys.readouterr().out
