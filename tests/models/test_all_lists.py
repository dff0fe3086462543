"""Lists of all users in a file: those of `recommend`, whatever the block, and never half a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gnnrec
from gnnrec.errors import ConfigError, DataError, StorageError
from gnnrec.models import Recommender, write_lists
from tests.helpers.cli import call, succeeds


@pytest.fixture(scope="module")
def model() -> Recommender:
    return gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "ease")


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"score": np.float32})


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("block_size", [7, 60, 4096])
def test_blocks_do_not_matter(model: Recommender, tmp_path: Path, suffix: str, block_size: int) -> None:
    path = tmp_path / "new" / f"lists{suffix}"
    options: dict[str, Any] = {"genres": "Drama", "offset": 1}
    number = write_lists(model, path, 3, block_size=block_size, **options)
    expected = model.recommend(model.graph.ids["user"].tolist(), 3, **options)
    assert number == len(expected) > 60
    pd.testing.assert_frame_equal(read(path), expected, check_dtype=False, rtol=1e-6)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_row_groups_are_blocks(model: Recommender, tmp_path: Path) -> None:
    import pyarrow.parquet

    write_lists(model, tmp_path / "a.parquet", 2, block_size=25)
    assert pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


def test_some_users_and_no_movies(model: Recommender, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    assert write_lists(model, path, 2, users=[9, 4]) == 4
    assert read(path)["user_id"].tolist() == [9, 9, 4, 4]
    assert write_lists(model, path, 2, offset=40) == 0
    assert read(path).columns.tolist() == ["user_id", "movie_id", "title", "score", "rank"]


def test_mixed_ids_become_text(model: Recommender, tmp_path: Path) -> None:
    grown = model.add_ratings(pd.DataFrame({"user_id": ["ann"], "movie_id": [1], "rating": [5.0]}))
    write_lists(grown, tmp_path / "a.parquet", 1, users=[7, "ann"], block_size=1)
    assert read(tmp_path / "a.parquet")["user_id"].tolist() == ["7", "ann"]


def test_a_full_disk_leaves_the_old_file(model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    calls: list[int] = []
    original = type(model).recommend

    def second_fails(*arguments: Any, **options: Any) -> pd.DataFrame:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return original(*arguments, **options)

    monkeypatch.setattr(type(model), "recommend", second_fails)
    with pytest.raises(StorageError, match="no space left on device"):
        write_lists(model, path, block_size=10)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


def test_errors(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.csv"):
        write_lists(model, tmp_path / "a.json")
    with pytest.raises(ConfigError, match="block_size must be an integer of at least 1"):
        write_lists(model, tmp_path / "a.csv", block_size=0)
    with pytest.raises(DataError, match="5000"):
        write_lists(model, tmp_path / "a.csv", users=[5000])
    with pytest.raises(DataError, match="the list of users is empty"):
        write_lists(model, tmp_path / "a.csv", users=[])
    assert not list(tmp_path.iterdir())


def test_command(model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("run")
    assert "saved in lists.parquet" in succeeds("recommend", "run", "--all-users", "--out", "lists.parquet", "-k", 2)
    expected = model.recommend(model.graph.ids["user"].tolist(), 2)
    pd.testing.assert_frame_equal(read(Path("lists.parquet")), expected, check_dtype=False)
    failed = call("recommend", "run", "--all-users", "--out", "new.csv", "--genres", "Nope")
    assert failed.exit_code == 1
    assert "error: unknown genre 'Nope'" in failed.stderr
    assert not Path("new.csv").exists()
