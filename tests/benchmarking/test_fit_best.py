"""`fit_best`: the best hyperparameters of a model's grid, chosen on the validation ratings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pydantic import Field

from gnnrec import Dataset, Split
from gnnrec.benchmarking import fit_best
from gnnrec.datasets import make_sample
from gnnrec.graph import Graph
from gnnrec.models import EASE, MF, SLIM, ItemKNN, Popularity, counts
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator
from gnnrec.registry import register_model
from gnnrec.splitting import random_split
from gnnrec.training.loop import FitRun
from tests.helpers.registries import restored_registries

TRIED: list[float] = []


class Fixed(Popularity):
    """Scores every movie by a hyperparameter; every fit is noted."""

    value: float = Field(0.0)

    def fit_graph(self, graph: Graph, run: FitRun) -> Recommender:
        TRIED.append(self.value)
        return super().fit_graph(graph, run)


@pytest.fixture
def by_value(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the model with a grid; validation prefers the value 2."""
    qualities = {1.0: 0.2, 2.0: 0.7, 3.0: 0.3, 9.0: 0.0}
    with restored_registries():
        register_model("fixed", grid=[{"value": 1.0}, {"value": 2.0}, {"value": 3.0}])(Fixed)
        monkeypatch.setattr(
            "gnnrec.models.estimator.Validation", lambda split: lambda model: qualities[model.hyperparameters["value"]]
        )
        TRIED.clear()
        yield


@pytest.fixture(scope="module")
def small() -> Split:
    return random_split(make_sample(40, 30))


def value(model: Recommender) -> float:
    return float(model.hyperparameters["value"])


@pytest.mark.usefixtures("by_value")
def test_the_best_of_the_grid(small: Split) -> None:
    assert value(fit_best("fixed", small)) == 2.0
    assert TRIED == [1.0, 2.0, 3.0]


@pytest.mark.usefixtures("by_value")
def test_defaults_without_validation_ratings(small: Split) -> None:
    train_only = Split(small.train, small.valid[:0], small.test, small.movies, small.users)
    assert value(fit_best("fixed", train_only)) == 0.0
    assert TRIED == [0.0]


@pytest.mark.usefixtures("by_value")
def test_an_estimator_is_fitted_as_it_is(small: Split) -> None:
    assert value(fit_best(Fixed(value=9.0), small)) == 9.0
    assert TRIED == [9.0]


@pytest.mark.usefixtures("by_value")
def test_once_the_time_is_over_nothing_more_is_tried(small: Split) -> None:
    assert value(fit_best("fixed", small, time_limit=1e-9)) == 1.0
    assert TRIED == [1.0]


def test_the_seed_reaches_the_model(small: Split) -> None:
    estimator = MF(embedding_dim=4, epochs=1)
    first, second = (fit_best(estimator, small, seed=seed) for seed in (3, 4))
    assert torch.equal(first.movies, MF(embedding_dim=4, epochs=1, seed=3).fit(small).movies)
    assert not torch.equal(first.movies, second.movies)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("itemknn", [ItemKNN(num_neighbors=5), ItemKNN(num_neighbors=20, shrink=3.0)]),
        ("ease", [EASE(reg=3.0), EASE(reg=30.0), EASE(reg=300.0)]),
        ("slim", [SLIM(l1=0.1, l2=5.0, rho=20.0), SLIM(l1=0.5, l2=5.0, rho=20.0)]),
    ],
)
def test_a_grid_shares_graph_and_counts(
    name: str, grid: list[BaseEstimator], small: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [estimator.fit(small) for estimator in grid]
    built, fitted = [], []
    from_dataset = Graph.from_dataset

    def build(dataset: Dataset) -> Graph:
        built.append(dataset)
        return from_dataset(dataset)

    def note(model: Recommender) -> float:
        fitted.append(model)
        return 0.0

    monkeypatch.setattr(Graph, "from_dataset", build)
    monkeypatch.setattr("gnnrec.benchmarking.run._grid", lambda *arguments, **options: grid)
    monkeypatch.setattr("gnnrec.benchmarking.run.validation_of", lambda split: note)
    assert fit_best(name, small) is fitted[0]
    assert built == [small.dataset]
    for one, other in zip(fitted, alone, strict=True):
        assert torch.equal(one.weights, other.weights) and torch.equal(one.share, other.share)
    assert not torch.equal(fitted[0].weights, fitted[1].weights)
    graph = fitted[0].graph
    assert counts.cooccurrence_counts(graph) is not counts.cooccurrence_counts(graph)  # nothing is kept afterwards
