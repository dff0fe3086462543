"""Predicted ratings: right on worlds whose truth is known, inductive, and without leaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import Config, Dataset, NewUser, RatingConfig, RatingModel, evaluate_ratings, fit_ratings, predict_rating
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.models import OptimizerConfig
from gnnrec.rating import split_ratings
from gnnrec.rating.attention import HistoryAttention
from gnnrec.rating.baselines import BiasedMF, Biases

SMALL = Config().override(["model.embedding_dim=8", "train.epochs=2"])
HEAD = RatingConfig.of(embedding_dim=4, num_samples=25)


def world(noise: float = 0.0, seed: int = 0) -> Dataset:
    """Return biases plus three factors, on a scale from 0 to 100; half of 150 x 80 pairs are rated."""
    rng = np.random.default_rng(seed)
    user, movie = 10 * rng.standard_normal((150, 1)), 10 * rng.standard_normal((1, 80))
    taste = 7 * rng.standard_normal((150, 3)) @ rng.standard_normal((3, 80))
    stars = 50 + user + movie + taste + noise * rng.standard_normal((150, 80))
    row, col = np.nonzero(rng.random((150, 80)) < 0.5)
    frame = {"user_id": row, "movie_id": col + 1000, "rating": stars[row, col].clip(-100, 200), "timestamp": row + col}
    return Dataset(pd.DataFrame(frame), name="world")


@pytest.fixture(scope="module")
def split() -> gnnrec.Split:
    return split_ratings(world())


@pytest.fixture(scope="module")
def model(split: gnnrec.Split) -> RatingModel:
    return fit_ratings(split.dataset, SMALL, HEAD, progress=False)


@pytest.fixture(scope="module")
def sampled() -> RatingModel:
    """Return a model of the generated sample, which has profiles and genres."""
    return fit_ratings(gnnrec.load_dataset("sample"), SMALL, HEAD, progress=False)


def rmse(model: gnnrec.rating.base.RatingPredictor, test: gnnrec.Split | pd.DataFrame) -> float:
    return evaluate_ratings(model, test)["value"].iloc[0]


def test_a_world_without_noise_is_found(model: RatingModel, split: gnnrec.Split) -> None:
    biases = Biases.fit(Graph.from_dataset(split.dataset))
    assert rmse(biases, split) > 8  # the factors are beyond biases
    assert rmse(model, split) < 1
    assert rmse(BiasedMF.fit(biases.graph, dim=3, reg=0.1, bias_reg=0.1), split) < 2


def test_the_noise_is_found(split: gnnrec.Split) -> None:
    noisy = split_ratings(world(noise=5.0))
    model = fit_ratings(noisy.dataset, SMALL, HEAD, progress=False)
    assert model.report["noise"] == pytest.approx(5, rel=0.1)
    assert 5 < rmse(model, noisy) < 6


def test_permuted_ratings_teach_nothing(split: gnnrec.Split) -> None:
    rng = np.random.default_rng(0)
    shuffled = split.train.assign(rating=rng.permutation(split.train["rating"]))
    model = fit_ratings(Dataset(shuffled), SMALL, HEAD, progress=False)
    chance = split.test["rating"].std()
    assert rmse(model, split.test) > 0.97 * chance
    # And a rating that is asked about says nothing of itself, or it would be predicted from itself here.
    someone = dict(zip(range(1000, 1040), rng.permutation(np.linspace(0, 100, 40)), strict=True))
    found = predict_rating(model, someone, list(someone))["rating"]
    assert abs(np.corrcoef(found, list(someone.values()))[0, 1]) < 0.4


@pytest.mark.parametrize("kind", ["head", "biases", "mf", "attention"])
def test_a_question_does_not_see_its_own_rating(kind: str, model: RatingModel) -> None:
    asked = {
        "head": lambda: model,
        "biases": lambda: Biases.fit(model.graph),
        "mf": lambda: BiasedMF.fit(model.graph, dim=3),
        "attention": lambda: HistoryAttention.fit(model.graph, dim=8, schedule=OptimizerConfig(3, 0.002, 32)),
    }[kind]()
    ratings = {1000: 60.0, 1001: 45.0, 1002: 70.0}
    found = [predict_rating(asked, {**ratings, 1001: own}, [1000, 1001])["rating"] for own in (0.0, 45.0, 90.0)]
    assert found[1][1] == pytest.approx(found[0][1], abs=0.02)
    assert found[1][1] == pytest.approx(found[2][1], abs=0.02)
    assert abs(found[2][0] - found[0][0]) > 0.5  # but it counts for the other


def test_taking_out_a_rating_is_exact(model: RatingModel) -> None:
    # Trust in the graph's vector and the vector itself go by the number of ratings, so they are held fixed.
    rng = np.random.default_rng(1)
    ratings = dict(zip(range(1000, 1012), rng.normal(50, 10, 12), strict=True))
    with_it, _ = gnnrec.graph.new_users.encode_users(model.graph, ratings)
    del ratings[1003]
    without, _ = gnnrec.graph.new_users.encode_users(model.graph, ratings)
    head, one, node = model.head, torch.tensor([0]), torch.tensor([3])
    profile_only = head.half_trust.clone()
    try:
        head.half_trust.fill_(1e9)
        vectors = torch.zeros(1, len(head.center))
        found = [head(users, vectors, model.tastes, one, node).item() for users in (with_it, without)]
    finally:
        head.half_trust.copy_(profile_only)
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_a_new_person_is_as_good_as_a_stored_one(sampled: RatingModel) -> None:
    dataset = sampled.graph.dataset
    mine = dataset.ratings[dataset.ratings["user_id"] == 7].sort_values("timestamp", kind="stable")
    me = dataset.users.set_index("user_id").loc[7]
    twin = NewUser(me["age"], me["gender"], me["occupation"], dict(zip(mine["movie_id"], mine["rating"], strict=True)))
    stored, new = predict_rating(sampled, 7), predict_rating(sampled, twin)
    np.testing.assert_allclose(new["rating"], stored["rating"], atol=1e-4)
    assert stored["user_id"].unique().tolist() == [7]
    assert new["user_id"].unique().tolist() == ["new user"]
    assert stored["movie_id"].tolist() == dataset.movies["movie_id"].tolist()


def test_ratings_count_at_once(sampled: RatingModel) -> None:
    likes, hates = (dict.fromkeys(range(1, 11), stars) for stars in (5, 1))
    nobody = predict_rating(sampled, {})["rating"].mean()
    assert predict_rating(sampled, hates)["rating"].mean() < nobody - 0.5
    assert predict_rating(sampled, likes)["rating"].mean() > nobody + 0.3
    rows = pd.DataFrame({"user_id": 9999, "movie_id": list(hates), "rating": 1.0})
    added = sampled.add_ratings(rows)  # ten movies have a rating more, which changes the graph's vectors a little
    np.testing.assert_allclose(
        predict_rating(added, 9999)["rating"], predict_rating(sampled, hates)["rating"], atol=2e-3
    )
    with pytest.raises(DataError, match="9999"):
        predict_rating(sampled, 9999)  # the first is unchanged


def test_a_movie_without_ratings(sampled: RatingModel) -> None:
    movies = pd.DataFrame({"movie_id": [9001, 9002], "title": ["Night (1999)", "Day (1999)"], "genres": ["Drama", ""]})
    larger = sampled.add_movies(movies)
    before = predict_rating(larger, 1, [9001, 9002])["rating"]
    known = predict_rating(larger, 1)["rating"]
    assert known.quantile(0.02) < before.min()
    assert before.max() < known.quantile(0.98)
    old = predict_rating(sampled, 1)
    np.testing.assert_allclose(known[: len(old)], old["rating"], atol=1e-4)
    # Ratings of others move it, in their direction and the more the more there are.
    moved = []
    for number in (2, 30):
        rows = pd.DataFrame({"user_id": range(100, 100 + number), "movie_id": 9001, "rating": 1.0})
        moved.append(predict_rating(larger.add_ratings(rows), 1, 9001)["rating"].item())
    assert moved[1] < moved[0] - 0.2
    assert moved[0] < before[0] - 0.1
    assert moved[1] < 2.5


def test_the_head_uses_the_graph_vectors(sampled: RatingModel) -> None:
    blind = fit_ratings(sampled.model, settings=HEAD.model_copy(update={"use_vectors": False}), progress=False)
    vector_dim = 8
    assert (sampled.head.sizes["vector_dim"], blind.head.sizes["vector_dim"]) == (vector_dim, 0)
    width = 1 + sampled.graph.users.x.size(1) + len(sampled.graph.occupations)
    assert sampled.head.sizes["num_user_features"] == width + vector_dim
    # What a person watched counts, whatever stars they gave, if and only if the vectors are seen.
    users, _ = gnnrec.graph.new_users.encode_users(sampled.graph, dict.fromkeys(range(1, 30), 3.5))
    pairs = torch.zeros(5, dtype=torch.int64), torch.arange(100, 105)
    for head, changes in ((sampled.head, True), (blind.head, False)):
        dim = head.sizes["vector_dim"]
        tastes = head.tastes(sampled.graph, torch.zeros(sampled.graph.num_users, dim))
        found = [head(users, (head.center + size * head.scale)[None], tastes, *pairs) for size in (0.0, 3.0)]
        assert (not torch.equal(*found)) == changes


def test_same_seed_same_draws(split: gnnrec.Split, model: RatingModel) -> None:
    again = fit_ratings(model.model, settings=HEAD, progress=False)
    other = fit_ratings(model.model, settings=HEAD.model_copy(update={"seed": 1}), progress=False)
    assert torch.equal(again.head.movies, model.head.movies)
    assert not torch.equal(other.head.movies, model.head.movies)
    assert rmse(other, split) < 1


def test_pairs(sampled: RatingModel) -> None:
    pairs = pd.DataFrame({"userId": [3, 1, 3], "movieId": [5, 2, 2]})
    found = predict_rating(sampled, pairs=pairs)
    assert found[["user_id", "movie_id"]].to_numpy().tolist() == [[3, 5], [1, 2], [3, 2]]
    one = [predict_rating(sampled, u, m)["rating"].item() for u, m in [(3, 5), (1, 2), (3, 2)]]
    np.testing.assert_allclose(found["rating"], one, atol=1e-4)
    titles = sampled.graph.dataset.movies.set_index("movie_id")["title"]
    assert found["title"].tolist() == titles[[5, 2, 2]].tolist()
    by_title = predict_rating(sampled, [1, 3], [titles[2], 5])
    assert by_title["user_id"].tolist() == [1, 1, 3, 3]
    np.testing.assert_allclose(by_title["rating"][[3, 0, 2]], one, atol=1e-4)


def test_the_scale_of_the_data_is_kept(sampled: RatingModel) -> None:
    for stars in (1, 5):
        found = predict_rating(sampled, dict.fromkeys(range(1, 200), stars))["rating"]
        assert found.between(1, 5).all()


def test_wrong_questions(sampled: RatingModel) -> None:
    for arguments, options, message in (
        ((1, "No Such Film"), {}, "No Such Film"),
        ((1, []), {}, "empty"),
        ((1, {1: 5}), {}, "list"),
        ((), {}, "either"),
        ((1,), {"pairs": pd.DataFrame({"user_id": [1], "movie_id": [2]})}, "either"),
        ((), {"pairs": pd.DataFrame({"user_id": [1]})}, "movie_id"),
        ((), {"pairs": pd.DataFrame({"user_id": [], "movie_id": []})}, "no pairs"),
        ((), {"pairs": pd.DataFrame({"user_id": [1], "movie_id": [12345]})}, "12345"),
        ((), {"pairs": [(1, 2)]}, "DataFrame"),
        ((54321,), {}, "54321"),
    ):
        with pytest.raises(DataError, match=message):
            predict_rating(sampled, *arguments, **options)
    with pytest.raises(DataError, match="RecGraph"):
        predict_rating(sampled.model, 1)  # type: ignore[arg-type]


def test_nothing_to_learn_from() -> None:
    pairs = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [1, 2, 1]})
    for fit in (lambda data: fit_ratings(data, SMALL), lambda data: Biases.fit(Graph.from_dataset(data))):
        with pytest.raises(DataError, match="no column rating"):
            fit(Dataset(pairs))
        with pytest.raises(DataError, match="every rating of custom is 3"):
            fit(Dataset(pairs.assign(rating=3)))
    with pytest.raises(DataError, match="RecGraph, a Dataset or a Split"):
        fit_ratings(pairs)  # type: ignore[arg-type]


def test_wrong_settings(model: RatingModel) -> None:
    with pytest.raises(ConfigError, match="num_samples"):
        RatingConfig.of(num_samples=0)
    with pytest.raises(ConfigError, match="draws"):
        RatingConfig.of(draws=3)
    with pytest.raises(ConfigError, match="has a config already"):
        fit_ratings(model.model, SMALL)
    with pytest.raises(ConfigError, match="RatingConfig"):
        fit_ratings(model.model, settings={"num_samples": 3})  # type: ignore[arg-type]
