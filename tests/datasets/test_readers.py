"""The values that each file format yields, and how names and paths are resolved."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import DATASETS, find_dataset, load_dataset, register_dataset
from gnnrec.errors import ConfigError, DataError

ML_1M = {
    "ratings.dat": "1::10::5::978300760\n1::20::3::978302109\n2::10::4::978301968\n",
    "movies.dat": "10::Miss\xe9 (1995)::Drama|Comedy\n20::A::B: C (1962)::Drama\n30::Babylon 5::Sci-Fi\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
}
ML_100K = {
    "u.data": "1\t2\t3\t881250949\n2\t1\t5\t891717742\n",
    "u.item": (
        "1|Toy Story (1995)|01-Jan-1995||http://a|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "2|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    ),
    "u.user": "1|24|M|technician|85711\n2|53|F|none|94043\n",
}
OWN = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,10,4.5,1000\n1,20,3,1001\n2,10,2,1002\n",
    "movies.csv": 'movieId,title,genres,plot\n10,"Heat, The (1995)",Crime|Drama,"Two lines\nof plot"\n'
    "20,NaN,(no genres listed),\n",
    "users.csv": "userId,age,gender\n1,25,F\n2,,\n",
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        encoding = "latin-1" if name.endswith(".dat") or name.startswith("u.") else "utf-8"
        (folder / name).write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return folder


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype(object).where(frame.notna(), None).values.tolist()


def test_ml_1m_format(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, ML_1M))
    assert rows(dataset.ratings) == [[1, 10, 5, 978300760], [1, 20, 3, 978302109], [2, 10, 4, 978301968]]
    assert rows(dataset.movies) == [
        [10, "Miss\xe9 (1995)", "Drama|Comedy", 1995],
        [20, "A::B: C (1962)", "Drama", 1962],
        [30, "Babylon 5", "Sci-Fi", None],
    ]
    assert rows(dataset.users) == [
        [1, 1, "F", "K-12 student", "48067"],
        [2, 56, "M", "self-employed", "70072"],
    ]
    assert list(dataset.users.columns) == ["user_id", "age", "gender", "occupation", "zip_code"]


def test_ml_1m_in_utf8_and_ratings_alone(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.dat": ML_1M["ratings.dat"], "movies.dat": ML_1M["movies.dat"].encode("utf-8")})
    assert load_dataset(tmp_path).movies["title"][0] == "Miss\xe9 (1995)"
    alone = load_dataset(tmp_path / "ratings.dat")
    assert (alone.name, alone.movies["title"].tolist()) == ("ratings", ["10", "20"])


def test_ml_10m_half_stars(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.dat": "1::10::3.5::5\n"})
    assert rows(load_dataset(tmp_path).ratings) == [[1, 10, 3.5, 5]]


def test_ml_100k_format(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, ML_100K))
    assert rows(dataset.ratings) == [[1, 2, 3, 881250949], [2, 1, 5, 891717742]]
    assert rows(dataset.movies) == [
        [1, "Toy Story (1995)", "Animation|Children's|Comedy", 1995, "01-Jan-1995", "http://a"],
        [2, "unknown", "", None, "", ""],
    ]
    assert rows(dataset.users) == [[1, 24, "M", "technician", "85711"], [2, 53, "F", "none", "94043"]]


def test_own_csv(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, OWN))
    assert rows(dataset.ratings) == [[1, 10, 4.5, 1000], [1, 20, 3, 1001], [2, 10, 2, 1002]]
    assert rows(dataset.movies) == [
        [10, "Heat, The (1995)", "Crime|Drama", 1995, "Two lines\nof plot"],
        [20, "NaN", "", None, None],
    ]
    assert rows(dataset.users) == [[1, 25, "F", None], [2, None, None, None]]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators_bom_blank_lines(tmp_path: Path, separator: str, newline: str) -> None:
    lines = ["", "User ID,itemId,Stars,date", "ann,x y,5,2001-03-09T00:00:01", "", "bob,x y,4,2001-03-09"]
    text = newline.join(lines).replace(",", separator)
    write(tmp_path, {"ratings.csv": b"\xef\xbb\xbf" + text.encode()})
    assert rows(load_dataset(tmp_path).ratings) == [
        ["ann", "x y", 5, 984096001],
        ["bob", "x y", 4, 984096000],
    ]


def test_leading_zeros_make_ids_text_in_all_files(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.csv": "user_id,movie_id\n7,1\n8,2\n", "users.csv": "user_id\n007\n7\n8\n"})
    dataset = load_dataset(tmp_path)
    assert dataset.users["user_id"].tolist() == ["007", "7", "8"]
    assert dataset.ratings["user_id"].tolist() == ["7", "8"]
    assert dataset.ratings["movie_id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ("user_id,age\n07,3\n8,4\n", ["07", "8"]),
        ("user_id,age\r\n8,3\r\n07,4\r\n", ["8", "07"]),
        ('user_id,age\n8,3\n\n "07",4\n', ["8", "07"]),
        ("user_id,age\n8,3\n  07,4\n", ["8", "07"]),
        ("user_id,age\n8,3\n-07,4\n", ["8", "-07"]),
        ("user_id,age\n0,3\n8,4\n", [0, 8]),
        ('user_id,name\n7,"Mr 007\n08 and more"\n8,x\n', [7, 8]),
        ("age,user_id\n3,07\n4,8\n", ["07", "8"]),
        ("age,user_id\n03,7\n4,8\n", [7, 8]),
    ],
)
def test_where_leading_zeros_count(users: str, expected: list[int | str], tmp_path: Path) -> None:
    """Zeros may follow quotes, blanks and signs; those of other columns, and of lines in quoted text, do not count."""
    write(tmp_path, {"users.csv": users, "ratings.csv": f"user_id,movie_id\n{expected[0]},1\n{expected[1]},2\n"})
    assert load_dataset(tmp_path).users["user_id"].tolist() == expected


def test_blanks_around_text_ids_are_removed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "ratings.csv": 'user_id,movie_id\nann , m1\n" bob","m2 "\n',
            "users.csv": "user_id,age\nbob,3\n ann,4\n",
            "movies.csv": "movie_id\nm2 \nm1\n",
        },
    )
    dataset = load_dataset(tmp_path)
    assert rows(dataset.ratings) == [["ann", "m1"], ["bob", "m2"]]
    assert dataset.users["user_id"].tolist() == ["bob", "ann"]
    assert dataset.movies["movie_id"].tolist() == ["m2", "m1"]


def test_leading_zeros_in_other_columns_keep_ids_numeric(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.csv": "user_id,movie_id,rating\n7,1,05\n8,2,0.5\n"})
    assert rows(load_dataset(tmp_path).ratings) == [[7, 1, 5], [8, 2, 0.5]]


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"userId": ["a", "b"], "movieId": [1, 2]}).to_parquet(tmp_path / "ratings.parquet")
    assert rows(load_dataset(tmp_path).ratings) == [["a", 1], ["b", 2]]
    pd.DataFrame({"userId": ["a", "a"], "movieId": [1, 1]}).to_parquet(tmp_path / "ratings.parquet")
    with pytest.raises(DataError, match=r"ratings\.parquet row 1: .* \(first at .*ratings\.parquet row 0\)"):
        load_dataset(tmp_path)


def test_folder_round_trip(tmp_path: Path) -> None:
    dataset = load_dataset("sample", num_users=20, num_movies=30)
    again = load_dataset(dataset.to_folder(tmp_path / "own"))
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(dataset, table))
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "gnnrec.json",
        "movies.csv",
        "ratings.csv",
        "users.csv",
    ]


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere' does not exist; a dataset is a folder with ratings\.csv"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"contains no ratings; expected a folder with ratings\.csv"):
        load_dataset(tmp_path)
    (tmp_path / "ratings.xlsx").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"ratings\.xlsx has an unknown file type '\.xlsx'; save the table as CSV or Parquet"
    ):
        load_dataset(tmp_path / "ratings.xlsx")
    (tmp_path / "ratings.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match="not a Parquet file"):
        load_dataset(tmp_path / "ratings.parquet")
    with pytest.raises(ConfigError, match=r"^options num_users are only for registered datasets, not for .*"):
        load_dataset(tmp_path, num_users=3)


def test_search_order_of_named_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_dataset("ml-1m") is None
    with pytest.raises(DataError, match="GNNREC_DATA"):
        load_dataset("ml-1m", download=False)
    places = [tmp_path / "given", tmp_path / "env", tmp_path / "data"]
    for place in places:
        (place / "ml-1m").mkdir(parents=True)
        write(place / "ml-1m", ML_1M)
    assert find_dataset("ml-1m") == Path("data/ml-1m")
    monkeypatch.setenv("GNNREC_DATA", str(tmp_path / "env"))
    assert find_dataset("ml-1m") == tmp_path / "env" / "ml-1m"
    assert find_dataset("ml-1m", tmp_path / "given") == tmp_path / "given" / "ml-1m"
    assert find_dataset("ml-1m", tmp_path / "given" / "ml-1m") == tmp_path / "given" / "ml-1m"
    assert find_dataset("ml-100k") is None
    assert repr(load_dataset("ml-1m")) == "Dataset('ml-1m': 2 users, 3 movies, 3 ratings)"
    with pytest.raises(ConfigError, match="unknown dataset 'netflix'; choose one of sample, ml-100k"):
        find_dataset("netflix")


def test_folder_of_another_dataset_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (small := tmp_path / "ml-latest-small").mkdir()
    write(small, OWN)
    monkeypatch.setenv("GNNREC_DATA", str(small))
    assert find_dataset("ml-25m") is None
    assert find_dataset("ml-latest-small") == small
    (ten := tmp_path / "ml-10M100K").mkdir()
    write(ten, {"ratings.dat": "1::10::3.5::5\n"})
    assert find_dataset("ml-1m", ten) is None
    assert find_dataset("ml-10m", ten) == ten
    assert find_dataset("ml-10m", tmp_path) == ten


def test_sample_by_name() -> None:
    assert isinstance(load_dataset("sample", num_users=5, num_movies=20, seed=3), Dataset)
    with pytest.raises(
        ConfigError,
        match="unknown option users of dataset 'sample'; choose from num_users, num_movies, seed, ratings_per",
    ):
        load_dataset("sample", users=5, seed=3)


@pytest.mark.parametrize("wrong", [None, 1, b"sample", ["sample"], pd.DataFrame({"user_id": [1]})])
def test_neither_name_nor_path(wrong: object) -> None:
    with pytest.raises(DataError, match=f"a dataset is a name or a path, not {type(wrong).__name__};"):
        load_dataset(wrong)  # type: ignore[arg-type]


def test_unknown_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^unknown dataset 'ml-1mm'; did you mean 'ml-1m'\?.*, or give the path of"):
        load_dataset("ml-1mm")
    with pytest.raises(DataError, match=r"^'ml-1mm' does not exist; a dataset is"):
        load_dataset(Path("ml-1mm"))
    (folder := tmp_path / "ml-1mm").mkdir()
    write(folder, OWN)
    assert load_dataset("ml-1mm").name == "ml-1mm"


def test_names_take_precedence_over_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").mkdir()
    write(tmp_path / "sample", OWN)
    assert load_dataset("sample", num_users=5, num_movies=20).num_users == 5
    assert load_dataset("./sample").num_users == 2
    assert load_dataset(Path("sample")).num_users == 2


@register_dataset("test-frames")
class Frames(Dataset):
    """A dataset that is a class and has any options."""

    def __init__(self, **options: object) -> None:
        super().__init__(pd.DataFrame({"user_id": [1], "movie_id": [2]}), name="/".join(sorted(options)))


def test_registered_class() -> None:
    assert "test-frames" in DATASETS.names()
    assert load_dataset("test-frames", color="red").name == "color/data_dir/download"


@register_dataset("test-nothing")
def nothing() -> None:
    """Return no dataset."""


def test_loader_must_return_a_dataset() -> None:
    with pytest.raises(ConfigError, match="the loader of dataset 'test-nothing' must return a Dataset, not NoneType"):
        load_dataset("test-nothing")
    with pytest.raises(ConfigError, match="unknown option color of dataset 'test-nothing'; it has none"):
        load_dataset("test-nothing", color="red")
    with pytest.raises(ConfigError, match="dataset 'sample' is already registered"):
        register_dataset("sample")(nothing)


def test_metadata_of_movielens() -> None:
    assert DATASETS.names()[:9] == [
        "sample", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest",
    ]  # fmt: skip
    assert DATASETS.metadata("ml-1m")["url"] == "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
    assert DATASETS.metadata("ml-1m")["md5"] == "c4d9eecfca2ab87c1945afe126590906"
