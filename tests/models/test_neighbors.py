"""The baselines: the contract, their formulas against plain loops, and their known numbers on real data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import evaluate
from gnnrec.graph import Graph
from gnnrec.models import BASELINES, EASE, ItemKNN, Popularity
from gnnrec.models import neighbors as counting
from gnnrec.models.base import recommend
from gnnrec.models.neighbors import cooccurrence_counts, movie_counts
from gnnrec.splitting import Split
from tests.helpers.contract import CHECKS, Subject, sample

SUBJECTS = {name: Subject(fit, personal=name != "popularity") for name, fit in BASELINES.items()}
TOY = pd.DataFrame({"user_id": [1, 1, 2, 2, 2, 3, 4], "movie_id": [10, 20, 10, 20, 30, 40, 20]})


@pytest.fixture(scope="module")
def toy() -> Graph:
    movies = pd.DataFrame({"movie_id": [10, 20, 30, 40, 50]})
    return Graph.from_dataset(Dataset(TOY, movies))


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name, check):
    check(SUBJECTS[name])


def test_names():
    assert list(BASELINES) == ["popularity", "itemknn", "ease"]
    assert [fit(sample()).name for fit in BASELINES.values()] == list(BASELINES)
    assert repr(SUBJECTS["ease"].on_sample) == "EASE(61 movies)"


def test_counts(toy):
    expected = [[2, 2, 1, 0, 0], [2, 3, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    assert cooccurrence_counts(toy).tolist() == expected
    assert movie_counts(toy).tolist() == [2, 3, 1, 1, 0]


def test_counts_by_chunks_are_the_same(monkeypatch):
    whole = cooccurrence_counts(sample())
    monkeypatch.setattr(counting, "CHUNK", 7)
    assert torch.equal(cooccurrence_counts(sample()), whole)


def test_too_many_movies_are_refused_before_memory_runs_out(toy, monkeypatch):
    monkeypatch.setattr(counting, "MAX_MOVIES", 4)
    with pytest.raises(DataError, match=r"5 movies make a matrix of .* GB; .* at most 4"):
        EASE.fit(toy)


def test_popularity_is_the_count_with_ties_in_table_order(toy):
    frame = recommend(Popularity.fit(toy), {}, k=5)
    assert frame["movie_id"].tolist() == [20, 10, 30, 40, 50]
    assert frame["score"].tolist() == [3, 2, 1, 1, 0]


def test_popularity_does_not_hand_out_its_own_memory(toy):
    model = Popularity.fit(toy)
    model.score(toy.users)[0, 0] = -1
    assert model.counts.tolist() == [2, 3, 1, 1, 0]


def test_itemknn_formula(toy):
    shrink, c = 0.5, cooccurrence_counts(toy).numpy()
    expected = np.zeros((5, 5))
    for i in range(5):
        for j in range(5):
            if i != j and c[i, j]:
                expected[i, j] = c[i, j] / (np.sqrt(c[i, i] * c[j, j]) + shrink)
    np.testing.assert_allclose(ItemKNN.fit(toy, 100, shrink).weights, expected, rtol=1e-6)
    nearest = np.where(expected == expected.max(axis=0), expected, 0)  # of each column
    np.testing.assert_allclose(ItemKNN.fit(toy, 1, shrink).weights, nearest, rtol=1e-6)


@pytest.mark.parametrize("reg", [0.5, 100.0])
def test_ease_minimises_its_objective(toy, reg):
    """Equation 8 solves one ridge regression per movie, on all others."""
    x = np.zeros((4, 5))
    x[toy.users.user_index, toy.users.movie_index] = 1
    expected = np.zeros((5, 5))
    for j in range(5):
        others = [i for i in range(5) if i != j]
        a = x[:, others]
        expected[others, j] = np.linalg.solve(a.T @ a + reg * np.eye(4), a.T @ x[:, j])
    np.testing.assert_allclose(EASE.fit(toy, reg).weights, expected, atol=1e-6)


@pytest.mark.parametrize("fit", [EASE.fit, ItemKNN.fit])
def test_scores_equal_the_dense_product(fit):
    model = fit(sample())
    x = torch.zeros(model.graph.num_users, model.graph.num_movies)
    x[model.graph.users.user_index, model.graph.users.movie_index] = 1
    expected = x @ model.weights + 1e-6 * model.share
    torch.testing.assert_close(model.score(model.graph.users), expected)


@pytest.mark.parametrize("fit", [EASE.fit, ItemKNN.fit])
def test_popularity_decides_where_the_weights_say_nothing(fit, toy):
    model = fit(toy)
    assert recommend(model, {}, k=5)["movie_id"].tolist() == [20, 10, 30, 40, 50]
    # Movie 40 was watched by nobody who watched anything else.
    assert recommend(model, {40: 5}, k=4)["movie_id"].tolist() == [20, 10, 30, 50]


def test_added_movies_have_no_weights(toy):
    larger = EASE.fit(toy).add_movies(pd.DataFrame({"movie_id": [60]}))
    assert larger.weights.shape == (6, 6)
    assert not larger.weights[5].any()
    assert not larger.weights[:, 5].any()
    assert larger.with_graph(larger.graph).weights is larger.weights


def test_a_smaller_graph_is_refused(toy):
    with pytest.raises(DataError, match="4 movies but the model was fitted on 5"):
        EASE.fit(toy).with_graph(Graph.from_dataset(Dataset(TOY)))


@pytest.mark.parametrize(
    ("fit", "settings", "message"),
    [
        (EASE.fit, {"reg": 0.0}, "reg must be above 0, not 0.0"),
        (EASE.fit, {"reg": float("nan")}, "reg must be above 0, not nan"),
        (ItemKNN.fit, {"num_neighbors": 0}, "neighbours must be at least 1, not 0"),
        (ItemKNN.fit, {"shrink": -1.0}, "shrink must be 0 or more, not -1.0"),
    ],
)
def test_settings_that_make_no_sense(fit, settings, message, toy):
    with pytest.raises(ConfigError, match=message):
        fit(toy, **settings)


@pytest.mark.real_data
def test_known_numbers_on_movielens():
    """The published protocol: all ratings positive, all movies of the split ranked, only train rows left out."""
    root = os.environ.get("GNNREC_DATA")
    if not root:
        pytest.skip("GNNREC_DATA is not set")
    folder = next(
        (p for up in (Path(root), Path(root).parent) if (p := up / "splits" / "Movielens1M_m1").is_dir()), None
    )
    if folder is None:
        pytest.skip(f"no splits/Movielens1M_m1 in or beside {root}")
    split = Split.from_folder(folder)
    graph = Graph.from_dataset(split.dataset)
    # EASE as published (Steck 2019 on this split); the others as first measured, so that a change is noticed.
    expected = {"ease": (0.2755, 0.2674), "itemknn": (0.2284, 0.2244), "popularity": (0.1161, 0.1176)}
    for name, values in expected.items():
        result = evaluate(BASELINES[name](graph), split, ks=[20], metrics=["recall", "ndcg"])
        assert result["value"].tolist() == pytest.approx(values, abs=1e-3), name
        assert result["num_users"].tolist() == [6022, 6022]
