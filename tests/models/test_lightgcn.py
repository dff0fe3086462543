"""LightGCNReference against PyG's model of the same paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch_geometric.nn.models import LightGCN

from gnnrec import ConfigError
from gnnrec.models import LightGCNReference
from gnnrec.models.lightgcn import LightGCNNetwork
from gnnrec.training.loop import NegativeSampler
from tests.helpers.contract import sample

DIM = 8


@pytest.fixture(params=[1, 2, 3])
def networks(request: pytest.FixtureRequest) -> tuple[LightGCNNetwork, LightGCN]:
    """Return our network and PyG's with the same weights."""
    graph = sample()
    ours = LightGCNNetwork(graph, DIM, request.param)
    stock = LightGCN(graph.num_users + graph.num_movies, DIM, request.param)
    stock.embedding.load_state_dict(ours.embedding.state_dict())
    return ours, stock


def edge_index() -> Tensor:
    """Return the ratings in both directions, users first."""
    graph = sample()
    user, movie = graph.users.user_index, graph.users.movie_index + graph.num_users
    return torch.stack([torch.cat([user, movie]), torch.cat([movie, user])])


def test_embeddings_are_those_of_pyg(networks: tuple[LightGCNNetwork, LightGCN]) -> None:
    ours, stock = networks
    torch.testing.assert_close(ours(), stock.get_embedding(edge_index()), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("reg", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_pyg(networks: tuple[LightGCNNetwork, LightGCN], reg: float) -> None:
    ours, stock = networks
    graph = sample()
    edges = torch.arange(0, len(graph.users.user_index), 2)
    user, movie = graph.users.user_index[edges], graph.users.movie_index[edges]
    sampled = NegativeSampler(graph).sample(user, torch.Generator().manual_seed(1))
    loss = ours.loss(user, movie, sampled, reg)
    loss.backward()

    first = graph.num_users  # node of the first movie
    pairs = torch.stack([user.repeat(2), first + torch.cat([movie, sampled])])
    positive, negative = stock(edge_index(), pairs).chunk(2)
    nodes = torch.cat([user, first + movie, first + sampled])  # a node counts as often as it is compared
    expected = stock.recommendation_loss(positive, negative, nodes, lambda_reg=reg)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.embedding.weight.grad, stock.embedding.weight.grad, rtol=1e-5, atol=1e-8)
    rated = torch.zeros(first + graph.num_movies, dtype=torch.bool)
    rated[edge_index()[0]] = True
    assert stock.embedding.weight.grad[rated].abs().amax(1).gt(0).all()


def test_the_fitted_model_has_the_propagated_embeddings() -> None:
    graph = sample()
    # With this learning rate the one step changes nothing.
    estimator = LightGCNReference(embedding_dim=DIM, num_layers=2, epochs=1, learning_rate=1e-30, seed=5)
    model = estimator.fit(graph.dataset)
    torch.manual_seed(5)
    expected = LightGCNNetwork(graph, DIM, 2)()
    assert torch.equal(torch.cat([model.users, model.movies]), expected)
    assert model.bias is None
    users = torch.nonzero(model.trained).squeeze(1)
    assert torch.equal(model.score(graph.user_batch(users)), model.users[users] @ model.movies.T)


def test_regularization_shrinks_the_embeddings() -> None:
    options: dict[str, Any] = {"embedding_dim": DIM, "epochs": 30, "learning_rate": 0.05}
    free, bound = (LightGCNReference(reg=reg, **options).fit(sample().dataset) for reg in (0.0, 0.1))
    assert bound.users.norm() < free.users.norm() / 2


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, [0.08] * 4), (0.5, [0.08, 0.07, 0.06, 0.05])])
def test_learning_rates_of_the_steps(ratio: float, expected: list[float]) -> None:
    rates: list[float] = []
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    try:
        batch_size = len(sample().dataset.ratings) // 2 + 1  # two steps an epoch
        LightGCNReference(
            embedding_dim=DIM, epochs=2, learning_rate=0.08, final_lr_ratio=ratio, batch_size=batch_size
        ).fit(sample().dataset)
    finally:
        hook.remove()
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_layers": 0}, "num_layers: must be at least 1"),
        ({"reg": -1.0}, "reg: must be at least 0"),
        ({"batch_size": 0}, "batch_size: must be at least 1"),
        ({"final_lr_ratio": 0.0}, "final_lr_ratio: must be above 0"),
    ],
)
def test_wrong_hyperparameters(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LightGCNReference(**values)
