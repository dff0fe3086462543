"""What predicted ratings must beat: one contract for all, and what each learns in worlds whose answer is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import torch
from tests.helpers.contract import checkerboard, sample, stranger_like

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph, NewUser
from gnnrec.models import OptimizerConfig, Watch
from gnnrec.rating import RatingPredictor, evaluate_ratings, predict_rating, split_ratings
from gnnrec.rating.attention import SHRINK, HistoryAttention
from gnnrec.rating.baselines import BiasedMF, Biases

QUICK = OptimizerConfig(3, 0.002, 32, 0.1)
FITS: dict[str, Callable[..., RatingPredictor]] = {
    "biases": Biases.fit,
    "biased MF": partial(BiasedMF.fit, dim=4, num_epochs=5),
    "history attention": partial(HistoryAttention.fit, dim=8, length=20, schedule=QUICK),
}
DRAWING = ("biased MF", "history attention")
everybody = pytest.mark.parametrize("name", FITS)


@cache
def fitted(name: str) -> RatingPredictor:
    return FITS[name](sample())


def graph_of(**columns: object) -> Graph:
    return Graph.from_dataset(Dataset(pd.DataFrame(columns)))


def stars(model: RatingPredictor, *question: object) -> list[float]:
    return predict_rating(model, *question)["rating"].tolist()


def assert_close(found: object, expected: object) -> None:
    np.testing.assert_allclose(found, expected, atol=2e-5)


@everybody
def test_names(name: str) -> None:
    assert fitted(name).name == name
    assert fitted(name).graph is sample()


@everybody
def test_one_at_a_time_is_all_at_once(name: str) -> None:
    """Whoever else is asked for, however many movies, in whatever order and however often."""
    model, users = fitted(name), [1, 42, 7001, 150]
    whole = {user: stars(model, user) for user in users}
    assert_close(stars(model, users), np.concatenate(list(whole.values())))
    movies = sample().dataset.movies["movie_id"].tolist()
    rng = np.random.default_rng(0)
    for size in (1, 7, 300):
        asked = [(users[u], m) for u, m in rng.integers([4, len(movies)], size=(size, 2)).tolist()]
        pairs = pd.DataFrame([(user, movies[m]) for user, m in asked], columns=["user_id", "movie_id"])
        found = predict_rating(model, pairs=pairs)["rating"]
        assert_close(found, [whole[user][m] for user, m in asked])
    assert predict_rating(model, users).equals(predict_rating(model, users))


@everybody
def test_strangers_are_as_good_as_stored_people(name: str) -> None:
    model = fitted(name)
    for user in (1, 42, 77, 7001):
        assert_close(stars(model, stranger_like(sample(), user)), stars(model, user))
    ratings = sample().dataset.ratings
    rows = ratings[ratings["user_id"].isin([5, 6])].merge(sample().dataset.users, on="user_id")
    assert_close(stars(model, rows), stars(model, [5, 6]))
    # Someone of whom nothing is known is the same person, whatever their profile.
    for nobody in ({}, NewUser(age=25, gender="F", occupation="artist")):
        assert_close(stars(model, nobody), stars(model, 7001))


@everybody
def test_new_ratings_and_movies(name: str) -> None:
    model = fitted(name)
    rows = pd.DataFrame({"user_id": 9999, "movie_id": [4, 9, 1, 7], "rating": [5.0, 4.0, 1.0, 3.0]})
    larger = model.add_ratings(rows)
    assert_close(stars(larger, 9999), stars(larger, {4: 5.0, 9: 4.0, 1: 1.0, 7: 3.0}))
    with pytest.raises(DataError, match="9999"):
        predict_rating(model, 9999)
    movies = pd.DataFrame({"movie_id": [9001, 9002], "title": ["A (1990)", "B (2000)"], "genres": ["Comedy", ""]})
    grown = model.add_movies(movies)
    assert_close(stars(grown, [1, 7001])[: sample().num_movies], stars(model, 1))
    first, second, average = stars(grown, 7001, ["A (1990)", 9002, 9001])
    assert first == second == average == pytest.approx(sample().users.rating.mean().item())
    # What it gets later does not break anything, nor does it count for itself.
    rated = grown.add_ratings(pd.DataFrame({"user_id": [1, 2], "movie_id": 9001, "rating": [5.0, 1.0]}))
    assert np.isfinite(stars(rated, [1, 2])).all()
    assert_close(stars(rated, 1, 9001), stars(grown, 1, 9001))


@everybody
def test_the_scale_is_kept(name: str) -> None:
    for rating in (1, 5):
        found = stars(fitted(name), dict.fromkeys(sample().dataset.movies["movie_id"][:40], rating))
        assert min(found) >= 1
        assert max(found) <= 5


@everybody
def test_a_rating_does_not_predict_itself(name: str) -> None:
    ratings = sample().dataset.ratings
    own = ratings[ratings["user_id"] == 42]
    history = dict(zip(own["movie_id"], own["rating"], strict=True))
    asked, *others = reversed(history)
    changed = history | {asked: 1.0 if history[asked] > 3 else 5.0}
    assert_close(stars(fitted(name), changed, asked), stars(fitted(name), history, asked))
    moved = np.subtract(stars(fitted(name), changed, others), stars(fitted(name), history, others))
    assert abs(moved).max() > 1e-3, "but the others do"


@pytest.mark.parametrize("name", DRAWING)
def test_the_same_seed_gives_the_same_stars(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (stars(FITS[name](sample(), seed=seed), [1, 2]) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers are left alone"


@everybody
def test_data_without_ratings_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="checkerboard has no column rating"):
        FITS[name](checkerboard())


@pytest.mark.parametrize(
    ("fit", "settings", "message"),
    [
        (Biases.fit, {"user_reg": -1.0}, "user_reg must be at least 0, not -1.0"),
        (Biases.fit, {"num_rounds": 0}, "num_rounds must be at least 1, not 0"),
        (BiasedMF.fit, {"reg": 0.0}, "^reg must be above 0, not 0.0"),
        (BiasedMF.fit, {"bias_reg": float("nan")}, "bias_reg must be above 0, not nan"),
        (BiasedMF.fit, {"num_epochs": 0}, "num_epochs must be at least 1, not 0"),
        (HistoryAttention.fit, {"length": 0}, "length must be at least 1, not 0"),
    ],
)
def test_settings_that_make_no_sense(fit: Callable[..., object], settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(sample(), **settings)


def test_biases_by_hand() -> None:
    five = [5.0, 3.0, 4.0, 2.0, 3.0]
    graph = graph_of(user_id=[1, 1, 2, 2, 3], movie_id=[1, 2, 1, 3, 1], rating=five)
    everything = Biases.fit(graph, movie_reg=float("inf"), user_reg=float("inf"))
    assert stars(everything, 1) == pytest.approx([3.4] * 3)
    movies = Biases.fit(graph, movie_reg=0.0, user_reg=float("inf"))
    assert stars(movies, 3) == pytest.approx([4, 3, 2])
    both = Biases.fit(graph, movie_reg=1e9, user_reg=1.0)
    # User 1 is 1.6 above and 0.4 below the mean of 3.4; a movie that was rated is asked without its rating.
    assert stars(both, 1) == pytest.approx([3.4 - 0.4 / 2, 3.4 + 1.6 / 2, 3.4 + 1.2 / 3])


def test_biased_mf_finds_a_low_rank_matrix_again() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30)) + rng.standard_normal(30)
    row, col = np.nonzero(rng.random(truth.shape) < 0.6)
    split = split_ratings(Dataset(pd.DataFrame({"user_id": row, "movie_id": col, "rating": truth[row, col]})))
    mf = BiasedMF.fit(Graph.from_dataset(split.dataset), dim=2, reg=0.05, bias_reg=0.05, num_epochs=30)
    assert evaluate_ratings(mf, split)["value"][0] < 0.15
    assert split.test["rating"].std() > 0.7
    with_more = mf.add_movies(pd.DataFrame({"movie_id": [99]}))
    assert predict_rating(with_more, 0, 99)["rating"].between(truth.min(), truth.max()).all()


def test_biased_mf_without_anything_known_predicts_mean_and_bias() -> None:
    model = BiasedMF.fit(graph_of(user_id=[1, 1, 2, 2], movie_id=[10, 20, 10, 20], rating=[5.0, 1.0, 5.0, 3.0]), dim=1)
    assert stars(model, {}) == pytest.approx((3.5 + model.movies[:, 0]).tolist())
    assert model.movies[0, 0] > 0.1 > -0.1 > model.movies[1, 0]


def test_attention_starts_from_mean_and_biases() -> None:
    graph = graph_of(user_id=[1, 1, 2, 2], movie_id=[10, 20, 10, 20], rating=[5.0, 1.0, 5.0, 3.0])
    model = HistoryAttention.fit(graph, dim=4, schedule=OptimizerConfig(1, 0.0, 32))
    expected = 3.5 + np.array([3.0, -3.0]) / (2 + SHRINK)
    assert stars(model, {}) == pytest.approx(expected.tolist())


def test_attention_learns_who_agrees_with_what() -> None:
    """Whoever likes movie 0 dislikes movie 1 and the other way round; movies 2 to 7 say nothing."""
    rng = np.random.default_rng(0)
    likes = rng.random(200) < 0.5
    rows = [(u, m, r) for u in range(200) for m, r in ((0, 5 if likes[u] else 1), (1, 1 if likes[u] else 5))]
    rows += [(u, int(m), 3 + rng.normal()) for u in range(200) for m in rng.choice(range(2, 8), 3, False)]
    user, movie, rating = zip(*rows, strict=True)
    model = HistoryAttention.fit(
        graph_of(user_id=user, movie_id=movie, rating=rating), dim=8, schedule=OptimizerConfig(40, 0.02, 32)
    )
    for rated, predicted in ((5, 1), (1, 5)):
        assert stars(model, {0: rated, 2: 3, 3: 3, 4: 3}, 1) == pytest.approx([predicted], abs=0.6)


def test_attention_reads_the_latest_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("history attention")
    history = {movie: 1.0 + movie % 5 for movie in range(1, 31)}
    latest = dict(list(history.items())[-20:])
    assert_close(stars(model, history, 50), stars(model, latest, 50))
    expected = stars(model, [1, 2, 3])
    monkeypatch.setattr(room, "CHUNK", 1)
    assert_close(stars(model, [1, 2, 3]), expected)


def test_attention_keeps_its_best_epoch() -> None:
    """Each epoch is asked for once; the third is called best, and two more do not change what was kept."""
    asked: list[float] = []

    def quality(model: RatingPredictor) -> float:
        asked.append(sum(stars(model, 1)))
        return -abs(len(asked) - 3)

    ten = dataclasses.replace(QUICK, epochs=10)
    kept = HistoryAttention.fit(sample(), dim=8, schedule=ten, watch=Watch(quality=quality, patience=2))
    assert len(asked) == 5
    assert sum(stars(kept, 1)) == asked[2] != asked[3]
