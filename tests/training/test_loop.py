"""The epoch loop of models other than the network: the best epoch is kept, limits hold, negatives are fair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
import torch

from gnnrec import ConfigError, Dataset, EarlyStopping, Graph, NewUser, TimeLimit
from gnnrec.graph import encode_users
from gnnrec.models import MF
from gnnrec.registry import MODELS
from gnnrec.training.callbacks import Callback, FitState
from gnnrec.training.loop import FitRun, NegativeSampler, OptimizerConfig, batches, frozen, seeded, trained_users
from tests.helpers.contract import sample


@dataclass
class Training:
    """Epochs that do nothing; a model is the number of its epoch."""

    scores: Sequence[float] = ()
    losses: Sequence[float] = ()
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def run_epoch(self) -> float:
        self.epoch += 1
        return self.losses[self.epoch - 1] if self.losses else 1 / self.epoch

    def score(self, model: int) -> float:
        return self.scores[model - 1]

    def run(self, epochs: int, *callbacks: Callback, **options: int) -> int:
        validate = self.score if self.scores else None
        run = FitRun(validate, "score", callbacks, history=self.history)
        return run.run_epochs(self.run_epoch, lambda: self.epoch, epochs, **options)


def test_the_best_epoch_is_kept_and_training_stops_after_patience() -> None:
    scores = (0.1, 0.5, 0.4, 0.5, 0.3, 0.9)
    training = Training(scores)
    assert training.run(6, EarlyStopping(3)) == 2
    assert training.epoch == 5, "equal is not better"
    training = Training(scores)
    assert training.run(6, EarlyStopping(4)) == training.epoch == 6
    training = Training(scores)
    assert training.run(6, patience=3) == 2, "the patience of a model"
    assert training.epoch == 5
    assert Training(scores).run(6, EarlyStopping(4), patience=1) == 6, "a callback comes before it"


def test_without_validation_every_epoch_runs_and_the_last_is_kept() -> None:
    training = Training()
    assert training.run(7, EarlyStopping(1)) == training.epoch == 7


def test_history_and_state() -> None:
    training, seen = Training(scores=(0.1, 0.2, 0.2)), []

    class Listener(Callback):
        def on_epoch_end(self, state: FitState) -> None:
            seen.append((state.record, state.epochs_since_best))

    assert training.run(3, Listener()) == 2
    assert [entry for entry, _ in seen] == training.history
    assert [since for _, since in seen] == [0, 0, 1]
    assert [{key: value for key, value in entry.items() if key != "seconds"} for entry in training.history] == [
        {"epoch": 1, "loss": 1.0, "score": 0.1},
        {"epoch": 2, "loss": 0.5, "score": 0.2},
        {"epoch": 3, "loss": 1 / 3, "score": 0.2},
    ]
    assert all(entry["seconds"] > 0 for entry in training.history)


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    state = FitState()
    assert 0 <= state.elapsed <= state.elapsed < 3600
    monkeypatch.setattr(FitState, "elapsed", property(lambda state: float(state.epoch)))  # a second per epoch
    assert Training().run(100, TimeLimit(3.5)) == 4
    assert Training().run(100, TimeLimit(0.1)) == 1, "the first epoch always runs"


def test_a_loss_that_is_not_finite_stops_with_its_epoch() -> None:
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 2; lower the learning rate"):
        Training(losses=(1.0, math.nan)).run(3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs: must be at least 1"),
        ({"batch_size": 0}, "batch_size: must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate: must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate: must be at most 1e\\+30, not nan"),
        ({"weight_decay": -0.1}, "weight_decay: must be at least 0"),
    ],
)
def test_invalid_settings(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OptimizerConfig(**changed)


def test_the_optimizer_takes_a_step_of_adamw() -> None:
    """The first step of Adam is the learning rate long; the decay comes before it and does not see the gradient."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 2.0)
    optimizer = OptimizerConfig(learning_rate=0.1, weight_decay=0.5).optimizer(layer)
    (3 * layer.weight.sum()).backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5) - 0.1)


def test_a_model_is_kept_as_it_was_at_its_best_epoch() -> None:
    """The third epoch is called best; what follows does not change the model that was kept."""
    numbers = itertools.count(1)
    run = FitRun(lambda model: -abs(next(numbers) - 3), callbacks=[EarlyStopping(2)])
    settings = {"embedding_dim": 2, "learning_rate": 0.005, "batch_size": 4096}
    stopped = MF(epochs=50, **settings).fit_graph(sample(), run)
    assert next(numbers) == 6, "two epochs without a new best"
    expected = MF(epochs=3, **settings).fit(sample().dataset)
    assert torch.equal(stopped.users, expected.users)
    assert torch.equal(stopped.movies, expected.movies)


IN_EPOCHS = [name for name in MODELS.builtin if MODELS.get(name).trains_in_epochs and name != "gnn"]


def test_which_models_train_in_epochs() -> None:
    assert IN_EPOCHS == [
        "bpr", "mf", "neumf", "lightgcn", "lightfm", "average", "sasrec", "sasrec-binary", "mult-vae", "recvae",
    ]  # fmt: skip


@pytest.mark.parametrize("name", IN_EPOCHS)
def test_every_model_that_trains_in_epochs_stops_early(name: str) -> None:
    estimator = MODELS.get(name)(**({"layers": (4, 4)} if name == "neumf" else {}), embedding_dim=4)
    try:
        estimator.check_installed()
    except ConfigError as error:
        pytest.skip(str(error))
    run = FitRun(lambda model: 1.0, callbacks=[EarlyStopping(2)])
    estimator.fit_graph(sample(), run)
    assert [entry["epoch"] for entry in run.history] == [1, 2, 3]
    assert all(math.isfinite(entry["loss"]) for entry in run.history)


def test_negatives_are_unobserved_movies_with_equal_chances() -> None:
    rows = [(0, 1), (0, 2), (0, 5), (1, 0), *((2, movie) for movie in range(6))]
    user, movie = zip(*rows, strict=True)
    catalog = pd.DataFrame({"movie_id": range(6)})
    ratings = pd.DataFrame({"user_id": user, "movie_id": movie})
    graph = Graph.from_dataset(Dataset(ratings, catalog, pd.DataFrame({"user_id": range(4)})))
    sampler = NegativeSampler(graph)
    generator = torch.Generator().manual_seed(0)
    # User 2 has rated everything and gets any movie, user 3 nothing.
    expected = {0: [0, 3, 4], 1: [1, 2, 3, 4, 5], 2: list(range(6)), 3: list(range(6))}
    for node, movies in expected.items():
        sampled = sampler.sample(torch.full((60, 100), node), generator)
        share = torch.bincount(sampled.flatten(), minlength=6) / 6000
        wanted = torch.zeros(6)
        wanted[movies] = 1 / len(movies)
        torch.testing.assert_close(share, wanted, atol=0.03, rtol=0.0)
        assert not share[wanted == 0].any()
    assert trained_users(graph).tolist() == [True, True, True, False]


def test_seeded_restores_the_random_state() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(7) as generator:
        drawn = torch.rand(5, generator=generator), torch.rand(5)
    assert torch.equal(torch.rand(2), expected)
    with seeded(7) as generator:
        assert torch.equal(torch.rand(5, generator=generator), drawn[0])
        assert torch.equal(torch.rand(5), drawn[1])


def test_batches_and_frozen() -> None:
    parts = batches(10, 4, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(torch.cat(parts).tolist()) == list(range(10)) != torch.cat(parts).tolist()
    layer = torch.nn.Linear(1, 1)
    copy = frozen(layer)
    torch.nn.init.constant_(layer.weight, 2.0)
    assert copy.weight.item() != 2.0
    assert not copy.training and not copy.weight.requires_grad
    assert layer.training and layer.weight.requires_grad


def test_users_carry_their_node() -> None:
    """Models with an embedding per user find it by the node; new users have none."""
    graph = sample()
    assert torch.equal(graph.users.node_id, torch.arange(graph.num_users))
    nodes = torch.tensor([7, 3, 40])
    batch = graph.user_batch(nodes)
    assert batch.node_id.tolist() == [7, 3, 40]
    assert batch.slice(1, 3).node_id.tolist() == [3, 40]
    assert batch.to("cpu").without_profile(torch.ones(3, dtype=torch.bool)).node_id.tolist() == [7, 3, 40]
    users, _ = encode_users(graph, [graph.ids["user"][5], {1: 5}, NewUser(), graph.ids["user"][2]])
    assert users.node_id.tolist() == [5, -1, -1, 2]
    larger = graph.add_ratings(pd.DataFrame({"user_id": [1, 9999], "movie_id": [8001, 4]}))
    assert larger.user_batch(larger.user_nodes([1, 9999])).node_id.tolist() == [0, graph.num_users]
