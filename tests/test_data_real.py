"""The real MovieLens files, where there are any: counts that GroupLens publishes, and values read by eye."""

import os
import time
from pathlib import Path

import pytest

from gnnrec.data import Dataset, Split, find_dataset, load_dataset


def real(name: str) -> Path:
    if not os.environ.get("GNNREC_DATA"):
        pytest.skip("needs real data: set GNNREC_DATA to the folder that holds ml-1m/")
    folder = find_dataset(name, os.environ["GNNREC_DATA"])
    if folder is None:
        pytest.skip(f"GNNREC_DATA does not hold {name}")
    return folder


@pytest.fixture(scope="module")
def ml_1m() -> Dataset:
    real("ml-1m")
    return load_dataset("ml-1m")


@pytest.mark.real
def test_ml_1m(ml_1m: Dataset) -> None:
    assert repr(ml_1m) == "Dataset('ml-1m': 6,040 users, 3,883 movies, 1,000,209 ratings)"
    assert ml_1m.ratings.iloc[0].tolist() == [1, 1193, 5, 978300760]
    assert ml_1m.ratings.iloc[-1].tolist() == [6040, 1097, 4, 956715569]
    assert ml_1m.movies.iloc[0].tolist() == [1, "Toy Story (1995)", "Animation|Children's|Comedy", 1995]
    assert ml_1m.movies["year"].notna().all()
    assert ml_1m.users.iloc[0].tolist() == [1, 1, "F", "K-12 student", "48067"]
    assert "Mis\xe9rables, Les (1995)" in set(ml_1m.movies["title"])
    assert ml_1m.users["occupation"].nunique() == 21


@pytest.mark.real
def test_ml_1m_is_fast() -> None:
    folder = real("ml-1m")
    start = time.perf_counter()
    load_dataset(folder)
    assert time.perf_counter() - start < 5  # about half a second on two idle cores


@pytest.mark.real
def test_ml_1m_last_ratings(ml_1m: Dataset) -> None:
    split = Split.leave_last_out(ml_1m)
    assert (len(split.train), len(split.valid), len(split.test)) == (1_000_209 - 2 * 6040, 6040, 6040)
    # User 1's latest second holds several ratings; the last of them in the file is the test movie.
    mine = ml_1m.ratings[ml_1m.ratings["user_id"] == 1]
    latest = mine[mine["timestamp"] == mine["timestamp"].max()]
    assert split.test["movie_id"].iloc[0] == latest["movie_id"].iloc[-1]


@pytest.mark.real
def test_ml_100k() -> None:
    real("ml-100k")
    dataset = load_dataset("ml-100k")
    assert repr(dataset) == "Dataset('ml-100k': 943 users, 1,682 movies, 100,000 ratings)"
    assert dataset.ratings.iloc[0].tolist() == [196, 242, 3, 881250949]
    assert dataset.movies.iloc[0].tolist()[:4] == [1, "Toy Story (1995)", "Animation|Children's|Comedy", 1995]
    assert dataset.movies["title"][dataset.movies["year"].isna()].tolist() == ["unknown"]


@pytest.mark.real
def test_published_split(ml_1m: Dataset) -> None:
    home = Path(os.environ["GNNREC_DATA"])
    places = [home / "splits" / "Movielens1M_m1", home.parent / "splits" / "Movielens1M_m1"]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        pytest.skip("GNNREC_DATA does not hold splits/Movielens1M_m1")
    split = Split.from_folder(folder, ml_1m)
    assert (len(split.train), len(split.valid), len(split.test)) == (796_244, 99_455, 99_455)
    assert (len(split.catalogue), len(split.movies), split.name) == (3_043, 3_883, "ml-1m")
    assert split.train["user_id"].nunique() == 6_022
