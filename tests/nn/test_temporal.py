"""What the order, the dates and the stars of a history do to a person's vector, by hand and edge by edge."""

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

DIM = 4
INF = float("inf")
few = settings(max_examples=60, deadline=None)
PEOPLE = [[(0, 5.0, 1 * DAY), (3, 2.0, 2 * DAY), (5, 4.0, 9 * DAY)], [(3, 1.0, 4 * DAY)], []]


def coins(n: int, seed: int) -> Tensor:
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


def views_with(**changed: Any) -> TemporalPooling:
    """Return views in which no parameter is zero, in evaluation mode."""
    torch.manual_seed(1)
    options = {"position_decays": (0.7, 5.0), "day_decays": (2.0,), "rating_decays": (3.0,), "date_features": True}
    views = TemporalPooling(DIM, **{**options, "hidden_dim": 6, "dropout": 0.3, **changed})
    with torch.no_grad():
        for parameter in views.parameters():
            parameter.normal_(std=0.5)
    if views.dates is not None:
        views.dates.prepare(torch.tensor([1, 10 * DAY]))
    return views.eval()


def movies(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return messages, degrees (one of them 0) and the typical degree."""
    generator = torch.Generator().manual_seed(seed)
    degree = torch.randint(1, 40, (NUM_MOVIES,), generator=generator).float()
    degree[4] = 0
    return torch.randn(NUM_MOVIES, DIM, generator=generator), degree, torch.tensor(12.5)


def vectors(views: TemporalPooling, batch: UserBatch, keep: Tensor | None = None) -> Tensor:
    return views(batch, *movies(), keep)


# Ranks and times


@few
@given(people=histories(), seed=st.integers(0, 99))
def test_ranks_and_last_times_by_brute_force(people: list[list[Rating]], seed: int) -> None:
    batch = batch_of_histories(people)
    for keep in (None, coins(len(batch.user_index), seed)):
        kept = [1.0] * len(batch.user_index) if keep is None else keep.tolist()
        edges = [(u, place, time, k) for (u, place, (_, _, time)), k in zip(flat(people), kept, strict=True)]
        later = [sum(k for v, q, _, k in edges if v == u and q > place) for u, place, _, _ in edges]
        assert batch.recency_rank(keep).tolist() == later
        last = [max([time for v, _, time, k in edges if v == u and k], default=0) for u in range(len(people))]
        assert batch.last_timestamp(keep).tolist() == last


def test_ranks_of_many_ratings_are_exact() -> None:
    """Beyond 2^24 a running sum in float32 would stand still."""
    n = 2**24 + 3
    batch = dataclasses.replace(batch_of_histories([[]]), row=torch.zeros(n, dtype=torch.int64))
    assert batch.recency_rank()[-4:].tolist() == [3, 2, 1, 0]


# DateEncoding


def test_dates_by_hand() -> None:
    """Five periods from day 10 to day 50: their middles are days 10, 20, 30, 40, 50."""
    dates = DateEncoding(width=5)
    dates.prepare(torch.tensor([0, 10 * DAY, 50 * DAY, 30 * DAY]))  # 0 is not known, not the first day
    last_days = [10, 20, 25, 47, 50, 3, 90]
    batch = batch_of_histories([*[[(0, 5.0, 1), (1, 5.0, day * DAY)] for day in last_days], [(2, 5.0, 0)], []])
    expected = [
        [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 0.3, 0.7], [0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0], [0, 0, 0, 0, 1],  # before the first and after the last
        [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],  # no time, no rating
    ]  # fmt: skip
    torch.testing.assert_close(dates(batch, torch.ones(len(batch.user_index))), torch.tensor(expected))


@few
@given(people=histories(), seed=st.integers(0, 99), width=st.integers(2, 20))
def test_dates_are_shared_out_whole(people: list[list[Rating]], seed: int, width: int) -> None:
    batch = batch_of_histories(people)
    dates, keep = DateEncoding(width), coins(len(batch.user_index), seed)
    dates.prepare(torch.tensor([2 * DAY, 7 * DAY]))
    found = dates(batch, keep)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), (batch.last_timestamp(keep) > 0).float())


def test_dates_of_data_of_one_moment_or_none() -> None:
    for times in ([0, 0], [5 * DAY, 5 * DAY]):
        dates = DateEncoding()
        dates.prepare(torch.tensor(times))
        assert dates(batch_of_histories(PEOPLE), torch.ones(4)).isfinite().all()


# Views


@few
@given(people=histories(), seed=st.integers(0, 99))
def test_weights_by_brute_force(people: list[list[Rating]], seed: int) -> None:
    batch = batch_of_histories(people)
    keep = coins(len(batch.user_index), seed)
    views = views_with(position_decays=(0.7, INF), day_decays=(2.0, INF), rating_decays=(3.0, INF))
    expected: list[list[float]] = [[] for _ in range(6)]
    edges = list(zip(flat(people), keep.tolist(), strict=True))
    for (u, place, (_, stars, time)), kept in edges:
        own = [(place_, stars_, time_) for (v, place_, (_, stars_, time_)), k in edges if v == u and k]
        rank = sum(place_ > place for place_, _, _ in own)
        days = max((max((time_ for *_, time_ in own), default=0) - time) / DAY, 0)
        liked = stars - sum(s for _, s, _ in own) / max(len(own), 1)
        values = (math.exp(-rank / 0.7), 1, math.exp(-days / 2), 1, math.exp(-rank / 3) * liked, liked)
        for column, value in zip(expected, values, strict=True):
            column.append(value * kept)
    found = torch.stack(views.weights(batch, keep))
    torch.testing.assert_close(found, torch.tensor(expected).view_as(found), atol=1e-5, rtol=1e-5)


@few
@given(people=histories(), seed=st.integers(0, 99))
def test_the_mixture_by_brute_force(people: list[list[Rating]], seed: int) -> None:
    batch, views = batch_of_histories(people), views_with(hidden_dim=0)
    keep = coins(len(batch.user_index), seed)
    message, degree, typical = movies()
    expected = torch.zeros(len(people), DIM)
    for view, weight in enumerate(views.weights(batch, keep)):
        for u in range(len(people)):
            own = [edge for edge in range(len(batch.user_index)) if batch.user_index[edge] == u]
            total = sum(abs(weight[edge].item()) for edge in own)
            for edge in own:
                movie = int(batch.movie_index[edge])
                strength = math.sqrt(typical.item() / max(degree[movie].item(), 1))
                share = weight[edge].item() / math.sqrt(1 + total) * strength
                expected[u] += views.mix[view] * share * message[movie]
    torch.testing.assert_close(views(batch, message, degree, typical, keep), expected, atol=1e-5, rtol=1e-4)


def test_the_hidden_layer_sees_views_length_and_date() -> None:
    batch, views = batch_of_histories(PEOPLE), views_with()
    message, degree, typical = movies()
    strength = (typical / degree.clamp(min=1)).sqrt()[batch.movie_index]
    seen, mixed = [], torch.zeros(3, DIM)
    for weight, mix in zip(views.weights(batch, torch.ones(4)), views.mix, strict=True):
        total = torch.zeros(3).index_add_(0, batch.user_index, weight.abs())
        share = (weight * strength / (1 + total).sqrt()[batch.user_index]).unsqueeze(1)
        view = torch.zeros(3, DIM).index_add_(0, batch.user_index, share * message[batch.movie_index])
        seen.append(view)
        mixed += mix * view
    length = torch.tensor([3.0, 1.0, 0.0]).log1p().unsqueeze(1) / 5
    dates = views.dates(batch, torch.ones(4))
    first, _, _, last = views.network
    x = torch.cat([views.norm(torch.cat(seen, dim=1)), length, dates], dim=1)
    hidden = torch.nn.functional.gelu(x @ first.weight.T + first.bias)
    torch.testing.assert_close(vectors(views, batch), mixed + hidden @ last.weight.T + last.bias)


def test_before_training_a_person_is_the_mean_of_the_rank_views() -> None:
    batch = batch_of_histories(PEOPLE)
    views = TemporalPooling(DIM, (0.7, 5.0), (2.0,), (3.0,), date_features=True, hidden_dim=6, dropout=0.3).eval()
    one, other = (TemporalPooling(DIM, (decay,), hidden_dim=0).eval() for decay in (0.7, 5.0))
    expected = (vectors(one, batch) + vectors(other, batch)) / 2
    torch.testing.assert_close(vectors(views, batch), expected)
    views.train()  # and in training something is dropped
    assert not torch.equal(vectors(views, batch), expected)


def test_a_view_that_never_forgets_is_a_plain_sum() -> None:
    batch, views = batch_of_histories(PEOPLE), TemporalPooling(DIM, (INF,), hidden_dim=0).eval()
    message, degree, typical = movies()
    each = message * (typical / degree.clamp(min=1)).sqrt().unsqueeze(1)
    expected = [each[[0, 3, 5]].sum(0) / 2, each[3] / math.sqrt(2), torch.zeros(DIM)]
    torch.testing.assert_close(vectors(views, batch), torch.stack(expected))


def test_without_a_hidden_layer_there_is_nothing_but_the_mixture() -> None:
    assert set(views_with(hidden_dim=0).state_dict()) == {"mix"}
    assert views_with(hidden_dim=0).dates is None


def test_without_times_everything_was_the_same_day() -> None:
    timeless = batch_of_histories([[(movie, stars, 0) for movie, stars, _ in own] for own in PEOPLE])
    same_day = batch_of_histories([[(movie, stars, 7 * DAY) for movie, stars, _ in own] for own in PEOPLE])
    views = views_with(date_features=False)
    assert torch.equal(vectors(views, timeless), vectors(views, same_day))


def test_a_person_without_history_is_finite_and_everybodys_start() -> None:
    views = views_with()
    batch = batch_of_histories([[], [], [(2, 3.0, DAY)]])
    found = vectors(views, batch, torch.zeros(1))
    assert found.isfinite().all()
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])  # a rating that must not be seen is no rating


def test_gradients_reach_every_part() -> None:
    views, (message, degree, typical) = views_with().train(), movies()
    message.requires_grad_()
    views(batch_of_histories(PEOPLE), message, degree, typical, None).square().sum().backward()
    watched = {0, 3, 5}
    for movie in range(NUM_MOVIES):
        assert (message.grad[movie].abs().sum() > 0) == (movie in watched)
    for name, parameter in views.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@few
@given(people=histories(), seed=st.integers(0, 99))
def test_a_masked_rating_is_no_rating(people: list[list[Rating]], seed: int) -> None:
    batch, views = batch_of_histories(people), views_with()
    keep = coins(len(batch.user_index), seed)
    left = iter(keep.tolist())
    shorter = batch_of_histories([[rating for rating in own if next(left)] for own in people])
    assert torch.equal(vectors(views, batch, keep), vectors(views, shorter))


@few
@given(people=histories())
def test_many_people_are_each_the_same_alone(people: list[list[Rating]]) -> None:
    views = views_with()
    together = vectors(views, batch_of_histories(people))
    alone = torch.cat([vectors(views, batch_of_histories([own])) for own in people])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


# In an encoder


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.from_dataset(make_sample(50, 40, seed=5, ratings_per_user=10))


def encoder_for(graph: Graph, name: str, **options: object) -> Encoder:
    settings = {"encoder": name, "embedding_dim": 6, "temporal": True, "hidden_dim": 5, **options}
    torch.manual_seed(0)
    encoder = make_encoder(Config.from_mapping({"model": settings}), graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    encoder.prepare(GraphTensors.of(graph))
    return encoder.eval()


def of_one(graph: Graph, history: list[int]) -> UserBatch:
    """Return someone new who gave these movies 4 stars, a day apart."""
    batch = batch_of_histories([[(movie, 4.0, (9000 + i) * DAY) for i, movie in enumerate(history)]], graph.num_movies)
    return dataclasses.replace(
        batch, x=torch.zeros(1, graph.users.x.size(1)), num_occupations=graph.users.num_occupations
    )


@pytest.mark.parametrize("name", ENCODERS.names())
def test_order_counts_when_time_is_on(graph: Graph, name: str) -> None:
    history = [3, 17, 8, 25, 30, 11]
    for time, same in ((True, False), (False, True)):
        encoder = encoder_for(graph, name, temporal=time)
        states = encoder.movies(GraphTensors.of(graph))
        one, other = (encoder.users(of_one(graph, order), states) for order in (history, history[::-1]))
        assert torch.allclose(one, other, atol=1e-5) == same
    assert encoder.views is None


def change(graph: Graph, encoder: Encoder, one: list[int], other: list[int]) -> float:
    states = encoder.movies(GraphTensors.of(graph))
    return (encoder.users(of_one(graph, one), states) - encoder.users(of_one(graph, other), states)).norm().item()


@pytest.mark.parametrize("name", ENCODERS.names())
def test_what_came_last_weighs_more(graph: Graph, name: str) -> None:
    """As training finds it, mixture and network still at their start; the same movie, first or last."""
    encoder, fresh = encoder_for(graph, name), TemporalPooling(6, (0.7, 3.0, 12.0), hidden_dim=5).eval()
    encoder.views = fresh
    states = encoder.movies(GraphTensors.of(graph))
    history, added = [3, 17, 8, 25, 30], 11

    def seen_by_views(movies: list[int]) -> Tensor:
        return fresh(of_one(graph, movies), states.messages[0], states.degree, encoder.typical_degree, None)

    before = seen_by_views(history)
    as_oldest, as_newest = ((seen_by_views(h) - before).norm() for h in ([added, *history], [*history, added]))
    assert 0 < 2 * as_oldest < as_newest
    # Through the whole encoder, with the history as a set beside the views, it is still so.
    assert change(graph, encoder, history, [added, *history]) < change(graph, encoder, history, [*history, added])


@pytest.mark.parametrize("name", ENCODERS.names())
def test_a_movie_nobody_rated_does_not_drown_the_others(graph: Graph, name: str) -> None:
    """It has content only and counts like a typical movie, not as the rarest of all."""
    encoder = encoder_for(graph, name, movie_degree_smoothing=0.0)
    larger = graph.add_movies(pd.DataFrame({"movie_id": [9001], "genres": ["Drama"]}))
    states = encoder.movies(GraphTensors.of(larger))
    assert states.degree[-1] == encoder.typical_degree
    assert torch.equal(states.degree[:-1], GraphTensors.of(graph).movie_degree)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", ENCODERS.names())
def test_a_person_is_the_same_alone_and_among_all(graph: Graph, name: str, num_layers: int) -> None:
    encoder = encoder_for(graph, name, num_layers=num_layers, day_decays=[3], rating_decays=[5], date_features=True)
    tensors = GraphTensors.of(graph)
    everyone, states = encoder(tensors)["user"], encoder.movies(tensors)
    chosen = torch.tensor([42, 3, 49, 17])
    torch.testing.assert_close(encoder.users(graph.user_batch(chosen), states), everyone[chosen])
    assert torch.pdist(everyone).min() > 1e-4


def test_data_without_timestamps_still_has_an_order() -> None:
    """The encoder itself goes by the order of the file; that `fit` refuses such data is tested there."""
    rows = pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [30, 10, 20]})
    graph = Graph.from_dataset(Dataset(rows))
    assert graph.users.movie_index.tolist() == [2, 0, 1]
    assert graph.users.recency_rank().tolist() == [2, 1, 0]
