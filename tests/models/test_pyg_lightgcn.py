"""LightGCNReference against the model of PyG that it wraps."""

from __future__ import annotations

import torch
from torch_geometric.nn.models import LightGCN

from gnnrec.models import LightGCNReference
from gnnrec.models.pyg_lightgcn import normalized_adjacency
from tests.helpers.contract import sample


def test_embeddings_are_those_of_pyg() -> None:
    graph = sample()
    # With this learning rate the one step changes nothing.
    estimator = LightGCNReference(embedding_dim=8, num_layers=2, epochs=1, learning_rate=1e-30, seed=5)
    model = estimator.fit(graph.dataset)
    torch.manual_seed(5)
    reference = LightGCN(graph.num_users + graph.num_movies, 8, 2)
    expected = reference.get_embedding(both_directions()).detach()
    torch.testing.assert_close(torch.cat([model.users, model.movies]), expected)


def test_gradients_are_those_of_pyg() -> None:
    graph = sample()
    pairs = torch.stack([torch.tensor([0, 0]), graph.num_users + torch.tensor([3, 4])])
    gradients = []
    for adjacency, normalize in ((both_directions(), True), (normalized_adjacency(graph), False)):
        network = LightGCN(graph.num_users + graph.num_movies, 8, 2, normalize=normalize)
        torch.nn.init.constant_(network.embedding.weight, 0.1)
        network.recommendation_loss(*network(adjacency, pairs).chunk(2), lambda_reg=0.0).backward()
        gradients.append(network.embedding.weight.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def both_directions() -> torch.Tensor:
    graph = sample()
    user, movie = graph.users.user_index, graph.users.movie_index + graph.num_users
    return torch.stack([torch.cat([user, movie]), torch.cat([movie, user])])
