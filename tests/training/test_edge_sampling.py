"""What training asks and looks at: batches as promised, and nothing of an answer in sight of its question."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator, Tensor

from gnnrec import Config, Dataset, Graph, Split, evaluate, fit
from gnnrec.config import TrainConfig
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import Encoder, GraphTensors
from gnnrec.registry import ENCODERS, LOSSES
from gnnrec.splitting import leave_one_out
from gnnrec.training import edge_sampling as asking
from gnnrec.training.edge_sampling import _loss, _newcomers, batch_loss, sample_batches

EVERY_ENCODER = [(name, num_layers) for name in ENCODERS.names() for num_layers in (1, 2)]
IN_TIME = {
    "temporal": True,
    "embedding_dim": 6,
    "hidden_dim": 5,
    "date_features": True,
    "day_decays": [3],
    "rating_decays": [4],
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a world in which one user has no rating."""
    world = make_sample(60, 40, seed=5, ratings_per_user=10)
    users = pd.concat([world.users, pd.DataFrame({"user_id": [999]})], ignore_index=True)
    return Graph.from_dataset(Dataset(world.ratings, world.movies, users))


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def encoder_for(graph: Graph, name: str, num_layers: int, **options: object) -> Encoder:
    """Return an encoder in which no parameter is zero, so that nothing can hide behind one."""
    torch.manual_seed(0)
    config = Config.from_mapping({"model": {**IN_TIME, "encoder": name, "num_layers": num_layers, **options}})
    encoder = make_encoder(config, graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    encoder.prepare(GraphTensors.of(graph))
    return encoder.eval()


# Drawing


def test_random_questions_go_once_through_everybody_with_ratings(graph: Graph) -> None:
    batches = sample_batches(graph, TrainConfig(batch_size=16), seeded())
    assert [len(batch) for batch in batches] == [16, 16, 16, 12]
    assert sorted(torch.cat(batches).tolist()) == list(range(60))


def test_moments_are_so_many_of_everybody_with_ratings(graph: Graph) -> None:
    moments = sample_batches(graph, TrainConfig(objective="next_item", cutoffs_per_user=7, batch_size=100), seeded())
    assert [len(batch) for batch in moments] == [100, 100, 100, 100, 20]
    users = graph.users.user_index[torch.cat(moments)]
    assert torch.bincount(users, minlength=61).tolist() == [7] * 60 + [0]


def places(graph: Graph, cutoff_recency: float) -> Tensor:
    """Return where in the history the moments are drawn: 0 at the first rating, towards 1 at the last."""
    train = TrainConfig(objective="next_item", cutoffs_per_user=2000, cutoff_recency=cutoff_recency)
    moments = torch.cat(sample_batches(graph, train, seeded()))
    user = graph.users.user_index[moments]
    first, end = graph.user_ptr[user], graph.user_ptr[user + 1]
    assert ((moments >= first) & (moments < end)).all()
    return (moments - first) / (end - first)


def test_late_moments(graph: Graph) -> None:
    """Of moments drawn alike a quarter is in the last quarter; with 2, 1 - 0.75^2 of them are; with 5, 1 - 0.75^5."""
    counts = torch.bincount(graph.users.user_index)
    steps = torch.arange(counts.max())
    for late in (1.0, 2.0, 5.0):
        # A share x of the history falls on place floor(x n) of n, so count the places behind three quarters exactly.
        behind = [(steps[:n] >= 0.75 * n) for n in counts.tolist()]
        chance = [
            sum((((p + 1) / n) ** late - (p / n) ** late) for p in torch.nonzero(b).flatten().tolist())
            for n, b in zip(counts.tolist(), behind, strict=True)
        ]
        found = (places(graph, late) >= 0.75).float().mean().item()
        assert found == pytest.approx(np.mean(chance), abs=0.006)  # 120,000 draws; three standard errors are 0.004


def test_every_moment_can_be_drawn_the_first_and_the_last_too(graph: Graph) -> None:
    train = TrainConfig(objective="next_item", cutoffs_per_user=3000, cutoff_recency=1)
    assert len(torch.unique(torch.cat(sample_batches(graph, train, seeded())))) == len(graph.users.user_index)


@pytest.mark.parametrize("objective", ["masked_edges", "next_item"])
def test_a_seed_decides_what_is_drawn(graph: Graph, objective: str) -> None:
    train = TrainConfig(objective=objective, batch_size=9)
    one, again, other = (torch.cat(sample_batches(graph, train, seeded(s))) for s in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# Histories as they once were


def test_known_users_until_a_moment(graph: Graph) -> None:
    users = graph.users
    for moment in (0, 5, int(graph.user_ptr[7]), int(graph.user_ptr[8]) - 1):
        user = int(users.user_index[moment])
        then = graph.user_batch(users.user_index[[moment]], until=torch.tensor([moment]))
        earlier = (users.user_index == user) & (torch.arange(len(users.user_index)) < moment)
        for name in ("movie", "rating", "time"):
            assert torch.equal(getattr(then, name), getattr(users, name)[earlier])
        assert torch.equal(then.x, users.x[[user]])
        assert (
            graph.user_edges(users.user_index[[moment]], torch.tensor([moment])).tolist()
            == earlier.nonzero().flatten().tolist()
        )


# Leaks


@dataclasses.dataclass
class Seen:
    """What the encoder was given, and what it made of it, in one step."""

    z: Tensor
    states: list[Tensor]
    batch: UserBatch
    keep: Tensor
    known: UserBatch
    question: Tensor


def spy(monkeypatch: pytest.MonkeyPatch, graph: Graph, encoder: Encoder, drawn: Tensor, **options: Any) -> Seen:
    """Return all that one step of training looks at; coins fall the same way for the same seed."""
    seen: dict[str, Any] = {}
    make_users, make_movies, make_loss = encoder.users, encoder.movies, _loss

    def users(batch: UserBatch, movies: Any, keep: Tensor) -> Tensor:
        seen.update(batch=batch, keep=keep, z=make_users(batch, movies, keep))
        return seen["z"]

    def movies(*args: Any) -> Any:
        states = make_movies(*args)
        seen["states"] = [*states.messages, states.targets]
        return states

    def loss(
        z: Tensor, targets: Tensor, tensors: GraphTensors, known: UserBatch, question: Tensor, *rest: Any
    ) -> Tensor:
        seen.update(known=known, question=question)
        return make_loss(z, targets, tensors, known, question, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "users", users)
        patch.setattr(encoder, "movies", movies)
        patch.setattr(asking, "_loss", loss)
        train = TrainConfig(**{"objective": "next_item", "loss": "softmax", **options})
        batch_loss(encoder, graph, GraphTensors.of(graph), drawn, train, seeded(1))
    return Seen(**seen)


def moments_of(graph: Graph, at: float = 0.5) -> Tensor:
    """Return a moment in the middle of the histories of some people, and a second one of the first of them."""
    users = torch.tensor([3, 11, 12, 30, 44])
    first, end = graph.user_ptr[users], graph.user_ptr[users + 1]
    middle = (first + at * (end - first)).long()
    return torch.cat([middle, middle[:1] + 1])


def rewritten(graph: Graph, moments: Tensor) -> Graph:
    """Return the graph with everything else at and after these people's moments: movies, stars and times.

    Movies are dealt out anew among these ratings, so that the numbers of ratings stay.
    """
    users, first = graph.users.user_index[moments], {}
    for user, moment in zip(users.tolist(), moments.tolist(), strict=True):
        first[user] = min(moment, first.get(user, moment))
    late = torch.cat([torch.arange(start, int(graph.user_ptr[user + 1])) for user, start in first.items()])
    tensors = {name: getattr(graph.users, name).clone() for name in ("movie", "rating", "time")}
    tensors["movie"][late] = tensors["movie"][late[torch.randperm(len(late), generator=seeded(2))]]
    tensors["rating"][late] = 6 - tensors["rating"][late]
    tensors["time"][late] += 86_400 * torch.arange(1, len(late) + 1)
    assert (tensors["movie"] != graph.users.movie_index)[late].float().mean() > 0.8
    return dataclasses.replace(graph, users=dataclasses.replace(graph.users, **tensors))


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_nothing_of_later_reaches_anybody(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str, num_layers: int
) -> None:
    """Each person as of their first moment: nothing at or after it counts, for them or through the movies."""
    encoder, moments = encoder_for(graph, name, num_layers), moments_of(graph)[:5]
    one, other = (spy(monkeypatch, world, encoder, moments) for world in (graph, rewritten(graph, moments)))
    assert torch.equal(one.z, other.z)
    for ours, theirs in zip(one.states, other.states, strict=True):
        assert torch.equal(ours, theirs)
    # What they are asked for did change.
    assert not torch.equal(one.known.movie_index[one.question], other.known.movie_index[other.question])


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_of_two_moments_the_earlier_does_not_see_the_later(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str, num_layers: int
) -> None:
    """In one batch a person is asked twice; the answer to the first is in the history of the second, and only there."""
    encoder, moments = encoder_for(graph, name, num_layers), moments_of(graph)
    one, other = (
        spy(monkeypatch, world, encoder, moments, edge_dropout=0.01, history_dropout=0.0)
        for world in (graph, rewritten(graph, moments))
    )
    assert torch.equal(one.z[:5], other.z[:5])
    assert not torch.equal(one.z[5], other.z[5])
    for ours, theirs in zip(one.states, other.states, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_these_tests_can_fail(graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let later ratings through to the movies, or end a history one rating too late, and it shows."""
    moments = moments_of(graph)[:5]
    worlds = graph, rewritten(graph, moments)
    with monkeypatch.context() as patch:
        patch.setattr(asking, "csr_ranges", lambda start, end: (torch.zeros(0, dtype=torch.int64), None))
        encoder = encoder_for(graph, name, 2)
        one, other = (spy(monkeypatch, world, encoder, moments) for world in worlds)
        assert not torch.equal(one.z, other.z)

    honest, seen = _newcomers, []
    for world in worlds:  # the same histories, but up to and with the answer
        leaky = world.user_batch(world.users.user_index[moments], moments + 1)
        with monkeypatch.context() as patch:
            patch.setattr(asking, "_newcomers", lambda batch, *rest, leaky=leaky: honest(leaky, *rest))
            found = spy(monkeypatch, world, encoder_for(graph, name, 1), moments, edge_dropout=0.01).z
        seen.append(found)
    assert not torch.equal(*seen)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_with_one_layer_not_even_a_count_of_later_ratings_is_seen(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Later movies changed at will, so that movies' numbers of ratings change: those of one's own past do not."""
    encoder, moments = encoder_for(graph, name, 1), moments_of(graph)[:1]
    user = int(graph.users.user_index[moments])
    past = set(graph.users.movie_index[int(graph.user_ptr[user]) : int(moments)].tolist())
    movie = graph.users.movie_index.clone()
    later = slice(int(moments), int(graph.user_ptr[user + 1]))
    others = [m for m in range(graph.num_movies) if m not in past and m not in movie[later].tolist()]
    movie[later] = torch.tensor(others[: len(movie[later])])
    world = dataclasses.replace(graph, users=dataclasses.replace(graph.users, movie=movie))
    one, other = (spy(monkeypatch, w, encoder, moments) for w in (graph, world))
    assert torch.equal(one.z, other.z)


@pytest.mark.parametrize("horizon", [1, 3, 1000])
def test_what_is_asked_is_what_came_next(graph: Graph, monkeypatch: pytest.MonkeyPatch, horizon: int) -> None:
    moments = moments_of(graph)
    seen = spy(monkeypatch, graph, encoder_for(graph, "lightgcn", 1), moments, horizon=horizon)
    for row, moment in enumerate(moments.tolist()):
        end = int(graph.user_ptr[graph.users.user_index[moment] + 1])
        first = int(graph.user_ptr[graph.users.user_index[moment]])
        asked = seen.known.movie_index[seen.question & (seen.known.user_index == row)]
        assert asked.tolist() == graph.users.movie_index[moment : min(moment + horizon, end)].tolist()
        # Everything before, a message or dropped, is neither right nor wrong.
        past = seen.known.movie_index[~seen.question & (seen.known.user_index == row)]
        assert past.tolist() == graph.users.movie_index[first:moment].tolist()
        assert seen.batch.movie_index[seen.batch.user_index == row].tolist() == past.tolist()


def test_shares_that_are_dropped(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = torch.cat(sample_batches(graph, TrainConfig(objective="next_item", cutoffs_per_user=20), seeded()))
    encoder = encoder_for(graph, "lightgcn", 1)
    seen = spy(monkeypatch, graph, encoder, moments, edge_dropout=0.25, history_dropout=0.4, profile_dropout=0.3)
    kept = torch.zeros(len(moments)).index_add_(0, seen.batch.user_index, seen.keep)
    length = torch.bincount(seen.batch.user_index, minlength=len(moments))
    long = length >= 8  # so that hardly anybody loses all of it to the coins
    assert (kept[long] == 0).float().mean() == pytest.approx(0.4, abs=0.06)
    with_history = long & (kept > 0)
    assert (kept / length)[with_history].mean() == pytest.approx(0.75, abs=0.03)
    assert (seen.batch.x.abs().sum(1) == 0).float().mean() == pytest.approx(0.3, abs=0.04)


def test_short_histories_are_of_all_lengths_up_to_fifteen(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": np.repeat(np.arange(2000), 100),
                                                     "movie_id": np.tile(np.arange(100), 2000)})))  # fmt: skip
    everybody = torch.arange(graph.num_users)
    encoder = encoder_for(graph, "lightgcn", 1)
    seen = spy(
        monkeypatch, graph, encoder, everybody, objective="masked_edges", history_dropout=0.0, history_truncation=0.4
    )
    kept = torch.zeros(graph.num_users).index_add_(0, seen.batch.user_index, seen.keep)
    short = kept < 30  # of the others hardly anybody has lost so many: 50 of 100 stay on average
    assert short.float().mean() == pytest.approx(0.4, abs=0.04)
    # The length before chance is 15^r with r even in [0, 1]: its mean is 14 / ln 15, half are below the root of 15.
    assert kept[short].mean() == pytest.approx(14 / math.log(15), abs=0.4)
    assert kept[short].median() == pytest.approx(math.sqrt(15), abs=1.01)
    assert (kept[~short]).mean() == pytest.approx(50, abs=0.5)


# Losses are finite whatever is drawn


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("objective", ["masked_edges", "next_item"])
def test_people_who_watched_everything(loss: str, objective: str) -> None:
    """Of the catalogue nothing may be left for the softmax to choose from."""
    rows = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [10, 20, 10, 20], "timestamp": [1, 2, 2, 1]})
    graph = Graph.from_dataset(Dataset(rows))
    encoder, tensors = encoder_for(graph, "lightgcn", 2), GraphTensors.of(graph)
    train, generator = TrainConfig(objective=objective, loss=loss, edge_dropout=0.2), seeded()
    for _ in range(20):
        for drawn in sample_batches(graph, train, generator):
            encoder.zero_grad()
            value = batch_loss(encoder, graph, tensors, drawn, train, generator)
            value.backward()
            assert value.isfinite()
            assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


# Nothing is learned where nothing can be, and what can be is


NUM_MOVIES, WATCHED = 40, 16
NEXT = {
    "loss": "softmax", "objective": "next_item", "metric": "hit_rate", "k": 10, "batch_size": 128, "learning_rate": 0.01,
    "history_dropout": 0.0, "id_dropout": 0.0, "edge_dropout": 0.2, "cutoffs_per_user": 8, "patience": 100,
}  # fmt: skip
SMALL = {"temporal": True, "embedding_dim": 32, "hidden_dim": 32, "init": "transitions", "dropout": 0.1}


def next_movie(rows: Iterator[tuple[int, int, int]]) -> Split:
    return leave_one_out(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))


@pytest.fixture(scope="module")
def noise() -> Split:
    """Return 400 people who each watched 16 of 40 movies in any order: nothing can be predicted."""
    order = np.argsort(np.random.default_rng(0).random((400, NUM_MOVIES)), axis=1)[:, :WATCHED]
    return next_movie((user, movie, time) for user, own in enumerate(order.tolist()) for time, movie in enumerate(own))


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_of_noise_nothing_is_learned(noise: Split, name: str, num_layers: int) -> None:
    """On held-out ratings the model stays at chance, and in training too: no answer is in its question."""
    settings = {"model": {**SMALL, "encoder": name, "num_layers": num_layers}, "train": {**NEXT, "epochs": 3}}
    model = fit(noise, Config.from_mapping(settings), progress=False)
    found = evaluate(model, noise.test, ks=(10,), metrics=("hit_rate",), history=noise.valid)["value"].iloc[0]
    # 1 of the 25 movies that a person has not seen is theirs; a standard error is 0.025.
    assert found == pytest.approx(10 / (NUM_MOVIES - WATCHED + 1), abs=0.08)
    # Late moments: the mean over places of the log of what is left to choose from.
    place = np.arange(WATCHED - 2)
    chance = np.diff((np.arange(WATCHED - 1) / (WATCHED - 2)) ** 2) @ np.log(NUM_MOVIES - place)
    assert chance == pytest.approx(3.434, abs=0.001)
    assert model.history[0]["loss"] == pytest.approx(chance, abs=0.03)
    assert model.history[-1]["loss"] == pytest.approx(chance, abs=0.08)  # a little is learned by heart


CYCLE = 30


@pytest.fixture(scope="module")
def cycle() -> Split:
    """Return people who begin anywhere, and after movie i always watch movie i + 1."""
    rng = np.random.default_rng(1)
    starts, lengths = rng.integers(CYCLE, size=300), rng.integers(5, 20, size=300)
    return next_movie(
        (user, (start + time) % CYCLE, time)
        for user, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True))
        for time in range(length)
    )


def hits_of_first(split: Split, **model: object) -> float:
    settings = {"model": {**SMALL, **model}, "train": {**NEXT, "k": 1, "epochs": 8}}
    trained = fit(split, Config.from_mapping(settings), progress=False)
    return float(evaluate(trained, split.test, ks=(1,), metrics=("hit_rate",), history=split.valid)["value"].iloc[0])


@pytest.mark.parametrize("name", ENCODERS.names())
def test_what_always_follows_is_learned(cycle: Split, name: str) -> None:
    assert hits_of_first(cycle, encoder=name, init="random") > 0.95


def test_without_time_the_set_does_not_say_what_came_last() -> None:
    """Up and down alike: the set of movies has two ends, and only the order tells at which one somebody is."""
    rng = np.random.default_rng(1)
    starts, lengths, ways = rng.integers(CYCLE, size=300), rng.integers(5, 20, size=300), rng.choice([-1, 1], size=300)
    both_ways = next_movie(
        (user, (start + way * time) % CYCLE, time)
        for user, (start, length, way) in enumerate(zip(starts.tolist(), lengths.tolist(), ways.tolist(), strict=True))
        for time in range(length)
    )
    assert hits_of_first(both_ways) > 0.95
    assert hits_of_first(both_ways, temporal=False) < 0.65
