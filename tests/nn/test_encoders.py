"""Encoders: their formulas by hand, the same code path for everybody, and no label in sight of its own question."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import LightGCN as PyGLightGCN

from gnnrec import Config, Dataset, Graph, Split, fit
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import DropMask, Encoder, GraphSAGE, GraphTensors, LightGCN, NodeEncoder, NodeFeatures
from gnnrec.nn.features import GENRE_SCALE, LENGTH_SCALE, RandomFourierFeatures
from gnnrec.registry import ENCODERS
from gnnrec.sparse import Adjacency
from gnnrec.splitting import random_split

EVERY_ENCODER = [(name, num_layers) for name in ENCODERS.names() for num_layers in (1, 2)]


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a world in which one movie has no rating and one user nothing at all."""
    world = make_sample(60, 40, seed=5, ratings_per_user=10)
    users = pd.concat([world.users, pd.DataFrame({"user_id": [999]})], ignore_index=True)
    movies = pd.concat([world.movies, pd.DataFrame({"movie_id": [888], "genres": ["Drama"]})], ignore_index=True)
    return Graph.from_dataset(Dataset(world.ratings, movies, users))


def encoder_for(graph: Graph, name: str, num_layers: int = 1, seed: int = 0, **options: object) -> Encoder:
    """Return an encoder in which no parameter is zero, so that nothing can hide behind one."""
    torch.manual_seed(seed)
    config = Config.from_mapping({"model": {"encoder": name, "num_layers": num_layers, "embedding_dim": 6, **options}})
    encoder = make_encoder(config, graph)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    return encoder.eval()


def coins(n: int, seed: int = 0) -> Tensor:
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


# Nodes


def node_encoder(num_ids: int) -> tuple[NodeEncoder, NodeFeatures]:
    """Return an encoder and four nodes: 0 has attributes 0 and 2, 1 has side 1; 0 and 3 have a text."""
    torch.manual_seed(0)
    attributes = {"genres": Adjacency(torch.tensor([0, 1, 0]), torch.tensor([2, 1, 0]), 4, 3)}
    text = torch.randn(4, 5), torch.tensor([True, False, False, True])
    content = NodeFeatures(torch.randn(4, 2), attributes, {"text": text}, torch.randn(4, 2))
    encoder = NodeEncoder(content.sizes, dim=4, num_ids=num_ids)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    return encoder.eval(), content


def by_hand(encoder: NodeEncoder, content: NodeFeatures) -> Tensor:
    """Return what content gives each node, without id vectors."""
    w, e, text = encoder.features.weight, encoder.attributes["genres"], encoder.modality("text")
    values = content.modalities["text"][0]
    expected = [
        w @ content.x[0] + (e[0] + e[2]) / 2 + text.project.weight @ values[0],
        w @ content.x[1] + e[1] + text.missing,
        w @ content.x[2] + text.missing,
        w @ content.x[3] + text.project.weight @ values[3],
    ]
    return torch.stack(expected)


def test_node_encoder_with_ids_by_hand() -> None:
    encoder, content = node_encoder(num_ids=3)
    encoder.has_id[1] = False  # has a row in the table, but was never trained; node 3 came after training
    ids = encoder.ids * torch.tensor([[1.0], [0.0], [1.0]])
    torch.testing.assert_close(encoder(content), by_hand(encoder, content) + torch.cat([ids, torch.zeros(1, 4)]))


def test_dropped_ids_leave_the_content() -> None:
    encoder, content = node_encoder(num_ids=3)
    no_text = {"text": torch.zeros(4, dtype=torch.bool)}
    dropped = encoder(content, DropMask(torch.tensor([True, False, True, True]), no_text))
    whole = encoder(content)
    torch.testing.assert_close(dropped[[0, 2]], whole[[0, 2]] - encoder.ids[[0, 2]])
    assert torch.equal(dropped[[1, 3]], whole[[1, 3]])


def test_a_dropped_modality_is_a_missing_one() -> None:
    encoder, content = node_encoder(num_ids=3)
    values, known = content.modalities["text"]
    without = dataclasses.replace(
        content, modalities={"text": (values, known & torch.tensor([False, True, True, True]))}
    )
    dropped = DropMask(torch.zeros(4, dtype=torch.bool), {"text": torch.tensor([True, False, True, False])})
    torch.testing.assert_close(encoder(content, dropped), encoder(without))
    assert not torch.allclose(encoder(content, dropped)[0], encoder(content)[0])


def test_a_modality_is_normalised_over_rated_movies_that_have_it() -> None:
    encoder, content = node_encoder(num_ids=4)
    values, _ = content.modalities["text"]
    encoder.prepare(content, torch.tensor([True, True, True, False]))
    text = encoder.modality("text")
    torch.testing.assert_close(text.mean, values[0])  # the one that is rated and has a text
    encoder.prepare(content, torch.ones(4, dtype=torch.bool))
    normal = text.normalize(*content.modalities["text"])
    torch.testing.assert_close(normal[[0, 3]].mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(normal[[0, 3]].square().sum(1).mean(), torch.tensor(1.0))
    assert torch.equal(normal[[1, 2]], torch.zeros(2, 5))


def test_node_encoder_without_ids_by_hand() -> None:
    encoder, content = node_encoder(num_ids=0)
    torch.testing.assert_close(encoder(content), by_hand(encoder, content) + encoder.features.bias)


def test_at_first_a_node_is_its_id() -> None:
    _, content = node_encoder(0)
    encoder = NodeEncoder(content.sizes, 4, num_ids=2)
    torch.testing.assert_close(encoder(content), torch.cat([encoder.ids, torch.zeros(2, 4)]))


def test_kernel_features_are_those_of_a_gaussian_kernel() -> None:
    _, content = node_encoder(0)
    kernel = RandomFourierFeatures(5, 4)
    found = kernel.features(content)
    inputs = torch.cat([content.numeric, GENRE_SCALE * content.shares("genres")], dim=1)
    expected = torch.exp(-torch.cdist(inputs, inputs).square() / (2 * LENGTH_SCALE**2))
    torch.testing.assert_close(found @ found.T, expected, atol=0.15, rtol=0)
    assert (found @ found.T)[0, 1] < 0.8 < (found @ found.T)[0, 0]


# Formulas


def test_lightgcn_is_that_of_pyg(graph: Graph) -> None:
    """With users who start at zero and one movie table, three of PyG's layers are our two rounds."""
    encoder = encoder_for(graph, "lightgcn", num_layers=2, user_degree_smoothing=0.0)
    nn.init.zeros_(encoder.profile.features.weight)
    nn.init.zeros_(encoder.profile.features.bias)
    nn.init.zeros_(encoder.profile.attributes["occupations"])
    encoder.target.load_state_dict(encoder.message.state_dict())
    tensors = GraphTensors.of(graph)

    # Users are filled by odd layers, movies by even ones, so one `alpha` serves both.
    alpha = torch.tensor([1.0, encoder.alpha[0].item(), encoder.beta[0].item(), encoder.alpha[1].item()])
    theirs = PyGLightGCN(graph.num_users + graph.num_movies, 6, num_layers=3, alpha=alpha)
    with torch.no_grad():
        start = torch.zeros(graph.num_users, 6), encoder.message(tensors.content)
        theirs.embedding.weight.copy_(torch.cat(start))
        to_movies = torch.stack([graph.users.user_index, graph.users.movie_index + graph.num_users])
        expected = theirs.get_embedding(torch.cat([to_movies, to_movies.flip(0)], dim=1))
        found = encoder(tensors)
    torch.testing.assert_close(found["user"], expected[: graph.num_users])
    torch.testing.assert_close(found["movie"], expected[graph.num_users :])


def dense_history(graph: Graph, keep: Tensor) -> Tensor:
    matrix = torch.zeros(graph.num_users, graph.num_movies)
    matrix[graph.users.user_index, graph.users.movie_index] = keep
    return matrix


@pytest.mark.parametrize("smoothing", [0.0, 3.5])
def test_lightgcn_by_hand(graph: Graph, smoothing: float) -> None:
    encoder = encoder_for(graph, "lightgcn", 2, user_degree_smoothing=smoothing)
    tensors, keep = GraphTensors.of(graph), coins(len(graph.users.user_index))
    kept = dense_history(graph, keep)
    # A person's degree counts messages; a movie's counts every rating of the graph.
    a = kept / (kept.sum(1, keepdim=True) + smoothing).clamp(min=1).sqrt() / tensors.movie_degree.clamp(min=1).sqrt()
    m0, t = (e(tensors.content) for e in (encoder.message, encoder.target))
    p = encoder.profile(NodeFeatures.of_people(graph.users))
    m1 = a.T @ (a @ m0)
    states = encoder.movies(tensors, keep)
    torch.testing.assert_close(states.targets, t + encoder.beta[0] * m1)
    z = p + encoder.alpha[0] * (a @ m0) + encoder.alpha[1] * (a @ m1)
    torch.testing.assert_close(encoder.users(graph.users, states, keep), z)


@pytest.mark.parametrize("keep_all", [True, False])
def test_graphsage_by_hand(graph: Graph, keep_all: bool) -> None:
    encoder, tensors = encoder_for(graph, "graphsage", 2), GraphTensors.of(graph)
    keep = None if keep_all else coins(len(graph.users.user_index))
    kept = dense_history(graph, torch.ones(len(graph.users.user_index)) if keep is None else keep)
    to_users = kept / kept.sum(1, keepdim=True).clamp(min=1)
    to_movies = kept.T / kept.T.sum(1, keepdim=True).clamp(min=1)

    def layer(conv: nn.Module, mean: Tensor, own: Tensor) -> Tensor:
        return mean @ conv.lin_l.weight.T + conv.lin_l.bias + own @ conv.lin_r.weight.T

    m0 = encoder.message(tensors.content)
    p = encoder.profile(NodeFeatures.of_people(graph.users))
    u1 = layer(encoder.to_users[0], to_users @ m0, p).relu()
    m1 = layer(encoder.to_movies[0], to_movies @ u1, m0).relu()
    u2 = layer(encoder.to_users[1], to_users @ m1, u1)
    states = encoder.movies(tensors, keep)
    torch.testing.assert_close(states.messages[1], m1)
    torch.testing.assert_close(states.targets, encoder.target(tensors.content))
    torch.testing.assert_close(encoder.users(graph.users, states, keep), u2)


def test_graphsage_aggregations(graph: Graph) -> None:
    user = graph.users.user_index[0]
    own = graph.users.movie_index[graph.users.user_index == user]
    for aggregation, join in {"max": Tensor.amax, "min": Tensor.amin, "sum": Tensor.sum}.items():
        encoder, tensors = encoder_for(graph, "graphsage", 1, aggregation=aggregation), GraphTensors.of(graph)
        conv = encoder.to_users[0]
        joined = join(encoder.message(tensors.content)[own], 0)
        p = encoder.profile(NodeFeatures.of_people(graph.users))[user]
        expected = conv.lin_l(joined) + conv.lin_r(p)
        torch.testing.assert_close(encoder(tensors)["user"][user], expected)


# One code path for everybody


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_a_person_is_the_same_alone_and_among_all(graph: Graph, name: str, num_layers: int) -> None:
    encoder, tensors = encoder_for(graph, name, num_layers), GraphTensors.of(graph)
    everyone = encoder(tensors)
    assert set(everyone) == {"user", "movie"}
    states = encoder.movies(tensors)
    assert torch.equal(everyone["movie"], states.targets)
    sliced = encoder.users(graph.users.slice(10, 20), states)
    torch.testing.assert_close(sliced, everyone["user"][10:20])
    chosen = torch.tensor([42, 3, graph.num_users - 1, 17])
    torch.testing.assert_close(encoder.users(graph.user_batch(chosen), states), everyone["user"][chosen])
    # These are 61 different people.
    assert torch.pdist(everyone["user"]).min() > 1e-4


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_a_movie_added_later_is_its_content(graph: Graph, name: str, num_layers: int) -> None:
    encoder = encoder_for(graph, name, num_layers)
    genres = list(graph.genres[:2])
    new = pd.DataFrame({"movie_id": [9001, 9002], "genres": ["|".join(genres), ""], "year": [1995, None]})
    larger = graph.add_movies(new)
    before, after = encoder(GraphTensors.of(graph)), encoder(GraphTensors.of(larger))
    torch.testing.assert_close(after["movie"][:-2], before["movie"])
    torch.testing.assert_close(after["user"], before["user"])
    e = encoder.target
    decade = larger.movies.x[-2].argmax()
    torch.testing.assert_close(after["movie"][-2], e.features.weight[:, decade] + e.attributes["genres"][:2].mean(0))
    assert torch.equal(after["movie"][-1], torch.zeros(6))  # nothing is known of it


@pytest.mark.parametrize("name", ENCODERS.names())
def test_ids_of_movies_that_nobody_rated_are_never_used(name: str) -> None:
    world = make_sample(40, 30, seed=1, ratings_per_user=6)
    movies = pd.concat([world.movies, pd.DataFrame({"movie_id": [77, 78], "genres": ["Drama", ""]})])
    data = Split(world.ratings, world.ratings[:0], world.ratings[:0], movies, world.users)
    model = fit(
        data, Config().override([f"model.encoder={name}", "model.embedding_dim=8", "train.epochs=2"]), progress=False
    )
    rated = torch.bincount(model.graph.users.movie_index, minlength=32) > 0
    assert torch.equal(model.encoder.target.has_id, rated)
    assert not rated[-2:].any()
    before = model.states.targets.clone()
    with torch.no_grad():
        for movies_encoder in (model.encoder.message, model.encoder.target):
            movies_encoder.ids[~rated] = 1e6
    after = dataclasses.replace(model).states.targets
    assert torch.equal(before, after)


# Labels must not leak: what is asked for must not be seen


def ask_for_other_movies(graph: Graph, keep: Tensor) -> Graph:
    """Return the graph with the movies of all questions dealt out anew; messages and all degrees stay."""
    questions = torch.nonzero(keep == 0).squeeze(1)
    movie = graph.users.movie_index.clone()
    movie[questions] = movie[questions[torch.randperm(len(questions), generator=torch.Generator().manual_seed(1))]]
    assert (movie != graph.users.movie_index).float().mean() > 0.3
    return dataclasses.replace(graph, users=dataclasses.replace(graph.users, movie=movie))


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_questions_reach_nobody(graph: Graph, name: str, num_layers: int) -> None:
    encoder, keep = encoder_for(graph, name, num_layers), coins(len(graph.users.user_index))
    found = []
    for world in (graph, ask_for_other_movies(graph, keep)):
        states = encoder.movies(GraphTensors.of(world), keep)
        found.append((encoder.users(world.users, states, keep), *states.messages, states.targets))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_messages_do_reach_people(graph: Graph, name: str, num_layers: int) -> None:
    """Without `keep`, the same change is seen by everyone who has a history: the test above can fail."""
    encoder, keep = encoder_for(graph, name, num_layers), coins(len(graph.users.user_index))
    one, other = (encoder(GraphTensors.of(world)) for world in (graph, ask_for_other_movies(graph, keep)))
    moved = (one["user"] - other["user"]).abs().amax(1) > 1e-4
    assert moved.float().mean() > 0.9
    assert not moved[-1]  # the user without ratings
    if num_layers == 2 and name == "lightgcn":
        assert ((one["movie"] - other["movie"]).abs().amax(1) > 1e-4).float().mean() > 0.9


NUM_MOVIES, WATCHED, K = 50, 20, 10


@pytest.fixture(scope="module")
def noise() -> Split:
    """Return 500 people who each watched 20 of 50 movies at random: nothing can be predicted."""
    movie = np.argsort(np.random.default_rng(0).random((500, NUM_MOVIES)), axis=1)[:, :WATCHED]
    ratings = pd.DataFrame({"user_id": np.repeat(np.arange(500), WATCHED), "movie_id": movie.ravel()})
    return random_split(Dataset(ratings), (0.75, 0.25, 0.0))


def train_on_noise(noise: Split, name: str, num_layers: int) -> tuple[float, float]:
    """Return the training loss and validation recall of the last epoch."""
    settings = {
        "model": {"encoder": name, "num_layers": num_layers, "embedding_dim": 48, "init": "random"},
        "train": {
            "loss": "softmax", "metric": "recall", "k": K, "batch_size": 64, "learning_rate": 0.03,
            "epochs": 7, "patience": 7, "history_dropout": 0.0, "id_dropout": 0.0,
        },
    }  # fmt: skip
    last = fit(noise, Config.from_mapping(settings), progress=False).history[-1]
    return last["loss"], last[f"recall@{K}"]


# Of 50 movies, about 7.5 are messages; the question is one of the others.
CHANCE_LOSS = np.log(NUM_MOVIES - 0.75 * WATCHED / 2)  # 3.75


@pytest.mark.parametrize(("name", "num_layers"), EVERY_ENCODER)
def test_with_labels_at_random_training_stays_at_chance(noise: Split, name: str, num_layers: int) -> None:
    loss, recall = train_on_noise(noise, name, num_layers)
    assert loss == pytest.approx(CHANCE_LOSS, abs=0.05)
    # 5 of the 35 movies that a person has not seen are theirs; a standard error is 0.009.
    assert recall == pytest.approx(K / (NUM_MOVIES - 0.75 * WATCHED), abs=0.03)


@pytest.mark.parametrize(("name", "encoder"), [("lightgcn", LightGCN), ("graphsage", GraphSAGE)])
def test_a_leak_would_show(noise: Split, monkeypatch: pytest.MonkeyPatch, name: str, encoder: type[Encoder]) -> None:
    """The test above can fail: let questions through to the people, and the loss falls far below chance."""
    honest = encoder.users

    def leaky(self: Encoder, batch: UserBatch, movies: object, keep: Tensor | None = None) -> Tensor:
        return honest(self, batch, movies)

    monkeypatch.setattr(encoder, "users", leaky)
    loss, _ = train_on_noise(noise, name, 1)
    assert loss < CHANCE_LOSS - 0.5
