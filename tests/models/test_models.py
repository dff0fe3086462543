"""What each peer learns, against plain reference computations and worlds whose answer is known."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.nn.models import LightGCN

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph
from gnnrec.models import EASE, SLIM
from gnnrec.models.base import recommend, similar_movies
from gnnrec.models.factorization import ImplicitALS, ImplicitBPR, MatrixFactorization, NeuMF, NeuMFNetwork
from gnnrec.models.pyg_lightgcn import LightGCNReference, normalized
from gnnrec.models.sequential import MeanPooling, SASRec, SASRecNetwork, tokens_of
from gnnrec.training.loop import OptimizerConfig
from tests.helpers.contract import sample


def graph_of(**columns: object) -> Graph:
    return Graph.from_dataset(Dataset(pd.DataFrame(columns)))


def random_graph(users: int, movies: int, share: float, seed: int = 0) -> tuple[Graph, np.ndarray]:
    """Return a graph and its matrix of 0 and 1; every movie is watched at least once."""
    matrix = (np.random.default_rng(seed).random((users, movies)) < share).astype("float64")
    matrix[np.arange(movies) % users, np.arange(movies)] = 1
    row, movie = np.nonzero(matrix)
    frame = pd.DataFrame({"user_id": row, "movie_id": movie})
    catalogue = pd.DataFrame({"movie_id": range(movies)})
    return Graph.from_dataset(Dataset(frame, catalogue, pd.DataFrame({"user_id": range(users)}))), matrix


@pytest.mark.parametrize("non_negative", [False, True])
def test_slim_solves_each_column_of_its_objective(non_negative):
    """Coordinate descent over one movie's weights after the other, as in the first SLIM, is the reference."""
    graph, x = random_graph(30, 8, 0.3)
    l1, l2 = 0.5, 1.0
    gram, expected = x.T @ x, np.zeros((8, 8))
    for _, j in itertools.product(range(300), range(8)):
        for i in set(range(8)) - {j}:
            left = gram[i, j] - gram[i] @ expected[:, j] + gram[i, i] * expected[i, j]
            size = max(abs(left) - l1, 0) / (gram[i, i] + l2)
            expected[i, j] = np.sign(left) * size if left > 0 or not non_negative else 0
    weights = SLIM.fit(graph, l1, l2, rho=10.0, iterations=500, non_negative=non_negative).weights
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert not weights.diagonal().any()
    assert (expected[~np.eye(8, dtype=bool)] == 0).any(), "some weights are exactly zero"
    assert ((weights == 0).numpy() == (expected == 0)).all()
    assert (expected < 0).any() != non_negative


def test_slim_without_l1_is_ease():
    weights = SLIM.fit(sample(), l1=0.0, l2=30.0, rho=30.0, iterations=300).weights
    torch.testing.assert_close(weights, EASE.fit(sample(), reg=30.0).weights, atol=1e-4, rtol=1e-3)


def test_als_solves_for_a_person_as_the_paper_does():
    pytest.importorskip("implicit")
    graph, x = random_graph(40, 12, 0.3)
    model = ImplicitALS.fit(graph, dim=3, reg=2.0, alpha=5.0)
    y = model.similarity_embeddings().double().numpy()
    for user in (0, 7):
        weight = np.where(x[user] > 0, 5.0, 1.0)
        person = np.linalg.solve((y.T * weight) @ y + 2.0 * np.eye(3), (y.T * weight) @ x[user])
        found = model.score(graph.user_batch(torch.tensor([user])))[0]
        np.testing.assert_allclose(found, y @ person, atol=1e-4)


def test_als_gives_popular_movies_to_who_has_no_history():
    pytest.importorskip("implicit")
    graph = graph_of(user_id=[1, 1, 2, 2, 3], movie_id=[10, 20, 20, 30, 20])
    assert recommend(ImplicitALS.fit(graph, dim=2), {}, k=3)["movie_id"].tolist() == [20, 10, 30]


def test_bpr_scores_what_implicit_scores():
    pytest.importorskip("implicit")
    graph, x = random_graph(40, 12, 0.3)
    model = ImplicitBPR.fit(graph, dim=4, epochs=150, learning_rate=0.1)
    assert model.people[:, -1].eq(1).all(), "takes the bias of the movie along"
    assert model.similarity_embeddings().shape == (12, 4)
    scores = model.score(graph.users).numpy()
    right = [
        (scores[u, i] > scores[u, j]) for u in range(40) for i in x[u].nonzero()[0] for j in (1 - x[u]).nonzero()[0]
    ]
    assert np.mean(right) > 0.95


def test_mf_tells_watched_from_unwatched():
    graph = graph_of(user_id=[0, 1, 2, 3, 3], movie_id=[1, 1, 1, 2, 3])
    model = MatrixFactorization.fit(graph, dim=1, negatives=4, reg=0.0, schedule=OptimizerConfig(400, 0.05, 4096))
    scores = model.score(graph.users)
    seen = torch.zeros(4, 3, dtype=torch.bool)
    seen[graph.users.user_index, graph.users.movie_index] = True
    assert (scores[seen] > 0).all()
    assert (scores[~seen] < 0).all()
    torch.testing.assert_close(scores, model.people @ model.movies.T)


def blocks(size: int = 12) -> Graph:
    """Two kinds of people and two kinds of movies; each person has watched about two thirds of their own kind."""
    user, movie = np.divmod(np.arange(4 * size * size), 2 * size)
    own = (user < size) == (movie < size)
    watched = own & ((user + movie) % 3 > 0)
    return graph_of(user_id=user[watched], movie_id=movie[watched])


def test_neumf_fits_blocks():
    graph = blocks()
    model = NeuMF.fit(graph, dim=2, layers=(8, 4), schedule=OptimizerConfig(40, 0.03, 100))
    scores = model.score(graph.users)
    kind = torch.arange(24) < 12
    own = kind.unsqueeze(1) == kind
    assert (scores.masked_fill(~own, torch.inf).amin(1) > scores.masked_fill(own, -torch.inf).amax(1)).all()
    assert set(similar_movies(model, 3, k=11)["movie_id"]) == set(range(12)) - {3}


@pytest.mark.parametrize("layers", [(8, 4), (8, 6, 4)])
def test_neumf_scores_all_pairs_as_it_does_one_by_one(layers):
    torch.manual_seed(0)
    network = NeuMFNetwork(5, 7, 3, layers)
    user, movie = (index.flatten() for index in torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij"))
    expected = network.logits(*network.embed(user, movie)).view(5, 7)
    torch.testing.assert_close(network.all_logits(torch.arange(5)), expected)


def test_lightgcn_is_that_of_pyg():
    graph = sample()
    model = LightGCNReference.fit(graph, dim=8, num_layers=2, schedule=OptimizerConfig(1, 0.0, 8192), seed=5)
    user, movie = graph.users.user_index, graph.users.movie_index + graph.num_users
    edge_index = torch.stack([torch.cat([user, movie]), torch.cat([movie, user])])
    torch.manual_seed(5)
    stock = LightGCN(graph.num_users + graph.num_movies, 8, 2)
    expected = stock.get_embedding(edge_index).detach()
    torch.testing.assert_close(torch.cat([model.people, model.similarity_embeddings()]), expected)
    # A step from there, too: the gradient through the sparse matrix is that through the list of edges.
    pairs = torch.stack([torch.tensor([0, 0]), graph.num_users + torch.tensor([3, 4])])
    grads = []
    for adjacency in (edge_index, normalized(graph)):
        stock = LightGCN(graph.num_users + graph.num_movies, 8, 2, normalize=adjacency is edge_index)
        torch.nn.init.constant_(stock.embedding.weight, 0.1)
        stock.recommendation_loss(*stock(adjacency, pairs).chunk(2), lambda_reg=0.0).backward()
        grads.append(stock.embedding.weight.grad)
    torch.testing.assert_close(*grads)


CYCLE = 12


def cycle() -> Graph:
    """Everybody goes around the same circle of movies from another start, for seven steps."""
    user, step = np.divmod(np.arange(CYCLE * 7), 7)
    return graph_of(user_id=user, movie_id=(user + step) % CYCLE, timestamp=step)


@pytest.mark.parametrize(
    ("fit", "settings"),
    [
        (SASRec.fit, {"schedule": OptimizerConfig(80, 0.01, 6)}),
        (SASRec.fit, {"loss": "binary", "schedule": OptimizerConfig(150, 0.01, 6)}),
        (MeanPooling.fit, {"schedule": OptimizerConfig(150, 0.05, 6)}),
    ],
)
def test_sequence_models_learn_a_cycle(fit, settings):
    model = fit(cycle(), dim=16, length=10, dropout=0.0, **settings)
    assert recommend(model, list(range(CYCLE)), k=1)["movie_id"].tolist() == [(u + 7) % CYCLE for u in range(CYCLE)]
    for start in (3, 10):  # and a stranger, after fewer steps
        walk = {(start + step) % CYCLE: 5 for step in range(4)}
        assert recommend(model, walk, k=1)["movie_id"].item() == (start + 4) % CYCLE


def test_sasrec_reads_the_order():
    """After 0 and 1 comes 2, after 1 and 0 comes 3; the mean of both is the same."""
    walks = [(0, 1, 2), (1, 0, 3)] * 10
    user, movie, step = zip(*[(u, m, t) for u, walk in enumerate(walks) for t, m in enumerate(walk)], strict=True)
    graph = graph_of(user_id=user, movie_id=movie, timestamp=step)
    model = SASRec.fit(graph, dim=8, length=5, dropout=0.0, schedule=OptimizerConfig(30, 0.02, 64))
    assert recommend(model, {0: 5, 1: 5}, k=1)["movie_id"].item() == 2
    assert recommend(model, {1: 5, 0: 5}, k=1)["movie_id"].item() == 3


def test_sasrec_is_causal():
    torch.manual_seed(0)
    network = SASRecNetwork(num_movies=9, length=6, dim=8, num_blocks=2, num_heads=2, dropout=0.5).eval()
    tokens = torch.tensor([[network.pad, network.start, 1, 2, 3, 4]])
    changed = tokens.clone()
    changed[0, 4] = 8
    before, after = network.encode(tokens), network.encode(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])
    assert not torch.allclose(before[:, 5], after[:, 5]), "what comes later reads it"
    assert before.isfinite().all(), "also where there is only padding"


def test_tokens():
    graph = graph_of(user_id=[1, 1, 1, 2, 3, 3], movie_id=[10, 20, 30, 20, 30, 10], timestamp=[3, 2, 1, 1, 1, 1])
    start, pad = 3, 4
    assert tokens_of(graph.users, 3, 4).tolist() == [[start, 2, 1, 0], [pad, pad, start, 1], [pad, start, 2, 0]]
    assert tokens_of(graph.users, 3, 2).tolist() == [[1, 0], [start, 1], [2, 0]]
    # Movie 2 came after the training of a model of two movies: it is passed over.
    assert tokens_of(graph.users, 2, 3).tolist() == [[2, 1, 0], [3, 2, 1], [3, 2, 0]]


@pytest.mark.parametrize(
    ("fit", "settings", "message"),
    [
        (SLIM.fit, {"l1": -1.0}, "l1 must be 0 or more, not -1.0"),
        (SLIM.fit, {"l2": float("nan")}, "l2 must be 0 or more, not nan"),
        (SLIM.fit, {"rho": 0.0}, "rho must be above 0, not 0.0"),
        (SLIM.fit, {"iterations": 0}, "iterations must be at least 1, not 0"),
        (MatrixFactorization.fit, {"negatives": 0}, "negatives must be at least 1, not 0"),
        (MatrixFactorization.fit, {"reg": -1.0}, "reg must be at least 0, not -1.0"),
        (NeuMF.fit, {"layers": (7, 4)}, r"the first one even, not \(7, 4\)"),
        (SASRec.fit, {"loss": "hinge"}, "loss must be one of softmax, binary, not 'hinge'"),
        (SASRec.fit, {"dim": 10, "num_heads": 4}, "a multiple of num_heads, not 10 and 4"),
        (MeanPooling.fit, {"length": 0}, "length must be at least 1, not 0"),
        (ImplicitALS.fit, {"epochs": 0}, "epochs must be at least 1, not 0"),
        (ImplicitBPR.fit, {"epochs": 0}, "epochs must be at least 1, not 0"),
    ],
)
def test_settings_that_make_no_sense(fit, settings, message):
    with pytest.raises(ConfigError, match=message):
        fit(sample(), **settings)
