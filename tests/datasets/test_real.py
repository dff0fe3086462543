"""The real MovieLens files, if available: counts that GroupLens publishes, and values checked by hand."""

import os
from pathlib import Path

import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import find_dataset, load_dataset
from gnnrec.graph import Graph
from gnnrec.splitting import Split, leave_one_out
from gnnrec.splitting import split as make_split


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


@pytest.mark.real_data
def test_ml_1m(ml_1m: Dataset) -> None:
    assert repr(ml_1m) == "Dataset('ml-1m': 6,040 users, 3,883 movies, 1,000,209 ratings)"
    assert ml_1m.ratings.iloc[0].tolist() == [1, 1193, 5, 978300760]
    assert ml_1m.ratings.iloc[-1].tolist() == [6040, 1097, 4, 956715569]
    assert ml_1m.movies.iloc[0, :4].tolist() == [1, "Toy Story (1995)", "Animation|Children's|Comedy", 1995]
    assert ml_1m.movies["year"].notna().all()
    assert ml_1m.users.iloc[0].tolist() == [1, 1, "F", "K-12 student", "48067"]
    assert "Mis\xe9rables, Les (1995)" in set(ml_1m.movies["title"])
    assert ml_1m.users["occupation"].nunique() == 21


@pytest.mark.real_data
def test_side_tables_of_ml_1m(ml_1m: Dataset) -> None:
    if not all((real("ml-1m") / name).is_file() for name in ("omdb.csv", "fullplot.csv")):
        pytest.skip("GNNREC_DATA does not hold ml-1m/omdb.csv and ml-1m/fullplot.csv")
    movies = ml_1m.movies.set_index("movie_id")
    toys = movies.loc[[1]].iloc[0]
    assert toys[["directors", "runtime", "imdb_id"]].tolist() == ["John Lasseter", 81, "tt0114709"]
    assert toys["actors"] == "Tom Hanks|Tim Allen|Don Rickles|Jim Varney"
    assert str(toys["plot"]).startswith(
        "A little boy named Andy"
    )  # from fullplot.csv; the short plot of omdb.csv begins differently
    assert movies["directors"][3114] == "John Lasseter|Ash Brannon|Lee Unkrich"  # two of them "(co-director)"
    assert (movies["plot"].isna().sum(), movies["runtime"].isna().sum(), movies["imdb_id"].isna().sum()) == (23, 13, 0)
    graph = Graph.from_dataset(ml_1m)
    assert {column: len(values) for column, values in graph.attributes.items()} == {
        "genres": 18, "directors": 773, "actors": 2_359,
    }  # fmt: skip
    assert {column: len(ends[0]) for column, ends in graph.movies.attribute_edges.items()} == {
        "genres": 6_408, "directors": 2_816, "actors": 9_769,
    }  # fmt: skip


@pytest.mark.real_data
def test_ml_1m_last_ratings(ml_1m: Dataset) -> None:
    split = leave_one_out(ml_1m)
    assert (len(split.train), len(split.valid), len(split.test)) == (1_000_209 - 2 * 6040, 6040, 6040)
    # User 1 has several ratings with the last timestamp; the last of them in the file is the test movie.
    mine = ml_1m.ratings[ml_1m.ratings["user_id"] == 1]
    latest = mine[mine["timestamp"] == mine["timestamp"].max()]
    assert split.test["movie_id"].iloc[0] == latest["movie_id"].iloc[-1]


@pytest.mark.real_data
def test_ml_100k() -> None:
    real("ml-100k")
    dataset = load_dataset("ml-100k")
    assert repr(dataset) == "Dataset('ml-100k': 943 users, 1,682 movies, 100,000 ratings)"
    assert dataset.ratings.iloc[0].tolist() == [196, 242, 3, 881250949]
    assert dataset.movies.iloc[0].tolist()[:4] == [1, "Toy Story (1995)", "Animation|Children's|Comedy", 1995]
    assert dataset.movies["title"][dataset.movies["year"].isna()].tolist() == ["unknown"]


@pytest.mark.real_data
def test_published_split(ml_1m: Dataset) -> None:
    home = Path(os.environ["GNNREC_DATA"])
    places = [home / "splits" / "Movielens1M_m1", home.parent / "splits" / "Movielens1M_m1"]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        pytest.skip("GNNREC_DATA does not hold splits/Movielens1M_m1")
    split = Split.from_folder(folder, ml_1m)
    assert (len(split.train), len(split.valid), len(split.test)) == (796_244, 99_455, 99_455)
    assert (len(split.catalog), len(split.movies), split.name) == (3_043, 3_883, "ml-1m")
    assert split.train["user_id"].nunique() == 6_022


@pytest.mark.real_data
def test_filters_on_ml_1m(ml_1m: Dataset) -> None:
    # The published split is 20-core; RecBole's protocol uses ratings of 3 and more.
    assert repr(ml_1m.filtered(k_core=20)) == "Dataset('ml-1m', 20-core: 6,022 users, 3,043 movies, 995,154 ratings)"
    assert repr(ml_1m.filtered(3)) == "Dataset('ml-1m', rating >= 3: 6,039 users, 3,628 movies, 836,478 ratings)"
    assert ml_1m.filtered(3, 10).num_ratings == 834_449
    assert (ml_1m.filtered(4, 10).num_users, ml_1m.filtered(4, 10).num_movies) == (5_949, 2_810)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "sizes", "movies"),
    [
        ("recbole", (673_059, 80_695, 80_695), 3_123),
        ("temporal-10core", (405_155, 54_459, 111_917), 2_810),
        ("global-time", (800_169, 100_020, 100_020), 3_706),
        ("next-item", (988_129, 6_040, 6_040), 3_706),
    ],
)
def test_protocols_on_ml_1m(ml_1m: Dataset, name: str, sizes: tuple[int, int, int], movies: int) -> None:
    split = make_split(ml_1m, name)
    assert (len(split.train), len(split.valid), len(split.test)) == sizes
    assert len(split.catalog) == movies


@pytest.mark.real_data
def test_negatives_on_ml_1m(ml_1m: Dataset) -> None:
    split = make_split(ml_1m, "next-item-99")
    assert split.negatives is not None
    assert len(split.negatives) == 99 * 6040
    pairs = ml_1m.ratings["user_id"] * 10_000 + ml_1m.ratings["movie_id"]
    assert not (split.negatives["user_id"] * 10_000 + split.negatives["movie_id"]).isin(pairs).any()
