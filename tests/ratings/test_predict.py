"""`evaluate_ratings`: errors computed by hand, confidence intervals, invalid test sets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import gnnrec
from gnnrec import Config, Dataset, RatingConfig, evaluate_ratings, fit_rating_model
from gnnrec.errors import ConfigError, DataError
from gnnrec.ratings import Biases
from gnnrec.splitting import random_ratings_split

RATINGS = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "movie_id": [1, 2, 1, 3, 1], "rating": [5.0, 3.0, 4.0, 2.0, 3.0]})


def test_errors_by_hand() -> None:
    model = Biases(movie_reg=float("inf"), user_reg=float("inf")).fit(Dataset(RATINGS))
    test = pd.DataFrame({"user_id": [1, 3, 3], "movie_id": [3, 2, 3], "rating": [3.4, 4.4, 1.4]})
    errors = evaluate_ratings(model, test)
    assert errors.columns.tolist() == ["metric", "value", "ci_low", "ci_high", "num_ratings"]
    assert errors["metric"].tolist() == ["rmse", "mae"]
    assert errors["value"].tolist() == pytest.approx([(5 / 3) ** 0.5, 1.0], abs=1e-6)
    # Two users: a resample holds only the first, both, or only the second.
    assert errors["ci_low"].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert errors["ci_high"].tolist() == pytest.approx([2.5**0.5, 1.5], abs=1e-6)
    assert errors["num_ratings"].tolist() == [3, 3]
    pd.testing.assert_frame_equal(errors, evaluate_ratings(model, test))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"user_id": [], "movie_id": [], "rating": []}, "no test ratings"),
        ({"user_id": [1], "movie_id": [3]}, "no column rating"),
        ({"user_id": [1], "movie_id": [9], "rating": [3]}, "movie_id 9"),
        ({"user_id": [7], "movie_id": [1], "rating": [3]}, "user_id 7"),
        ({"user_id": [1], "movie_id": [2], "rating": [3]}, "movie 2.* by user 1.* is already in the model's graph"),
        (
            {"user_id": [1, 1], "movie_id": [3, 3], "rating": [3, 4]},
            r"user 1 rated movie 3 twice.*\(first at ratings row 0\)",
        ),
    ],
)
def test_invalid_test_rows(rows: dict[str, list[int]], message: str) -> None:
    model = Biases().fit(Dataset(RATINGS))
    with pytest.raises(DataError, match=message):
        evaluate_ratings(model, pd.DataFrame(rows))


@pytest.mark.parametrize("confidence", [0, 1, float("nan")])
def test_invalid_confidence(confidence: float) -> None:
    model = Biases().fit(Dataset(RATINGS))
    with pytest.raises(ConfigError, match="confidence must be between 0 and 1"):
        evaluate_ratings(model, RATINGS, confidence=confidence)


def test_support_ratings_are_added_first() -> None:
    support = pd.DataFrame({"user_id": [8, 8], "movie_id": [1, 2], "rating": [2.0, 2.0]})
    test = pd.DataFrame({"user_id": [8], "movie_id": [3], "rating": [1.0]})
    split = gnnrec.Split(RATINGS, RATINGS.iloc[:0], test, support=support)
    model = Biases(movie_reg=1e9, user_reg=1.0).fit(split)
    assert evaluate_ratings(model, split)["value"][0] == pytest.approx(2.4 - 2.8 / 3, abs=1e-5)


@pytest.mark.slow
@pytest.mark.real_data("ml-100k")
def test_ml_100k(data_home: Path) -> None:
    split = random_ratings_split(gnnrec.load_dataset(data_home / "ml-100k"))
    config = Config().override(["train.epochs=10", "model.embedding_dim=32"])
    model = fit_rating_model(split.dataset, config, RatingConfig(embedding_dim=16, num_samples=30), progress=False)
    rmse = evaluate_ratings(model, split)["value"][0]
    biases = evaluate_ratings(Biases().fit(split), split)["value"][0]
    assert rmse < 0.91
    assert rmse < biases - 0.02
