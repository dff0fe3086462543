"""How peers are trained and chosen: the best epoch is kept, limits hold, draws are fair, missing packages are named."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pandas as pd
import pytest
import torch

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, NewUser, encode_users
from gnnrec.models import PEERS, OptimizerConfig, Watch, fit_peer
from gnnrec.models.factorization import ImplicitALS, MatrixFactorization
from gnnrec.models.popularity import Popularity
from gnnrec.training import loop as training
from gnnrec.training.loop import NegativeSampler, seeded, train
from tests.helpers.contract import sample


@dataclass
class Run:
    """A training whose epochs do nothing, and whose models are the numbers of their epochs."""

    qualities: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    epoch: int = 0

    def run_epoch(self) -> float:
        self.epoch += 1
        return self.losses[self.epoch - 1] if self.losses else 1 / self.epoch

    def quality(self, model: int) -> float:
        return self.qualities[model - 1]

    def keep(self, epochs: int, **options: object) -> int:
        return train(self.run_epoch, lambda: self.epoch, epochs, Watch(**options))  # type: ignore


def test_the_best_epoch_is_kept_and_training_stops_after_patience():
    run = Run(qualities=(0.1, 0.5, 0.4, 0.5, 0.3, 0.9))
    assert run.keep(6, quality=run.quality, patience=3) == 2
    assert run.epoch == 5, "equal is not better"
    run = Run(qualities=(0.1, 0.5, 0.4, 0.5, 0.3, 0.9))
    assert run.keep(6, quality=run.quality, patience=4) == 6


def test_without_a_quality_every_epoch_is_run_and_the_last_is_kept():
    run = Run()
    assert run.keep(7) == run.epoch == 7


def test_reports():
    entries: list[dict[str, float]] = []
    run = Run(qualities=(0.1, 0.2))
    run.keep(2, quality=run.quality, report=entries.append)
    assert entries == [{"epoch": 1, "loss": 1.0, "quality": 0.1}, {"epoch": 2, "loss": 0.5, "quality": 0.2}]


def test_limit_seconds(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    assert Run().keep(100, limit_seconds=3.5) == 4
    assert Run().keep(100, limit_seconds=0.1) == 1, "the first epoch is always run"


def test_a_loss_that_is_no_number_stops_with_its_epoch():
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 2; lower the learning rate"):
        Run(losses=(1.0, math.nan)).keep(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"limit_seconds": 0}, "limit_seconds must be above 0, not 0"),
        ({"limit_seconds": math.nan}, "limit_seconds must be above 0, not nan"),
    ],
)
def test_watches_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        Watch(**options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0, not -1.0"),
        ({"learning_rate": math.nan}, "learning_rate must be at least 0, not nan"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, not -0.1"),
    ],
)
def test_schedules_that_make_no_sense(changed, message):
    with pytest.raises(ConfigError, match=message):
        OptimizerConfig(**{"epochs": 1, "learning_rate": 0.1, "batch_size": 1, **changed})


def test_a_schedule_takes_a_step_of_adamw():
    """The first step of Adam is the learning rate long; the decay comes before it and does not see the gradient."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 2.0)
    optimizer = OptimizerConfig(1, learning_rate=0.1, batch_size=1, weight_decay=0.5).optimizer(layer)
    (3 * layer.weight.sum()).backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5) - 0.1)


def test_a_model_is_kept_as_it_was_at_its_best_epoch():
    """The third epoch is called best; what follows does not change the model that was kept."""
    numbers = itertools.count(1)
    watch = Watch(quality=lambda model: -abs(next(numbers) - 3), patience=2)
    stopped = MatrixFactorization.fit(sample(), dim=2, schedule=OptimizerConfig(50, 0.005, 4096), watch=watch)
    assert next(numbers) == 6, "two epochs without a new best"
    expected = MatrixFactorization.fit(sample(), dim=2, schedule=OptimizerConfig(3, 0.005, 4096))
    assert torch.equal(stopped.people, expected.people)


def test_every_watched_peer_stops_early():
    for name, peer in PEERS.items():
        if peer.user_movie and peer.installed:
            entries: list[dict[str, float]] = []
            watch = Watch(quality=lambda model: 1.0, patience=2, report=entries.append)
            settings = {} if name == "bpr" else {"dim": 4}
            fit_peer(name, sample(), watch=watch, settings=settings)
            assert len(entries) == 3, name
            assert all(math.isfinite(entry["loss"]) for entry in entries), name


def test_unwatched_draws_each_unwatched_movie_equally_often():
    rows = [(0, 1), (0, 2), (0, 5), (1, 0), *((2, movie) for movie in range(6))]
    user, movie = zip(*rows, strict=True)
    catalogue = pd.DataFrame({"movie_id": range(6)})
    frame = pd.DataFrame({"user_id": user, "movie_id": movie})
    graph = Graph.from_dataset(Dataset(frame, catalogue, pd.DataFrame({"user_id": range(4)})))
    unwatched = NegativeSampler(graph)
    generator = torch.Generator().manual_seed(0)
    expected = {0: [0, 3, 4], 1: [1, 2, 3, 4, 5], 2: list(range(6)), 3: list(range(6))}
    for node, movies in expected.items():  # 2 has watched everything and gets anything, 3 nothing
        drawn = unwatched.draw(torch.full((60, 100), node), generator)
        share = torch.bincount(drawn.flatten(), minlength=6) / 6000
        wanted = torch.zeros(6)
        wanted[movies] = 1 / len(movies)
        torch.testing.assert_close(share, wanted, atol=0.03, rtol=0.0)
        assert not share[wanted == 0].any()


def test_seeded_gives_the_random_numbers_back():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(7) as generator:
        torch.rand(5, generator=generator)
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def test_fit_peer_takes_the_best_of_the_grid(monkeypatch):
    tried: list[float] = []
    monkeypatch.setitem(PEERS, "slim", PEERS["slim"].__class__(_noted(tried), GRID, seeded=False, watched=False))
    qualities = {1.0: 0.2, 2.0: 0.7, 3.0: 0.3}
    best = fit_peer("slim", sample(), watch=Watch(quality=lambda model: qualities[float(model.counts[0])]))
    assert float(best.counts[0]) == 2.0
    assert tried == [1.0, 2.0, 3.0]
    tried.clear()
    assert float(fit_peer("slim", sample()).counts[0]) == 1.0, "without a quality the first"
    assert float(fit_peer("slim", sample(), settings={"value": 9.0}).counts[0]) == 9.0
    assert tried == [1.0, 9.0]
    tried.clear()
    fit_peer("slim", sample(), watch=Watch(quality=lambda model: 0.0, limit_seconds=1e-9))
    assert tried == [1.0], "no more settings are tried once the time is spent"


GRID = [{"value": 1.0}, {"value": 2.0}, {"value": 3.0}]


def _noted(tried: list[float]):
    def fit(graph: Graph, value: float) -> Popularity:
        tried.append(value)
        return Popularity(graph, torch.full((graph.num_movies,), value))

    return fit


def test_fit_peer_passes_the_seed_on():
    settings = {"dim": 4, "schedule": OptimizerConfig(1, 0.005, 4096)}
    first, second = (fit_peer("mf", sample(), seed=seed, settings=settings) for seed in (3, 4))
    assert torch.equal(first.movies, MatrixFactorization.fit(sample(), **settings, seed=3).movies)
    assert not torch.equal(first.movies, second.movies)


def test_unknown_peer():
    with pytest.raises(ConfigError, match="unknown peer 'gru4rec'; there are slim, contentknn, ridge, als, bpr, "):
        fit_peer("gru4rec", sample())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "implicit.cpu.als", None)
    with pytest.raises(ConfigError, match=r"als needs the package implicit, .*; pip install implicit"):
        ImplicitALS.fit(sample())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [name for name, peer in PEERS.items() if not peer.installed] == ["als", "bpr", "lightfm"]


def test_everybody_carries_their_node():
    """A table of users is found by it; new people have none."""
    graph = sample()
    assert torch.equal(graph.users.node_id, torch.arange(graph.num_users))
    nodes = torch.tensor([7, 3, 40])
    batch = graph.user_batch(nodes)
    assert batch.node_id.tolist() == [7, 3, 40]
    assert batch.slice(1, 3).node.tolist() == [3, 40]
    assert batch.to("cpu").without_profile(torch.ones(3, dtype=torch.bool)).node.tolist() == [7, 3, 40]
    people, _ = encode_users(graph, [graph.ids["user"][5], {1: 5}, NewUser(), graph.ids["user"][2]])
    assert people.node_id.tolist() == [5, -1, -1, 2]
    rows = pd.DataFrame({"user_id": [1, 9999], "movie_id": [8001, 4]})
    larger = graph.add_ratings(rows)
    assert larger.user_batch(larger.user_nodes([1, 9999])).node.tolist() == [0, graph.num_users]
