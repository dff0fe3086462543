"""`fit_rating_model` on synthetic ratings with a known answer: accuracy, inductive prediction, no leaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import (
    Config,
    Dataset,
    NewUser,
    RatingConfig,
    RatingModel,
    evaluate_ratings,
    fit_rating_model,
    predict_ratings,
)
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import encode_users
from gnnrec.ratings import BiasedMF, Biases, HistoryAttention, RatingPredictor
from gnnrec.splitting import random_ratings_split

SMALL = Config().override(["model.embedding_dim=8", "train.epochs=2"])
RATING_CONFIG = RatingConfig(embedding_dim=4, num_samples=25)


def low_rank_dataset(noise: float = 0.0, seed: int = 0) -> Dataset:
    """Return biases plus three factors, on a scale from 0 to 100; half of 150 x 80 pairs are rated."""
    rng = np.random.default_rng(seed)
    user, movie = 10 * rng.standard_normal((150, 1)), 10 * rng.standard_normal((1, 80))
    interaction = 7 * rng.standard_normal((150, 3)) @ rng.standard_normal((3, 80))
    ratings = 50 + user + movie + interaction + noise * rng.standard_normal((150, 80))
    row, col = np.nonzero(rng.random((150, 80)) < 0.5)
    frame = {"user_id": row, "movie_id": col + 1000, "rating": ratings[row, col].clip(-100, 200)}
    return Dataset(pd.DataFrame({**frame, "timestamp": row + col}), name="low rank")


@pytest.fixture(scope="module")
def split() -> gnnrec.Split:
    return random_ratings_split(low_rank_dataset())


@pytest.fixture(scope="module")
def model(split: gnnrec.Split) -> RatingModel:
    return fit_rating_model(split.dataset, SMALL, RATING_CONFIG, progress=False)


@pytest.fixture(scope="module")
def sample_model() -> RatingModel:
    """Return a model of the generated sample, which has profiles and genres."""
    return fit_rating_model(gnnrec.load_dataset("sample"), SMALL, RATING_CONFIG, progress=False)


def rmse(model: RatingPredictor, test: gnnrec.Split | pd.DataFrame) -> float:
    return float(evaluate_ratings(model, test)["value"].iloc[0])


def test_recovers_noise_free_ratings(model: RatingModel, split: gnnrec.Split) -> None:
    biases = Biases().fit(split)
    assert rmse(biases, split) > 8  # biases cannot represent the factors
    assert rmse(model, split) < 1
    assert rmse(BiasedMF(embedding_dim=3, reg=0.1, bias_reg=0.1).fit(split), split) < 2


def test_estimates_the_noise() -> None:
    noisy = random_ratings_split(low_rank_dataset(noise=5.0))
    model = fit_rating_model(noisy.dataset, SMALL, RATING_CONFIG, progress=False)
    assert model.report["noise"] == pytest.approx(5, rel=0.1)
    assert 5 < rmse(model, noisy) < 6


def test_permuted_ratings_are_not_predictable(split: gnnrec.Split) -> None:
    rng = np.random.default_rng(0)
    permuted = split.train.assign(rating=rng.permutation(split.train["rating"]))
    model = fit_rating_model(Dataset(permuted), SMALL, RATING_CONFIG, progress=False)
    chance = split.test["rating"].std()
    assert rmse(model, split.test) > 0.97 * chance
    # If a rating leaked into its own prediction, the predictions would correlate with these random ratings.
    random_user = dict(zip(range(1000, 1040), rng.permutation(np.linspace(0, 100, 40)), strict=True))
    predicted = predict_ratings(model, random_user, list(random_user))["rating"]
    assert abs(np.corrcoef(predicted, list(random_user.values()))[0, 1]) < 0.4


@pytest.mark.parametrize("kind", ["head", "biases", "mf", "attention"])
def test_a_rating_does_not_predict_itself(kind: str, model: RatingModel) -> None:
    baselines = {
        "biases": Biases(),
        "mf": BiasedMF(embedding_dim=3),
        "attention": HistoryAttention(embedding_dim=8, epochs=3, weight_decay=0),
    }
    predictor = model if kind == "head" else baselines[kind].fit(model.graph.dataset)
    ratings = {1000: 60.0, 1001: 45.0, 1002: 70.0}
    predicted = [
        predict_ratings(predictor, {**ratings, 1001: own}, [1000, 1001])["rating"] for own in (0.0, 45.0, 90.0)
    ]
    assert predicted[1][1] == pytest.approx(predicted[0][1], abs=0.1)
    assert predicted[1][1] == pytest.approx(predicted[2][1], abs=0.1)
    assert abs(predicted[2][0] - predicted[0][0]) > 0.5  # but it counts for the other movie


def test_removing_an_observation_is_exact(model: RatingModel) -> None:
    # The prior depends on the number of ratings and on the graph embedding, so both are held fixed.
    rng = np.random.default_rng(1)
    ratings = dict(zip(range(1000, 1012), rng.normal(50, 10, 12), strict=True))
    with_rating, _ = encode_users(model.graph, ratings)
    del ratings[1003]
    without_rating, _ = encode_users(model.graph, ratings)
    head, user, movie = model.head, torch.tensor([0]), torch.tensor([3])
    shrinkage = head.profile_shrinkage.clone()
    try:
        head.profile_shrinkage.fill_(1e9)
        embeddings = torch.zeros(1, len(head.graph_mean))
        predicted = [
            head(users, embeddings, model.movie_posterior, user, movie).item()
            for users in (with_rating, without_rating)
        ]
    finally:
        head.profile_shrinkage.copy_(shrinkage)
    assert predicted[0] == pytest.approx(predicted[1], abs=0.05)


def test_new_user_equals_stored_user(sample_model: RatingModel) -> None:
    dataset = sample_model.graph.dataset
    own = dataset.ratings[dataset.ratings["user_id"] == 7].sort_values("timestamp", kind="stable")
    row = dataset.users.set_index("user_id").loc[7]
    history = dict(zip(own["movie_id"], own["rating"], strict=True))
    stored = predict_ratings(sample_model, 7)
    new = predict_ratings(sample_model, NewUser(row["age"], row["gender"], row["occupation"], history))
    np.testing.assert_allclose(new["rating"], stored["rating"], atol=1e-4)
    assert stored["user_id"].unique().tolist() == [7]
    assert new["user_id"].unique().tolist() == ["new user"]
    assert stored["movie_id"].tolist() == dataset.movies["movie_id"].tolist()


def test_new_ratings_count_at_once(sample_model: RatingModel) -> None:
    high, low = (dict.fromkeys(range(1, 11), rating) for rating in (5, 1))
    without_history = predict_ratings(sample_model, {})["rating"].mean()
    assert predict_ratings(sample_model, low)["rating"].mean() < without_history - 0.5
    assert predict_ratings(sample_model, high)["rating"].mean() > without_history + 0.3
    rows = pd.DataFrame({"user_id": 9999, "movie_id": list(low), "rating": 1.0})
    larger = sample_model.add_ratings(rows)  # the ten movies have one more rating, so graph embeddings move slightly
    np.testing.assert_allclose(
        predict_ratings(larger, 9999)["rating"], predict_ratings(sample_model, low)["rating"], atol=2e-3
    )
    with pytest.raises(DataError, match="9999"):
        predict_ratings(sample_model, 9999)  # the original model is unchanged


def test_movie_added_after_training(sample_model: RatingModel) -> None:
    movies = pd.DataFrame({"movie_id": [9001, 9002], "title": ["Night (1999)", "Day (1999)"], "genres": ["Drama", ""]})
    larger = sample_model.add_movies(movies)
    unrated = predict_ratings(larger, 1, [9001, 9002])["rating"]
    everything = predict_ratings(larger, 1)["rating"]
    assert everything.quantile(0.02) < unrated.min()
    assert unrated.max() < everything.quantile(0.98)
    original = predict_ratings(sample_model, 1)
    np.testing.assert_allclose(everything[: len(original)], original["rating"], atol=1e-4)
    # Low ratings by other users lower the prediction, more of them lower it further.
    updated = []
    for number in (2, 30):
        rows = pd.DataFrame({"user_id": range(100, 100 + number), "movie_id": 9001, "rating": 1.0})
        updated.append(predict_ratings(larger.add_ratings(rows), 1, 9001)["rating"].item())
    assert updated[1] < updated[0] - 0.2
    assert updated[0] < unrated[0] - 0.1
    assert updated[1] < 2.5


def test_head_uses_graph_embeddings(sample_model: RatingModel) -> None:
    content_only = RATING_CONFIG.model_copy(update={"use_graph_embeddings": False})
    other = fit_rating_model(sample_model.recommender, rating_config=content_only, progress=False)
    assert (sample_model.head.sizes["graph_dim"], other.head.sizes["graph_dim"]) == (8, 0)
    width = 1 + sample_model.graph.users.x.size(1) + len(sample_model.graph.occupations)
    assert sample_model.head.sizes["num_user_features"] == width + 8
    # The embedding of the same ratings changes predictions if and only if the head was fitted with embeddings.
    users, _ = encode_users(sample_model.graph, dict.fromkeys(range(1, 30), 3.5))
    pairs = torch.zeros(5, dtype=torch.int64), torch.arange(100, 105)
    for head, changes in ((sample_model.head, True), (other.head, False)):
        embeddings = torch.zeros(sample_model.graph.num_users, head.sizes["graph_dim"])
        posterior = head.movie_posterior(sample_model.graph, embeddings)
        predicted = [
            head(users, (head.graph_mean + size * head.graph_std)[None], posterior, *pairs) for size in (0.0, 3.0)
        ]
        assert (not torch.equal(*predicted)) == changes


def test_same_seed_same_samples(split: gnnrec.Split, model: RatingModel) -> None:
    again = fit_rating_model(model.recommender, rating_config=RATING_CONFIG, progress=False)
    other_seed = RATING_CONFIG.model_copy(update={"seed": 1})
    other = fit_rating_model(model.recommender, rating_config=other_seed, progress=False)
    assert torch.equal(again.head.movie_factors, model.head.movie_factors)
    assert not torch.equal(other.head.movie_factors, model.head.movie_factors)
    assert rmse(other, split) < 1


def test_pairs(sample_model: RatingModel) -> None:
    pairs = pd.DataFrame({"userId": [3, 1, 3], "movieId": [5, 2, 2]})
    predicted = predict_ratings(sample_model, pairs=pairs)
    assert predicted[["user_id", "movie_id"]].to_numpy().tolist() == [[3, 5], [1, 2], [3, 2]]
    single = [predict_ratings(sample_model, u, m)["rating"].item() for u, m in [(3, 5), (1, 2), (3, 2)]]
    np.testing.assert_allclose(predicted["rating"], single, atol=1e-4)
    titles = sample_model.graph.dataset.movies.set_index("movie_id")["title"]
    assert predicted["title"].tolist() == titles[[5, 2, 2]].tolist()
    by_title = predict_ratings(sample_model, [1, 3], [titles[2], 5])
    assert by_title["user_id"].tolist() == [1, 1, 3, 3]
    np.testing.assert_allclose(by_title["rating"][[3, 0, 2]], single, atol=1e-4)


def test_predictions_stay_on_the_rating_scale(sample_model: RatingModel) -> None:
    for rating in (1, 5):
        predicted = predict_ratings(sample_model, dict.fromkeys(range(1, 200), rating))["rating"]
        assert predicted.between(1, 5).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((1, "No Such Film"), {}, DataError, "No Such Film"),
        ((1, []), {}, DataError, "the list of movies is empty"),
        ((1, {1: 5}), {}, DataError, "must be an id, a title or a list"),
        ((), {}, ConfigError, "either users or pairs"),
        ((1,), {"pairs": pd.DataFrame({"user_id": [1], "movie_id": [2]})}, ConfigError, "either users or pairs"),
        ((None, [1]), {"pairs": pd.DataFrame({"user_id": [1], "movie_id": [2]})}, ConfigError, "name their movies"),
        ((), {"pairs": pd.DataFrame({"user_id": [1]})}, DataError, "need a column movie_id; found user_id"),
        ((), {"pairs": pd.DataFrame({"user_id": [], "movie_id": []})}, DataError, "pairs is empty"),
        ((), {"pairs": pd.DataFrame({"user_id": [1], "movie_id": [12345]})}, DataError, "12345"),
        ((), {"pairs": [(1, 2)]}, DataError, "must be a pandas DataFrame, not list"),
        ((54321,), {}, DataError, "54321"),
    ],
)
def test_invalid_arguments(
    sample_model: RatingModel,
    arguments: tuple[object, ...],
    options: dict[str, pd.DataFrame],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        predict_ratings(sample_model, *arguments, **options)


def test_a_recommender_is_not_a_rating_model(sample_model: RatingModel) -> None:
    with pytest.raises(DataError, match=r"needs a rating model, .* not RecGraph"):
        predict_ratings(sample_model.recommender, 1)  # type: ignore[arg-type]


def test_one_user_is_enough() -> None:
    rows = [(1, movie, 1.0 + movie % 5, movie) for movie in range(12)]
    dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"]))
    small = gnnrec.RatingConfig(embedding_dim=2, num_samples=3, burn_in=1)
    model = gnnrec.fit_rating_model(dataset, Config().override(["train.epochs=1"]), small, progress=False)
    found = gnnrec.predict_ratings(model, [1], [0, 1, 2])["rating"]
    assert found.between(1, 5).all()


def test_data_without_ratings() -> None:
    pairs = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [1, 2, 1]})
    for fit in (lambda data: fit_rating_model(data, SMALL), Biases().fit):
        with pytest.raises(DataError, match="custom has no column rating"):
            fit(Dataset(pairs))
        with pytest.raises(DataError, match="every rating of custom is 3"):
            fit(Dataset(pairs.assign(rating=3)))
    with pytest.raises(DataError, match="RecGraph, a Dataset or a Split"):
        fit_rating_model(pairs)  # type: ignore[arg-type]


def test_invalid_configs(model: RatingModel) -> None:
    with pytest.raises(ConfigError, match="num_samples: must be at least 1"):
        RatingConfig(num_samples=0)
    with pytest.raises(ConfigError, match="num_sample: there is no such key; did you mean 'num_samples'"):
        RatingConfig(num_sample=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="already has a config"):
        fit_rating_model(model.recommender, SMALL)
    with pytest.raises(ConfigError, match="rating_config must be a RatingConfig, not dict"):
        fit_rating_model(model.recommender, rating_config={"num_samples": 3})  # type: ignore[arg-type]
