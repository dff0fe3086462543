"""Metrics and bootstrap intervals against values computed by hand and a reference in plain Python."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gnnrec.evaluation import CatalogStatistics, bootstrap, default_metrics
from gnnrec.evaluation import metrics as metrics_module
from gnnrec.evaluation.bootstrap import bootstrap_intervals
from gnnrec.evaluation.metrics import coverage, genre_diversity, novelty
from gnnrec.registry import METRICS
from tests.helpers.metrics import ACCURACY, reference


@st.composite
def hit_lists(draw):
    """Draw lists of one length and, for each, at least as many relevant movies as it has hits."""
    k = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=k, max_size=k), min_size=1, max_size=6))
    missed = draw(st.lists(st.integers(0, 20), min_size=len(rows), max_size=len(rows)))
    return rows, [max(1, sum(row) + more) for row, more in zip(rows, missed, strict=True)]


@pytest.mark.parametrize("metric", ACCURACY)
@given(case=hit_lists())
@settings(max_examples=60)
def test_equals_the_reference(metric, case):
    rows, num_relevant = case
    for dtype in (torch.bool, torch.float32):
        found = METRICS.get(metric)(torch.tensor(rows, dtype=dtype), torch.tensor(num_relevant))
        assert found.dtype == torch.float32
        expected = [reference(metric, row, n) for row, n in zip(rows, num_relevant, strict=True)]
        assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # hits at ranks 1 and 4 of 5 with 3 relevant; no hit with 2; 5 hits with 8
        ("recall", [2 / 3, 0, 5 / 8]),
        ("precision", [2 / 5, 0, 1]),
        ("hit_rate", [1, 0, 1]),
        ("mrr", [1, 0, 1]),
        ("ndcg", [(1 + 0.430677) / (1 + 0.630930 + 0.5), 0, 1]),
        ("map", [(1 + 2 / 4) / 3, 0, 1]),
    ],
)
def test_by_hand(metric, expected):
    hits = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.float32)
    assert_allclose(METRICS.get(metric)(hits, torch.tensor([3, 2, 8])), expected, atol=1e-6)


def test_a_list_of_all_relevant_movies_scores_one():
    hits = torch.tensor([[1, 1, 0, 0]], dtype=torch.float32)
    for metric in ("recall", "hit_rate", "mrr", "ndcg", "map"):
        assert METRICS.get(metric)(hits, torch.tensor([2])).tolist() == [1.0]


def test_names():
    assert default_metrics()[:9] == (
        "recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity",
    )  # fmt: skip
    assert METRICS.builtin.keys() - set(default_metrics()) == {
        "dislikes", "intra_list_distance", "genre_consistency", "miscalibration", "popularity_lift", "serendipity",
        "gini", "capped_recall",
    }  # fmt: skip


@st.composite
def movie_lists(draw):
    """Draw lists of distinct movies, some of them short, and the genres and counts of the movies."""
    num_movies, k = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    shown = st.permutations(range(num_movies)).flatmap(
        lambda order: st.integers(0, min(k, num_movies)).map(lambda n: order[:n] + [-1] * (k - n))
    )
    lists = draw(st.lists(shown, min_size=1, max_size=5))
    genres = draw(st.lists(st.sets(st.integers(0, 3)), min_size=num_movies, max_size=num_movies))
    counts = draw(st.lists(st.integers(0, 9), min_size=num_movies, max_size=num_movies))
    return lists, genres, counts


@given(case=movie_lists())
@settings(max_examples=80)
def test_metrics_of_lists_equal_the_reference(case):
    lists, genres, counts = case
    has = torch.zeros(len(genres), 4)
    for movie, own in enumerate(genres):
        has[movie, list(own)] = 1.0
    tensor = torch.tensor(lists)
    shown = [[movie for movie in row if movie >= 0] for row in lists]

    seen = {movie for row in shown for movie in row}
    catalog = CatalogStatistics(torch.tensor(counts), 9, has, num_candidates=len(genres))
    assert coverage(tensor, catalog) == pytest.approx(len(seen) / len(genres))

    information = [[-math.log2(max(counts[movie], 1) / 9) for movie in row] for row in shown]
    expected = [sum(row) / len(row) if row else math.nan for row in information]
    assert_allclose(novelty(tensor, catalog), expected, rtol=1e-5, atol=1e-6)

    distances = [
        [
            1 - len(genres[a] & genres[b]) / len(genres[a] | genres[b])
            for a, b in combinations(row, 2)
            if genres[a] and genres[b]
        ]
        for row in shown
    ]
    expected = [sum(row) / len(row) if row else math.nan for row in distances]
    assert_allclose(genre_diversity(tensor, catalog), expected, rtol=1e-5, atol=1e-6)


def catalog_of(genres: torch.Tensor) -> CatalogStatistics:
    return CatalogStatistics(torch.ones(len(genres)), 1, genres, num_candidates=len(genres))


def test_diversity_by_hand():
    genres = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float32)
    # Movies 0 and 1 share one of two genres, other pairs none; movie 3 has no genre, so its pairs do not count.
    assert_allclose(genre_diversity(torch.tensor([[0, 1, 2, 3]]), catalog_of(genres)), [(0.5 + 1 + 1) / 3])
    assert genre_diversity(torch.tensor([[0, 3]]), catalog_of(genres)).isnan().all()


def test_diversity_without_genres():
    assert genre_diversity(torch.tensor([[0, 1]]), catalog_of(torch.zeros(2, 0))).isnan().all()


def test_diversity_does_not_depend_on_chunks(monkeypatch):
    monkeypatch.setattr(metrics_module, "MAX_PAIRS", 3 * 6 * 6)
    genres = (torch.rand(20, 5, generator=torch.manual_seed(0)) < 0.4).float()
    catalog = catalog_of(genres)
    lists = torch.stack([torch.randperm(20)[:6] for _ in range(10)])
    one_by_one = torch.cat([genre_diversity(row.unsqueeze(0), catalog) for row in lists])
    assert torch.equal(genre_diversity(lists, catalog), one_by_one)


def test_interval_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 2))
    low, high = bootstrap_intervals(values, confidence=0.95, seed=0)
    error = 2.0 / np.sqrt(4000)
    assert_allclose(low, values.mean(axis=0) - 1.96 * error, atol=0.2 * error)
    assert_allclose(high, values.mean(axis=0) + 1.96 * error, atol=0.2 * error)
    narrow_low, narrow_high = bootstrap_intervals(values, confidence=0.5, seed=0)
    assert (narrow_low > low).all()
    assert (narrow_high < high).all()


def test_interval_depends_on_the_seed():
    values = np.random.default_rng(1).random((50, 3))
    assert np.array_equal(bootstrap_intervals(values, 0.95, seed=4), bootstrap_intervals(values, 0.95, seed=4))
    assert not np.array_equal(bootstrap_intervals(values, 0.95, seed=4), bootstrap_intervals(values, 0.95, seed=5))


def test_interval_ignores_nan():
    values = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan], [1.0, 2.0, np.nan]])
    low, high = bootstrap_intervals(values, 0.95, seed=0)
    assert_allclose(low, [1.0, 2.0, np.nan])
    assert_allclose(high, [1.0, 2.0, np.nan])


def test_interval_does_not_depend_on_blocks(monkeypatch):
    values = np.random.default_rng(2).random((30, 2))
    whole = bootstrap_intervals(values, 0.9, seed=1)
    monkeypatch.setattr(bootstrap, "BLOCK", 100)
    assert_allclose(bootstrap_intervals(values, 0.9, seed=1), whole)


def test_equals_the_metrics_of_pyg():
    """PyG's metrics are an independent reference if no list is too short."""
    metrics = pytest.importorskip("torch_geometric.metrics")
    generator = torch.manual_seed(0)
    lists = torch.stack([torch.randperm(30, generator=generator)[:10] for _ in range(40)])
    relevant = torch.rand(40, 30, generator=generator) < torch.linspace(0.05, 0.9, 40).unsqueeze(1)
    relevant[:, 0] = True
    hits, num_relevant = relevant.gather(1, lists), relevant.sum(1)
    pyg_names = {
        "recall": "Recall",
        "precision": "Precision",
        "ndcg": "NDCG",
        "mrr": "MRR",
        "map": "MAP",
        "hit_rate": "HitRatio",
    }
    for name, pyg_name in pyg_names.items():
        metric = getattr(metrics, f"LinkPred{pyg_name}")(k=10)
        metric.update(lists, relevant.nonzero().T)
        assert float(metric.compute()) == pytest.approx(float(METRICS.get(name)(hits, num_relevant).mean()), rel=1e-5)
