"""`prepare`: the same data as in memory, whatever is read and sorted at once; refusals; folders that are complete or not there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import gnnrec
from gnnrec import ConfigError, DataError, Dataset, load_dataset
from gnnrec.cli import app
from gnnrec.data import columnar, parquet, plain_text
from gnnrec.data.append_only import sort_by_group
from gnnrec.datasets import make_sample, prepare
from gnnrec.errors import StorageError
from gnnrec.graph import Graph

pytest.importorskip("pyarrow")
MODULE = sys.modules["gnnrec.datasets.prepare"]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that even little data is many blocks and buckets."""
    monkeypatch.setattr(MODULE, "BUCKET_ROWS", 150)
    monkeypatch.setattr(MODULE, "BLOCK_ROWS", 77)
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 100)
    monkeypatch.setattr(plain_text, "BLOCK_BYTES", 2000)


def shuffled(seed: int = 0) -> Dataset:
    sample = make_sample(80, 60)
    return sample.take(np.random.default_rng(seed).permutation(sample.num_ratings))


def by_user_and_time(dataset: Dataset) -> Dataset:
    """Return the dataset as `prepare` sorts it."""
    times = dataset.ratings["timestamp"].to_numpy() if dataset.has_times else np.zeros(dataset.num_ratings, np.int64)
    return dataset.take(sort_by_group(dataset.rating_table.user, times))


def assert_same(found: Dataset, expected: Dataset) -> None:
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(expected, table))
    assert found.rating_scale == expected.rating_scale
    for name in ("user", "movie"):
        assert getattr(found.rating_table, name).tolist() == getattr(expected.rating_table, name).tolist()
    one, other = found.rating_table.histories, expected.rating_table.histories
    for name in ("user", "movie", "rating", "timestamp"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


def write_source(folder: Path, dataset: Dataset, kind: str) -> Path:
    """Write a dataset as Parquet, Parquet in parts, or MovieLens' CSV."""
    if kind == "parquet":
        return dataset.to_folder(folder, format="parquet")
    folder.mkdir()
    ratings = dataset.ratings.rename(columns={"user_id": "userId", "movie_id": "movieId"})
    if kind == "csv":
        ratings.to_csv(folder / "ratings.csv", index=False)
        dataset.movies.to_csv(folder / "movies.csv", index=False)
    else:
        (folder / "ratings").mkdir()
        for number, start in enumerate(range(0, len(ratings), 300)):
            ratings.iloc[start : start + 300].to_parquet(folder / "ratings" / f"part-{number}.parquet")
    return folder


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["parquet", "parts", "csv"])
@pytest.mark.parametrize("filters", [{}, {"k_core": 15}, {"min_rating": 4}, {"min_rating": 3, "k_core": 12}])
def test_same_as_in_memory(tmp_path: Path, kind: str, filters: dict[str, Any]) -> None:
    source = write_source(tmp_path / "source", shuffled(), kind)
    told: list[str] = []
    found = load_dataset(prepare(source, tmp_path / "out", **filters, report=told.append))
    expected = load_dataset(source).filtered(**filters)
    assert_same(found, by_user_and_time(expected))
    assert found.filters == expected.filters
    assert found.name == expected.name == "source"
    assert found.provenance == expected.provenance
    assert "GB of disk are needed" in told[0]
    assert not (tmp_path / "out" / "work").exists()
    if filters:
        assert 0 < found.num_ratings < load_dataset(source).num_ratings


def test_columns_are_mapped_not_read(tmp_path: Path) -> None:
    found = load_dataset(prepare(write_source(tmp_path / "source", shuffled(), "parquet"), tmp_path / "out"))
    histories = found.rating_table.histories
    for values in (found.rating_table.user, found.rating_table.movie, histories.movie, histories.rating):
        base: Any = values
        while base is not None and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)
    users = Graph.from_dataset(found).users
    assert users.movie_index.data_ptr() == histories.movie.ctypes.data
    pointer = columnar.map_column(tmp_path / "out", "user_ptr")
    assert pointer.tolist() == Graph.from_dataset(found).user_ptr.tolist()


def test_same_model(tmp_path: Path) -> None:
    dataset = shuffled()
    found = load_dataset(prepare(write_source(tmp_path / "source", dataset, "parquet"), tmp_path / "out"))
    config = gnnrec.Config().override(["train.epochs=2", "model.embedding_dim=8"])
    one, other = (gnnrec.fit(data, config=config, progress=False) for data in (found, by_user_and_time(dataset)))
    assert torch.equal(one.score(one.graph.users), other.score(other.graph.users))
    more = found.add_ratings(pd.DataFrame({"user_id": [1000], "movie_id": [1], "rating": [4.0]}))
    assert more.num_ratings == found.num_ratings + 1
    assert more.ratings.iloc[-1]["user_id"] == 1000


def base_of(values: Any) -> Any:
    """Return the array that a view is of."""
    while getattr(values, "base", None) is not None and not isinstance(values, np.memmap):
        values = values.base
    return values


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    return prepare(write_source(folder / "source", shuffled(), "parquet"), folder / "out")


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few ratings are copied on disk, in several blocks."""
    monkeypatch.setattr(columnar, "MIN_MAPPED", 1)
    monkeypatch.setattr(columnar, "BLOCK_ROWS", 100)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("protocol", ["random", "temporal", "global-time", "leave-one-out", "cold-users"])
def test_splits_are_mapped_and_equal_those_in_memory(prepared: Path, protocol: str) -> None:
    found = gnnrec.split(load_dataset(prepared), protocol)
    expected = gnnrec.split(by_user_and_time(shuffled()), protocol)
    for part in ("train", "valid", "test"):
        pd.testing.assert_frame_equal(getattr(found, part), getattr(expected, part))
    assert_same(found.dataset, expected.dataset)
    assert found.catalog.tolist() == expected.catalog.tolist()
    table = found.dataset.rating_table
    assert isinstance(table, columnar.MappedRatings)
    histories = table.histories
    columns = [table.user, table.movie, histories.user, histories.movie, histories.rating, histories.timestamp]
    for values in (*columns, *(found.train[name].to_numpy() for name in found.train)):
        assert isinstance(base_of(values), np.memmap)


@pytest.mark.usefixtures("few_are_many")
def test_a_split_of_mapped_ratings_is_fitted_and_evaluated_as_in_memory(prepared: Path) -> None:
    config = gnnrec.Config().override(["train.epochs=2", "model.embedding_dim=8"])
    one, other = (gnnrec.split(data, "random") for data in (load_dataset(prepared), by_user_and_time(shuffled())))
    mapped, plain = (gnnrec.fit(split, config=config, progress=False) for split in (one, other))
    pd.testing.assert_frame_equal(gnnrec.evaluate(mapped, one), gnnrec.evaluate(plain, other))
    pd.testing.assert_frame_equal(gnnrec.recommend(mapped, [3, 1], k=5), gnnrec.recommend(plain, [3, 1], k=5))
    assert gnnrec.suggest_config(one) == gnnrec.suggest_config(other)
    # What is changed afterwards is in memory.
    more = mapped.add_ratings(pd.DataFrame({"user_id": [1000], "movie_id": [1], "rating": [4.0]}))
    assert more.dataset.ratings.iloc[-1]["user_id"] == 1000
    assert not isinstance(more.dataset.rating_table, columnar.MappedRatings)


@pytest.mark.usefixtures("few_are_many")
def test_rows_in_another_order_are_taken_in_memory(prepared: Path) -> None:
    dataset = load_dataset(prepared)
    rows = np.arange(dataset.num_ratings)[::-1]
    assert_same(dataset.take(rows), by_user_and_time(shuffled()).take(rows))
    half = dataset.take(dataset.take(np.arange(0, dataset.num_ratings, 2)).rating_table.user < 10)  # of a part, again
    assert half.num_ratings == int((dataset.rating_table.user[::2] < 10).sum())


@pytest.mark.usefixtures("few_are_many")
def test_no_space_for_a_split(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(prepared)

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(columnar.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
        with pytest.raises(StorageError, match=r"copied to .*, which needs 0\.0 GB, and 0\.0 GB are free; .* TMPDIR"):
            gnnrec.split(dataset, "random")
    monkeypatch.setattr(columnar.tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match=r"cannot write to .*: No space left on device"):
        gnnrec.split(dataset, "random")


def test_commands_on_a_prepared_folder(prepared: Path, tmp_path: Path) -> None:
    quick = ["--set", "model.embedding_dim=8", "--set", "train.epochs=1"]
    for words in (
        ["train", "--dataset", prepared, "--protocol", "random", "--out", tmp_path / "run", *quick],
        ["evaluate", tmp_path / "run"],
        ["recommend", tmp_path / "run", "--user", "1"],
        ["benchmark", "--dataset", prepared, "--models", "popularity,ease", "--protocol", "temporal"],
    ):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output


def test_blocks_and_buckets_without_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of users with more ratings than a bucket holds, and of rows that a filter drops."""
    monkeypatch.setattr(MODULE, "BUCKET_ROWS", 2)
    monkeypatch.setattr(MODULE, "BLOCK_ROWS", 3)
    rows = pd.DataFrame({"user_id": np.repeat([3, 1, 2], [9, 4, 8]), "movie_id": [*range(9), *range(4), *range(8)]})
    rows["rating"] = np.where(rows["user_id"] == 1, 2.0, 4.0)
    rows.to_parquet(tmp_path / "ratings.parquet", index=False)
    found = load_dataset(prepare(tmp_path / "ratings.parquet", tmp_path / "out", min_rating=3))
    assert_same(found, by_user_and_time(load_dataset(tmp_path / "ratings.parquet").filtered(min_rating=3)))
    assert found.users["user_id"].tolist() == [2, 3]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("duplicates", ["first", "last"])
def test_duplicates(tmp_path: Path, duplicates: str) -> None:
    rows = shuffled().ratings
    again = rows.iloc[::7].assign(timestamp=lambda frame: frame["timestamp"] + 10, rating=1.0)
    again = pd.concat([again, again.iloc[:5].assign(timestamp=1, rating=2.0)])
    pd.concat([again, rows]).to_parquet(tmp_path / "ratings.parquet", index=False)
    with pytest.raises(DataError, match=r"user \d+ rated movie \d+ twice; .* duplicates='first' or 'last'"):
        prepare(tmp_path / "ratings.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = load_dataset(prepare(tmp_path / "ratings.parquet", tmp_path / "out", duplicates=duplicates))
    ordered = pd.concat([again, rows]).sort_values(["user_id", "timestamp"], kind="stable")
    expected = ordered.drop_duplicates(["user_id", "movie_id"], keep=duplicates)  # type: ignore[call-overload]
    pd.testing.assert_frame_equal(found.ratings, expected.astype({"rating": "float32"}).reset_index(drop=True))


def test_ids_alone(tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_text("user_id,movie_id\n3,10\n-1,20\n3,5\n")
    found = load_dataset(prepare(tmp_path / "seen.csv", tmp_path / "out", name="mine"))
    assert found.ratings.to_dict("list") == {"user_id": [-1, 3, 3], "movie_id": [20, 10, 5]}
    assert found.name == "mine"
    assert found.rating_scale is None
    assert_same(found, by_user_and_time(load_dataset(tmp_path / "seen.csv")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,movie_id\nann,10\n", "has other values than numbers"),
        ("user_id,movie_id\n007,10\n", "leading zeros"),
        ("user_id,movie_id,rating\n1,10,\n", "has other values than numbers"),
        ("user_id,movie_id,plays\n1,10,7\n", "weights or counts"),
        ("user_id,movie_id,rating\n1,10,7\n1,11,560\n2,11,1\n", "holds counts"),
        ("user_id,movie_id,rating,timestamp\n1,10,3,978300760000\n", "not in seconds since 1970"),
        ("user_id,stars\n1,10\n", "no columns of users and movies; columns found: user_id, stars"),
    ],
)
def test_what_it_does_not_read(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ratings.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        prepare(tmp_path / "ratings.csv", tmp_path / "out")
    assert "to_folder(..., format='parquet')" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["ratings.csv"]


def test_parquet_that_it_does_not_read(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 2], "movie_id": [1, 1], "rating": [4.0, np.nan]})
    for frame in (rows, rows.assign(rating=4, user_id=["a", "b"]), rows.assign(rating=3, movie_id=[1.5, 1.0])):
        frame.to_parquet(tmp_path / "ratings.parquet")
        with pytest.raises(DataError):
            prepare(tmp_path / "ratings.parquet", tmp_path / "out")
    rows.assign(rating=[5, 4]).to_parquet(tmp_path / "ratings.parquet")
    assert load_dataset(prepare(tmp_path / "ratings.parquet", tmp_path / "out")).ratings["rating"].tolist() == [
        5.0,
        4.0,
    ]


def test_movies_table_must_be_complete(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", shuffled(), "csv")
    movies = pd.read_csv(source / "movies.csv")
    movies.iloc[5:].to_csv(source / "movies.csv", index=False)
    with pytest.raises(DataError, match="is not in the movies table"):
        prepare(source, tmp_path / "out")


def test_disk_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", shuffled(), "parquet")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr(MODULE, "_copy", lambda *arguments: pytest.fail("something was written"))
    with pytest.raises(StorageError, match=r"out needs 0\.0 GB, and 0\.0 GB are free"):
        prepare(source, tmp_path / "out")


def test_an_earlier_folder_stays_until_the_new_one_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", shuffled(), "parquet")
    before = load_dataset(prepare(source, tmp_path / "out"))

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(columnar.ColumnWriter, "write", full)
        with pytest.raises(StorageError, match="no space left on device"):
            prepare(source, tmp_path / "out", k_core=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]
    assert_same(load_dataset(tmp_path / "out"), before)
    prepare(source, tmp_path / "out", k_core=15)
    assert load_dataset(tmp_path / "out").filters == "15-core"
    with pytest.raises(DataError, match="is not a prepared dataset"):
        prepare(source, tmp_path / "source")


def test_damaged_folder(tmp_path: Path) -> None:
    out = prepare(write_source(tmp_path / "source", shuffled(), "parquet"), tmp_path / "out")
    np.save(out / "movie.npy", np.zeros(3, dtype=np.int32))
    with pytest.raises(DataError, match=r"is damaged .* prepare it again"):
        load_dataset(out)
    (out / "movie.npy").unlink()
    with pytest.raises(DataError, match=r"is damaged .* prepare it again"):
        load_dataset(out)
    (out / "prepared.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="has layout 99"):
        load_dataset(out)


def test_wrong_arguments(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", shuffled(), "parquet")
    with pytest.raises(ConfigError, match="duplicates must be error, first or last, not 'mean'"):
        prepare(source, tmp_path / "out", duplicates="mean")
    with pytest.raises(ConfigError, match="k_core"):
        prepare(source, tmp_path / "out", k_core=0)
    with pytest.raises(DataError, match=r"no ratings of .* are left after 1000-core"):
        prepare(source, tmp_path / "out", k_core=1000)
    with pytest.raises(DataError, match="does not exist"):
        prepare(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    out = prepare(source, tmp_path / "out")
    with pytest.raises(ConfigError, match="options for reading are for the files it was made from"):
        load_dataset(out, duplicates="last")


def test_command(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", shuffled(), "parquet")
    words = ["prepare", str(source), "--out", str(tmp_path / "out"), "--k-core", "15", "--name", "mine"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    expected = load_dataset(source).filtered(k_core=15)
    assert f"Dataset('mine', 15-core: {expected.num_users} users, {expected.num_movies} movies" in done.stdout
    assert "GB of disk are needed" in done.stderr
