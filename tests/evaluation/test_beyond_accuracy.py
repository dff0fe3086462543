"""Metrics beyond accuracy by hand, and as `evaluate` computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import evaluate
from gnnrec.evaluation import CatalogStatistics, ListUsers
from gnnrec.evaluation.beyond_accuracy import (
    genre_consistency,
    gini,
    intra_list_distance,
    miscalibration,
    popularity_lift,
    serendipity,
)
from gnnrec.models import EASE
from gnnrec.splitting import random_split
from tests.helpers.contract import sample

# Genres a, b, c
GENRES = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
CATALOG = CatalogStatistics(torch.tensor([8, 4, 2, 1]), 8, GENRES, 4, torch.eye(4)[[0, 0, 1, 2]])
LISTS = torch.tensor([[1, 2], [2, -1], [-1, -1]])
# The first rated 0 and 3, the second 0 and 1, the third nothing.
USERS = ListUsers(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 3, 0, 1]), torch.tensor([[1, 1], [1, 0], [0, 0]]).bool())


def close(found: torch.Tensor, expected: list[float]) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_by_hand() -> None:
    nan = float("nan")
    close(intra_list_distance(torch.tensor([[0, 1, 2], [0, 1, -1], [2, -1, -1]]), CATALOG), [2 / 3, 0, nan])
    close(genre_consistency(LISTS, CATALOG, USERS), [1 / 3, 0, nan])
    close(popularity_lift(LISTS, CATALOG, USERS), [3 / 4.5 - 1, 2 / 6 - 1, nan])
    # history (1, 0, 0), list (1/4, 1/4, 1/2); history (3/4, 1/4, 0), list (0, 0, 1)
    close(miscalibration(LISTS, CATALOG, USERS), [-np.log(0.99 / 4 + 0.01), -np.log(0.01), nan])
    # Most popular without their own: 1, 2 | 2, 3 | 0, 1
    close(serendipity(LISTS, CATALOG, USERS), [0, 0, 0])
    close(serendipity(torch.tensor([[3, 1], [2, -1], [2, 3]]), CATALOG, USERS), [0.5, 0, 0])


def test_gini() -> None:
    assert gini(torch.tensor([[0, 1], [2, 3]]), CATALOG) == 0
    # 0, 0, 1, 3: (1 * 1 + 3 * 3) / 4 / 4
    assert gini(torch.tensor([[0, 1], [0, -1], [0, -1]]), CATALOG) == pytest.approx(10 / 16)
    assert np.isnan(gini(torch.tensor([[-1]]), CATALOG))


@given(st.lists(st.permutations(range(4)), min_size=1, max_size=5), st.data())
def test_serendipity_by_definition(orders: list[list[int]], data: st.DataObject) -> None:
    histories = [order[: data.draw(st.integers(0, 2))] for order in orders]
    k = data.draw(st.integers(1, 2))
    lists = torch.tensor([order[2 : 2 + k] for order in orders])
    hits = torch.tensor(
        data.draw(st.lists(st.lists(st.booleans(), min_size=k, max_size=k), min_size=len(orders), max_size=len(orders)))
    )
    rows = [row for row, history in enumerate(histories) for _ in history]
    users = ListUsers(
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor([movie for own in histories for movie in own], dtype=torch.int64),
        hits,
    )
    expected = []
    for history, listed, hit in zip(histories, lists.tolist(), hits.tolist(), strict=True):
        popular = [movie for movie in range(4) if movie not in history][:k]
        expected.append(sum(h and movie not in popular for movie, h in zip(listed, hit, strict=True)) / k)
    close(serendipity(lists, CATALOG, users), expected)


def test_evaluate_names_them() -> None:
    split = random_split(sample().dataset, (0.8, 0.0, 0.2))
    names = ["intra_list_distance", "genre_consistency", "miscalibration", "popularity_lift", "serendipity", "gini"]
    found = evaluate(EASE(reg=50).fit(split), split, ks=[5], metrics=names).set_index("metric")["value"]
    assert set(found.index) == set(names)
    assert found.notna().all()
    assert 0 < found["genre_consistency"] < 1 and 0 < found["gini"] < 1 and found["popularity_lift"] > 0
