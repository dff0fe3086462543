"""`benchmarks/scale.py` and its made-up ratings: what they promise, every stage, and the page that is written from it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnrec import _memory, load_dataset

HOME = Path(__file__).resolve().parents[2]
pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def scripts_are_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME / "benchmarks"))
    monkeypatch.syspath_prepend(str(HOME / "docs" / "_scripts"))
    monkeypatch.delitem(sys.modules, "_common", raising=False)


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, HOME / path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[Path(path).stem] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module("benchmarks/_synthetic_ratings.py")


def whole(made: ModuleType, size: Any) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(block) for block in made.blocks(size)], ignore_index=True)


def test_made_up_ratings(made: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "BLOCK", 10_000)
    size = made.Size(600, 2000, 60_000, seed=3)
    frame = whole(made, size)
    assert len(frame) == 60_000
    assert not frame.duplicated(["user_id", "movie_id"]).any()
    assert frame["user_id"].nunique() == 600
    assert frame["user_id"].between(1, 600).all() and frame["movie_id"].between(1, 2000).all()
    assert frame.groupby("user_id").size().min() >= made.LEAST
    assert (frame["user_id"] * 10_000 + frame["movie_id"]).is_monotonic_increasing
    assert not frame.groupby("user_id")["timestamp"].is_monotonic_increasing.any()
    assert set(frame["rating"]) <= set(np.arange(1, 11) / 2)
    assert frame["timestamp"].between(made.FIRST, made.LAST).all()
    counts = np.sort(np.bincount(frame["movie_id"], minlength=2001)[1:])[::-1]
    assert counts[:200].sum() > len(frame) / 3  # of a tenth of the movies
    assert len(made.blocks_of(made.ratings_per_person(size))) > 3
    pd.testing.assert_frame_equal(whole(made, size), frame)
    assert not whole(made, made.Size(600, 2000, 60_000, seed=4)).equals(frame)


def test_tastes_drift(made: ModuleType) -> None:
    """Topics of the first and the last third differ more than those of two random thirds."""
    size = made.Size(300, 2000, 60_000)
    frame = whole(made, size)
    topic = made.make_catalog(size).topic
    frame["topic"] = topic[frame["movie_id"] - 1]
    frame = frame.sort_values(["user_id", "timestamp"], ignore_index=True)
    place = frame.groupby("user_id").cumcount() / frame.groupby("user_id")["topic"].transform("size")
    random = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame["user_id"].map(lambda _: 0) + random / len(frame)

    def distance(order: pd.Series) -> float:
        parts = [
            pd.crosstab(frame["user_id"][rows], frame["topic"][rows], normalize="index").reindex(
                index=range(1, 301), columns=range(topic.max() + 1), fill_value=0
            )
            for rows in (order < 1 / 3, order >= 2 / 3)
        ]
        return float((parts[0] - parts[1]).abs().sum(axis=1).mean())

    assert distance(place) > 1.05 * distance(shuffled)


def test_files(made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "BLOCK", 2000)
    size = made.Size(50, 800, 5000)
    about = made.write(size, tmp_path)
    assert about["written"] == 5000
    one, other = load_dataset(tmp_path / "csv"), load_dataset(tmp_path / "parquet")
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))
    assert one.num_movies == 800
    assert len(list((tmp_path / "parquet" / "ratings").iterdir())) == 3
    file = tmp_path / "csv" / "ratings.csv"
    file.write_text("kept")
    made.write(size, tmp_path)
    assert file.read_text() == "kept"
    made.write(made.Size(50, 800, 5000, seed=1), tmp_path)
    assert file.read_text().startswith("user_id,movie_id,rating,timestamp\n")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Run the script on little data, most stages in this process."""
    script = module("benchmarks/scale.py")
    here: list[str] = []

    def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
        if name == "read":
            return original(name, arguments)
        here.append(name)
        stage = script.Stage()
        script.STAGES[name](arguments, stage)
        return stage.result

    original = script.run
    monkeypatch.setattr(script, "run", run)
    file = tmp_path / "scale-test.json"
    words = ["--people", "80", "--movies", "800", "--ratings", "8000", "--batch-size", "32", "--json", str(file)]
    words += ["--folder", str(tmp_path / "data"), "--set", "model.embedding_dim=8"]
    monkeypatch.setattr(sys, "argv", ["scale.py", *words])
    script.main()
    assert here == list(script.STAGES)[1:]
    assert "ndcg@20" in capsys.readouterr().out
    return file


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_stages_and_page(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("implicit")
    record = json.loads(results.read_text())
    assert record["data"]["written"] == 8000
    stages = record["stages"]
    assert stages["read"]["ratings"] == stages["read-parquet"]["ratings"] == 8000
    assert stages["graph"]["edges"] + stages["split"]["test_ratings"] == 8000
    assert stages["lists"]["users"] == stages["als-lists"]["users"] == 80
    assert stages["lists"]["rows"] == stages["als-lists"]["rows"] == 800
    for name, found in stages.items():
        assert found["cpu_seconds"] > 0 and found["seconds"] > 0, name
        assert found["peak_bytes"] > 0.9 * found["bytes_before"] > 10_000_000, name  # the kernel counts roughly
        assert found["command"].startswith("python benchmarks/scale.py --people 80 --movies 800 --ratings 8000")
    for name in ("evaluate", "als"):
        assert 0 < stages[name]["ndcg@20"] < 1
    assert not list((results.parent / "data").glob("lists*"))
    page = module("docs/_scripts/make_scale.py")
    found = page.pages(results.parent)
    assert set(found) == {"results/scale.md", "pictures/scale-seconds.svg", "pictures/scale-memory.svg"}
    assert f"| one epoch | {page.seconds(stages['epoch']['cpu_seconds'])} |" in found["results/scale.md"]
    assert f"| EASE | {stages['ease']['peak_bytes'] / 2**30:.2f} |" in found["results/scale.md"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_ease_refuses_and_failures_are_recorded(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = module("benchmarks/scale.py")
    made.write(made.Size(50, 800, 5000), tmp_path)
    monkeypatch.setattr(_memory, "available_memory", lambda: 1000)
    stage = script.Stage()
    script.ease(argparse.Namespace(folder=tmp_path), stage)
    assert stage.result["refused"].startswith("ease on 800 movies needs 0.0 GiB of memory, and 0.0 GiB are left")
    assert script.describe("ease", stage.result).startswith("ease: ease on 800 movies needs")
    options = argparse.Namespace(
        folder=tmp_path / "none", config=None, set=[], batch_size=32, threads=1, time_limit=600
    )
    assert "does not exist" in script.run("read", options)["failed"]


def test_same_json_for_other_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found.json").write_text('{"data": {}, "stages": {}}')
    words = ["--people", "50", "--movies", "200", "--ratings", "3000", "--folder", str(tmp_path / "data")]
    monkeypatch.setattr(sys, "argv", ["scale.py", *words, "--json", str(tmp_path / "found.json"), "--stages", "read"])
    with pytest.raises(SystemExit, match=r"found\.json has results of other data"):
        runpy.run_path(str(HOME / "benchmarks" / "scale.py"), run_name="__main__")
