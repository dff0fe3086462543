"""The metrics against values worked out by hand and against a reference in plain Python."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gnnrec.evaluation import METRICS, bootstrap
from gnnrec.evaluation import metrics as of_lists
from gnnrec.evaluation.bootstrap import intervals
from gnnrec.evaluation.metrics import ACCURACY, coverage, genre_diversity, novelty


def reference(metric: str, hits: list[bool], num_relevant: int) -> float:
    """Return a metric of one list, by its textbook definition and with loops."""
    k = len(hits)
    ideal = min(k, num_relevant)
    if metric == "recall":
        return sum(hits) / num_relevant
    if metric == "precision":
        return sum(hits) / k
    if metric == "hit_rate":
        return float(any(hits))
    if metric == "mrr":
        return next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)
    if metric == "ndcg":
        gain = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits, start=1) if hit)
        return gain / sum(1 / math.log2(rank + 1) for rank in range(1, ideal + 1))
    assert metric == "map"
    return sum(sum(hits[:rank]) / rank for rank in range(1, k + 1) if hits[rank - 1]) / ideal


@st.composite
def hit_lists(draw):
    """Draw lists of one length and, for each, at least as many relevant movies as it has hits."""
    k = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=k, max_size=k), min_size=1, max_size=6))
    missed = draw(st.lists(st.integers(0, 20), min_size=len(rows), max_size=len(rows)))
    return rows, [max(1, sum(row) + more) for row, more in zip(rows, missed, strict=True)]


@pytest.mark.parametrize("metric", ACCURACY)
@given(case=hit_lists())
@settings(max_examples=150, deadline=None)
def test_equal_to_the_reference(metric, case):
    rows, num_relevant = case
    for dtype in (torch.bool, torch.float32):
        found = ACCURACY[metric](torch.tensor(rows, dtype=dtype), torch.tensor(num_relevant))
        assert found.dtype == torch.float32
        expected = [reference(metric, row, n) for row, n in zip(rows, num_relevant, strict=True)]
        assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # hits at ranks 1 and 4 of 5 with 3 relevant; nothing of 2; all 5 of 8
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
    assert_allclose(ACCURACY[metric](hits, torch.tensor([3, 2, 8])), expected, atol=1e-6)


def test_a_perfect_list_scores_one_however_long():
    hits = torch.tensor([[1, 1, 0, 0]], dtype=torch.float32)
    for metric in ("recall", "hit_rate", "mrr", "ndcg", "map"):
        assert ACCURACY[metric](hits, torch.tensor([2])).tolist() == [1.0]


def test_names():
    assert METRICS == (
        "recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity",
    )  # fmt: skip


@st.composite
def movie_lists(draw):
    """Draw lists of distinct movies that end in empty places, and the genres and counts of the movies."""
    num_movies, k = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    shown = st.permutations(range(num_movies)).flatmap(
        lambda order: st.integers(0, min(k, num_movies)).map(lambda n: order[:n] + [-1] * (k - n))
    )
    lists = draw(st.lists(shown, min_size=1, max_size=5))
    genres = draw(st.lists(st.sets(st.integers(0, 3)), min_size=num_movies, max_size=num_movies))
    counts = draw(st.lists(st.integers(0, 9), min_size=num_movies, max_size=num_movies))
    return lists, genres, counts


@given(case=movie_lists())
@settings(max_examples=200, deadline=None)
def test_metrics_of_lists_equal_a_reference(case):
    lists, genres, counts = case
    has = torch.zeros(len(genres), 4)
    for movie, own in enumerate(genres):
        has[movie, list(own)] = 1.0
    tensor = torch.tensor(lists)
    shown = [[movie for movie in row if movie >= 0] for row in lists]

    seen = {movie for row in shown for movie in row}
    assert coverage(tensor, len(genres)) == pytest.approx(len(seen) / len(genres))

    surprise = [[-math.log2(max(counts[movie], 1) / 9) for movie in row] for row in shown]
    expected = [sum(row) / len(row) if row else math.nan for row in surprise]
    assert_allclose(novelty(tensor, torch.tensor(counts), 9), expected, rtol=1e-5, atol=1e-6)

    distances = [
        [
            1 - len(genres[a] & genres[b]) / len(genres[a] | genres[b])
            for a, b in combinations(row, 2)
            if genres[a] and genres[b]
        ]
        for row in shown
    ]
    expected = [sum(row) / len(row) if row else math.nan for row in distances]
    assert_allclose(genre_diversity(tensor, has), expected, rtol=1e-5, atol=1e-6)


def test_diversity_by_hand():
    genres = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float32)
    # 0 and 1 share one of two, the others nothing; movie 3 has no genre and does not count
    assert_allclose(genre_diversity(torch.tensor([[0, 1, 2, 3]]), genres), [(0.5 + 1 + 1) / 3])
    assert genre_diversity(torch.tensor([[0, 3]]), genres).isnan().all()


def test_diversity_without_any_genre():
    assert genre_diversity(torch.tensor([[0, 1]]), torch.zeros(2, 0)).isnan().all()


def test_diversity_of_many_lists_is_that_of_each(monkeypatch):
    monkeypatch.setattr(of_lists, "CHUNK", 3)
    genres = (torch.rand(20, 5, generator=torch.manual_seed(0)) < 0.4).float()
    lists = torch.stack([torch.randperm(20)[:6] for _ in range(10)])
    one_by_one = torch.cat([genre_diversity(row.unsqueeze(0), genres) for row in lists])
    assert torch.equal(genre_diversity(lists, genres), one_by_one)


def test_interval_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 2))
    low, high = intervals(values, confidence=0.95, seed=0)
    error = 2.0 / np.sqrt(4000)
    assert_allclose(low, values.mean(axis=0) - 1.96 * error, atol=0.2 * error)
    assert_allclose(high, values.mean(axis=0) + 1.96 * error, atol=0.2 * error)
    narrow_low, narrow_high = intervals(values, confidence=0.5, seed=0)
    assert (narrow_low > low).all()
    assert (narrow_high < high).all()


def test_interval_depends_on_the_seed_alone():
    values = np.random.default_rng(1).random((50, 3))
    assert np.array_equal(intervals(values, 0.95, seed=4), intervals(values, 0.95, seed=4))
    assert not np.array_equal(intervals(values, 0.95, seed=4), intervals(values, 0.95, seed=5))


def test_interval_leaves_out_users_without_a_value():
    values = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan], [1.0, 2.0, np.nan]])
    low, high = intervals(values, 0.95, seed=0)
    assert_allclose(low, [1.0, 2.0, np.nan])
    assert_allclose(high, [1.0, 2.0, np.nan])


def test_interval_in_blocks_is_the_same(monkeypatch):
    values = np.random.default_rng(2).random((30, 2))
    whole = intervals(values, 0.9, seed=1)
    monkeypatch.setattr(bootstrap, "BLOCK", 100)
    assert_allclose(intervals(values, 0.9, seed=1), whole)


def test_equal_to_those_of_pyg_on_full_lists():
    """PyG's own metrics are an independent reference where every list is full."""
    metrics = pytest.importorskip("torch_geometric.metrics")
    generator = torch.manual_seed(0)
    lists = torch.stack([torch.randperm(30, generator=generator)[:10] for _ in range(40)])
    relevant = torch.rand(40, 30, generator=generator) < torch.linspace(0.05, 0.9, 40).unsqueeze(1)
    relevant[:, 0] = True
    hits, num_relevant = relevant.gather(1, lists), relevant.sum(1)
    theirs = {
        "recall": "Recall",
        "precision": "Precision",
        "ndcg": "NDCG",
        "mrr": "MRR",
        "map": "MAP",
        "hit_rate": "HitRatio",
    }
    for name, their_name in theirs.items():
        metric = getattr(metrics, f"LinkPred{their_name}")(k=10)
        metric.update(lists, relevant.nonzero().T)
        assert float(metric.compute()) == pytest.approx(float(ACCURACY[name](hits, num_relevant).mean()), rel=1e-5)
