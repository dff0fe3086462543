"""`Dataset` converts frames of all kinds to one form and refuses invalid ones."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnrec._io import write_atomic
from gnnrec.data import Dataset
from gnnrec.data.convert import to_categories
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.graph import Graph, NewUser, encode_users

RATINGS = pd.DataFrame({"user_id": [2, 1, 2], "movie_id": [20, 10, 10], "rating": [5, 3, 4], "timestamp": [9, 9, 8]})


def test_only_ratings_are_needed() -> None:
    dataset = Dataset(RATINGS[["user_id", "movie_id"]].set_axis([5, 6, 7]))
    pd.testing.assert_frame_equal(dataset.ratings, pd.DataFrame({"user_id": [2, 1, 2], "movie_id": [20, 10, 10]}))
    assert dataset.movies["movie_id"].tolist() == [10, 20]
    assert dataset.movies["title"].tolist() == ["10", "20"]
    assert dataset.movies["genres"].tolist() == ["", ""]
    assert dataset.movies["year"].isna().all()
    assert dataset.users["user_id"].tolist() == [1, 2]
    assert dataset.users[["age", "gender", "occupation"]].isna().all(axis=None)
    assert repr(dataset) == "Dataset('custom': 2 users, 2 movies, 3 ratings)"


def test_types() -> None:
    dataset = Dataset(RATINGS)
    assert dataset.ratings.dtypes.astype(str).tolist() == ["int64", "int64", "float32", "int64"]
    assert str(dataset.movies["year"].dtype) == "Int64"
    assert str(dataset.users["age"].dtype) == "Float64"


def test_given_frames_are_not_changed() -> None:
    given = RATINGS.copy()
    dataset = Dataset(given)
    dataset.ratings.loc[0, "rating"] = 1
    pd.testing.assert_frame_equal(given, RATINGS)


def test_cold_movies_and_users_stay() -> None:
    dataset = Dataset(RATINGS, pd.DataFrame({"movie_id": [30, 20, 10]}), pd.DataFrame({"user_id": [3, 2, 1]}))
    assert (dataset.num_users, dataset.num_movies, dataset.num_ratings) == (3, 3, 3)
    assert dataset.movies["movie_id"].tolist() == [30, 20, 10]


def test_movie_columns() -> None:
    movies = pd.DataFrame(
        {
            "plot": ["a", "b", None, "d"],
            "Genre": [["Drama", "Crime"], "Drama| Crime |Drama", "(no genres listed)", None],
            "title": ["Heat (1995)", "Babylon 5", None, "Nana (2006-2007)"],
            "movie_id": [10, 20, 30, 40],
            "year": [None, "1994", " ", 2005],
        }
    )
    cleaned = Dataset(RATINGS, movies).movies
    assert cleaned.columns.tolist() == ["movie_id", "title", "genres", "year", "plot"]
    assert cleaned["genres"].tolist() == ["Drama|Crime", "Drama|Crime", "", ""]
    assert cleaned["title"].tolist() == ["Heat (1995)", "Babylon 5", "30", "Nana (2006-2007)"]
    assert cleaned["year"].tolist() == [1995, 1994, pd.NA, 2005]


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("2001 (1968) ", 1968),
        ("Death Note (2006\u20132007)", 2006),
        ("Land Before Time III (1995) (V)", 1995),
        ("Babylon 5", pd.NA),
        ("(1995) in front", pd.NA),
    ],
)
def test_year_in_title(title: str, year: object) -> None:
    movies = pd.DataFrame({"movie_id": [10, 20], "title": [title, "x"]})
    assert Dataset(RATINGS, movies).movies["year"].tolist() == [year, pd.NA]


def test_user_columns() -> None:
    users = pd.DataFrame(
        {"uid": [1, 2], "age": ["25", "N/A"], "sex": ["F", ""], "job": [4.0, np.nan], "zip": ["a", "b"]}
    )
    cleaned = Dataset(RATINGS, users=users).users
    assert cleaned.columns.tolist() == ["user_id", "age", "gender", "occupation", "zip"]
    assert cleaned["age"].tolist() == [25, pd.NA]
    assert cleaned["gender"].tolist() == ["F", pd.NA]
    assert cleaned["occupation"].tolist() == ["4", pd.NA]


def test_spellings_are_unified() -> None:
    users = pd.DataFrame(
        {
            "user_id": [1, 2, 3, 4],
            "gender": ["F", "f ", None, "f"],
            "occupation": ["Artist", " artist", "", "Nurse"],
        }
    )
    cleaned = Dataset(RATINGS, users=users).users
    assert cleaned["gender"].tolist() == ["f", "f", pd.NA, "f"]  # the most frequent
    assert cleaned["occupation"].tolist() == ["Artist", "Artist", pd.NA, "Nurse"]  # the first
    assert str(cleaned["gender"].dtype) == "string"
    assert to_categories(users["gender"], known=["F"]).tolist() == ["F", "F", pd.NA, "F"]


def test_new_users_are_encoded_like_stored_ones() -> None:
    users = pd.DataFrame({"user_id": [1, 2], "gender": ["F", "f "], "occupation": ["Artist", "artist"]})
    graph = Graph.from_dataset(Dataset(RATINGS, users=users))
    batch, _ = encode_users(graph, [1, 2, NewUser(gender=" f", occupation="ARTIST")])
    assert (batch.x == batch.x[0]).all()
    assert batch.occupation[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "ids",
    [
        np.array([2, 2**63 - 1, 2], dtype=np.uint64),
        [2.0, 2.0**53 - 1, 2.0],
        pd.Series([2, 1 - 2**63, 2], dtype=object),
        np.array([2, 2**24 - 1, 2], dtype=np.float32),
    ],
)
def test_large_ids(ids: object) -> None:
    assert Dataset(RATINGS.assign(user_id=ids)).ratings["user_id"].tolist() == [int(one) for one in ids]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "ids",
    [
        np.array([2, 2**63, 2], dtype=np.uint64),
        pd.array([2, 2**64 - 1, 2], dtype="UInt64"),
        pd.Series([2, 2**70, 2], dtype=object),
        pd.Series([2, -(2**63) - 1, 2], dtype=object),
        [2.0, 2.0**53, 2.0],
        [2.0, -1e300, 2.0],
        pd.array([2.0, 2.0**60, 2.0], dtype="Float64"),
        np.array([2, 2**24, 2], dtype=np.float32),
    ],
)
def test_too_large_ids(ids: object) -> None:
    with pytest.raises(DataError, match=r"^ratings row 1: user_id .* is too large for an id; use text$"):
        Dataset(RATINGS.assign(user_id=ids))


@pytest.mark.parametrize(
    "times",
    [
        [0, 978300760, 5],
        [0.0, 978300760.0, 5.0],
        [0.5, 978300760.25, 5.999],
        ["0", "978300760", "5"],
        ["1970-01-01", "2000-12-31T22:12:40", "1970-01-01 00:00:05"],
        ["1970-01-01T00:00:00Z", "2001-01-01T00:12:40+02:00", "1970-01-01T00:00:05Z"],
        pd.to_datetime([0, 978300760, 5], unit="s"),
        pd.to_datetime([0, 978300760, 5], unit="s", utc=True).tz_convert("Asia/Tokyo"),
        [datetime.fromtimestamp(second, tz=UTC) for second in (0, 978300760, 5)],
        pd.array([0, 978300760, 5], dtype="Int64"),
    ],
)
def test_timestamps(times: object) -> None:
    assert Dataset(RATINGS.assign(timestamp=times)).ratings["timestamp"].tolist() == [0, 978300760, 5]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["b", "a", "b"], ["b", "a", "b"]),
        (pd.Categorical(["b", "a", "b"]), ["b", "a", "b"]),
        (pd.Categorical([2, 1, 2]), [2, 1, 2]),
        ([2.0, 1.0, 2.0], [2, 1, 2]),
        (pd.array([2, 1, 2], dtype="Int64"), [2, 1, 2]),
        (np.array([2, 1, 2], dtype=np.uint8), [2, 1, 2]),
        (pd.Series([2, 1, 2], dtype=object), [2, 1, 2]),
        (["007", "7", "007"], ["007", "7", "007"]),
    ],
)
def test_ids(ids: object, expected: list) -> None:
    dataset = Dataset(RATINGS.assign(user_id=ids))
    assert dataset.ratings["user_id"].tolist() == expected
    assert dataset.users["user_id"].tolist() == sorted(set(expected))


def test_unused_columns() -> None:
    movies = pd.DataFrame({"id": [10, 20, 30], "Name": list("abc"), "Released": 1999, "plot_full": ""})
    dataset = Dataset(RATINGS.assign(seen="monday"), movies, name="mine")
    assert dataset.unused == {"ratings": ("seen",), "movies": ("Released",)}
    assert dataset.filtered(k_core=1).with_features().unused == {"movies": ("Released",)}
    assert Dataset(RATINGS).unused == {}


MOVIES, USERS = pd.DataFrame({"movie_id": [10, 20]}), pd.DataFrame({"user_id": [1, 2]})
REFUSED = [
    ({"ratings": RATINGS.drop(columns="movie_id")}, "ratings: no column movie_id; columns found: user_id, rating"),
    ({"ratings": RATINGS.iloc[:0]}, "ratings: no rows"),
    ({"ratings": [1, 2]}, "ratings must be a pandas DataFrame, not list"),
    ({"ratings": RATINGS.assign(user_id=[1, None, 2])}, "ratings row 1: user_id is missing"),
    ({"ratings": RATINGS.assign(user_id=["a", None, "b"])}, "ratings row 1: user_id is missing"),
    ({"ratings": RATINGS.assign(user_id=["a", "", "b"])}, "ratings row 1: user_id is missing"),
    ({"ratings": RATINGS.assign(user_id=[1, 1.5, 2])}, "ratings row 1: user_id 1.5 is not a whole number"),
    ({"ratings": RATINGS.assign(user_id=[1, "a", 2])}, "ratings row 1: user_id 'a' has another type than 1"),
    ({"ratings": RATINGS.assign(user_id=[True, False, True])}, "ratings: user_id contains booleans"),
    ({"ratings": RATINGS.assign(rating=[1, 2, np.inf])}, "ratings row 2: rating inf is not finite"),
    ({"ratings": RATINGS.assign(rating=[1, None, 3])}, "ratings row 1: rating nan is not finite"),
    ({"ratings": RATINGS.assign(rating=["1", "x", "3"])}, "ratings row 1: rating 'x' is not a number"),
    ({"ratings": RATINGS.assign(rating=[1, 1e39, 3])}, "ratings row 1: rating 1e+39 is not finite"),
    ({"ratings": RATINGS.assign(timestamp=[1, -2, 3])}, "ratings row 1: timestamp -2 is negative"),
    ({"ratings": RATINGS.assign(timestamp=[1, None, 3])}, "ratings row 1: timestamp nan is not finite"),
    ({"ratings": RATINGS.assign(timestamp=pd.array([1, None, 3], "Int64"))}, "ratings row 1: timestamp is missing"),
    ({"ratings": RATINGS.assign(timestamp=["2001-01-01", "soon", "x"])}, "ratings row 1: timestamp 'soon' is not"),
    ({"ratings": RATINGS.assign(timestamp=[1, 978300760000, 3])}, "ratings row 1: timestamp 978300760000 is not in"),
    ({"ratings": RATINGS.assign(movie_id=[10, 10, 10])}, "ratings row 2: user 2 rated movie 10 twice"),
    ({"ratings": RATINGS, "movies": MOVIES[:1]}, "ratings row 0: movie_id 20 is not in the movies table"),
    ({"ratings": RATINGS, "users": USERS[:1]}, "ratings row 0: user_id 2 is not in the users table"),
    ({"ratings": RATINGS, "movies": MOVIES.astype(str)}, "movie_id is whole numbers in ratings but text in movies"),
    ({"ratings": RATINGS, "users": USERS.astype(str)}, "user_id is whole numbers in ratings but text in users"),
    ({"ratings": RATINGS, "movies": pd.DataFrame({"movie_id": [10, 20, 10]})}, "movies row 2: movie_id 10 is"),
    ({"ratings": RATINGS, "users": pd.DataFrame({"user_id": [1, 1]})}, "users row 1: user_id 1 is listed twice"),
    ({"ratings": RATINGS, "movies": MOVIES.assign(year=[1990, "soon"])}, "movies row 1: year 'soon' is not a number"),
    ({"ratings": RATINGS.assign(rating=["1", " ", "3"])}, "ratings row 1: rating is missing; give every row one"),
    ({"ratings": RATINGS, "users": USERS.assign(age=[0, -3])}, "users row 1: age -3 is not between 0 and 150 years"),
    ({"ratings": RATINGS, "users": USERS.assign(age=[150, "1995"])}, "users row 1: age 1995 is not between 0 and 150"),
    ({"ratings": RATINGS, "users": USERS.assign(age=[np.inf, 3])}, "users row 0: age inf is not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_refused(frames: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset(**frames)
    assert str(caught.value).startswith(message)


def test_error_classes() -> None:
    assert issubclass(DataError, ValueError)
    assert issubclass(DataError, GnnrecError)
    assert issubclass(ConfigError, GnnrecError)


def test_text_ids_are_read_back_from_a_folder(tmp_path: Path) -> None:
    dataset = Dataset(RATINGS.assign(user_id=["007", "ann", "007"]), name="x")
    again = load_dataset(dataset.to_folder(tmp_path))
    pd.testing.assert_frame_equal(again.ratings, dataset.ratings)
    pd.testing.assert_frame_equal(again.users, dataset.users)


def test_files_are_written_atomically(tmp_path: Path) -> None:
    write_atomic(path := tmp_path / "file", b"old")
    with pytest.raises(TypeError):
        write_atomic(path, None)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
