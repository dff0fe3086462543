"""Dislikes in user embeddings: a small batch, embedded in one pass, equals a large one, embedded in several."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gnnrec import Config
from gnnrec.datasets import make_sample
from gnnrec.graph import Graph, UserBatch
from gnnrec.graph.padded import PaddedUsers
from gnnrec.models.gnn import network_builder
from gnnrec.nn import BaseEncoder, GraphTensors, MovieEmbeddings
from gnnrec.nn import encoder as encoder_module
from gnnrec.registry import ENCODERS

SETTINGS = {
    "set": (),
    "temporal": ("model.temporal=true", "model.rating_decays=[5]", "model.day_decays=[9]", "model.date_features=true"),
    "ensemble": ("model.num_members=2",),
    "layers": ("model.num_layers=2",),
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.from_dataset(make_sample(40, 30, seed=1))


def make(graph: Graph, encoder: str, settings: tuple[str, ...]) -> tuple[BaseEncoder, MovieEmbeddings]:
    """Return an encoder with random parameters, and the movies as it sees them."""
    config = Config().override([f"model.encoder={encoder}", "model.embedding_dim=8", *settings])
    torch.manual_seed(0)
    network = network_builder(config, graph, graph.num_movies)().eval()
    tensors = GraphTensors.from_graph(graph)
    network.prepare(tensors)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
        return network, network.embed_catalog(tensors)


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("masked", [False, True])
def test_one_pass_equals_several(
    graph: Graph, encoder: str, name: str, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, movies = make(graph, encoder, SETTINGS[name])
    users, passes = graph.users, []
    embed = network.embed_histories

    def counted(some: UserBatch, *given: object) -> torch.Tensor:
        passes.append(some.num_users)
        found: torch.Tensor = embed(some, *given)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(network, "embed_histories", counted)
    mask = (torch.arange(len(users.rating)) % 3 > 0).float() if masked else None
    with torch.no_grad():
        together = network.embed_users(users, movies, mask)
        monkeypatch.setattr(encoder_module, "MAX_REPEATED", 0)
        apart = network.embed_users(users, movies, mask)
        monkeypatch.setattr(network, "dislike_weight", 0.0)
        plain = network.embed_users(users, movies, mask)
    assert passes == [120, 40, 40, 40, 40]
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
    assert (together - plain).abs().max() > 1e-3, "nobody dislikes anything"


def test_users_without_dislikes_take_one_pass(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    network, movies = make(graph, "lightgcn", ())
    users = replace(graph.users.slice(0, 5), rating=torch.full_like(graph.users.slice(0, 5).rating, 5.0))
    monkeypatch.setattr(UserBatch, "repeat", lambda *_: pytest.fail("repeated"))
    with torch.no_grad():
        found = network.embed_users(users, movies)
        assert torch.equal(found, network.embed_histories(users, movies))


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_padded_users_are_repeated_with_their_padding(graph: Graph, encoder: str) -> None:
    network, movies = make(graph, encoder, ())
    some = graph.users.slice(3, 6)
    counts = torch.bincount(some.user_index).tolist()
    node, rating, time = (
        torch.nn.utils.rnn.pad_sequence(column.split(counts), batch_first=True, padding_value=value)
        for column, value in ((some.movie_index, -1), (some.rating, 0.0), (some.timestamp, 0))
    )
    occupation = torch.full((3,), -1)
    occupation[some.occupation[0]] = some.occupation[1]
    padded = PaddedUsers.from_arrays(
        some.x, occupation, node, rating, time, num_movies=graph.num_movies, num_occupations=len(graph.occupations)
    )
    with torch.no_grad():
        found = network.embed_users(padded, movies, padded.mask)
        torch.testing.assert_close(found, network.embed_users(some, movies), rtol=1e-5, atol=1e-5)
        twice = padded.repeat(2)
        assert twice.num_users == 6
        both = network.embed_histories(twice, movies, twice.mask)
        torch.testing.assert_close(both, network.embed_histories(padded, movies, padded.mask).repeat(2, 1))
