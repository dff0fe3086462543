"""Edge sampling: the batches of both objectives, and no leak from supervision edges or later ratings."""

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
from gnnrec.training import edge_sampling
from gnnrec.training.edge_sampling import _catalog_loss, _drop_profiles_and_histories, batch_loss, sample_batches
from tests.helpers.histories import replace_users

NAMES = list(ENCODERS.builtin)
NAMES_AND_LAYERS = [(name, num_layers) for name in NAMES for num_layers in (1, 2)]
OBJECTIVES = ["masked_edges", "next_item"]
TEMPORAL = {
    "temporal": True,
    "embedding_dim": 6,
    "hidden_dim": 5,
    "date_features": True,
    "day_decays": [3],
    "rating_decays": [4],
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a graph in which the last user has no ratings."""
    sample = make_sample(60, 40, seed=5, ratings_per_user=10)
    users = pd.concat([sample.users, pd.DataFrame({"user_id": [999]})], ignore_index=True)
    return Graph.from_dataset(Dataset(sample.ratings, sample.movies, users))


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def encoder_for(graph: Graph, name: str, num_layers: int, **options: object) -> Encoder:
    """Return an encoder without zero parameters, which could hide an error, and without dislikes, as in training."""
    torch.manual_seed(0)
    config = Config.from_mapping(
        {"model": {**TEMPORAL, "encoder": name, "num_layers": num_layers, "dislike_weight": 0, **options}}
    )
    encoder = make_encoder(config, graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    encoder.prepare(GraphTensors.from_graph(graph))
    return encoder.eval()


# Batches


def test_masked_edges_visits_every_user_with_ratings_once(graph: Graph) -> None:
    batches = sample_batches(graph, TrainConfig(batch_size=16), generator())
    assert [len(batch) for batch in batches] == [16, 16, 16, 12]
    assert sorted(torch.cat(batches).tolist()) == list(range(60))


def test_next_item_samples_equally_many_cutoffs_of_every_user(graph: Graph) -> None:
    train = TrainConfig(objective="next_item", cutoffs_per_user=7, batch_size=100)
    cutoffs = sample_batches(graph, train, generator())
    assert [len(batch) for batch in cutoffs] == [100, 100, 100, 100, 20]
    users = graph.users.user_index[torch.cat(cutoffs)]
    assert torch.bincount(users, minlength=61).tolist() == [7] * 60 + [0]


def relative_positions(graph: Graph, cutoff_recency: float) -> Tensor:
    """Return the positions of sampled cutoffs in their histories: 0 at the first rating, towards 1 at the last."""
    train = TrainConfig(objective="next_item", cutoffs_per_user=2000, cutoff_recency=cutoff_recency)
    cutoffs = torch.cat(sample_batches(graph, train, generator()))
    user = graph.users.user_index[cutoffs]
    first, end = graph.user_ptr[user], graph.user_ptr[user + 1]
    assert ((cutoffs >= first) & (cutoffs < end)).all()
    return (cutoffs - first) / (end - first)


def test_cutoff_recency(graph: Graph) -> None:
    """In the last quarter there are a fourth of uniform cutoffs; with 2 there are 1 - 0.75^2, with 5 1 - 0.75^5."""
    counts = torch.bincount(graph.users.user_index)
    positions = torch.arange(counts.max())
    for recency in (1.0, 2.0, 5.0):
        # A share x of a history of n ratings is position floor(x n), so the positions are counted exactly.
        late = [(positions[:n] >= 0.75 * n) for n in counts.tolist()]
        chance = [
            sum((((p + 1) / n) ** recency - (p / n) ** recency) for p in torch.nonzero(mask).flatten().tolist())
            for n, mask in zip(counts.tolist(), late, strict=True)
        ]
        found = (relative_positions(graph, recency) >= 0.75).float().mean().item()
        assert found == pytest.approx(np.mean(chance), abs=0.006)  # 120,000 draws; three standard errors are 0.004


def test_every_rating_can_follow_a_cutoff(graph: Graph) -> None:
    train = TrainConfig(objective="next_item", cutoffs_per_user=3000, cutoff_recency=1)
    cutoffs = torch.cat(sample_batches(graph, train, generator()))
    assert len(torch.unique(cutoffs)) == len(graph.users.user_index)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_batches_depend_on_the_seed(graph: Graph, objective: str) -> None:
    train = TrainConfig(objective=objective, batch_size=9)
    one, again, other = (torch.cat(sample_batches(graph, train, generator(s))) for s in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# Histories before a cutoff


def test_user_batch_before_a_cutoff(graph: Graph) -> None:
    users = graph.users
    for cutoff in (0, 5, int(graph.user_ptr[7]), int(graph.user_ptr[8]) - 1):
        node, until = users.user_index[[cutoff]], torch.tensor([cutoff])
        before = graph.user_batch(node, until=until)
        earlier = (users.user_index == node) & (torch.arange(len(users.user_index)) < cutoff)
        for name in ("movie_index", "rating", "timestamp"):
            assert torch.equal(getattr(before, name), getattr(users, name)[earlier])
        assert torch.equal(before.x, users.x[node])
        assert graph.user_edges(node, until).tolist() == earlier.nonzero().flatten().tolist()


# Leaks


@dataclasses.dataclass
class Step:
    """Inputs and embeddings of one training step."""

    z: Tensor
    movies: list[Tensor]
    batch: UserBatch
    edge_mask: Tensor
    observed: UserBatch
    supervision: Tensor


def run_step(monkeypatch: pytest.MonkeyPatch, graph: Graph, encoder: Encoder, batch: Tensor, **options: Any) -> Step:
    """Run one training step and return what it used; random numbers are the same in every call."""
    recorded: dict[str, Any] = {}
    original_users, original_movies, original_loss = encoder.embed_users, encoder.embed_movies, _catalog_loss

    def embed_users(batch: UserBatch, movies: Any, edge_mask: Tensor) -> Tensor:
        recorded.update(batch=batch, edge_mask=edge_mask, z=original_users(batch, movies, edge_mask))
        return recorded["z"]

    def embed_movies(*args: Any) -> Any:
        movies = original_movies(*args)
        recorded["movies"] = [*movies.messages, movies.targets]
        return movies

    def catalog_loss(
        z: Tensor, targets: Tensor, tensors: Any, observed: Any, supervision: Tensor, *rest: Any
    ) -> Tensor:
        recorded.update(observed=observed, supervision=supervision)
        return original_loss(z, targets, tensors, observed, supervision, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "embed_users", embed_users)
        patch.setattr(encoder, "embed_movies", embed_movies)
        patch.setattr(edge_sampling, "_catalog_loss", catalog_loss)
        train = TrainConfig(**{"objective": "next_item", "loss": "softmax", **options})
        batch_loss(encoder, graph, GraphTensors.from_graph(graph), batch, train, generator(1))
    return Step(**recorded)


def sample_cutoffs(graph: Graph, position: float = 0.5) -> Tensor:
    """Return a cutoff in the middle of the histories of five users, and a later one of the first of them."""
    users = torch.tensor([3, 11, 12, 30, 44])
    first, end = graph.user_ptr[users], graph.user_ptr[users + 1]
    middle = (first + position * (end - first)).long()
    return torch.cat([middle, middle[:1] + 1])


def with_other_future(graph: Graph, cutoffs: Tensor) -> Graph:
    """Return the graph with other movies, ratings and timestamps from these users' first cutoffs on.

    The movies are permuted among these ratings, so movies keep their degrees.
    """
    users, first = graph.users.user_index[cutoffs], {}
    for user, cutoff in zip(users.tolist(), cutoffs.tolist(), strict=True):
        first[user] = min(cutoff, first.get(user, cutoff))
    late = torch.cat([torch.arange(start, int(graph.user_ptr[user + 1])) for user, start in first.items()])
    tensors = {name: getattr(graph.users, name).clone() for name in ("movie_index", "rating", "timestamp")}
    tensors["movie_index"][late] = tensors["movie_index"][late[torch.randperm(len(late), generator=generator(2))]]
    tensors["rating"][late] = 6 - tensors["rating"][late]
    tensors["timestamp"][late] += 86_400 * torch.arange(1, len(late) + 1)
    assert (tensors["movie_index"] != graph.users.movie_index)[late].float().mean() > 0.8
    return replace_users(graph, **tensors)


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_later_ratings_do_not_change_any_embedding(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str, num_layers: int
) -> None:
    """Neither directly nor through the movies."""
    encoder, cutoffs = encoder_for(graph, name, num_layers), sample_cutoffs(graph)[:5]
    one, other = (run_step(monkeypatch, g, encoder, cutoffs) for g in (graph, with_other_future(graph, cutoffs)))
    assert torch.equal(one.z, other.z)
    for ours, theirs in zip(one.movies, other.movies, strict=True):
        assert torch.equal(ours, theirs)
    # The ratings to predict did change.
    assert not torch.equal(one.observed.movie_index[one.supervision], other.observed.movie_index[other.supervision])


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_the_earlier_of_two_cutoffs_does_not_see_the_later(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str, num_layers: int
) -> None:
    """A user is twice in a batch; the rating to predict at the first cutoff is in the history of the second only."""
    encoder, cutoffs = encoder_for(graph, name, num_layers), sample_cutoffs(graph)
    one, other = (
        run_step(monkeypatch, g, encoder, cutoffs, edge_dropout=0.01, history_dropout=0.0)
        for g in (graph, with_other_future(graph, cutoffs))
    )
    assert torch.equal(one.z[:5], other.z[:5])
    assert not torch.equal(one.z[5], other.z[5])
    for ours, theirs in zip(one.movies, other.movies, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_leak_would_be_noticed(graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The tests above can fail: if later ratings reach the movies, or if histories end one rating too late."""
    cutoffs = sample_cutoffs(graph)[:5]
    graphs = graph, with_other_future(graph, cutoffs)
    with monkeypatch.context() as patch:
        patch.setattr(edge_sampling, "csr_ranges", lambda start, end: (torch.zeros(0, dtype=torch.int64), None))
        encoder = encoder_for(graph, name, 2)
        one, other = (run_step(monkeypatch, g, encoder, cutoffs) for g in graphs)
        assert not torch.equal(one.z, other.z)

    original, found = _drop_profiles_and_histories, []
    for one_graph in graphs:  # histories that include the rating to predict
        leaky = one_graph.user_batch(one_graph.users.user_index[cutoffs], cutoffs + 1)
        with monkeypatch.context() as patch:
            patch.setattr(
                edge_sampling, "_drop_profiles_and_histories", lambda batch, *rest, leaky=leaky: original(leaky, *rest)
            )
            step = run_step(monkeypatch, one_graph, encoder_for(graph, name, 1), cutoffs, edge_dropout=0.01)
        found.append(step.z)
    assert not torch.equal(*found)


@pytest.mark.parametrize("name", NAMES)
def test_with_one_layer_degrees_of_later_movies_do_not_matter(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Later movies are replaced by others, which changes movie degrees, but not of those in the history."""
    encoder, cutoffs = encoder_for(graph, name, 1), sample_cutoffs(graph)[:1]
    user = int(graph.users.user_index[cutoffs])
    past = set(graph.users.movie_index[int(graph.user_ptr[user]) : int(cutoffs)].tolist())
    movie = graph.users.movie_index.clone()
    later = slice(int(cutoffs), int(graph.user_ptr[user + 1]))
    others = [m for m in range(graph.num_movies) if m not in past and m not in movie[later].tolist()]
    movie[later] = torch.tensor(others[: len(movie[later])])
    changed = replace_users(graph, movie_index=movie)
    one, other = (run_step(monkeypatch, g, encoder, cutoffs) for g in (graph, changed))
    assert torch.equal(one.z, other.z)


@pytest.mark.parametrize("horizon", [1, 3, 1000])
def test_supervision_edges_are_the_next_ratings(graph: Graph, monkeypatch: pytest.MonkeyPatch, horizon: int) -> None:
    cutoffs = sample_cutoffs(graph)
    step = run_step(monkeypatch, graph, encoder_for(graph, "lightgcn", 1), cutoffs, horizon=horizon)
    for row, cutoff in enumerate(cutoffs.tolist()):
        user = graph.users.user_index[cutoff]
        first, end = int(graph.user_ptr[user]), int(graph.user_ptr[user + 1])
        positive = step.observed.movie_index[step.supervision & (step.observed.user_index == row)]
        assert positive.tolist() == graph.users.movie_index[cutoff : min(cutoff + horizon, end)].tolist()
        # All earlier ratings, masked or not, count neither as positive nor as negative.
        past = step.observed.movie_index[~step.supervision & (step.observed.user_index == row)]
        assert past.tolist() == graph.users.movie_index[first:cutoff].tolist()
        assert step.batch.movie_index[step.batch.user_index == row].tolist() == past.tolist()


# Dropout


def test_dropout_fractions(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    cutoffs = torch.cat(sample_batches(graph, TrainConfig(objective="next_item", cutoffs_per_user=20), generator()))
    encoder = encoder_for(graph, "lightgcn", 1)
    step = run_step(monkeypatch, graph, encoder, cutoffs, edge_dropout=0.25, history_dropout=0.4, profile_dropout=0.3)
    kept = torch.zeros(len(cutoffs)).index_add_(0, step.batch.user_index, step.edge_mask)
    length = torch.bincount(step.batch.user_index, minlength=len(cutoffs))
    long = length >= 8  # edge dropout hardly ever removes a history of this length
    assert (kept[long] == 0).float().mean() == pytest.approx(0.4, abs=0.06)
    with_history = long & (kept > 0)
    assert (kept / length)[with_history].mean() == pytest.approx(0.75, abs=0.03)
    assert (step.batch.x.abs().sum(1) == 0).float().mean() == pytest.approx(0.3, abs=0.04)


def test_truncated_histories_have_log_uniform_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = pd.DataFrame({"user_id": np.repeat(np.arange(2000), 100), "movie_id": np.tile(np.arange(100), 2000)})
    graph = Graph.from_dataset(Dataset(ratings))
    options = {"objective": "masked_edges", "history_dropout": 0.0, "history_truncation": 0.4}
    users, encoder = torch.arange(graph.num_users), encoder_for(graph, "lightgcn", 1)
    step = run_step(monkeypatch, graph, encoder, users, **options)
    kept = torch.zeros(graph.num_users).index_add_(0, step.batch.user_index, step.edge_mask)
    short = kept < 30  # of other histories 50 of 100 ratings are kept on average
    assert short.float().mean() == pytest.approx(0.4, abs=0.04)
    # Expected lengths are 15^r with uniform r: the mean is 14 / ln 15, the median the root of 15.
    assert kept[short].mean() == pytest.approx(14 / math.log(15), abs=0.4)
    assert kept[short].median() == pytest.approx(math.sqrt(15), abs=1.01)
    assert (kept[~short]).mean() == pytest.approx(50, abs=0.5)


# Losses are always finite


@pytest.mark.parametrize("loss", list(LOSSES.builtin))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_users_who_rated_every_movie(loss: str, objective: str) -> None:
    """There may be no candidate left for the softmax."""
    rows = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [10, 20, 10, 20], "timestamp": [1, 2, 2, 1]})
    graph = Graph.from_dataset(Dataset(rows))
    encoder, tensors = encoder_for(graph, "lightgcn", 2), GraphTensors.from_graph(graph)
    train, random = TrainConfig(objective=objective, loss=loss, edge_dropout=0.2), generator()
    for _ in range(20):
        for batch in sample_batches(graph, train, random):
            encoder.zero_grad()
            value = batch_loss(encoder, graph, tensors, batch, train, random)
            value.backward()
            assert value.isfinite()
            assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


# What is learned


NUM_MOVIES, NUM_RATED = 40, 16
TRAIN = {
    "loss": "softmax", "objective": "next_item", "metric": "hit_rate", "k": 10, "batch_size": 128, "patience": 100,
    "learning_rate": 0.01, "history_dropout": 0.0, "id_dropout": 0.0, "edge_dropout": 0.2, "cutoffs_per_user": 8,
}  # fmt: skip
MODEL = {"temporal": True, "embedding_dim": 32, "hidden_dim": 32, "init": "transitions", "dropout": 0.1}


def leave_one_out_of(rows: Iterator[tuple[int, int, int]]) -> Split:
    return leave_one_out(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))


@pytest.fixture(scope="module")
def noise() -> Split:
    """Return 400 users who each rated 16 of 40 movies in random order: nothing can be predicted."""
    order = np.argsort(np.random.default_rng(0).random((400, NUM_MOVIES)), axis=1)[:, :NUM_RATED].tolist()
    return leave_one_out_of((user, movie, time) for user, own in enumerate(order) for time, movie in enumerate(own))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_training_on_noise_stays_at_chance(noise: Split, name: str, num_layers: int) -> None:
    """On held-out ratings, and in training too: what is to be predicted does not reach the user embedding."""
    settings = {
        "model": {**MODEL, "encoder": name, "num_layers": num_layers},
        "train": {**TRAIN, "cutoffs_per_user": 4, "epochs": 3},
    }
    model = fit(noise, config=Config.from_mapping(settings), progress=False)
    found = evaluate(model, noise.test, ks=(10,), metrics=("hit_rate",), history=noise.valid)["value"].iloc[0]
    # 1 of the 25 movies without a rating is relevant; a standard error is 0.025.
    assert found == pytest.approx(10 / (NUM_MOVIES - NUM_RATED + 1), abs=0.08)
    # The mean over cutoffs of the log of the number of candidates.
    position = np.arange(NUM_RATED - 2)
    chance = np.diff((np.arange(NUM_RATED - 1) / (NUM_RATED - 2)) ** 2) @ np.log(NUM_MOVIES - position)
    assert chance == pytest.approx(3.434, abs=0.001)
    assert model.history[0]["loss"] == pytest.approx(chance, abs=0.03)
    assert model.history[-1]["loss"] == pytest.approx(chance, abs=0.08)  # with a little overfitting


CYCLE = 30


@pytest.fixture(scope="module")
def cycle() -> Split:
    """Return users who start anywhere, and always rate movie i + 1 after movie i."""
    rng = np.random.default_rng(1)
    starts, lengths = rng.integers(CYCLE, size=300), rng.integers(5, 20, size=300)
    return leave_one_out_of(
        (user, (start + time) % CYCLE, time)
        for user, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True))
        for time in range(length)
    )


def hit_rate_at_1(split: Split, epochs: int, **model: object) -> float:
    settings = {"model": {**MODEL, **model}, "train": {**TRAIN, "k": 1, "epochs": epochs}}
    fitted = fit(split, config=Config.from_mapping(settings), progress=False)
    return float(evaluate(fitted, split.test, ks=(1,), metrics=("hit_rate",), history=split.valid)["value"].iloc[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fixed_transitions_are_learned(cycle: Split, name: str) -> None:
    assert hit_rate_at_1(cycle, 3, encoder=name, init="random") > 0.95


@pytest.mark.slow
def test_only_a_temporal_model_knows_which_movie_came_last() -> None:
    """Users go up or down: the set of movies has two ends, and only the order tells which one is the last."""
    rng = np.random.default_rng(1)
    starts, lengths, ways = rng.integers(CYCLE, size=300), rng.integers(5, 20, size=300), rng.choice([-1, 1], size=300)
    both_ways = leave_one_out_of(
        (user, (start + way * time) % CYCLE, time)
        for user, (start, length, way) in enumerate(zip(starts.tolist(), lengths.tolist(), ways.tolist(), strict=True))
        for time in range(length)
    )
    assert hit_rate_at_1(both_ways, 8) > 0.95
    assert hit_rate_at_1(both_ways, 8, temporal=False) < 0.65


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_movies_that_receive_no_messages(graph: Graph, name: str, num_layers: int) -> None:
    encoder, tensors = encoder_for(graph, name, num_layers), GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    mask = (torch.arange(tensors.users.user_movie.num_edges) % 3 > 0).float()
    whole, masked = (encoder.embed_movies(tensors, one) for one in (None, mask))
    pairs = zip([*whole.messages, whole.targets], [*masked.messages, masked.targets], strict=True)
    assert encoder.movies_receive_messages == any(not torch.equal(*pair) for pair in pairs)
    assert encoder.movies_receive_messages == (num_layers > 1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", NAMES)
def test_large_graphs_draw_for_the_batch_only(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str, objective: str
) -> None:
    encoder, tensors = encoder_for(graph, name, 1), GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    train = TrainConfig(objective=objective, history_truncation=0, id_dropout=0)
    users = torch.nonzero(torch.bincount(graph.users.user_index)).squeeze(1)
    batch = graph.user_ptr[users] + 4 if objective == "next_item" else users
    drawn: list[int] = []

    def pattern(n: int, probability: float, generator: Generator) -> Tensor:
        drawn.append(n)
        return (torch.arange(n) % 3 > 0).float()

    monkeypatch.setattr(edge_sampling, "bernoulli", pattern)
    losses = []
    for largest in (10**9, 0):
        monkeypatch.setattr(edge_sampling, "MAX_WHOLE_MASK", largest)
        losses.append(batch_loss(encoder, graph, tensors, batch, train, generator()).item())
    assert losses[0] == losses[1] and math.isfinite(losses[0])

    few = batch[:2]
    drawn.clear()
    batch_loss(encoder, graph, tensors, few, train, generator())
    history = len(graph.user_edges(users[:2])) if objective == "masked_edges" else 8
    assert max(drawn) <= max(history, graph.num_movies) < tensors.users.user_movie.num_edges
