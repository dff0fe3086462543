"""The generated world is the same every time, and there is something in it to learn."""

import numpy as np
import pandas as pd
import pytest

from gnnrec.data import Dataset, Split, make_sample
from gnnrec.errors import ConfigError


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return make_sample()


def test_same_arguments_same_rows(sample: Dataset) -> None:
    again = make_sample()
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(sample, table))
    assert not make_sample(seed=1).ratings.equals(sample.ratings)


def test_movies_do_not_depend_on_users(sample: Dataset) -> None:
    pd.testing.assert_frame_equal(make_sample(10, ratings_per_user=5).movies, sample.movies)


def test_what_it_looks_like(sample: Dataset) -> None:
    assert repr(sample) == f"Dataset('sample': 600 users, 400 movies, {sample.num_ratings:,} ratings)"
    assert 45 < sample.num_ratings / 600 < 60
    movies, users, ratings = sample.movies, sample.users, sample.ratings
    assert movies["movie_id"].tolist() == list(range(1, 401))
    assert movies["title"].is_unique
    assert (movies["title"].str.extract(r"\((\d{4})\)$")[0].astype(int) == movies["year"]).all()
    assert movies["year"].between(1930, 2001).all()
    assert movies["genres"].str.count(r"\|").between(0, 2).all()
    assert (movies["genres"] != "").all()
    assert movies["plot"].str.len().between(40, 250).all()
    assert not movies["plot"].str.contains(r"[{}]|\b[Aa] [aeiou]").any()
    assert movies["title"].str.contains(" II ").sum() > 20
    assert set(users["gender"]) == {"F", "M"}
    assert users["age"].between(14, 74).all()
    assert set(ratings["rating"]) == {1, 2, 3, 4, 5}
    assert (ratings.groupby("user_id")["timestamp"].diff().fillna(0) >= 0).all()
    assert pd.to_datetime(ratings["timestamp"], unit="s").dt.year.between(2002, 2004).all()


def test_any_size() -> None:
    assert make_sample(2, 12, ratings_per_user=1).num_users == 2
    large = make_sample(3, 4000)
    assert large.movies["title"].is_unique
    with pytest.raises(ConfigError, match="n_movies >= 12"):
        make_sample(10, 5)


def matrix(rows: pd.DataFrame) -> np.ndarray:
    watched = np.zeros((600, 400))
    watched[rows["user_id"] - 1, rows["movie_id"] - 1] = 1
    return watched


def recall(scores: np.ndarray, train: np.ndarray, test: np.ndarray, k: int = 10) -> float:
    top = np.argsort(np.where(train > 0, -np.inf, scores), axis=1)[:, -k:]
    asked = test.sum(axis=1) > 0
    hits = np.take_along_axis(test, top, axis=1).sum(axis=1)
    return float((hits[asked] / np.minimum(test.sum(axis=1)[asked], k)).mean())


def test_collaborative_beats_popular(sample: Dataset) -> None:
    split = Split.random(sample)
    train, test = matrix(split.train), matrix(split.test)
    inverse = np.linalg.inv(train.T @ train + 200 * np.eye(400))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    popular = np.tile(train.sum(axis=0), (600, 1))
    assert recall(train @ weights, train, test) > 1.5 * recall(popular, train, test)


def test_content_tells_about_unseen_movies(sample: Dataset) -> None:
    split = Split.held_out_movies(sample)
    train, test = matrix(split.train), matrix(split.test)
    words = (sample.movies["title"] + " " + sample.movies["plot"]).str.lower().str.replace(r"[^a-z ]", "", regex=True)
    content = np.hstack([words.str.get_dummies(" "), 3 * sample.movies["genres"].str.get_dummies()]).astype(float)
    content /= np.sqrt(content.sum(axis=0) + 1)  # frequent words say less
    content -= content.mean(axis=0)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    unseen = test.sum(axis=0) > 0
    scores = np.where(unseen, (train @ content) @ content.T, -np.inf)
    chance = np.where(unseen, np.random.default_rng(0).random((600, 400)), -np.inf)
    assert unseen.sum() == 40
    assert recall(scores, train, test, 5) > 1.6 * recall(chance, train, test, 5)


def test_profile_tells_about_new_people(sample: Dataset) -> None:
    split = Split.held_out_users(sample, support=0)
    train, test = matrix(split.train), matrix(split.test)
    users = sample.users
    ages = np.exp(-(((users["age"].to_numpy(float)[:, None] - np.arange(15, 70, 10)) / 8) ** 2))
    profile = np.hstack([pd.get_dummies(users[["gender", "occupation"]]), ages, np.ones((600, 1))]).astype(float)
    known = train.sum(axis=1) > 0
    left = profile[known].T @ profile[known] + 10 * np.eye(profile.shape[1])
    scores = profile @ np.linalg.solve(left, profile[known].T @ train[known])
    popular = np.tile(train.sum(axis=0), (600, 1))
    assert recall(scores, train, test) > 1.1 * recall(popular, train, test)


def test_sequels_follow(sample: Dataset) -> None:
    title = sample.movies.set_index("movie_id")["title"].str.replace(r" \(\d+\)$", "", regex=True)
    series = {movie: movie + 1 for movie in title.index[:-1] if title[movie + 1] == f"{title[movie]} II"}
    place = sample.ratings.groupby("user_id").cumcount()
    when = dict(zip(zip(sample.ratings["user_id"], sample.ratings["movie_id"], strict=True), place, strict=True))
    first = [(user, movie, spot) for (user, movie), spot in when.items() if movie in series]
    soon = [0 < when.get((user, series[movie]), -1) - spot <= 3 for user, movie, spot in first]
    assert np.mean(soon) > 0.4
