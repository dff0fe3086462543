"""Baselines of rating prediction: one contract for all, and what each learns from data with a known answer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Split
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import NewUser
from gnnrec.ratings import (
    BiasedMF,
    Biases,
    HistoryAttention,
    RatingEstimator,
    RatingPredictor,
    baselines,
    evaluate_ratings,
    predict_ratings,
)
from gnnrec.ratings.baselines import BIAS_SHRINKAGE
from gnnrec.splitting import random_ratings_split
from gnnrec.training.callbacks import Callback, EarlyStopping, FitState
from tests.helpers.contract import as_new_user, checkerboard, sample

QUICK: dict[str, Any] = {"embedding_dim": 8, "length": 20, "epochs": 3}
ESTIMATORS: dict[str, RatingEstimator] = {
    "biases": Biases(),
    "biased MF": BiasedMF(embedding_dim=4, epochs=5),
    "history attention": HistoryAttention(**QUICK),
}
RANDOMIZED = ("biased MF", "history attention")
every_baseline = pytest.mark.parametrize("name", ESTIMATORS)


@cache
def fitted(name: str) -> RatingPredictor:
    return ESTIMATORS[name].fit(sample().dataset)


def dataset(**columns: object) -> Dataset:
    return Dataset(pd.DataFrame(columns))


def predicted(model: RatingPredictor, *arguments: object) -> list[float]:
    return predict_ratings(model, *arguments)["rating"].tolist()


def assert_close(actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, atol=2e-5)


@every_baseline
def test_name_and_graph(name: str) -> None:
    assert fitted(name).name == ESTIMATORS[name].name == name
    assert fitted(name).graph.dataset is sample().dataset


@every_baseline
def test_single_pairs_equal_batches(name: str) -> None:
    """Predictions do not depend on the other pairs, their order or their repetitions."""
    model, users = fitted(name), [1, 42, 7001, 150]
    whole = {user: predicted(model, user) for user in users}
    assert_close(predicted(model, users), np.concatenate(list(whole.values())))
    movies = sample().dataset.movies["movie_id"].tolist()
    rng = np.random.default_rng(0)
    for size in (1, 7, 300):
        chosen = [(users[u], m) for u, m in rng.integers([4, len(movies)], size=(size, 2)).tolist()]
        pairs = pd.DataFrame([(user, movies[m]) for user, m in chosen], columns=["user_id", "movie_id"])
        assert_close(predict_ratings(model, pairs=pairs)["rating"], [whole[user][m] for user, m in chosen])
    assert predict_ratings(model, users).equals(predict_ratings(model, users))


@every_baseline
def test_new_users_equal_stored_users(name: str) -> None:
    model = fitted(name)
    for user in (1, 42, 77, 7001):
        assert_close(predicted(model, as_new_user(sample(), user)), predicted(model, user))
    ratings = sample().dataset.ratings
    rows = ratings[ratings["user_id"].isin([5, 6])].merge(sample().dataset.users, on="user_id")
    assert_close(predicted(model, rows), predicted(model, [5, 6]))
    # Without ratings all users are equal; the baselines ignore profiles.
    for new_user in ({}, NewUser(age=25, gender="F", occupation="artist")):
        assert_close(predicted(model, new_user), predicted(model, 7001))


@every_baseline
def test_new_ratings_and_movies(name: str) -> None:
    model = fitted(name)
    rows = pd.DataFrame({"user_id": 9999, "movie_id": [4, 9, 1, 7], "rating": [5.0, 4.0, 1.0, 3.0]})
    larger = model.add_ratings(rows)
    assert_close(predicted(larger, 9999), predicted(larger, {4: 5.0, 9: 4.0, 1: 1.0, 7: 3.0}))
    with pytest.raises(DataError, match="9999"):
        predict_ratings(model, 9999)
    movies = pd.DataFrame({"movie_id": [9001, 9002], "title": ["A (1990)", "B (2000)"], "genres": ["Comedy", ""]})
    grown = model.add_movies(movies)
    assert_close(predicted(grown, [1, 7001])[: sample().num_movies], predicted(model, 1))
    first, second, average = predicted(grown, 7001, ["A (1990)", 9002, 9001])
    assert first == second == average == pytest.approx(sample().users.rating.mean().item())
    # Later ratings of an added movie are accepted and do not predict themselves.
    rated = grown.add_ratings(pd.DataFrame({"user_id": [1, 2], "movie_id": 9001, "rating": [5.0, 1.0]}))
    assert np.isfinite(predicted(rated, [1, 2])).all()
    assert_close(predicted(rated, 1, 9001), predicted(grown, 1, 9001))


@every_baseline
def test_predictions_stay_on_the_rating_scale(name: str) -> None:
    for rating in (1, 5):
        values = predicted(fitted(name), dict.fromkeys(sample().dataset.movies["movie_id"][:40], rating))
        assert min(values) >= 1
        assert max(values) <= 5


@every_baseline
def test_a_rating_does_not_predict_itself(name: str) -> None:
    ratings = sample().dataset.ratings
    own = ratings[ratings["user_id"] == 42]
    history = dict(zip(own["movie_id"], own["rating"], strict=True))
    movie, *others = reversed(history)
    changed = history | {movie: 1.0 if history[movie] > 3 else 5.0}
    assert_close(predicted(fitted(name), changed, movie), predicted(fitted(name), history, movie))
    moved = np.subtract(predicted(fitted(name), changed, others), predicted(fitted(name), history, others))
    assert abs(moved).max() > 1e-3, "predictions of the other movies change"


@pytest.mark.parametrize("name", RANDOMIZED)
def test_same_seed_same_predictions(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        predicted(ESTIMATORS[name].model_copy(update={"seed": seed}).fit(sample().dataset), [1, 2])
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert torch.equal(torch.random.get_rng_state(), state), "the global random state is unchanged"


@every_baseline
def test_invalid_data(name: str) -> None:
    with pytest.raises(DataError, match="checkerboard has no column rating"):
        ESTIMATORS[name].fit(checkerboard().dataset)
    with pytest.raises(DataError, match="fit takes a Dataset or a Split, not Graph"):
        ESTIMATORS[name].fit(sample())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="callbacks must be a list of Callback objects, such as EarlyStopping"):
        ESTIMATORS[name].fit(sample().dataset, callbacks=[print])  # type: ignore[list-item]


@every_baseline
def test_a_split_is_fitted_on_its_training_ratings(name: str) -> None:
    split = random_ratings_split(sample().dataset)
    assert predicted(ESTIMATORS[name].fit(split), [1, 2]) == predicted(ESTIMATORS[name].fit(split.dataset), [1, 2])


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        (Biases, {"user_reg": -1.0}, "user_reg: must be at least 0"),
        (Biases, {"epochs": 0}, "epochs: must be at least 1"),
        (BiasedMF, {"reg": 0.0}, "BiasedMF: reg: must be above 0"),
        (BiasedMF, {"bias_reg": float("nan")}, "bias_reg: must be above 0"),
        (BiasedMF, {"epoch": 0}, "epoch: there is no such key; did you mean 'epochs'"),
        (HistoryAttention, {"length": 0}, "length: must be at least 1"),
    ],
)
def test_invalid_hyperparameters(estimator: type[RatingEstimator], options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        estimator(**options)


def test_biases_by_hand() -> None:
    five = [5.0, 3.0, 4.0, 2.0, 3.0]
    data = dataset(user_id=[1, 1, 2, 2, 3], movie_id=[1, 2, 1, 3, 1], rating=five)
    global_mean = Biases(movie_reg=float("inf"), user_reg=float("inf")).fit(data)
    assert predicted(global_mean, 1) == pytest.approx([3.4] * 3)
    movie_means = Biases(movie_reg=0.0, user_reg=float("inf")).fit(data)
    assert predicted(movie_means, 3) == pytest.approx([4, 3, 2])
    both = Biases(movie_reg=1e9, user_reg=1.0).fit(data)
    # User 1 is 1.6 above and 0.4 below the mean of 3.4; a rated movie is predicted without its own rating.
    assert predicted(both, 1) == pytest.approx([3.4 - 0.4 / 2, 3.4 + 1.6 / 2, 3.4 + 1.2 / 3])


def test_biased_mf_recovers_a_low_rank_matrix() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30)) + rng.standard_normal(30)
    row, col = np.nonzero(rng.random(truth.shape) < 0.6)
    split = random_ratings_split(Dataset(pd.DataFrame({"user_id": row, "movie_id": col, "rating": truth[row, col]})))
    mf = BiasedMF(embedding_dim=2, reg=0.05, bias_reg=0.05, epochs=30).fit(split)
    assert evaluate_ratings(mf, split)["value"][0] < 0.15
    assert split.test["rating"].std() > 0.7
    larger = mf.add_movies(pd.DataFrame({"movie_id": [99]}))
    assert predict_ratings(larger, 0, 99)["rating"].between(truth.min(), truth.max()).all()


def test_biased_mf_predicts_mean_and_bias_without_history() -> None:
    data = dataset(user_id=[1, 1, 2, 2], movie_id=[10, 20, 10, 20], rating=[5.0, 1.0, 5.0, 3.0])
    model = BiasedMF(embedding_dim=1).fit(data)
    assert predicted(model, {}) == pytest.approx((3.5 + model.movie_factors[:, 0]).tolist())
    assert model.movie_factors[0, 0] > 0.1 > -0.1 > model.movie_factors[1, 0]


def test_attention_starts_from_mean_and_biases() -> None:
    data = dataset(user_id=[1, 1, 2, 2], movie_id=[10, 20, 10, 20], rating=[5.0, 1.0, 5.0, 3.0])
    model = HistoryAttention(embedding_dim=4, epochs=1, learning_rate=1e-12).fit(data)
    expected = 3.5 + np.array([3.0, -3.0]) / (2 + BIAS_SHRINKAGE)
    assert predicted(model, {}) == pytest.approx(expected.tolist())


@pytest.mark.slow
def test_attention_learns_opposite_tastes() -> None:
    """Movies 0 and 1 get opposite ratings from every user; movies 2 to 7 are uninformative."""
    rng = np.random.default_rng(0)
    likes = rng.random(200) < 0.5
    rows = [(u, m, r) for u in range(200) for m, r in ((0, 5 if likes[u] else 1), (1, 1 if likes[u] else 5))]
    rows += [(u, int(m), 3 + rng.normal()) for u in range(200) for m in rng.choice(range(2, 8), 3, False)]
    user, movie, rating = zip(*rows, strict=True)
    estimator = HistoryAttention(embedding_dim=8, epochs=40, learning_rate=0.02, weight_decay=0)
    model = estimator.fit(dataset(user_id=user, movie_id=movie, rating=rating))
    for rated, expected in ((5, 1), (1, 5)):
        assert predicted(model, {0: rated, 2: 3, 3: 3, 4: 3}, 1) == pytest.approx([expected], abs=0.6)


def test_attention_uses_the_latest_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("history attention")
    history = {movie: 1.0 + movie % 5 for movie in range(1, 31)}
    latest = dict(list(history.items())[-20:])
    assert_close(predicted(model, history, 50), predicted(model, latest, 50))
    expected = predicted(model, [1, 2, 3])
    monkeypatch.setattr(baselines, "CHUNK_SIZE", 1)
    assert_close(predicted(model, [1, 2, 3]), expected)


class Recorder(Callback):
    def __init__(self) -> None:
        self.scores: list[float] = []

    def on_epoch_end(self, state: FitState) -> None:
        self.scores.append(state.metrics["negative_rmse"])


def test_attention_keeps_its_best_epoch() -> None:
    split = random_ratings_split(sample().dataset, (0.7, 0.2, 0.1))
    recorder = Recorder()
    estimator = HistoryAttention(embedding_dim=8, epochs=40, learning_rate=0.02)
    best = estimator.fit(split, callbacks=[recorder, EarlyStopping(patience=2)])
    scores = recorder.scores
    assert len(scores) == int(np.argmax(scores)) + 3 < 40, "training stops two epochs after the best one"
    validation = Split(split.train, split.valid[:0], split.valid, split.movies, split.users)
    assert evaluate_ratings(best, validation)["value"][0] == -max(scores)


def test_support_ratings_count_in_validation() -> None:
    split = random_ratings_split(sample().dataset, (0.7, 0.2, 0.1))
    support = Split(split.train, split.valid, split.test[:0], split.movies, split.users, support=split.test)
    scores = []
    for data in (split, support):
        recorder = Recorder()
        HistoryAttention(**{**QUICK, "epochs": 1}).fit(data, callbacks=[recorder])
        scores += recorder.scores
    assert len(set(scores)) == 2
