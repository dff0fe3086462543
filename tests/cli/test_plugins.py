"""A file outside the package with a model, a loss, a metric, a protocol and a dataset, used by name in commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.cli import QUICK, cells, fails, succeeds
from tests.helpers.registries import restored_registries

PLUGIN = '''
from dataclasses import dataclass

import pandas as pd
import torch
from pydantic import Field

from gnnrec import (
    Dataset, Estimator, Graph, Protocol, Recommender, register_dataset, register_loss, register_metric, register_model,
    register_protocol,
)


@register_metric("first_hit")
def first_hit(hits, num_relevant):
    """Return 1 where the first movie is relevant."""
    return hits[:, 0].float()


@register_loss("shrink")
def shrink(user_embeddings, movie_embeddings, observed, supervision, generator, offset=0.0):
    """Return the size of all embeddings plus a constant."""
    return 0 * (user_embeddings.square().mean() + movie_embeddings.square().mean()) + offset


@dataclass(frozen=True)
class FittedByOrder(Recommender):
    """Ranks movies by their place in the movie table."""

    graph: Graph
    estimator: Estimator

    def score(self, users):
        return self.estimator.sign * torch.arange(self.graph.num_movies).float().repeat(users.num_users, 1)

    def with_graph(self, graph):
        return FittedByOrder(graph, self.estimator)

    def similarity_embeddings(self):
        return torch.ones(self.graph.num_movies, 1)

    def state(self):
        return {"none": torch.zeros(1)}


@register_model("by-order", grid=[{"sign": 1}, {"sign": -1}])
class ByOrder(Estimator):
    """First or last movies first."""

    sign: int = Field(1, ge=-1, le=1)

    def fit_graph(self, graph, run):
        return FittedByOrder(graph, self)

    def restore(self, graph, state):
        return FittedByOrder(graph, self)


@register_dataset("tiny")
def tiny(num_users=30):
    """Every user rates ten movies in a row."""
    rows = [(u, (u + m) % 20, 5, 100 * u + m) for u in range(num_users) for m in range(10)]
    return Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"]), name="tiny")


register_protocol("half")(Protocol("random", "half of the ratings", {"fractions": (0.5, 0.1, 0.4)}))
'''


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the plugin in it, in which Python looks for modules as it does in its working folder."""
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def run(*arguments: object) -> str:
    """Run a command that must succeed, and forget what its plugin registered, as the end of a process does."""
    with restored_registries():
        return succeeds(*arguments)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("plugin", ["my_plugin", "my_plugin.py"])
def test_benchmark(plugin: str) -> None:
    output = run(
        "benchmark", "--dataset", "tiny", "--protocol", "half:seed=2", "--models", "by-order,ease",
        "--metric", "ndcg", "--metric", "first_hit", "--plugin", plugin,
    )  # fmt: skip
    assert "Split('tiny', random per user 0.5/0.1/0.4, seed 2: 150 train, 30 valid, 120 test)" in output
    assert [row[0] for row in cells(output)] == ["by-order", "ease"]
    assert "first hit@10" in output


def test_train_evaluate_and_recommend(home: Path) -> None:
    output = run(
        "--plugin", "my_plugin", "train", "--model", "by-order", "--set", "sign=-1",
        "--dataset", "tiny:num_users=25", "--protocol", "half", "--out", "run",
    )  # fmt: skip
    assert "Split('tiny', random per user 0.5/0.1/0.4, seed 0: 125 train, 25 valid, 100 test)" in output
    rows = json.loads(run("evaluate", "run", "--metric", "first_hit", "--json", "--plugin=my_plugin"))
    assert [(row["metric"], row["k"]) for row in rows] == [("first_hit", 10), ("first_hit", 20)]
    assert 0 <= rows[0]["value"] == rows[1]["value"] <= 1
    found = json.loads(run("recommend", "run", "-k", 3, "--json", "--plugin", "my_plugin"))
    assert [row["movie_id"] for row in found] == [0, 1, 2]
    assert [row["score"] for row in found] == [0, -1, -2]
    assert fails("evaluate", home / "run").startswith("unknown model 'by-order'")


def test_loss(home: Path) -> None:
    words = ("--set", "train.loss=shrink", "--set", "train.loss_options={offset: 1.5}")
    run("train", "--plugin", "my_plugin", "--dataset", "tiny", "--out", "lossy", *QUICK, *words)
    history = json.loads((home / "lossy" / "metrics.json").read_text())["history"]
    assert [entry["loss"] for entry in history] == pytest.approx([1.5, 1.5])
