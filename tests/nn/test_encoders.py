"""Encoders: formulas by hand, the same embedding alone and in a batch, and no leak of supervision edges."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import LightGCN as PyGLightGCN

from gnnrec import Config, ConfigError, Dataset, Graph, NewMovie, Split, fit
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import DropMask, Encoder, GraphSAGE, GraphTensors, LightGCN, NodeEncoder, NodeFeatures
from gnnrec.nn.features import GENRE_SCALE, LENGTH_SCALE, RandomFourierFeatures, orthogonal_frequencies
from gnnrec.registry import ENCODERS
from gnnrec.sparse import Adjacency
from gnnrec.splitting import random_split
from tests.helpers.histories import replace_users

NAMES = list(ENCODERS.builtin)
NAMES_AND_LAYERS = [(name, num_layers) for name in NAMES for num_layers in (1, 2)]


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a graph in which the last movie has no rating and the last user has neither ratings nor a profile."""
    sample = make_sample(60, 40, seed=5, ratings_per_user=10)
    users = pd.concat([sample.users, pd.DataFrame({"user_id": [999]})], ignore_index=True)
    movies = pd.concat([sample.movies, pd.DataFrame({"movie_id": [888], "genres": ["Drama"]})], ignore_index=True)
    return Graph.from_dataset(Dataset(sample.ratings, movies, users))


def encoder_for(graph: Graph, name: str, num_layers: int = 1, seed: int = 0, **options: object) -> Encoder:
    """Return an encoder without zero parameters, which could hide an error."""
    torch.manual_seed(seed)
    config = Config.from_mapping({"model": {"encoder": name, "num_layers": num_layers, "embedding_dim": 6, **options}})
    encoder = make_encoder(config, graph)
    encoder.dislike_weight = 0.0  # the oracles below count every rating alike
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5)
    return encoder.eval()


def random_mask(n: int, seed: int = 0) -> Tensor:
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


# Node encoders


def node_encoder(num_ids: int) -> tuple[NodeEncoder, NodeFeatures]:
    """Return an encoder and four nodes: 0 has genres 0 and 2, 1 has genre 1; 0 and 3 have a text embedding."""
    torch.manual_seed(0)
    attributes = {"genres": Adjacency(torch.tensor([0, 1, 0]), torch.tensor([2, 1, 0]), 4, 3)}
    text = torch.randn(4, 5), torch.tensor([True, False, False, True])
    features = NodeFeatures(torch.randn(4, 2), attributes, {"text": text}, torch.randn(4, 2))
    encoder = NodeEncoder(features.sizes, embedding_dim=4, num_ids=num_ids)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    return encoder.eval(), features


def features_by_hand(encoder: NodeEncoder, features: NodeFeatures) -> Tensor:
    """Return the embeddings of the four nodes without id embeddings."""
    w, e, text = encoder.linear.weight, encoder.attributes["genres"], encoder.modality("text")
    values = features.modalities["text"][0]
    expected = [
        w @ features.x[0] + (e[0] + e[2]) / 2 + text.projection.weight @ values[0],
        w @ features.x[1] + e[1] + text.missing,
        w @ features.x[2] + text.missing,
        w @ features.x[3] + text.projection.weight @ values[3],
    ]
    return torch.stack(expected)


def test_node_encoder_with_ids_by_hand() -> None:
    encoder, features = node_encoder(num_ids=3)
    encoder.has_id[1] = False  # was not trained; node 3 was added after training
    ids = encoder.id_embeddings * torch.tensor([[1.0], [0.0], [1.0]])
    expected = features_by_hand(encoder, features)
    torch.testing.assert_close(encoder(features), expected + torch.cat([ids, torch.zeros(1, 4)]))
    torch.testing.assert_close(encoder.embed_features(features), expected)


def test_dropped_ids() -> None:
    encoder, features = node_encoder(num_ids=3)
    no_text = {"text": torch.zeros(4, dtype=torch.bool)}
    dropped = encoder(features, DropMask(torch.tensor([True, False, True, True]), no_text))
    full = encoder(features)
    torch.testing.assert_close(dropped[[0, 2]], full[[0, 2]] - encoder.id_embeddings[[0, 2]])
    assert torch.equal(dropped[[1, 3]], full[[1, 3]])


def test_a_dropped_modality_counts_as_missing() -> None:
    encoder, features = node_encoder(num_ids=3)
    values, known = features.modalities["text"]
    known = known & torch.tensor([False, True, True, True])
    without = dataclasses.replace(features, modalities={"text": (values, known)})
    drop_mask = DropMask(torch.zeros(4, dtype=torch.bool), {"text": torch.tensor([True, False, True, False])})
    torch.testing.assert_close(encoder(features, drop_mask), encoder(without))
    assert not torch.allclose(encoder(features, drop_mask)[0], encoder(features)[0])


def test_modalities_are_standardized_over_rated_movies() -> None:
    encoder, features = node_encoder(num_ids=4)
    values, _ = features.modalities["text"]
    encoder.prepare(features, torch.tensor([True, True, True, False]))
    text = encoder.modality("text")
    torch.testing.assert_close(text.mean, values[0])  # only node 0 is rated and has a text
    encoder.prepare(features, torch.ones(4, dtype=torch.bool))
    standardized = text.standardize(*features.modalities["text"])
    torch.testing.assert_close(standardized[[0, 3]].mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(standardized[[0, 3]].square().sum(1).mean(), torch.tensor(1.0))
    assert torch.equal(standardized[[1, 2]], torch.zeros(2, 5))


def test_node_encoder_without_ids_by_hand() -> None:
    encoder, features = node_encoder(num_ids=0)
    torch.testing.assert_close(encoder(features), features_by_hand(encoder, features) + encoder.linear.bias)


def test_initially_an_embedding_is_the_id_embedding() -> None:
    _, features = node_encoder(0)
    encoder = NodeEncoder(features.sizes, 4, num_ids=2)
    torch.testing.assert_close(encoder(features), torch.cat([encoder.id_embeddings, torch.zeros(2, 4)]))


def test_fourier_features_approximate_a_gaussian_kernel() -> None:
    _, features = node_encoder(0)
    found = RandomFourierFeatures(5, 4).basis(features)
    inputs = torch.cat([features.numeric, GENRE_SCALE * features.attribute_shares("genres")], dim=1)
    expected = torch.exp(-torch.cdist(inputs, inputs).square() / (2 * LENGTH_SCALE**2))
    torch.testing.assert_close(found @ found.T, expected, atol=0.1, rtol=0)
    torch.testing.assert_close(found.square().sum(1), torch.ones(len(found)))  # cosines and sines of equal frequencies
    assert (found @ found.T)[0, 1] < 0.8 < (found @ found.T)[0, 0]


@pytest.mark.parametrize(("num_inputs", "number"), [(5, 12), (20, 8)])
def test_frequencies_are_orthogonal_in_blocks(num_inputs: int, number: int) -> None:
    frequencies = orthogonal_frequencies(num_inputs, number)
    assert frequencies.shape == (num_inputs, number)
    size = min(num_inputs, number)
    gram = frequencies[:, :size].T @ frequencies[:, :size]
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-9)
    many = orthogonal_frequencies(num_inputs, 4000)
    np.testing.assert_allclose((many**2).sum(axis=0).mean(), num_inputs, rtol=0.05)  # as of normal vectors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": ["studios"]}, "model.attributes: sample has no studios; choose from genres, directors, actors"),
        ({"modalities": ["poster"]}, "model.modalities: sample has no poster; it has none"),
    ],
)
def test_features_that_the_data_lacks(options: dict[str, list[str]], message: str) -> None:
    graph = Graph.from_dataset(make_sample(20, 12))
    with pytest.raises(ConfigError) as caught:
        make_encoder(Config.from_mapping({"model": options}), graph)
    assert str(caught.value) == message


# Formulas


def test_lightgcn_equals_that_of_pyg(graph: Graph) -> None:
    """With zero profiles and one movie table, three layers of PyG's LightGCN are two of ours."""
    encoder = encoder_for(graph, "lightgcn", num_layers=2, user_degree_smoothing=0.0)
    nn.init.zeros_(encoder.profile.linear.weight)
    nn.init.zeros_(encoder.profile.linear.bias)
    nn.init.zeros_(encoder.profile.attributes["occupations"])
    encoder.target.load_state_dict(encoder.message.state_dict())
    tensors = GraphTensors.from_graph(graph)

    # Odd layers reach users, even layers movies, so one `alpha` is enough.
    alpha = torch.tensor([1.0, encoder.alpha[0].item(), encoder.beta[0].item(), encoder.alpha[1].item()])
    reference = PyGLightGCN(graph.num_users + graph.num_movies, 6, num_layers=3, alpha=alpha)
    with torch.no_grad():
        initial = torch.zeros(graph.num_users, 6), encoder.message(tensors.movie_features)
        reference.embedding.weight.copy_(torch.cat(initial))
        edges = torch.stack([graph.users.user_index, graph.users.movie_index + graph.num_users])
        expected = reference.get_embedding(torch.cat([edges, edges.flip(0)], dim=1))
        found = encoder(tensors)
    torch.testing.assert_close(found["user"], expected[: graph.num_users])
    torch.testing.assert_close(found["movie"], expected[graph.num_users :])


def dense_adjacency(graph: Graph, edge_mask: Tensor) -> Tensor:
    matrix = torch.zeros(graph.num_users, graph.num_movies)
    matrix[graph.users.user_index, graph.users.movie_index] = edge_mask
    return matrix


@pytest.mark.parametrize("smoothing", [0.0, 3.5])
def test_lightgcn_by_hand(graph: Graph, smoothing: float) -> None:
    encoder = encoder_for(graph, "lightgcn", 2, user_degree_smoothing=smoothing)
    tensors, mask = GraphTensors.from_graph(graph), random_mask(len(graph.users.user_index))
    a = dense_adjacency(graph, mask)
    # A user's degree counts message-passing edges, a movie's all ratings of the graph.
    a = a / (a.sum(1, keepdim=True) + smoothing).clamp(min=1).sqrt() / tensors.movie_degree.clamp(min=1).sqrt()
    m0, t = (node_encoder(tensors.movie_features) for node_encoder in (encoder.message, encoder.target))
    p = encoder.profile(NodeFeatures.from_users(graph.users))
    m1 = a.T @ (a @ m0)
    movies = encoder.embed_movies(tensors, mask)
    torch.testing.assert_close(movies.targets, t + encoder.beta[0] * m1)
    z = p + encoder.alpha[0] * (a @ m0) + encoder.alpha[1] * (a @ m1)
    torch.testing.assert_close(encoder.embed_users(graph.users, movies, mask), z)


@pytest.mark.parametrize("masked", [False, True])
def test_graphsage_by_hand(graph: Graph, masked: bool) -> None:
    encoder, tensors = encoder_for(graph, "graphsage", 2), GraphTensors.from_graph(graph)
    num_edges = len(graph.users.user_index)
    mask = random_mask(num_edges) if masked else None
    a = dense_adjacency(graph, torch.ones(num_edges) if mask is None else mask)
    to_users = a / a.sum(1, keepdim=True).clamp(min=1)
    to_movies = a.T / a.T.sum(1, keepdim=True).clamp(min=1)

    def layer(conv: nn.Module, mean: Tensor, own: Tensor) -> Tensor:
        return mean @ conv.lin_l.weight.T + conv.lin_l.bias + own @ conv.lin_r.weight.T

    m0 = encoder.message(tensors.movie_features)
    p = encoder.profile(NodeFeatures.from_users(graph.users))
    u1 = layer(encoder.to_users[0], to_users @ m0, p).relu()
    m1 = layer(encoder.to_movies[0], to_movies @ u1, m0).relu()
    u2 = layer(encoder.to_users[1], to_users @ m1, u1)
    movies = encoder.embed_movies(tensors, mask)
    torch.testing.assert_close(movies.messages[1], m1)
    torch.testing.assert_close(movies.targets, encoder.target(tensors.movie_features))
    torch.testing.assert_close(encoder.embed_users(graph.users, movies, mask), u2)


def test_graphsage_aggregations(graph: Graph) -> None:
    user = graph.users.user_index[0]
    history = graph.users.movie_index[graph.users.user_index == user]
    tensors = GraphTensors.from_graph(graph)
    for aggregation, aggregate in {"max": Tensor.amax, "min": Tensor.amin, "sum": Tensor.sum}.items():
        encoder = encoder_for(graph, "graphsage", 1, aggregation=aggregation)
        conv = encoder.to_users[0]
        message = aggregate(encoder.message(tensors.movie_features)[history], 0)
        p = encoder.profile(NodeFeatures.from_users(graph.users))[user]
        torch.testing.assert_close(encoder(tensors)["user"][user], conv.lin_l(message) + conv.lin_r(p))


# One code path for all users and movies


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_users_are_the_same_alone_and_in_a_batch(graph: Graph, name: str, num_layers: int) -> None:
    encoder, tensors = encoder_for(graph, name, num_layers), GraphTensors.from_graph(graph)
    all_embeddings = encoder(tensors)
    assert set(all_embeddings) == {"user", "movie"}
    movies = encoder.embed_movies(tensors)
    assert torch.equal(all_embeddings["movie"], movies.targets)
    sliced = encoder.embed_users(graph.users.slice(10, 20), movies)
    torch.testing.assert_close(sliced, all_embeddings["user"][10:20])
    chosen = torch.tensor([42, 3, graph.num_users - 1, 17])
    torch.testing.assert_close(encoder.embed_users(graph.user_batch(chosen), movies), all_embeddings["user"][chosen])
    assert torch.pdist(all_embeddings["user"]).min() > 1e-4  # they do differ


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_added_movies_are_embedded_by_their_features(graph: Graph, name: str, num_layers: int) -> None:
    encoder = encoder_for(graph, name, num_layers)
    genres = list(graph.genres[:2])
    new = pd.DataFrame({"movie_id": [9001, 9002], "genres": ["|".join(genres), ""], "year": [1995, None]})
    larger = graph.add_movies(new)
    before, after = encoder(GraphTensors.from_graph(graph)), encoder(GraphTensors.from_graph(larger))
    torch.testing.assert_close(after["movie"][:-2], before["movie"])
    torch.testing.assert_close(after["user"], before["user"])
    node_encoder = encoder.target
    decade = larger.movies.x[-2].argmax()
    expected = node_encoder.linear.weight[:, decade] + node_encoder.attributes["genres"][:2].mean(0)
    torch.testing.assert_close(after["movie"][-2], expected)
    assert torch.equal(after["movie"][-1], torch.zeros(6))  # no features at all
    described = NewMovie(genres=genres, year=1995)
    alone = node_encoder.embed_features(NodeFeatures.from_movies(graph.new_movie_features(described)))
    torch.testing.assert_close(alone[0], after["movie"][-2])


@pytest.mark.filterwarnings("ignore:no validation ratings")
@pytest.mark.parametrize("name", NAMES)
def test_id_embeddings_of_unrated_movies_are_not_used(name: str) -> None:
    sample = make_sample(40, 30, seed=1, ratings_per_user=6)
    movies = pd.concat([sample.movies, pd.DataFrame({"movie_id": [77, 78], "genres": ["Drama", ""]})])
    split = Split(sample.ratings, sample.ratings[:0], sample.ratings[:0], movies, sample.users)
    config = Config().override([f"model.encoder={name}", "model.embedding_dim=8", "train.epochs=2"])
    model = fit(split, config=config, progress=False)
    rated = torch.bincount(model.graph.users.movie_index, minlength=model.graph.num_movies) > 0
    assert not rated[-2:].any()
    before = model.movie_embeddings.targets
    with torch.no_grad():
        for node_encoder in (model.encoder.message, model.encoder.target):
            node_encoder.id_embeddings[~rated] = 1e6
    after = dataclasses.replace(model).movie_embeddings.targets
    assert torch.equal(before, after)


# Supervision edges must not leak


def with_other_supervision(graph: Graph, mask: Tensor) -> Graph:
    """Return the graph with the movies of the supervision edges permuted; message-passing edges and degrees stay."""
    edges = torch.nonzero(mask == 0).squeeze(1)
    movie = graph.users.movie_index.clone()
    movie[edges] = movie[edges[torch.randperm(len(edges), generator=torch.Generator().manual_seed(1))]]
    assert (movie != graph.users.movie_index).float().mean() > 0.3
    return replace_users(graph, movie_index=movie)


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_supervision_edges_do_not_change_any_embedding(graph: Graph, name: str, num_layers: int) -> None:
    encoder, mask = encoder_for(graph, name, num_layers), random_mask(len(graph.users.user_index))
    found = []
    for one in (graph, with_other_supervision(graph, mask)):
        movies = encoder.embed_movies(GraphTensors.from_graph(one), mask)
        found.append((encoder.embed_users(one.users, movies, mask), *movies.messages, movies.targets))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_message_passing_edges_do_change_embeddings(graph: Graph, name: str, num_layers: int) -> None:
    """Without a mask, the same permutation changes the users with ratings: the test above can fail."""
    encoder, mask = encoder_for(graph, name, num_layers), random_mask(len(graph.users.user_index))
    one, other = (encoder(GraphTensors.from_graph(g)) for g in (graph, with_other_supervision(graph, mask)))
    moved = (one["user"] - other["user"]).abs().amax(1) > 1e-4
    assert moved.float().mean() > 0.9
    assert not moved[-1]  # the user without ratings
    if num_layers == 2 and name == "lightgcn":
        assert ((one["movie"] - other["movie"]).abs().amax(1) > 1e-4).float().mean() > 0.9


NUM_MOVIES, NUM_RATED, K = 50, 20, 10


@pytest.fixture(scope="module")
def noise() -> Split:
    """Return 500 users who each rated 20 of 50 movies at random: nothing can be predicted."""
    movie = np.argsort(np.random.default_rng(0).random((500, NUM_MOVIES)), axis=1)[:, :NUM_RATED]
    ratings = pd.DataFrame({"user_id": np.repeat(np.arange(500), NUM_RATED), "movie_id": movie.ravel()})
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
    last = fit(noise, config=Config.from_mapping(settings), progress=False).history[-1]
    return last["loss"], last[f"recall@{K}"]


# Of 50 movies, about 7.5 pass messages; the positive is one of the others.
CHANCE_LOSS = np.log(NUM_MOVIES - 0.75 * NUM_RATED / 2)  # 3.75


@pytest.mark.parametrize(("name", "num_layers"), NAMES_AND_LAYERS)
def test_training_on_noise_stays_at_chance(noise: Split, name: str, num_layers: int) -> None:
    loss, recall = train_on_noise(noise, name, num_layers)
    assert loss == pytest.approx(CHANCE_LOSS, abs=0.05)
    # 5 of the 35 movies without a training rating are relevant; a standard error is 0.009.
    assert recall == pytest.approx(K / (NUM_MOVIES - 0.75 * NUM_RATED), abs=0.03)


@pytest.mark.parametrize(("name", "encoder"), [("lightgcn", LightGCN), ("graphsage", GraphSAGE)])
def test_a_leak_would_be_noticed(
    noise: Split, monkeypatch: pytest.MonkeyPatch, name: str, encoder: type[Encoder]
) -> None:
    """The test above can fail: if supervision edges reach their users, the loss falls far below chance."""
    original = encoder.embed_users

    def leaky(self: Encoder, users: UserBatch, movies: object, edge_mask: Tensor | None = None) -> Tensor:
        return original(self, users, movies)

    monkeypatch.setattr(encoder, "embed_users", leaky)
    loss, _ = train_on_noise(noise, name, 1)
    assert loss < CHANCE_LOSS - 0.5
