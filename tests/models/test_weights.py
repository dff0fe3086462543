"""Weights of interactions: what uses them, that they survive, and that data without them is untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import Config, Dataset, NewUser
from gnnrec.datasets import make_sample
from gnnrec.errors import DataError
from gnnrec.evaluation.fingerprint import Rows
from gnnrec.graph import Graph, UserBatch
from gnnrec.graph.new_users import encode_users
from gnnrec.models.implicit_models import ALS
from gnnrec.nn.losses import weighted_mse
from gnnrec.sparse import Adjacency

SETTINGS = ["model.edge_weights=true", "model.embedding_dim=8", "train.epochs=2", "model.num_layers=2"]


def plays(factor: float = 1.0, *, equal: bool = False) -> Dataset:
    """Return the sample with weights in place of stars."""
    sample = make_sample(60, 40)
    weight = np.ones(sample.num_ratings) if equal else np.log1p(sample.ratings["rating"] ** 3)
    ratings = sample.ratings.drop(columns="rating").assign(weight=(factor * weight).astype("float32"))
    return Dataset(ratings, sample.movies, sample.users, "plays")


def without_weights(dataset: Dataset) -> Dataset:
    return Dataset(dataset.ratings.drop(columns="weight"), dataset.movies, dataset.users, dataset.name)


def batch(weights: list[float]) -> UserBatch:
    ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "weight": weights})
    return Graph.from_dataset(Dataset(ratings)).users


def test_relative_weights() -> None:
    relative = batch([1, 3, 5]).relative_weight()
    assert relative is not None and relative.tolist() == [0.5, 1.5, 1.0]
    masked = batch([1, 3, 5]).relative_weight(torch.tensor([1.0, 0.0, 1.0]))  # the hidden one has no influence
    assert masked is not None and masked[[0, 2]].tolist() == [1.0, 1.0]
    zero = batch([0, 0, 5]).relative_weight()
    assert zero is not None and zero.tolist() == [1.0, 1.0, 1.0]


def estimators() -> list[object]:
    return [
        pytest.param(gnnrec.models.GNN(config=Config().override(SETTINGS)), id="gnn"),
        pytest.param(
            ALS(embedding_dim=8, epochs=3), id="als", marks=pytest.mark.skipif(not _has_implicit(), reason="")
        ),
    ]


def _has_implicit() -> bool:
    try:
        import implicit  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("estimator", estimators())
def test_a_stored_user_and_a_new_one_with_the_same_weights(estimator: gnnrec.models.GNN, tmp_path: Path) -> None:
    dataset = plays()
    model = estimator.fit(dataset)
    user = dataset.users.iloc[3]
    mine = dataset.ratings[dataset.ratings["user_id"] == user["user_id"]]
    profile = {name: user[name] for name in ("age", "gender", "occupation")}
    given = {
        "ratings": mine["movie_id"].tolist(),
        "timestamps": mine["timestamp"].tolist(),
        "weights": mine["weight"].tolist(),
    }
    users = [user["user_id"], NewUser(**profile, **given), NewUser(**profile, **(given | {"weights": None}))]
    scores = model.score(encode_users(model.graph, users)[0])
    assert torch.allclose(scores[0], scores[1], atol=1e-5)
    assert not torch.allclose(scores[0], scores[2], atol=1e-3)

    # A saved run answers the same.
    again = gnnrec.load(model.save(tmp_path / "run"))
    assert again.graph.dataset.ratings["weight"].tolist() == dataset.ratings["weight"].tolist()
    assert torch.allclose(again.score(encode_users(again.graph, users)[0]), scores, atol=1e-5)


@pytest.mark.parametrize("estimator", estimators())
def test_the_unit_does_not_matter_and_equal_weights_are_none(estimator: gnnrec.models.GNN) -> None:
    one, other = (estimator.fit(plays(factor)) for factor in (1.0, 8.0))
    assert torch.allclose(one.score(one.graph.users), other.score(other.graph.users), atol=1e-3)
    equal = plays(equal=True)
    weighted, plain = estimator.fit(equal), estimator.fit(without_weights(equal))
    assert torch.equal(weighted.score(weighted.graph.users), plain.score(plain.graph.users))


@pytest.mark.parametrize("timestamps", [[3, 1, 2], None])
def test_weights_of_a_new_user_follow_the_order_of_time(timestamps: list[int] | None) -> None:
    graph = Graph.from_dataset(plays())
    user = NewUser(ratings=[1, 2, 3], weights={3: 0.5, 1: 2, 2: 1}, timestamps=timestamps)
    users, _ = encode_users(graph, user)
    assert users.weight is not None
    expected = {0: 2.0, 1: 1.0, 2: 0.5}
    assert users.weight.tolist() == [expected[node] for node in users.movie_index.tolist()]


def test_bad_weights() -> None:
    graph = Graph.from_dataset(plays())
    for weights, problem in (
        ([1], "there are 1 weights for 2 ratings"),
        ({1: 1}, "movie 2 has no weight"),
        ([1, -2], "the weight of 2 is -2"),
        ([1, "much"], "the weight of 2 is 'much'"),
    ):
        with pytest.raises(DataError, match=problem):
            encode_users(graph, NewUser(ratings=[1, 2], weights=weights))
    with pytest.raises(DataError, match="have no weights"):
        encode_users(Graph.from_dataset(make_sample(20, 12)), NewUser(ratings=[1, 2], weights=[1, 2]))


def test_added_ratings_keep_weights() -> None:
    graph = Graph.from_dataset(plays())
    graph.users  # noqa: B018
    rated = set(graph.dataset.ratings.query("user_id == 1")["movie_id"])
    movie = next(i for i in graph.ids["movie"] if i not in rated)
    grown = graph.add_ratings(pd.DataFrame({"user_id": [1, 99], "movie_id": [movie, movie], "weight": [2.5, 0.25]}))
    nodes = grown.user_nodes([1, 99])
    few = grown.user_batch(nodes)
    weight, movies = few.weight, few.movie_index
    assert weight is not None and weight[movies == grown.movie_nodes([movie])].tolist() == [2.5, 0.25]
    assert grown.users.weight is not None and len(grown.users.weight) == grown.dataset.num_ratings
    assert torch.equal(grown.user_batch(nodes).weight, weight)
    assert torch.equal(grown.hetero_data["user", "rated", "movie"].weight, grown.users.weight)


def test_confidence_scales_the_loss_of_supervision_edges() -> None:
    observed = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    supervision = torch.tensor([False, True])
    movies, users = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0]])
    confidence = torch.tensor([9.0, 2.0])
    loss = weighted_mse(users, movies, observed, supervision, confidence=confidence)
    assert round(loss.item(), 4) == 2 * 0.25 + 0.3 * 4


def test_the_fingerprint_knows_weights() -> None:
    one, other = plays().ratings, plays(2.0).ratings
    plain = one.drop(columns="weight")
    digests = {Rows.from_frame(frame).digest for frame in (one, other, plain)}
    assert len(digests) == 3
    assert Rows.from_frame(one.sample(frac=1, random_state=0)) == Rows.from_frame(one)
