"""The generated sample is reproducible, and models can learn from it."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.datasets.synthetic import WORDS, generate_movies
from gnnrec.errors import ConfigError
from gnnrec.splitting import cold_movies_split, cold_users_split, random_split


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return make_sample()


def test_equal_arguments_give_equal_rows(sample: Dataset) -> None:
    again = make_sample()
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(sample, table))
    assert not make_sample(seed=1).ratings.equals(sample.ratings)


def test_movies_do_not_depend_on_users(sample: Dataset) -> None:
    pd.testing.assert_frame_equal(make_sample(10, ratings_per_user=5).movies, sample.movies)


def test_columns_and_value_ranges(sample: Dataset) -> None:
    assert repr(sample) == f"Dataset('sample': 600 users, 400 movies, {sample.num_ratings:,} ratings)"
    assert 45 < sample.num_ratings / 600 < 60
    movies, users, ratings = sample.movies, sample.users, sample.ratings
    assert movies["movie_id"].tolist() == list(range(1, 401))
    assert movies["title"].is_unique
    assert (movies["title"].str.extract(r"\((\d{4})\)$")[0].astype(int) == movies["year"]).all()
    assert movies["year"].between(1930, 2001).all()
    assert movies["genres"].str.count(r"\|").between(0, 2).all()
    assert (movies["genres"] != "").all()
    assert movies.columns[4:].tolist() == ["plot", "theme", "directors", "actors"]
    assert movies["plot"].str.len().between(80, 400).all()
    assert movies["plot"].str.count(r"\.( |$)").value_counts().index.sort_values().tolist() == [2, 3, 4]
    assert not movies["plot"].str.contains(r"[{}]|\b[Aa] [aeiou]").any()
    assert movies["title"].str.contains(" II ").sum() > 20
    assert not movies["title"].str.contains(r"\b[Aa] [AEIOUaeiou]").any()
    assert movies["title"].str.contains("^An ").any()
    assert set(users["gender"]) == {"F", "M"}
    assert users["age"].between(14, 74).all()
    assert set(ratings["rating"]) == {1, 2, 3, 4, 5}
    assert (ratings.groupby("user_id")["timestamp"].diff().fillna(0) >= 0).all()
    assert pd.to_datetime(ratings["timestamp"], unit="s").dt.year.between(2002, 2004).all()


def test_values_are_fixed(sample: Dataset) -> None:
    ratings = sample.ratings
    assert (len(ratings), int(ratings["movie_id"].sum()), int(ratings["rating"].sum())) == (32332, 6629780, 117884)
    assert sample.movies["title"].iloc[[0, -1]].tolist() == ["Iron Curtain (2000)", "Beyond the Broken Witness (1984)"]


def test_any_size() -> None:
    assert make_sample(2, 12, ratings_per_user=1).num_users == 2
    large = make_sample(3, 4000)
    assert large.movies["title"].is_unique
    assert large.movies["actors"].str.contains(" A. ", regex=False).any()  # more names than pairs without initials
    with pytest.raises(ConfigError, match="num_movies >= 12"):
        make_sample(10, 5)


@pytest.mark.parametrize(
    ("table", "digest"),
    [("ratings", "ef01eb382cee4ff7"), ("movies", "165c7939c4a24420"), ("users", "347cd21024f8e066")],
)
def test_rows_are_fixed_to_the_last_byte(table: str, digest: str) -> None:
    """Results in the documentation and saved posters rely on the rows; a changed order of draws would change them."""
    frame: pd.DataFrame = getattr(make_sample(60, 40, 3, 12), table)
    assert hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()[:16] == digest


def matrix(rows: pd.DataFrame) -> np.ndarray:
    watched = np.zeros((600, 400))
    watched[rows["user_id"] - 1, rows["movie_id"] - 1] = 1
    return watched


def recall(scores: np.ndarray, train: np.ndarray, test: np.ndarray, k: int = 10) -> float:
    top = np.argsort(np.where(train > 0, -np.inf, scores), axis=1)[:, -k:]
    rows = test.sum(axis=1) > 0
    hits = np.take_along_axis(test, top, axis=1).sum(axis=1)
    return float((hits[rows] / np.minimum(test.sum(axis=1)[rows], k)).mean())


def test_collaborative_model_beats_popularity(sample: Dataset) -> None:
    split = random_split(sample)
    train, test = matrix(split.train), matrix(split.test)
    inverse = np.linalg.inv(train.T @ train + 200 * np.eye(400))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    popular = np.tile(train.sum(axis=0), (600, 1))
    assert recall(train @ weights, train, test) > 1.5 * recall(popular, train, test)


def test_content_predicts_ratings_of_cold_movies(sample: Dataset) -> None:
    split = cold_movies_split(sample, seed=0)
    train, test = matrix(split.train), matrix(split.test)
    words = (sample.movies["title"] + " " + sample.movies["plot"]).str.lower().str.replace(r"[^a-z ]", "", regex=True)
    content = np.hstack([words.str.get_dummies(" "), 3 * sample.movies["genres"].str.get_dummies()]).astype(float)
    content /= np.sqrt(content.sum(axis=0) + 1)  # frequent words are less informative
    content -= content.mean(axis=0)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    unseen = test.sum(axis=0) > 0
    scores = np.where(unseen, (train @ content) @ content.T, -np.inf)
    chance = np.where(unseen, np.random.default_rng(0).random((600, 400)), -np.inf)
    assert unseen.sum() == 40
    assert recall(scores, train, test, 5) > 1.6 * recall(chance, train, test, 5)


def test_profile_predicts_ratings_of_cold_users(sample: Dataset) -> None:
    split = cold_users_split(sample, n_known=0, seed=0)
    train, test = matrix(split.train), matrix(split.test)
    users = sample.users
    ages = np.exp(-(((users["age"].to_numpy(float)[:, None] - np.arange(15, 70, 10)) / 8) ** 2))
    profile = np.hstack([pd.get_dummies(users[["gender", "occupation"]]), ages, np.ones((600, 1))]).astype(float)
    known = train.sum(axis=1) > 0
    left = profile[known].T @ profile[known] + 10 * np.eye(profile.shape[1])
    scores = profile @ np.linalg.solve(left, profile[known].T @ train[known])
    popular = np.tile(train.sum(axis=0), (600, 1))
    assert recall(scores, train, test) > 1.1 * recall(popular, train, test)


def test_sequels_are_watched_soon_after(sample: Dataset) -> None:
    title = sample.movies.set_index("movie_id")["title"].str.replace(r" \(\d+\)$", "", regex=True)
    series = {movie: movie + 1 for movie in title.index[:-1] if title[movie + 1] == f"{title[movie]} II"}
    place = sample.ratings.groupby("user_id").cumcount()
    when = dict(zip(zip(sample.ratings["user_id"], sample.ratings["movie_id"], strict=True), place, strict=True))
    first = [(user, movie, spot) for (user, movie), spot in when.items() if movie in series]
    soon = [0 < when.get((user, series[movie]), -1) - spot <= 3 for user, movie, spot in first]
    assert np.mean(soon) > 0.4


def credits(movies: pd.DataFrame, column: str) -> pd.DataFrame:
    return movies.assign(name=movies[column].str.split("|")).explode("name")


@pytest.mark.parametrize(("column", "most"), [("directors", 2), ("actors", 4)])
def test_number_of_movies_per_name_has_a_long_tail(sample: Dataset, column: str, most: int) -> None:
    names = sample.movies[column].str.split("|")
    assert names.map(len).between(1, most).all()
    assert (names.map(len) == names.map(set).map(len)).all()
    films = credits(sample.movies, column)["name"].value_counts()
    assert (films >= 2).mean() > 0.7
    assert films.iloc[: len(films) // 10].sum() > 0.25 * films.sum()
    assert films.iloc[0] < 0.15 * len(names)


@pytest.mark.parametrize("column", ["directors", "actors"])
def test_names_stand_for_similar_movies(sample: Dataset, column: str) -> None:
    generated = generate_movies(400, np.random.default_rng([0, 0]))
    assert generated.frame["title"].tolist() == sample.movies["title"].tolist()
    preference = generated.preference / np.linalg.norm(generated.preference, axis=1, keepdims=True)
    close = preference @ preference.T
    shared = pd.crosstab(sample.movies.index.repeat(sample.movies[column].str.count(r"\|") + 1),
                         credits(sample.movies, column)["name"].to_numpy()).to_numpy()  # fmt: skip
    same_name = (shared @ shared.T > 0) & ~np.eye(400, dtype=bool)
    same_theme = generated.theme[:, None] == generated.theme
    assert same_theme[same_name].mean() > 2.5 * same_theme.mean()
    assert (~same_theme)[same_name].mean() > 0.4  # names carry more than the theme
    others = same_theme & ~same_name & ~np.eye(400, dtype=bool)
    assert close[same_name & same_theme].mean() > close[others].mean() + 0.05


def test_sequels_often_keep_directors_and_actors(sample: Dataset) -> None:
    movies = sample.movies
    title = movies["title"].str.replace(r" \(\d+\)$", "", regex=True)
    parts = [row for row in range(399) if title[row + 1] == f"{title[row]} II"]
    kept = [(movies["directors"][row], movies["actors"][row]) == tuple(movies.loc[row + 1, ["directors", "actors"]])
            for row in parts]  # fmt: skip
    assert 0.5 < np.mean(kept) < 0.9


def test_plots_reflect_theme_and_era_with_noise(sample: Dataset) -> None:
    plots = sample.movies["plot"]
    start = 0
    for era in WORDS["eras"]:
        end = era["before"]
        mentioned = plots.str.contains(rf"\b(?:{'|'.join(era['objects'])})\b")
        assert mentioned.sum() > 5
        assert sample.movies["year"][mentioned].between(start, end - 1).all()
        start = end
    other_theme = [
        any(place in plot for other, words in WORDS["themes"].items() if other != theme for place in words["places"])
        for plot, theme in zip(plots, sample.movies["theme"], strict=True)
    ]
    assert 0.03 < np.mean(other_theme) < 0.3
