"""Temporal pooling: effects of order, dates and ratings on user embeddings, by hand and by brute force."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnrec import Config, Dataset, Graph
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import Encoder, GraphTensors, TemporalPooling
from gnnrec.nn.temporal import DateEncoding
from gnnrec.registry import ENCODERS
from tests.helpers.histories import DAY, NUM_MOVIES, Rating, batch_of_histories, flat, histories

NAMES = list(ENCODERS.builtin)
DIM = 4
INF = float("inf")
few = settings(max_examples=30, deadline=None)
USERS = [[(0, 5.0, 1 * DAY), (3, 2.0, 2 * DAY), (5, 4.0, 9 * DAY)], [(3, 1.0, 4 * DAY)], []]


def random_mask(n: int, seed: int) -> Tensor:
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


def pooling_with(**changed: Any) -> TemporalPooling:
    """Return a pooling without zero parameters, in evaluation mode."""
    torch.manual_seed(1)
    options = {"position_decays": (0.7, 5.0), "day_decays": (2.0,), "rating_decays": (3.0,), "date_features": True}
    pooling = TemporalPooling(DIM, **{**options, "hidden_dim": 6, "dropout": 0.3, **changed})
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter.normal_(std=0.5)
    if pooling.dates is not None:
        pooling.dates.prepare(torch.tensor([1, 10 * DAY]))
    return pooling.eval()


def random_movies(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return messages, degrees (one of them 0) and the mean degree."""
    generator = torch.Generator().manual_seed(seed)
    degree = torch.randint(1, 40, (NUM_MOVIES,), generator=generator).float()
    degree[4] = 0
    return torch.randn(NUM_MOVIES, DIM, generator=generator), degree, torch.tensor(12.5)


def pooled(pooling: TemporalPooling, users: UserBatch, edge_mask: Tensor | None = None) -> Tensor:
    return pooling(users, *random_movies(), edge_mask)


# Ranks and timestamps


@few
@given(users=histories(), seed=st.integers(0, 99))
def test_ranks_and_last_timestamps_by_brute_force(users: list[list[Rating]], seed: int) -> None:
    batch = batch_of_histories(users)
    for mask in (None, random_mask(len(batch.user_index), seed)):
        kept = [1.0] * len(batch.user_index) if mask is None else mask.tolist()
        edges = [(u, position, time, k) for (u, position, (_, _, time)), k in zip(flat(users), kept, strict=True)]
        later = [sum(k for v, q, _, k in edges if v == u and q > position) for u, position, _, _ in edges]
        assert batch.recency_rank(mask).tolist() == later
        last = [max([time for v, _, time, k in edges if v == u and k], default=0) for u in range(len(users))]
        assert batch.last_timestamp(mask).tolist() == last


def test_ranks_of_many_ratings_are_exact() -> None:
    """Above 2^24, a cumulative sum in float32 would no longer grow."""
    n = 2**24 + 3
    batch = dataclasses.replace(batch_of_histories([[]]), user_index=torch.zeros(n, dtype=torch.int64))
    assert batch.recency_rank()[-4:].tolist() == [3, 2, 1, 0]


# Date encoding


def test_dates_by_hand() -> None:
    """Five periods from day 10 to day 50: their centers are days 10, 20, 30, 40, 50."""
    dates = DateEncoding(width=5)
    dates.prepare(torch.tensor([0, 10 * DAY, 50 * DAY, 30 * DAY]))  # 0 is unknown, not the first day
    last_days = [10, 20, 25, 47, 50, 3, 90]
    batch = batch_of_histories([*[[(0, 5.0, 1), (1, 5.0, day * DAY)] for day in last_days], [(2, 5.0, 0)], []])
    expected = [
        [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 0.3, 0.7], [0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0], [0, 0, 0, 0, 1],  # before the first and after the last day
        [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],  # no timestamp, no rating
    ]  # fmt: skip
    torch.testing.assert_close(dates(batch, torch.ones(len(batch.user_index))), torch.tensor(expected))


@few
@given(users=histories(), seed=st.integers(0, 99), width=st.integers(2, 20))
def test_shares_of_a_date_sum_to_one(users: list[list[Rating]], seed: int, width: int) -> None:
    batch = batch_of_histories(users)
    dates, mask = DateEncoding(width), random_mask(len(batch.user_index), seed)
    dates.prepare(torch.tensor([2 * DAY, 7 * DAY]))
    found = dates(batch, mask)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), (batch.last_timestamp(mask) > 0).float())


def test_dates_of_data_with_one_timestamp_or_none() -> None:
    for times in ([0, 0], [5 * DAY, 5 * DAY]):
        dates = DateEncoding()
        dates.prepare(torch.tensor(times))
        assert dates(batch_of_histories(USERS), torch.ones(4)).isfinite().all()


# Pooling


@few
@given(users=histories(), seed=st.integers(0, 99))
def test_edge_weights_by_brute_force(users: list[list[Rating]], seed: int) -> None:
    batch = batch_of_histories(users)
    mask = random_mask(len(batch.user_index), seed)
    pooling = pooling_with(position_decays=(0.7, INF), day_decays=(2.0, INF), rating_decays=(3.0, INF))
    expected: list[list[float]] = [[] for _ in range(6)]
    edges = list(zip(flat(users), mask.tolist(), strict=True))
    for (u, position, (_, stars, time)), kept in edges:
        own = [(p, stars_, time_) for (v, p, (_, stars_, time_)), k in edges if v == u and k]
        rank = sum(p > position for p, _, _ in own)
        days = max((max((time_ for *_, time_ in own), default=0) - time) / DAY, 0)
        difference = stars - sum(s for _, s, _ in own) / max(len(own), 1)
        values = (math.exp(-rank / 0.7), 1, math.exp(-days / 2), 1, math.exp(-rank / 3) * difference, difference)
        for column, value in zip(expected, values, strict=True):
            column.append(value * kept)
    found = torch.stack(pooling.edge_weights(batch, mask))
    torch.testing.assert_close(found, torch.tensor(expected).view_as(found), atol=1e-5, rtol=1e-5)


@few
@given(users=histories(), seed=st.integers(0, 99))
def test_the_mixture_by_brute_force(users: list[list[Rating]], seed: int) -> None:
    batch, pooling = batch_of_histories(users), pooling_with(hidden_dim=0)
    mask = random_mask(len(batch.user_index), seed)
    messages, degree, mean_degree = random_movies()
    expected = torch.zeros(len(users), DIM)
    for mix, weight in zip(pooling.mix, pooling.edge_weights(batch, mask), strict=True):
        for u in range(len(users)):
            own = [edge for edge in range(len(batch.user_index)) if batch.user_index[edge] == u]
            total = sum(abs(weight[edge].item()) for edge in own)
            for edge in own:
                movie = int(batch.movie_index[edge])
                norm = math.sqrt(mean_degree.item() / max(degree[movie].item(), 1))
                expected[u] += mix * weight[edge].item() / math.sqrt(1 + total) * norm * messages[movie]
    torch.testing.assert_close(pooling(batch, messages, degree, mean_degree, mask), expected, atol=1e-5, rtol=1e-4)


def test_the_hidden_layer_by_hand() -> None:
    """Its inputs are the poolings, the length of the history and the date."""
    batch, pooling = batch_of_histories(USERS), pooling_with()
    messages, degree, mean_degree = random_movies()
    norm = (mean_degree / degree.clamp(min=1)).sqrt()[batch.movie_index]
    poolings, mixture = [], torch.zeros(3, DIM)
    for weight, mix in zip(pooling.edge_weights(batch, torch.ones(4)), pooling.mix, strict=True):
        total = torch.zeros(3).index_add_(0, batch.user_index, weight.abs())
        share = (weight * norm / (1 + total).sqrt()[batch.user_index]).unsqueeze(1)
        poolings.append(torch.zeros(3, DIM).index_add_(0, batch.user_index, share * messages[batch.movie_index]))
        mixture += mix * poolings[-1]
    length = torch.tensor([3.0, 1.0, 0.0]).log1p().unsqueeze(1) / 5
    dates = pooling.dates(batch, torch.ones(4))
    first, _, _, last = pooling.network
    x = torch.cat([pooling.norm(torch.cat(poolings, dim=1)), length, dates], dim=1)
    hidden = torch.nn.functional.gelu(x @ first.weight.T + first.bias)
    torch.testing.assert_close(pooled(pooling, batch), mixture + hidden @ last.weight.T + last.bias)


def test_initially_the_mean_of_the_position_poolings() -> None:
    batch = batch_of_histories(USERS)
    pooling = TemporalPooling(DIM, (0.7, 5.0), (2.0,), (3.0,), date_features=True, hidden_dim=6, dropout=0.3).eval()
    one, other = (TemporalPooling(DIM, (decay,), hidden_dim=0).eval() for decay in (0.7, 5.0))
    expected = (pooled(one, batch) + pooled(other, batch)) / 2
    torch.testing.assert_close(pooled(pooling, batch), expected)
    pooling.train()  # with dropout
    assert not torch.equal(pooled(pooling, batch), expected)


def test_without_decay_a_plain_sum() -> None:
    batch, pooling = batch_of_histories(USERS), TemporalPooling(DIM, (INF,), hidden_dim=0).eval()
    messages, degree, mean_degree = random_movies()
    each = messages * (mean_degree / degree.clamp(min=1)).sqrt().unsqueeze(1)
    expected = [each[[0, 3, 5]].sum(0) / 2, each[3] / math.sqrt(2), torch.zeros(DIM)]
    torch.testing.assert_close(pooled(pooling, batch), torch.stack(expected))


def test_without_a_hidden_layer_only_the_mixture() -> None:
    assert set(pooling_with(hidden_dim=0).state_dict()) == {"mix"}
    assert pooling_with(hidden_dim=0).dates is None


def test_without_timestamps_all_ratings_have_the_same_date() -> None:
    timeless = batch_of_histories([[(movie, stars, 0) for movie, stars, _ in own] for own in USERS])
    same_day = batch_of_histories([[(movie, stars, 7 * DAY) for movie, stars, _ in own] for own in USERS])
    pooling = pooling_with(date_features=False)
    assert torch.equal(pooled(pooling, timeless), pooled(pooling, same_day))


def test_empty_histories() -> None:
    pooling = pooling_with()
    batch = batch_of_histories([[], [], [(2, 3.0, DAY)]])
    found = pooled(pooling, batch, torch.zeros(1))
    assert found.isfinite().all()
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])  # a masked rating counts as none


def test_gradients_reach_every_parameter() -> None:
    pooling, (messages, degree, mean_degree) = pooling_with().train(), random_movies()
    messages.requires_grad_()
    pooling(batch_of_histories(USERS), messages, degree, mean_degree, None).square().sum().backward()
    for movie in range(NUM_MOVIES):
        assert (messages.grad[movie].abs().sum() > 0) == (movie in {0, 3, 5})
    for name, parameter in pooling.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@few
@given(users=histories(), seed=st.integers(0, 99))
def test_a_masked_rating_is_ignored(users: list[list[Rating]], seed: int) -> None:
    batch, pooling = batch_of_histories(users), pooling_with()
    mask = random_mask(len(batch.user_index), seed)
    kept = iter(mask.tolist())
    shorter = batch_of_histories([[rating for rating in own if next(kept)] for own in users])
    assert torch.allclose(pooled(pooling, batch, mask), pooled(pooling, shorter), atol=1e-6)


@few
@given(users=histories())
def test_users_are_the_same_alone_and_in_a_batch(users: list[list[Rating]]) -> None:
    pooling = pooling_with()
    together = pooled(pooling, batch_of_histories(users))
    alone = torch.cat([pooled(pooling, batch_of_histories([own])) for own in users])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


# In an encoder


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.from_dataset(make_sample(50, 40, seed=5, ratings_per_user=10))


def encoder_for(graph: Graph, name: str, **options: object) -> Encoder:
    values = {"encoder": name, "embedding_dim": 6, "temporal": True, "hidden_dim": 5, **options}
    torch.manual_seed(0)
    encoder = make_encoder(Config.from_mapping({"model": values}), graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    encoder.prepare(GraphTensors.from_graph(graph))
    return encoder.eval()


def new_user(graph: Graph, history: list[int]) -> UserBatch:
    """Return a new user who gave 4 stars to these movies, one per day."""
    batch = batch_of_histories([[(movie, 4.0, (9000 + i) * DAY) for i, movie in enumerate(history)]], graph.num_movies)
    return dataclasses.replace(
        batch, x=torch.zeros(1, graph.users.x.size(1)), num_occupations=graph.users.num_occupations
    )


@pytest.mark.parametrize("name", NAMES)
def test_order_matters_if_temporal(graph: Graph, name: str) -> None:
    history = [3, 17, 8, 25, 30, 11]
    for temporal in (True, False):
        encoder = encoder_for(graph, name, temporal=temporal)
        movies = encoder.embed_movies(GraphTensors.from_graph(graph))
        one, other = (encoder.embed_users(new_user(graph, order), movies) for order in (history, history[::-1]))
        assert torch.allclose(one, other, atol=1e-5) != temporal
    assert encoder.temporal is None


def distance(graph: Graph, encoder: Encoder, one: list[int], other: list[int]) -> float:
    movies = encoder.embed_movies(GraphTensors.from_graph(graph))
    first, second = (encoder.embed_users(new_user(graph, history), movies) for history in (one, other))
    return (first - second).norm().item()


@pytest.mark.parametrize("name", NAMES)
def test_the_last_rating_weighs_more_than_the_first(graph: Graph, name: str) -> None:
    """With a pooling as training starts from it, and the same movie first or last."""
    encoder, pooling = encoder_for(graph, name), TemporalPooling(6, (0.7, 3.0, 12.0), hidden_dim=5).eval()
    encoder.temporal = pooling
    movies = encoder.embed_movies(GraphTensors.from_graph(graph))
    history, added = [3, 17, 8, 25, 30], 11

    def pool(order: list[int]) -> Tensor:
        return pooling(new_user(graph, order), movies.messages[0], movies.degree, encoder.mean_degree, None)

    before = pool(history)
    as_oldest, as_newest = ((pool(h) - before).norm() for h in ([added, *history], [*history, added]))
    assert 0 < 2 * as_oldest < as_newest
    # It holds for the whole encoder too, which adds the history as a set.
    as_oldest, as_newest = (distance(graph, encoder, history, h) for h in ([added, *history], [*history, added]))
    assert as_oldest < as_newest


@pytest.mark.parametrize("name", NAMES)
def test_unrated_movies_have_the_mean_degree(graph: Graph, name: str) -> None:
    """They count as typical movies, not as the rarest ones."""
    encoder = encoder_for(graph, name, movie_degree_smoothing=0.0)
    larger = graph.add_movies(pd.DataFrame({"movie_id": [9001], "genres": ["Drama"]}))
    movies = encoder.embed_movies(GraphTensors.from_graph(larger))
    assert movies.degree[-1] == encoder.mean_degree
    assert torch.equal(movies.degree[:-1], GraphTensors.from_graph(graph).movie_degree)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_encoded_users_are_the_same_alone_and_in_a_batch(graph: Graph, name: str, num_layers: int) -> None:
    encoder = encoder_for(graph, name, num_layers=num_layers, day_decays=[3], rating_decays=[5], date_features=True)
    tensors = GraphTensors.from_graph(graph)
    all_users, movies = encoder(tensors)["user"], encoder.embed_movies(tensors)
    chosen = torch.tensor([42, 3, 49, 17])
    torch.testing.assert_close(encoder.embed_users(graph.user_batch(chosen), movies), all_users[chosen])
    assert torch.pdist(all_users).min() > 1e-4


def test_without_timestamps_the_order_is_that_of_the_file() -> None:
    """For an encoder; `fit` refuses such data, which is tested elsewhere."""
    rows = pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [30, 10, 20]})
    graph = Graph.from_dataset(Dataset(rows))
    assert graph.users.movie_index.tolist() == [2, 0, 1]
    assert graph.users.recency_rank().tolist() == [2, 1, 0]
