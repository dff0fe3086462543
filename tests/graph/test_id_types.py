"""Ids of another type, missing ids and series: never read as somebody new, or as nobody who was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnrec import DataError, Dataset, NewUser, evaluate, recommend
from gnnrec.datasets import make_sample
from gnnrec.models import EASE
from gnnrec.models.base import Recommender
from gnnrec.splitting import Split, random_split

SPLIT = random_split(make_sample(60, 40), seed=0)


def text_split() -> Split:
    """Return the same split with text ids."""

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{column: frame[column].astype(str) for column in frame if str(column).endswith("_id")})

    return Split(*(renamed(getattr(SPLIT, part)) for part in ("train", "valid", "test", "movies", "users")))


@pytest.fixture(scope="module")
def model() -> Recommender:
    return EASE(reg=10.0).fit(SPLIT)


@pytest.fixture(scope="module")
def text_model() -> Recommender:
    return EASE(reg=10.0).fit(text_split())


def movies(model: Recommender, users: Any) -> list[Any]:
    return recommend(model, users, k=3)["movie_id"].tolist()


def test_masks_and_negatives_of_another_type(model: Recommender, text_model: Recommender) -> None:
    seen = SPLIT.valid[["user_id", "movie_id"]]
    with_mask = evaluate(model, SPLIT.test, mask=seen, ks=[10], metrics=["ndcg"])["value"][0]
    assert with_mask != evaluate(model, SPLIT.test, ks=[10], metrics=["ndcg"])["value"][0]
    with pytest.raises(
        DataError, match="mask: user_id is text but whole numbers in the graph; use the same type in both"
    ):
        evaluate(model, SPLIT.test, mask=seen.astype({"user_id": str}))
    texts = text_split()
    assert evaluate(text_model, texts.test, mask=texts.valid, ks=[10], metrics=["ndcg"])["value"][0] == with_mask
    with pytest.raises(DataError, match="mask: user_id is whole numbers but text in the graph"):
        evaluate(text_model, texts.test, mask=texts.valid.astype({"user_id": int}))
    with pytest.raises(DataError, match="negatives: user_id is text"):
        evaluate(model, SPLIT.test, negatives=seen.astype({"user_id": str}))
    others = pd.concat([seen, pd.DataFrame({"user_id": [9999], "movie_id": [1]})])
    assert evaluate(model, SPLIT.test, mask=others, ks=[10], metrics=["ndcg"])["value"][0] == with_mask


def test_frames_of_users(model: Recommender, text_model: Recommender) -> None:
    expected = movies(model, [1, 2])
    assert movies(model, pd.DataFrame({"user_id": [1, 2]})) == expected
    assert movies(model, pd.DataFrame({"user_id": [1.0, 2.0]})) == expected
    assert movies(text_model, pd.DataFrame({"user_id": ["1", "2"]})) == [str(movie) for movie in expected]
    for frame in ({"user_id": ["1", "2"]}, {"user_id": ["ann", "2"], "age": [30, 40]}):
        with pytest.raises(DataError, match=r"user '\d' is text, but the user ids of the graph are whole numbers"):
            recommend(model, pd.DataFrame(frame))
    with pytest.raises(DataError, match="user 2 is not text, but the user ids of the graph are text; convert yours"):
        recommend(text_model, pd.DataFrame({"user_id": [7000, 2], "age": [30, 40]}))
    for missing in (None, np.nan, pd.NA):
        with pytest.raises(DataError, match="users row 1: user_id is missing"):
            recommend(model, pd.DataFrame({"user_id": [1, missing], "age": [1, 2]}))
    with pytest.raises(
        DataError, match="user 99 is not in the graph, and there is no column age, gender or occupation"
    ):
        recommend(model, pd.DataFrame({"user_id": [1, 99]}))
    found = recommend(model, pd.DataFrame({"user_id": ["ann", "ben"], "age": [30, None]}), k=1)
    assert found["user_id"].tolist() == ["ann", "ben"]


@pytest.mark.parametrize(
    "ratings",
    [
        pd.Series({7: 5.0}),
        pd.Series({7: 5.0, 8: 3.0}),
        pd.Series({1: 5.0, 2: 4.0}),
        pd.Series([5, 4], name="rating", index=[7, 8]),
        pd.Series([5, 4], index=pd.Index([7, 8], name="movieId")),
        pd.DataFrame({"movie_id": [7, 9], "rating": [3, 4]}).set_index("movie_id")["rating"],
        pd.Series({3: 5.0, 1: 4.5}, name="stars"),
    ],
)
def test_a_series_of_ratings_is_a_new_user(model: Recommender, ratings: pd.Series) -> None:
    found = recommend(model, ratings, k=3)
    pd.testing.assert_frame_equal(found, recommend(model, ratings.to_dict(), k=3))
    assert set(found["user_id"]) == {"new user"}
    both = recommend(model, [ratings, 1], k=3)
    assert both["movie_id"].tolist() == found["movie_id"].tolist() + movies(model, 1)
    assert movies(model, NewUser(ratings=ratings)) == found["movie_id"].tolist()


@pytest.mark.parametrize(
    "users",
    [
        pd.Series([1, 2]),
        pd.Series([1, 2], name="user_id", index=[4, 9]),
        pd.Series([1.0, 2.0], name="userId"),
        pd.DataFrame({"user_id": [5, 1, 2]}).query("user_id < 5")["user_id"],
    ],
)
def test_a_series_of_user_ids(model: Recommender, users: pd.Series) -> None:
    assert movies(model, users) == movies(model, [1, 2])


@pytest.mark.parametrize("series", [pd.Series({7: 5}), pd.Series([1, 2], index=[3, 4]), pd.Series([5.0, 4.0])])
def test_a_series_that_may_be_either(model: Recommender, series: pd.Series) -> None:
    with pytest.raises(
        DataError, match=r"may be user ids or ratings by movie; pass series\.tolist\(\) for ids, series"
    ):
        recommend(model, series)


def test_a_movie_twice_in_a_series(model: Recommender) -> None:
    with pytest.raises(DataError, match="movie 7 is rated twice"):
        recommend(model, pd.Series([5.0, 4.0], index=[7, 7]))
    with pytest.raises(DataError, match="movie 7 is rated twice"):
        recommend(model, NewUser(ratings=pd.Series([5.0, 4.0], index=[7, 7])))


def test_histories_of_another_type(model: Recommender) -> None:
    with pytest.raises(DataError, match="user_id must be whole numbers, as in the dataset, not text"):
        model.add_ratings(pd.DataFrame({"user_id": ["1"], "movie_id": [1]}))
    with pytest.raises(DataError, match="user_id is whole numbers in ratings but text in users"):
        Dataset(SPLIT.train, SPLIT.movies, SPLIT.users.astype({"user_id": str}))
