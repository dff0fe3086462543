"""`transition_counts` against loops over users and pairs, and as a relation of the graph."""

from __future__ import annotations

import math
from collections import defaultdict

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.transforms import RandomLinkSplit

from gnnrec import Config, DataError, Dataset, Graph
from gnnrec.datasets import make_sample
from gnnrec.graph import add_transitions, transition_counts
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import GraphTensors, init_from_transitions
from gnnrec.registry import ENCODERS
from tests.helpers.histories import DAY, Rating, batch_of_histories, histories

Counts = dict[tuple[int, int], float]
INF = float("inf")


def found(users: list[list[Rating]], **options: float) -> Counts:
    source, target, count = transition_counts(batch_of_histories(users), **options)
    pairs = list(zip(source.tolist(), target.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, count.tolist(), strict=True))


@settings(max_examples=80, deadline=None)
@given(
    users=histories(),
    window=st.integers(1, 12),
    decay=st.sampled_from([0.5, 3.0, INF]),
    max_days=st.sampled_from([0, 0.5, 2, INF]),
)
def test_by_brute_force(users: list[list[Rating]], window: int, decay: float, max_days: float) -> None:
    expected: Counts = defaultdict(float)
    for own in users:
        for i, (movie, _, time) in enumerate(own):
            for j, (other, _, later) in enumerate(own):
                if 1 <= j - i <= window and later - time <= max_days * DAY:
                    expected[movie, other] += math.exp(-(j - i - 1) / decay)
    counts = found(users, window=window, decay=decay, max_days=max_days)
    assert counts == pytest.approx(dict(expected), rel=1e-5)


def test_by_hand() -> None:
    """Two users; gaps of 1 count 1, of 2 e^-1, and 3 is too far."""
    ann, bob = [(0, 5.0, 10), (1, 5.0, 20), (2, 5.0, 30), (3, 5.0, 40)], [(1, 5.0, 15), (0, 5.0, 16), (2, 5.0, 17)]
    e = math.exp(-1)
    expected = {(0, 1): 1, (0, 2): e + 1, (1, 0): 1, (1, 2): 1 + e, (1, 3): e, (2, 3): 1}
    assert found([ann, bob], window=2, decay=1.0) == pytest.approx(expected)


def test_counts_are_directed_and_per_user() -> None:
    assert found([[(4, 5.0, 1), (7, 5.0, 2)], [(2, 5.0, 1)], [], [(3, 5.0, 9)]]) == {(4, 7): 1.0}
    assert found([[(2, 5.0, 1)], [(3, 5.0, 2)]]) == {}
    assert found([[], []]) == {}


def test_days_are_counted_exactly() -> None:
    users = [[(0, 5.0, 0), (1, 5.0, 7 * DAY), (2, 5.0, 7 * DAY + 1)]]
    assert set(found(users, max_days=7)) == {(0, 1), (1, 2)}


def test_in_the_graph() -> None:
    world = make_sample(40, 30, seed=1, ratings_per_user=8)
    graph = Graph.from_dataset(world)
    source, target, count = transition_counts(graph.users)
    data = add_transitions(graph.hetero_data)
    forward, backward = data["movie", "followed_by", "movie"], data["movie", "rev_followed_by", "movie"]
    assert torch.equal(forward.edge_index, torch.stack([source, target]))
    assert torch.equal(backward.edge_index, torch.stack([target, source]))
    assert torch.equal(forward["count"], count)
    assert torch.equal(backward["count"], count)
    assert data.validate(raise_on_error=True)
    assert not [kind for kind in graph.hetero_data.edge_types if "followed_by" in kind[1]]


def test_without_timestamps_there_is_no_relation() -> None:
    graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})))
    assert not graph.has_times
    with pytest.raises(DataError, match="the ratings have no times"):
        add_transitions(graph.hetero_data)


def test_no_relation_of_the_graph_knows_held_out_ratings() -> None:
    """A graph whose held-out ratings are others must give the same training part when it is split outside."""
    graph = Graph.from_dataset(make_sample(40, 30, seed=1, ratings_per_user=8))
    rated = ("user", "rated", "movie")
    split = RandomLinkSplit(
        num_val=0.0, num_test=0.5, edge_types=[rated], rev_edge_types=[("movie", "rev_rated", "user")],
        neg_sampling_ratio=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    train, _, _ = split(graph.hetero_data)
    kept = train[rated].edge_index.size(1)
    assert 0 < kept < graph.hetero_data[rated].edge_index.size(1)
    for name in train.edge_types:
        if name not in (rated, ("movie", "rev_rated", "user")):
            assert name[1].removeprefix("rev_") in ("has", "directed_by", "stars", "works_as")
    linked = add_transitions(train)["movie", "followed_by", "movie"]
    # By brute force, from the ratings of the training part alone.
    users = sorted(
        zip(*train[rated].edge_index.tolist(), train[rated].time.tolist(), strict=True), key=lambda r: (r[0], r[2])
    )
    expected: dict[tuple[int, int], float] = {}
    for i, (user, movie, _) in enumerate(users):
        for gap, (other, following, _) in enumerate(users[i + 1 : i + 11], start=1):
            if other == user:
                pair = movie, following
                expected[pair] = expected.get(pair, 0) + math.exp(-(gap - 1) / 3)
    found = {
        tuple(pair): value for pair, value in zip(linked.edge_index.T.tolist(), linked["count"].tolist(), strict=True)
    }
    assert found == pytest.approx(expected)


# Initialization


@pytest.mark.parametrize("encoder_name", ENCODERS.builtin)
def test_init_scores_transitions(encoder_name: str) -> None:
    """All users rate movie i + 1 after movie i: so does the initial score, before training."""
    n = 12
    rows = [(user, (user + step) % n, step) for user in range(4 * n) for step in range(n // 2)]
    graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    config = Config.from_mapping({"model": {"encoder": encoder_name, "embedding_dim": n, "temporal": True}})
    encoder, tensors = make_encoder(config, graph), GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    init_from_transitions(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0, window=1)
    scores = encoder.message.id_embeddings @ encoder.target.id_embeddings.T
    assert scores.argmax(dim=1).tolist() == [(i + 1) % n for i in range(n)]
    # The same for every movie.
    best = scores.max(dim=1).values
    torch.testing.assert_close(best, best.mean().expand(n), rtol=1e-3, atol=0)


def test_init_without_transitions() -> None:
    """Users with one rating each have no transitions."""
    rows = pd.DataFrame({"user_id": [1, 2, 3], "movie_id": [10, 20, 10], "timestamp": [1, 2, 3]})
    graph = Graph.from_dataset(Dataset(rows))
    encoder = make_encoder(Config.from_mapping({"model": {"temporal": True, "embedding_dim": 4}}), graph)
    tensors = GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    init_from_transitions(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0)
    assert encoder.message.id_embeddings.abs().sum() == 0
    assert encoder.profile.linear.bias.isfinite().all()
