"""The parts of rating prediction: small regressions, errors and their intervals, divisions, files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import (
    Config,
    Dataset,
    RatingConfig,
    RatingModel,
    evaluate_ratings,
    fit_ratings,
    load_ratings,
    predict_rating,
)
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import find_dataset, make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.rating import split_ratings
from gnnrec.rating.baselines import Biases
from gnnrec.rating.command import rate, ratings_table
from gnnrec.rating.gaussian import conditional, normal
from gnnrec.rating.sampler import Link
from gnnrec.sparse import Adjacency

TINY = Config().override(["model.embedding_dim=8", "train.epochs=1"])
FEW = RatingConfig.of(embedding_dim=4, num_samples=4, burn_in=4)
RATINGS = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "movie_id": [1, 2, 1, 3, 1], "rating": [5.0, 3.0, 4.0, 2.0, 3.0]})


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return gnnrec.load_dataset("sample", n_users=120, n_movies=60)


@pytest.fixture(scope="module")
def model(dataset: Dataset) -> RatingModel:
    return fit_ratings(dataset, TINY, FEW, progress=False)


@pytest.mark.parametrize("block", [2, 100])
def test_conditional_is_many_ridge_regressions(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "BLOCK", block)
    g = torch.Generator().manual_seed(0)
    row, col = torch.tensor([0, 0, 0, 2, 2, 3, 3, 3]), torch.tensor([0, 1, 4, 2, 1, 3, 0, 4])
    x, y, w = torch.randn(5, 3, generator=g), torch.randn(8, generator=g), torch.rand(8, generator=g) + 0.5
    prior, spread = torch.randn(4, 3, generator=g), torch.randn(3, 3, generator=g)
    precision = spread @ spread.T + torch.eye(3)
    found = conditional(Adjacency(row, col, 4, 5), x, y, w, prior, precision)
    back = conditional(Adjacency(col, row, 5, 4), x, y, w, prior, precision, transposed=True)
    mean, draws = found.mean(), torch.stack([found.draw(np.random.default_rng(s)) for s in range(4000)])
    for r in range(4):
        mine = row == r
        a = precision + (w[mine, None] * x[col[mine]]).T @ x[col[mine]]
        expected = torch.linalg.solve(a, precision @ prior[r] + (w[mine] * y[mine]) @ x[col[mine]])
        torch.testing.assert_close(mean[r], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(back.mean()[r], expected, atol=1e-5, rtol=1e-5)
        covariance = torch.linalg.inv(a)
        torch.testing.assert_close(torch.cov(draws[:, r].T), covariance, atol=0.05, rtol=0.1)
        torch.testing.assert_close(draws[:, r].mean(0), expected, atol=0.05, rtol=0.05)


def test_without_an_edge() -> None:
    g = torch.Generator().manual_seed(0)
    row, col = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 2, 0])
    x, y, w = torch.randn(3, 2, generator=g), torch.randn(5, generator=g), torch.rand(5, generator=g) + 0.5
    prior = torch.randn(2, 2, generator=g), torch.eye(2)
    whole = conditional(Adjacency(row, col, 2, 3), x, y, w, *prior)
    found = whole.without(row, x[col], y, w).mean()
    for edge in range(5):
        rest = torch.arange(5) != edge
        expected = conditional(Adjacency(row[rest], col[rest], 2, 3), x, y[rest], w[rest], *prior)
        torch.testing.assert_close(found[edge], expected.mean()[row[edge]], atol=1e-5, rtol=1e-5)


def test_a_link_is_found() -> None:
    rng = np.random.default_rng(0)
    weight = torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.5, 0.5]])
    features = normal(rng, 4000, 3)
    root = torch.tensor([[0.5, 0.0], [0.3, 0.2]])
    vectors = features @ weight + normal(rng, 4000, 2) @ root.T
    precision = torch.linalg.inv(root @ root.T)
    for link in (Link.draw(features, vectors, 1.0, rng), Link.fit(features, vectors, 1.0)):
        torch.testing.assert_close(link.weight, weight, atol=0.05, rtol=0)
        torch.testing.assert_close(link.precision, precision, atol=0, rtol=0.15)
    # A row of twice the weight counts like two rows, up to the scale of all weights.
    twice = Link.fit(torch.cat([features, features[:2000]]), torch.cat([vectors, vectors[:2000]]), 1.5)
    weights = torch.ones(4000)
    weights[:2000] = 2
    torch.testing.assert_close(Link.fit(features, vectors, 1.0, weights).weight, twice.weight, atol=1e-5, rtol=1e-4)


def test_errors_by_hand() -> None:
    model = Biases.fit(Graph.from_dataset(Dataset(RATINGS)), movie_reg=float("inf"), user_reg=float("inf"))
    test = pd.DataFrame({"user_id": [1, 3, 3], "movie_id": [3, 2, 3], "rating": [3.4, 4.4, 1.4]})
    found = evaluate_ratings(model, test)
    assert found.columns.tolist() == ["metric", "value", "ci_low", "ci_high", "num_ratings"]
    assert found["metric"].tolist() == ["rmse", "mae"]
    assert found["value"].tolist() == pytest.approx([(5 / 3) ** 0.5, 1.0], abs=1e-6)
    # Two users: a resample has only the first, both, or only the second.
    assert found["ci_low"].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert found["ci_high"].tolist() == pytest.approx([2.5**0.5, 1.5], abs=1e-6)
    assert found["num_ratings"].tolist() == [3, 3]
    pd.testing.assert_frame_equal(found, evaluate_ratings(model, test))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"user_id": [], "movie_id": [], "rating": []}, "no test ratings"),
        ({"user_id": [1], "movie_id": [3]}, "no column rating"),
        ({"user_id": [1], "movie_id": [9], "rating": [3]}, "movie_id 9"),
        ({"user_id": [7], "movie_id": [1], "rating": [3]}, "user_id 7"),
        ({"user_id": [1], "movie_id": [2], "rating": [3]}, "movie 2.* by user 1.* was given to the model"),
        ({"user_id": [1, 1], "movie_id": [3, 3], "rating": [3, 4]}, "before"),
    ],
)
def test_wrong_test_rows(rows: dict[str, list[int]], message: str) -> None:
    model = Biases.fit(Graph.from_dataset(Dataset(RATINGS)))
    with pytest.raises(DataError, match=message):
        evaluate_ratings(model, pd.DataFrame(rows))
    with pytest.raises(ConfigError, match="confidence"):
        evaluate_ratings(model, pd.DataFrame(rows), confidence=1)


def test_support_is_taken_in() -> None:
    support = pd.DataFrame({"user_id": [8, 8], "movie_id": [1, 2], "rating": [2.0, 2.0]})
    test = pd.DataFrame({"user_id": [8], "movie_id": [3], "rating": [1.0]})
    split = gnnrec.Split(RATINGS, RATINGS.iloc[:0], test, support=support)
    model = Biases.fit(Graph.from_dataset(split.dataset), movie_reg=1e9, user_reg=1.0)
    assert evaluate_ratings(model, split)["value"][0] == pytest.approx(2.4 - 2.8 / 3, abs=1e-5)


def test_a_split_keeps_vectors_and_says_what_was_filtered() -> None:
    whole = make_sample(60, 40).with_features(mood=ContentEmbeddings([1, 2], [[1.0], [2.0]]))
    split = split_ratings(whole.filtered(min_rating=3))
    assert split.features["mood"].values.tolist() == [[1.0], [2.0]]
    assert split.protocol.endswith(", random over all ratings 0.9/0/0.1, seed 0")
    assert split.protocol.startswith("rating >= 3")


def test_division_over_all_ratings(dataset: Dataset) -> None:
    n = dataset.num_ratings
    split, chosen = split_ratings(dataset, seed=3), split_ratings(dataset, (0.85, 0.05, 0.1), seed=3)
    assert (len(split.train), len(split.valid), len(split.test)) == (n - int(0.1 * n), 0, int(0.1 * n))
    pd.testing.assert_frame_equal(split.test, chosen.test)
    assert len(chosen.valid) == int(0.05 * n)
    assert split.protocol == "random over all ratings 0.9/0/0.1, seed 3"
    assert not split_ratings(dataset, seed=4).test.equals(split.test)
    with pytest.raises(ConfigError, match="sum to 1"):
        split_ratings(dataset, (0.9, 0.1, 0.1))


def test_round_trip(model: RatingModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    again = load_ratings(folder)
    assert (again.settings, again.report) == (model.settings, model.report)
    pd.testing.assert_frame_equal(predict_rating(again, [1, {2: 5}]), predict_rating(model, [1, {2: 5}]))
    assert gnnrec.models.base(gnnrec.load(folder), 1).equals(gnnrec.models.base(model.model, 1))
    rows = pd.DataFrame({"user_id": [777], "movie_id": [1], "rating": [2.0]})
    grown = model.add_movies(pd.DataFrame({"movie_id": [901]})).add_ratings(rows)
    grown.save(folder)  # a larger graph, the same head
    pd.testing.assert_frame_equal(predict_rating(load_ratings(folder), 777), predict_rating(grown, 777))


def test_damaged_folders(model: RatingModel, dataset: Dataset, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    bare = model.model.save(tmp_path / "bare")
    with pytest.raises(DataError, match="no rating head"):
        load_ratings(bare)
    gnnrec.fit(dataset, TINY.override(["train.seed=5"]), progress=False).save(folder)
    (folder / "rating.json").write_text(json.dumps({**_header(model, tmp_path)}))
    with pytest.raises(DataError, match="made for another run"):
        load_ratings(folder)
    model.save(folder)
    (folder / "rating.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        load_ratings(folder)
    with pytest.raises(DataError, match="not a saved run"):
        load_ratings(tmp_path)


def _header(model: RatingModel, home: Path) -> dict[str, object]:
    return json.loads((model.save(home / "other") / "rating.json").read_text())


def test_rate_makes_the_head_it_needs(model: RatingModel, tmp_path: Path) -> None:
    folder = model.model.save(tmp_path / "run")
    first = rate(folder, [1, 2], settings=FEW)
    assert (folder / "rating.json").is_file()
    assert first["user_id"].drop_duplicates().tolist() == [1, 2]
    for _, mine in first.groupby("user_id"):
        assert mine["rating"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(rate(folder, [1, 2]), first)
    assert ratings_table(first, limit=3).row_count == 3


@pytest.mark.real
def test_ml_100k() -> None:
    if not os.environ.get("GNNREC_DATA"):
        pytest.skip("needs real data: set GNNREC_DATA to the folder that holds ml-1m/")
    folder = find_dataset("ml-100k", os.environ["GNNREC_DATA"])
    if folder is None:
        pytest.skip("GNNREC_DATA does not hold ml-100k")
    split = split_ratings(gnnrec.load_dataset(folder))
    config = Config().override(["train.epochs=10", "model.embedding_dim=32"])
    model = fit_ratings(split.dataset, config, RatingConfig.of(embedding_dim=16, num_samples=30), progress=False)
    found = evaluate_ratings(model, split)["value"][0]
    biases = evaluate_ratings(Biases.fit(Graph.from_dataset(split.dataset)), split)["value"][0]
    assert found < 0.91
    assert found < biases - 0.02
