"""SASRec and mean pooling: sequences whose continuation is known, causality, tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gnnrec import ConfigError, Dataset
from gnnrec.graph import Graph
from gnnrec.models import MeanPooling, SASRec, SASRecBinary
from gnnrec.models.sequential import SASRecNetwork, history_tokens
from tests.helpers.graphs import dataset_of

CYCLE = 12


def cycle() -> Dataset:
    """Return users who rate the same cycle of movies from different starts, seven movies each."""
    user, step = np.divmod(np.arange(CYCLE * 7), 7)
    return dataset_of(user_id=user, movie_id=(user + step) % CYCLE, timestamp=step)


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (SASRec, {"epochs": 80, "learning_rate": 0.01}),
        (SASRecBinary, {"epochs": 150, "learning_rate": 0.01}),
        (MeanPooling, {"epochs": 150, "learning_rate": 0.05}),
    ],
)
def test_a_cycle_is_learned(cls: Any, values: dict[str, Any]) -> None:
    model = cls(embedding_dim=16, length=10, dropout=0.0, batch_size=6, **values).fit(cycle())
    assert model.recommend(list(range(CYCLE)), k=1)["movie_id"].tolist() == [(u + 7) % CYCLE for u in range(CYCLE)]
    for start in (3, 10):  # new users with fewer ratings
        history = {(start + step) % CYCLE: 5 for step in range(4)}
        assert model.recommend(history, k=1)["movie_id"].item() == (start + 4) % CYCLE


def test_sasrec_depends_on_the_order() -> None:
    """Movie 2 follows 0, 1 and movie 3 follows 1, 0; the mean of both histories is the same."""
    histories = [(0, 1, 2), (1, 0, 3)] * 10
    user, movie, step = zip(*[(u, m, t) for u, h in enumerate(histories) for t, m in enumerate(h)], strict=True)
    data = dataset_of(user_id=user, movie_id=movie, timestamp=step)
    model = SASRec(embedding_dim=8, length=5, dropout=0.0, epochs=30, learning_rate=0.02).fit(data)
    assert model.recommend({0: 5, 1: 5}, k=1)["movie_id"].item() == 2
    assert model.recommend({1: 5, 0: 5}, k=1)["movie_id"].item() == 3


def test_sasrec_is_causal() -> None:
    torch.manual_seed(0)
    network = SASRecNetwork(num_movies=9, length=6, dim=8, num_blocks=2, num_heads=2, dropout=0.5).eval()
    tokens = torch.tensor([[network.pad, network.start, 1, 2, 3, 4]])
    changed = tokens.clone()
    changed[0, 4] = 8
    before, after = network.encode(tokens), network.encode(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])
    assert not torch.allclose(before[:, 5], after[:, 5]), "later positions attend to it"
    assert before.isfinite().all(), "also at padding"


def test_tokens() -> None:
    data = dataset_of(user_id=[1, 1, 1, 2, 3, 3], movie_id=[10, 20, 30, 20, 30, 10], timestamp=[3, 2, 1, 1, 1, 1])
    users = Graph.from_dataset(data).users
    start, pad = 3, 4
    assert history_tokens(users, 3, 4).tolist() == [[start, 2, 1, 0], [pad, pad, start, 1], [pad, start, 2, 0]]
    assert history_tokens(users, 3, 2).tolist() == [[1, 0], [start, 1], [2, 0]]
    # For a network trained on two movies, movie 2 was added later and is skipped.
    assert history_tokens(users, 2, 3).tolist() == [[2, 1, 0], [3, 2, 1], [3, 2, 0]]


def test_losses_by_name() -> None:
    assert (SASRec().loss, SASRecBinary().loss, MeanPooling().loss) == ("softmax", "binary", "softmax")
    small: dict[str, Any] = {"embedding_dim": 4, "length": 5, "epochs": 2, "dropout": 0.0}
    binary, other = SASRecBinary(**small).fit(cycle()), SASRec(loss="binary", **small).fit(cycle())
    assert torch.equal(binary.score(binary.graph.users), other.score(other.graph.users))
    assert (binary.name, other.name) == ("sasrec-binary", "sasrec")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (SASRec, {"loss": "hinge"}, "loss: must be 'softmax' or 'binary'"),
        (SASRec, {"embedding_dim": 10, "num_heads": 4}, "embedding_dim must be a multiple of num_heads, not 10 and 4"),
        (SASRec, {"dropout": 1.0}, "dropout: must be below 1"),
        (MeanPooling, {"length": 0}, "length: must be at least 1"),
    ],
)
def test_wrong_hyperparameters(cls: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**values)


def test_unusable_devices() -> None:
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used"):
        SASRec(device="quantum").fit(cycle())
    model = MeanPooling(embedding_dim=4, length=5, epochs=1).fit(cycle())
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used"):
        model.to("quantum")
