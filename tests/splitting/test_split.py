"""`Split` and the splitters of a user's ratings: partitions, order in time, reproducibility, folders."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.splitting import (
    Split,
    cold_movies_split,
    cold_users_split,
    leave_one_out,
    random_split,
    temporal_split,
)
from gnnrec.splitting.splitters import by_fractions, by_shuffled_fractions

PARTS = ("train", "valid", "test", "support")


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Few users and movies, and many equal timestamps."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 15)), min_size=40, max_size=90, unique=True))
    times = draw(st.lists(st.integers(0, 4), min_size=len(pairs), max_size=len(pairs)))
    users, movies = zip(*pairs, strict=True)
    id_type = str if draw(st.booleans()) else int
    return Dataset(
        pd.DataFrame({"user_id": map(id_type, users), "movie_id": map(id_type, movies), "timestamp": times}).assign(
            rating=np.arange(len(pairs))  # identifies the row of the input
        )
    )


SPLITTERS = {
    "random": lambda dataset: random_split(dataset, (0.6, 0.2, 0.2), seed=3),
    "temporal": lambda dataset: temporal_split(dataset, (0.5, 0.25, 0.25)),
    "leave-one-out": leave_one_out,
    "cold-users": lambda dataset: cold_users_split(dataset, n_known=2, seed=1, fraction=0.2),
    "cold-movies": lambda dataset: cold_movies_split(dataset, seed=1, fraction=0.2),
}


@pytest.mark.parametrize("name", SPLITTERS)
@settings(max_examples=15)
@given(dataset=datasets())
def test_parts_partition_the_dataset(name: str, dataset: Dataset) -> None:
    split = SPLITTERS[name](dataset)
    parts = [getattr(split, part) for part in PARTS if getattr(split, part) is not None]
    for part in parts:
        assert part["rating"].is_monotonic_increasing  # the order of the input
    whole = pd.concat(parts).sort_values("rating", ignore_index=True)
    pd.testing.assert_frame_equal(whole, dataset.ratings)
    again = SPLITTERS[name](dataset)
    for part in PARTS[:3]:
        pd.testing.assert_frame_equal(getattr(split, part), getattr(again, part))
    pd.testing.assert_frame_equal(split.movies, dataset.movies)


@settings(max_examples=15)
@given(dataset=datasets())
def test_time_then_file_order(dataset: Dataset) -> None:
    for split in (temporal_split(dataset, (0.5, 0.25, 0.25)), leave_one_out(dataset)):
        parts = pd.concat([getattr(split, part).assign(part=code) for code, part in enumerate(PARTS[:3])])
        ordered = parts.sort_values(["user_id", "timestamp", "rating"])
        assert (ordered.groupby("user_id")["part"].diff().fillna(0) >= 0).all()
        assert set(split.train["user_id"]) == set(dataset.ratings["user_id"])
    assert split.test["user_id"].is_unique
    assert split.valid["user_id"].is_unique


def test_fractions_and_users_with_few_ratings() -> None:
    users = [1] * 20 + [2] * 9 + [3]
    dataset = Dataset(pd.DataFrame({"user_id": users, "movie_id": range(30), "timestamp": range(30)}))
    for split in (random_split(dataset), temporal_split(dataset, (0.8, 0.1, 0.1))):
        sizes = {part: getattr(split, part)["user_id"].value_counts().to_dict() for part in PARTS[:3]}
        assert sizes == {"train": {1: 16, 2: 9, 3: 1}, "valid": {1: 2}, "test": {1: 2}}
    assert split.test["movie_id"].tolist() == [18, 19]
    assert split.valid["movie_id"].tolist() == [16, 17]
    left = leave_one_out(dataset)
    assert left.test["movie_id"].tolist() == [19, 28]
    assert left.valid["movie_id"].tolist() == [18, 27]


def test_equal_times_keep_file_order() -> None:
    dataset = Dataset(pd.DataFrame({"user_id": [1, 1, 1, 1], "movie_id": [4, 9, 2, 7], "timestamp": [5, 5, 5, 0]}))
    split = leave_one_out(dataset)
    assert (split.test["movie_id"].tolist(), split.valid["movie_id"].tolist()) == ([2], [9])
    assert split.train["movie_id"].tolist() == [4, 7]


def test_exact_fractions_lose_no_row() -> None:
    dataset = Dataset(pd.DataFrame({"user_id": 1, "movie_id": range(100)}))
    assert len(random_split(dataset, (0.42, 0.29, 0.29)).test) == 29


@pytest.mark.parametrize("is_sorted", [True, False])
def test_shuffled_fractions_are_fractions_of_shuffled_times(is_sorted: bool) -> None:
    random = np.random.default_rng(0)
    users = random.integers(0, 50, 2000).astype(np.int32)
    users = np.sort(users) if is_sorted else users
    shuffled = random.permutation(2000)
    for fractions in ((0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0)):
        parts = by_shuffled_fractions(users, shuffled, fractions)
        assert parts.tolist() == by_fractions(users, shuffled, fractions).tolist()
        assert parts.tolist() == by_fractions(pd.Series(users), shuffled, fractions).tolist()
    assert by_shuffled_fractions(users[:1], shuffled[:1] * 0, (0.8, 0.1, 0.1)).tolist() == [0]


def test_seed_matters() -> None:
    dataset = make_sample(30, 40)
    assert not random_split(dataset, seed=0).test.equals(random_split(dataset, seed=1).test)
    assert not cold_movies_split(dataset, seed=0).test.equals(cold_movies_split(dataset, seed=1).test)


@pytest.mark.parametrize("name", ["cold-users", "cold-movies"])
def test_held_out_ids_do_not_depend_on_row_order(name: str) -> None:
    dataset = make_sample(60, 40)
    shuffled = Dataset(dataset.ratings.sample(frac=1, random_state=1), dataset.movies, dataset.users)
    column = "user_id" if name == "cold-users" else "movie_id"
    one, other = SPLITTERS[name](dataset), SPLITTERS[name](shuffled)
    for part in PARTS[:3]:
        assert set(getattr(one, part)[column]) == set(getattr(other, part)[column])


def test_random_cold_users() -> None:
    dataset = make_sample(60, 40)
    split = cold_users_split(dataset, n_known=3, seed=0)
    held = [set(split.valid["user_id"]), set(split.test["user_id"])]
    assert [len(users) for users in held] == [6, 6]
    assert not held[0] & held[1]
    assert not (held[0] | held[1]) & set(split.train["user_id"])
    assert split.support is not None
    assert set(split.support["user_id"]) == held[0] | held[1]
    assert (split.support["user_id"].value_counts() == 3).all()
    later = pd.concat([split.valid, split.test]).groupby("user_id")["timestamp"].min()
    assert (split.support.groupby("user_id")["timestamp"].max() <= later).all()
    assert len(cold_users_split(dataset, n_known=0, seed=0).support) == 0


def test_random_cold_movies() -> None:
    split = cold_movies_split(make_sample(60, 40), seed=0)
    movies = [set(getattr(split, part)["movie_id"]) for part in PARTS[:3]]
    assert [len(movies[1]), len(movies[2])] == [4, 4]
    assert not (movies[0] & movies[1] or movies[0] & movies[2] or movies[1] & movies[2])


def test_dataset_and_catalog() -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    split = Split(rows[:1], rows[1:2], rows[2:], movies=pd.DataFrame({"movie_id": [40, 30, 20, 10]}), name="mine")
    assert split.catalog.tolist() == [10, 20, 30]
    assert repr(split.dataset) == "Dataset('mine': 2 users, 4 movies, 1 ratings)"
    assert repr(split) == "Split('mine', as given: 1 train, 1 valid, 1 test)"


def test_invalid_arguments() -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    with pytest.raises(DataError, match=r"test row 1: user 1 rated movie 30 twice.*\(first at train row 0\)"):
        Split(rows[:1], rows[:0], rows.iloc[[2, 0]])
    with pytest.raises(DataError, match="the training set is empty"):
        Split(rows[:0], rows, rows[:0])
    with pytest.raises(DataError, match="valid has the columns user_id, movie_id, rating but train has"):
        Split(rows[:1], rows[1:2].assign(rating=1), rows[2:])
    with pytest.raises(DataError, match="test row 0: movie_id 20 is not in the movies table"):
        Split(rows[:1], rows[1:2], rows[2:], movies=pd.DataFrame({"movie_id": [10, 30]}))
    with pytest.raises(DataError, match=r"custom has no timestamps, which leave-one-out needs; use a random split"):
        leave_one_out(Dataset(rows))
    for fractions in [(0.8, 0.1, 0.2), (0, 0.5, 0.5), (1.1, -0.1, 0), (0.5, 0.5), 0.8, "abc", None]:
        with pytest.raises(ConfigError, match="fractions must be three numbers"):
            random_split(Dataset(rows), fractions)  # type: ignore[arg-type]
    for seed in (-1, 0.5, True, "x"):
        with pytest.raises(ConfigError, match="seed must be an integer of at least 0"):
            random_split(Dataset(rows), seed=seed)  # type: ignore[arg-type]
    for fraction in (0, 0.5, 1):
        with pytest.raises(ConfigError, match=r"between 0 and 0\.5"):
            cold_movies_split(Dataset(rows), seed=0, fraction=fraction)
    with pytest.raises(ConfigError, match="cannot hold out 2 users: only 1 are eligible; lower the fraction"):
        cold_users_split(Dataset(rows), n_known=1, seed=0, fraction=0.2)


@pytest.mark.parametrize("name", SPLITTERS)
def test_folder_round_trip(tmp_path: Path, name: str) -> None:
    split = SPLITTERS[name](make_sample(40, 30))
    again = Split.from_folder(split.to_folder(tmp_path))
    for table in (*PARTS, "movies", "users"):
        if getattr(split, table) is None:
            assert getattr(again, table) is None
        else:
            pd.testing.assert_frame_equal(getattr(again, table), getattr(split, table))
    assert repr(again) == repr(split)


def test_folder_without_a_split_file(tmp_path: Path) -> None:
    (folder := tmp_path / "other").mkdir()
    for part, row in (("train", "7,1"), ("valid", ""), ("test", "7,2")):
        (folder / f"{part}.csv").write_text(f"userId,movieId\n{row}\n")
    assert repr(Split.from_folder(folder)) == ("Split('other', given files (other): 1 train, 0 valid, 1 test)")
    ratings = pd.DataFrame({"user_id": ["7"], "movie_id": [1]})
    dataset = Dataset(ratings, pd.DataFrame({"movie_id": [1, 2, 3], "title": ["a", "b", "c"]}), name="whole")
    split = Split.from_folder(folder, dataset)
    assert (split.name, split.movies["title"].tolist()) == ("whole", ["a", "b", "c"])
    assert split.test["user_id"].tolist() == ["7"]


def test_folder_with_an_earlier_split(tmp_path: Path) -> None:
    dataset = make_sample(40, 30)
    cold_users_split(dataset, seed=0).to_folder(tmp_path)
    random_split(dataset).to_folder(tmp_path)
    assert Split.from_folder(tmp_path).support is None
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(DataError, match=r"split\.json: not a JSON object"):
        Split.from_folder(tmp_path)
