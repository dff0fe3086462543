"""`Ensemble`: members are trained on their own, and their scores are averaged by one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

import gnnrec
from gnnrec import Config, Dataset, Graph, NewMovie, NewUser, RatingConfig, RecGraph
from gnnrec.datasets import make_sample
from gnnrec.models import GNN, gnn_training
from gnnrec.models.gnn import make_encoder
from gnnrec.models.gnn_training import init_training
from gnnrec.nn import Encoder, Ensemble, GraphTensors
from gnnrec.training.edge_sampling import batch_loss

pytestmark = pytest.mark.filterwarnings("ignore:no epoch was better", "ignore:the last epoch")

SINGLE = Config().override(
    ["model.embedding_dim=8", "train.epochs=2", "train.batch_size=32", "train.learning_rate=0.01"]
)
CONFIG = SINGLE.override(["model.num_members=3"])
USERS = [1, {1: 5, 7: 4}, {1: 1, 2: 5, 9: 4}, NewUser(age=30, gender="F", ratings={3: 4}), {}]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_sample(60, 40)


@pytest.fixture(scope="module")
def model(dataset: Dataset) -> RecGraph:
    return fit(dataset, CONFIG)


def fit(dataset: Dataset, config: Config, **options: object) -> RecGraph:
    model = gnnrec.fit(dataset, config=config, progress=False, **options)  # type: ignore[arg-type]
    assert isinstance(model, RecGraph)
    return model


def members(model: RecGraph) -> list[RecGraph]:
    """Return a model of each member alone."""
    config = model.config.override(["model.num_members=1"])
    return [RecGraph(model.graph, config, member) for member in model.encoder.members]


def scores(model: RecGraph, users: list[object] = USERS) -> Tensor:  # type: ignore[assignment]
    return model.score(model.encode_users(users)[0])


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("model.num_layers=2",),
        ("model.encoder=graphsage", "model.num_layers=2"),
        ("model.temporal=true", "model.rating_decays=[5]", "model.hidden_dim=16"),
        ("train.objective=next_item", "model.temporal=true", "model.init=transitions", "model.hidden_dim=16"),
    ],
)
def test_scores_are_the_mean_of_the_members(dataset: Dataset, settings: tuple[str, ...]) -> None:
    model = fit(dataset, CONFIG.override(settings))
    alone = [scores(member) for member in members(model)]
    assert len(alone) == 3
    assert not torch.allclose(alone[0], alone[1], atol=0.01)
    torch.testing.assert_close(scores(model), torch.stack(alone).mean(0), atol=1e-5, rtol=1e-4)


def test_embeddings_are_those_of_the_members_next_to_each_other(model: RecGraph) -> None:
    embeddings = model.user_embeddings(USERS)
    assert embeddings.shape == (5, 24)
    assert model.movie_embeddings.targets.shape == (40, 24)
    expected = torch.cat([member.user_embeddings(USERS) for member in members(model)], dim=1) / 3**0.5
    torch.testing.assert_close(embeddings, expected)
    assert repr(model).startswith("RecGraph(lightgcn, 3 x 8 dimensions, Graph(")


def test_a_new_movie_is_embedded_as_if_it_were_added(model: RecGraph) -> None:
    new = NewMovie("Night Train (2001)", genres=["Drama"])
    grown = model.add_movies(pd.DataFrame({"movie_id": [901], "title": [new.title], "genres": ["Drama"]}))
    torch.testing.assert_close(model.embed_movie(new), grown.movie_embeddings.targets[-1])
    expected = torch.stack([scores(member)[:, -1] for member in members(grown)]).mean(0)
    torch.testing.assert_close(scores(grown)[:, -1], expected, atol=1e-5, rtol=1e-4)
    assert len(model.similar_movies(new, 3)) == 3


def test_a_member_sees_only_its_own_loss(dataset: Dataset) -> None:
    graph = Graph.from_dataset(dataset)
    tensors, state = init_training(graph, CONFIG, torch.device("cpu"))
    first, second, third = state.encoder.members
    loss = (first.embed_users(graph.users, first.embed_movies(tensors)) ** 2).sum()
    loss.backward()
    assert any(parameter.grad is not None for parameter in first.parameters())
    assert all(parameter.grad is None for parameter in [*second.parameters(), *third.parameters()])


def test_the_loss_is_the_mean_of_the_members(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []

    def recorded(*arguments: Any) -> Tensor:
        loss = batch_loss(*arguments)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(gnn_training, "batch_loss", recorded)
    history = fit(dataset, CONFIG).history
    assert len(losses) == 12  # 2 epochs, 2 batches, 3 members
    assert [entry["loss"] for entry in history] == pytest.approx([sum(losses[:6]) / 6, sum(losses[6:]) / 6])


def test_one_member_is_no_ensemble(dataset: Dataset) -> None:
    graph = Graph.from_dataset(dataset)
    _, state = init_training(graph, SINGLE, torch.device("cpu"))
    assert isinstance(state.encoder, Encoder)
    assert list(state.encoder.members) == [state.encoder]
    assert isinstance(init_training(graph, CONFIG, torch.device("cpu"))[1].encoder, Ensemble)


def test_seeds_decide(dataset: Dataset, model: RecGraph) -> None:
    again, other = fit(dataset, CONFIG), fit(dataset, CONFIG.override(["train.seed=1"]))
    assert torch.equal(scores(again), scores(model))
    assert not torch.allclose(scores(other), scores(model), atol=1e-3)


def test_a_resumed_run_is_the_same(dataset: Dataset, tmp_path: Path) -> None:
    config = CONFIG.override(["train.epochs=3", "model.ease_dim=10"])
    whole = fit(dataset, config)
    fit(dataset, config.override(["train.epochs=1"]), run_dir=tmp_path / "run")
    resumed = fit(dataset, config, run_dir=tmp_path / "run", resume=True)
    assert [entry["ndcg@20"] for entry in resumed.history] == [entry["ndcg@20"] for entry in whole.history]
    state = resumed.encoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in whole.encoder.state_dict().items())


def test_saved_and_loaded_after_movies_were_added(model: RecGraph, tmp_path: Path) -> None:
    grown = model.add_movies(pd.DataFrame({"movie_id": [901], "genres": ["Drama"]}))
    loaded = gnnrec.load(grown.save(tmp_path / "run"))
    assert isinstance(loaded, RecGraph)
    assert isinstance(loaded.encoder, Ensemble)
    assert torch.equal(loaded.user_embeddings(USERS), grown.user_embeddings(USERS))
    assert {len(member.target.id_embeddings) for member in loaded.encoder.members} == {40}  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 2, 4])
def test_weights_of_another_number_of_members_are_refused(model: RecGraph, number: int) -> None:
    other = GNN(config=CONFIG.override([f"model.num_members={number}"]))
    with pytest.raises(LookupError, match=r"id_embeddings|encoders\."):
        other.restore(model.graph, model.state())


def test_the_rating_head_reads_all_members(model: RecGraph) -> None:
    settings = RatingConfig(embedding_dim=4, num_samples=2, burn_in=1)
    head = gnnrec.fit_rating_model(model, rating_config=settings, progress=False)
    assert head.head.graph_mean.shape == (24,)
    predicted = gnnrec.predict_ratings(head, [1, {2: 5}])
    assert predicted["rating"].between(1, 5).all()


def test_an_ensemble_is_prepared_like_its_members(dataset: Dataset) -> None:
    graph = Graph.from_dataset(dataset)
    ensemble = Ensemble([make_encoder(SINGLE, graph) for _ in range(2)])
    tensors = GraphTensors.from_graph(graph)
    ensemble.prepare(tensors)
    assert ensemble.rating_mean == pytest.approx(float(graph.users.rating.mean()), rel=0.2)
    for member in ensemble.members:
        assert member.mean_degree > 0
        assert member.rating_mean == ensemble.rating_mean
