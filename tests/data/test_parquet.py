"""Parquet: folders of parts, the same result as from CSV, errors that name the part, and writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnrec import ConfigError, DataError, Dataset, load_dataset
from gnnrec.data import parquet
from gnnrec.datasets import make_sample
from gnnrec.errors import StorageError

pytest.importorskip("pyarrow")
RATINGS = pd.DataFrame({
    "userId": [1, 1, 2, 2, 3], "movieId": [10, 20, 10, 30, 20], "rating": [3.5, 4.0, 0.5, 5.0, 2.0],
    "timestamp": [5, 4, 3, 2, 1],
})  # fmt: skip


def write_parts(folder: Path, frame: pd.DataFrame, *, names: str = "part-{:05d}.parquet", size: int = 2) -> Path:
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(frame), size)):
        frame.iloc[start : start + size].to_parquet(folder / names.format(number), index=False)
    (folder / "_SUCCESS").touch()
    return folder


def assert_same(one: Dataset, other: Dataset) -> None:
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))
    assert one.rating_scale == other.rating_scale


@pytest.mark.parametrize("place", ["", "ratings", "ratings.parquet", "Interactions"])
@pytest.mark.parametrize("names", ["part-{:05d}.parquet", "{}.parquet", "data_{}.pq"])
def test_folder_of_parts(tmp_path: Path, place: str, names: str) -> None:
    rows = pd.concat([RATINGS.assign(userId=RATINGS["userId"] + 10 * number) for number in range(10)])
    write_parts(tmp_path / "mine" / place, rows, names=names)
    rows.to_csv(tmp_path / "mine.csv", index=False)
    found = load_dataset(tmp_path / "mine")
    assert_same(found, load_dataset(tmp_path / "mine.csv"))
    assert found.name == "mine"
    assert "(Parquet files)" in str(found.provenance)


def test_movies_beside_parts(tmp_path: Path) -> None:
    write_parts(tmp_path / "ratings", RATINGS)
    movies = pd.DataFrame(
        {"movieId": [10, 20, 30, 40], "title": ["Heat (1995)", "Alien (1979)", "Up (2009)", "M (1931)"]}
    )
    write_parts(tmp_path / "movies", movies, size=3)
    found = load_dataset(tmp_path)
    assert found.num_movies == 4
    assert found.movies["year"].tolist() == [1995, 1979, 2009, 1931]


def test_several_tables_in_a_folder_are_no_parts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        RATINGS.to_parquet(tmp_path / f"{name}.parquet", index=False)
    with pytest.raises(DataError, match=r"several files that may hold the ratings: one\.parquet, two\.parquet"):
        load_dataset(tmp_path)


def test_fault_names_the_part(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "ratings", RATINGS.assign(userId=[1, 1, 2, 2, 2], movieId=[10, 20, 10, 30, 10]))
    with pytest.raises(DataError) as error:
        load_dataset(tmp_path)
    assert str(error.value).startswith(f"{folder / 'part-00002.parquet'} row 0: user 2 rated movie 10 twice")
    assert str(error.value).endswith(f"(first at {folder / 'part-00001.parquet'} row 0)")
    kept = load_dataset(tmp_path, duplicates="last")
    assert kept.ratings["rating"].tolist() == [3.5, 4.0, 5.0, 2.0]


def test_parts_with_other_columns(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "ratings", RATINGS)
    RATINGS.rename(columns={"rating": "stars"}).to_parquet(folder / "part-00001.parquet")
    with pytest.raises(DataError, match=r"part-00001\.parquet: it has the columns userId, movieId, stars"):
        load_dataset(tmp_path)


def test_damaged_part(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "ratings", RATINGS)
    (folder / "part-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="is not a Parquet file, or it is damaged"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"userId": "int32", "movieId": "int16", "timestamp": "int32", "rating": "float32"},
        {"userId": "uint64"},
        {"userId": "Int64", "rating": "Float64"},
        {"userId": "str", "movieId": "category"},
        {"rating": "int64"},
        {"userId": "float64"},
        {"timestamp": "datetime64[s]"},
    ],
)
def test_numbers_of_any_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    """The way for plain numbers gives the same as pandas."""
    write_parts(tmp_path / "a" / "ratings", RATINGS.astype(changes))
    found = load_dataset(tmp_path / "a")
    monkeypatch.setattr(parquet, "_read_numbers", lambda *arguments: None)
    assert_same(found, load_dataset(tmp_path / "a"))


@pytest.mark.parametrize("rating", [[3.7, 4.1, 1e-3, 0.1, 5.0], [3.5, np.nan, 4, 5, 1]])
def test_fractions_and_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rating: list[float]) -> None:
    write_parts(tmp_path / "ratings", RATINGS.assign(rating=rating))

    def outcome() -> Any:
        try:
            return load_dataset(tmp_path).ratings.to_dict("list")
        except DataError as error:
            return str(error)

    found = outcome()
    monkeypatch.setattr(parquet, "_read_numbers", lambda *arguments: None)
    assert found == outcome()


def test_index_of_pandas(tmp_path: Path) -> None:
    RATINGS.set_index("userId").to_parquet(tmp_path / "ratings.parquet")
    RATINGS.to_csv(tmp_path / "ratings2.csv", index=False)
    assert_same(load_dataset(tmp_path / "ratings.parquet"), load_dataset(tmp_path / "ratings2.csv"))


def test_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 100)
    dataset = make_sample(60, 40)
    assert dataset.to_folder(tmp_path / "a", format="parquet") == tmp_path / "a"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "gnnrec.json", "movies.parquet", "ratings.parquet", "users.parquet",
    ]  # fmt: skip
    assert_same(load_dataset(tmp_path / "a"), dataset)


def test_text_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    dataset = Dataset(pd.DataFrame({"user_id": ["007", "8"], "movie_id": ["1", "2"]}))
    found = load_dataset(dataset.to_folder(tmp_path, format="parquet"))
    assert found.ratings.to_dict("list") == {"user_id": ["007", "8"], "movie_id": ["1", "2"]}
    mixed = make_sample(60, 40).add_ratings(pd.DataFrame({"user_id": ["anna"], "movie_id": [3]}))
    found = load_dataset(mixed.to_folder(tmp_path, format="parquet"))
    assert found.ratings["user_id"].iloc[[0, -1]].tolist() == ["1", "anna"]


def test_the_other_format_goes(tmp_path: Path) -> None:
    first, second = make_sample(60, 40), make_sample(50, 40)
    for one, format in ((first, "csv"), (second, "parquet"), (first, "csv")):
        one.to_folder(tmp_path, format=format)  # type: ignore[arg-type]
        assert_same(load_dataset(tmp_path), one)
    (tmp_path / "notes.txt").touch()
    second.to_folder(tmp_path, format="parquet")
    assert (tmp_path / "notes.txt").exists()
    assert not list(tmp_path.glob("*.csv"))


def test_wrong_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format must be csv or parquet, not 'feather'"):
        make_sample(60, 40).to_folder(tmp_path / "a", format="feather")  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Any) -> None:
    """When the disk is full, what was there before stays."""
    before = make_sample(60, 40)
    before.to_folder(tmp_path, format=format)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="no space left on device; free some or choose another folder"):
        make_sample(50, 40).to_folder(tmp_path, format=format)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
