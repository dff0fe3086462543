"""`recommend` and `similar_movies`: literal frames, all ways to give users, and wrong arguments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec import ConfigError, DataError, Dataset, NewUser, Recommender, _torch, recommend, similar_movies
from gnnrec._torch import stable_topk
from gnnrec.models import EASE, Popularity
from tests.helpers.contract import checkerboard

RATINGS = pd.DataFrame(
    {"user_id": [1, 1, 2, 3, 3, 3], "movie_id": [10, 20, 10, 10, 20, 30], "rating": [5, 4, 3, 2, 1, 5]}
)
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40, 50],
        "title": ["Heat (1995)", "Alien (1979)", "Brazil (1985)", "Twin (1990)", "Twin (1990)"],
    }
)
USERS = pd.DataFrame({"user_id": [1, 2, 3], "gender": ["F", "M", "M"], "occupation": ["artist", "nurse", "artist"]})


@pytest.fixture(scope="module")
def model() -> Recommender:
    """Scores are counts: 10 -> 3, 20 -> 2, 30 -> 1, 40 and 50 -> 0."""
    return Popularity().fit(Dataset(RATINGS, MOVIES, USERS))


def frame(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "movie_id", "title", "score", "rank"])


def assert_frame(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert found.columns.tolist() == expected.columns.tolist()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


ALIEN, BRAZIL, TWIN = (20, "Alien (1979)", 2.0), (30, "Brazil (1985)", 1.0), (40, "Twin (1990)", 0.0)


def test_one_known_user(model):
    assert_frame(recommend(model, 2, k=3), frame((2, *ALIEN, 1), (2, *BRAZIL, 2), (2, *TWIN, 3)))


@pytest.mark.parametrize(
    "users", [[2, 1], (2, 1), np.array([2, 1]), pd.Series([2, 1]), pd.DataFrame({"user_id": [2, 1]})]
)
def test_many_known_users(model, users):
    expected = frame((2, *ALIEN, 1), (2, *BRAZIL, 2), (1, *BRAZIL, 1), (1, *TWIN, 2))
    assert_frame(recommend(model, users, k=2), expected)


@pytest.mark.parametrize(
    "users",
    [
        {10: 5},
        {"Heat (1995)": 5},
        {" heat (1995) ": 5},
        NewUser(ratings={10: 5}),
        NewUser(ratings=[10]),
        NewUser(ratings=["Heat (1995)"], gender="f", occupation="ARTIST", age=30),
    ],
)
def test_one_new_user(model, users):
    assert_frame(recommend(model, users, k=2), frame(("new user", *ALIEN, 1), ("new user", *BRAZIL, 2)))


def test_known_and_new_together(model):
    found = recommend(model, [1, {10: 5}, NewUser(ratings=[20], name="zoe")], k=1)
    expected = frame(
        (1, *BRAZIL, 1), ("new user 2", *ALIEN, 1), ("zoe", 10, "Heat (1995)", 3.0, 1)
    )  # fmt: skip
    assert_frame(found, expected)


def test_frame_of_new_users(model):
    rows = pd.DataFrame({"user_id": ["b", "a", "b"], "movie_id": [20, 10, 10], "rating": [5, 4, 3]})
    expected = frame(("b", *BRAZIL, 1), ("a", *ALIEN, 1))
    assert_frame(recommend(model, rows, k=1), expected)


def test_a_list_of_one(model):
    assert recommend(model, [2], k=1)["user_id"].tolist() == [2]


def test_seen_movies_on_request(model):
    assert recommend(model, 2, k=1, exclude_seen=False)["movie_id"].tolist() == [10]


def test_candidates_by_id_and_title(model):
    found = recommend(model, 2, candidates=[50, "Brazil (1985)", 10])
    assert_frame(found, frame((2, *BRAZIL, 1), (2, 50, "Twin (1990)", 0.0, 2)))


def test_fewer_rows_where_fewer_movies_are_left(model):
    found = recommend(model, [3, 1], k=100)
    assert found.groupby("user_id").size().to_dict() == {1: 3, 3: 2}


def test_frame_with_any_index(model):
    rows = pd.DataFrame({"user_id": ["b", "a"], "movie_id": [20, 10], "timestamp": [9, 1]}, index=[5, 3])
    assert recommend(model, rows, k=1)["user_id"].tolist() == ["b", "a"]


def test_any_iterable(model):
    for users in ((user for user in [2, 1]), iter([2, 1])):
        assert recommend(model, users, k=1)["user_id"].tolist() == [2, 1]


def test_k_of_numpy(model):
    assert len(recommend(model, 2, k=np.int64(2))) == 2


def test_no_candidates(model):
    assert recommend(model, 2, candidates=[]).empty


def test_no_movie_is_left(model):
    assert recommend(model, {10: 5}, candidates=[10]).empty
    assert_frame(recommend(model, {10: 5}, candidates=[10]), recommend(model, 2, k=1).iloc[:0])


def test_more_users_than_a_chunk(model, monkeypatch):
    whole = recommend(model, [1, 2, 3, 2, 1], k=2)
    monkeypatch.setattr(_torch, "CHUNK_SIZE", 2)
    assert_frame(recommend(model, [1, 2, 3, 2, 1], k=2), whole)


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (99, "user 99 is not in the graph; pass a NewUser, or add ratings with add_ratings"),
        ([1, 99], "user 99 is not in the graph"),
        ("ann", "user 'ann' is not in the graph"),
        ([], "the list of users is empty"),
        ({99: 5}, "movie 99 is not in the graph"),
        ({"Haet (1995)": 5}, r"unknown movie 'Haet \(1995\)'; did you mean 'Heat \(1995\)'"),
        ({"Xqzw": 5}, "unknown movie 'Xqzw'$"),
        ({"Twin (1990)": 5}, r"2 movies have the title 'Twin \(1990\)' \(ids 40, 50\); give an id"),
        ({10: float("nan")}, "the rating of 10 is nan; give a finite number"),
        ({10: float("inf")}, "the rating of 10 is inf"),
        ({10: "good"}, "the rating of 10 is 'good'"),
        ({10: 5, "Heat (1995)": 4}, r"movie 10 is rated twice \(by id and by title\?\)"),
        (NewUser(ratings="Heat (1995)"), r"ratings must be a mapping \{movie: rating\} or a list of movies, not 'Heat"),
        (NewUser(age=-3), "age -3 is not between 0 and 150 years"),
        (NewUser(age="old"), "age 'old' is not between 0 and 150 years"),
        (NewUser(gender="X"), "unknown gender 'X'; choose, for example, from F, M"),
        (NewUser(occupation="artisan"), "unknown occupation 'artisan'; choose, for example, from artist"),
        (pd.DataFrame({"movie_id": [10]}), "needs a user_id column; found movie_id"),
        (pd.DataFrame({"user_id": [5, 5], "movie_id": [10, 10]}), "users row 1: .* user 5 and movie 10 repeats"),
        (pd.DataFrame({"user_id": ["a", None], "movie_id": [10, 20]}), "users row 1: .* movie 20 is missing an id"),
    ],
)
def test_wrong_users(model, users, message):
    with pytest.raises(DataError, match=message):
        recommend(model, users)


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", None, True])
def test_wrong_k(model, k):
    with pytest.raises(ConfigError, match="k must be an integer of at least 1, not"):
        recommend(model, 1, k=k)
    with pytest.raises(ConfigError, match="k must be an integer of at least 1, not"):
        similar_movies(model, 10, k=k)


def test_unknown_candidates_are_refused(model):
    with pytest.raises(DataError, match="movie 99 is not in the graph"):
        recommend(model, 1, candidates=[99])


def test_similar_movies():
    model = EASE().fit(checkerboard().dataset)
    found = similar_movies(model, "502", k=9)
    assert found.columns.tolist() == ["movie_id", "title", "similarity", "rank"]
    assert sorted(found["movie_id"]) == [500 + movie for movie in range(0, 20, 2) if movie != 2]
    assert found["rank"].tolist() == list(range(1, 10))
    assert found["similarity"].is_monotonic_decreasing
    assert similar_movies(model, 502, candidates=[501, 502, 504])["movie_id"].tolist() == [504, 501]


def test_wrong_models():
    for function, argument in ((recommend, 1), (similar_movies, 10)):
        with pytest.raises(ConfigError, match="expected a fitted model, as returned by fit or load, not Popularity"):
            function(Popularity(), argument)  # an estimator that has not been fitted


@given(
    rows=st.integers(1, 8).flatmap(
        lambda width: st.lists(
            st.lists(
                st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0, float("-inf"), float("inf")]),
                min_size=width,
                max_size=width,
            ),
            min_size=1,
            max_size=5,
        )
    ),
    k=st.integers(1, 10),
)
@settings(max_examples=100)
def test_stable_topk_is_a_stable_sort(rows, k):
    scores = torch.tensor(rows)
    values, columns = stable_topk(scores, k)
    expected = np.argsort(-np.array(rows, dtype=np.float32), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(np.array(rows, dtype=np.float32), expected, axis=1))
