"""Models as a study sees them: any registered model is tuned by its hyperparameters, plugins included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import Field

from gnnrec import Config, ConfigError, Estimator, SearchSpace, Split, fit, register_metric, register_model, tune
from gnnrec.datasets import make_sample
from gnnrec.evaluation import validate
from gnnrec.graph import Graph
from gnnrec.models import EASE, GNN, MF, Popularity
from gnnrec.models.popularity import PopularityModel
from gnnrec.splitting import random_split
from gnnrec.training.loop import FitRun
from gnnrec.tuning import TunableGNN, TunableModel, get_tunable, read_study
from gnnrec.tuning.tune import tuning_split
from tests.helpers.registries import restored_registries

REG: dict[str, Any] = {"reg": {"low": 1.0, "high": 1000.0, "log": True}}


def test_get_tunable() -> None:
    assert get_tunable("gnn") == get_tunable(GNN) == TunableGNN()
    assert get_tunable("ease") == get_tunable(EASE) == get_tunable(EASE()) == TunableModel(EASE())
    assert get_tunable(EASE(reg=3)) == TunableModel(EASE(reg=3)) != TunableModel(EASE())
    config = Config().override(["train.epochs=3"])
    assert get_tunable(GNN(config=config)).default == config
    own = TunableModel(EASE())
    assert get_tunable(own) is own
    with pytest.raises(ConfigError, match="unknown model 'eaze'; did you mean 'ease'"):
        get_tunable("eaze")
    with pytest.raises(ConfigError, match="a model is a name, an Estimator or an Estimator class, not int"):
        get_tunable(3)  # type: ignore[arg-type]


def test_a_model_without_epochs(tmp_path: Path) -> None:
    lines: list[str] = []
    result = tune(
        make_sample(60, 40), {"reg": 100.0, "space": REG}, model="ease", trials=3, out=tmp_path, storage=tmp_path / "j",
        progress=False, log=lines.append,
    )  # fmt: skip
    assert (result.trials["state"] == "complete").all()
    assert result.base_trial is not None
    assert result.base_trial.config == EASE(reg=100)
    split = tuning_split(random_split(make_sample(60, 40), (0.9, 0.1, 0.0), seed=0), result.space)
    assert result.best_value == validate(fit(split, result.best), split) == result.trials["ndcg@20"].max()
    assert result.trials[["epochs", "best_epoch"]].isna().all(axis=None)
    assert (result.trials["seconds"] > 0).all()
    assert lines[0].startswith(f"[1/3] trial 0: ndcg@20 {result.base_trial.values['ndcg@20']:.4f} after ")
    assert f"reg: {result.best.reg}\n" in (tmp_path / "best.yaml").read_text()
    report = (tmp_path / "report.md").read_text()
    assert f"gnnrec train --dataset sample --protocol random --model ease --set 'reg={result.best.reg:.4g}'" in report
    # The name of the model is stored with the study.
    read = read_study(tmp_path / "j")
    assert (read.best, read.space) == (result.best, result.space)
    with pytest.raises(ConfigError, match=r"made with different settings .*model was ease, now itemknn"):
        space = {"space": {"num_neighbors": {"choices": [5, 10]}}}
        tune(make_sample(60, 40), space, model="itemknn", storage=tmp_path / "j", progress=False)


def test_a_model_with_epochs_is_pruned(small: Split) -> None:
    rates = [0.05, 0.052, 0.054, 0.056, 0.058, 0.06, 1e-9, 2e-9, 3e-9, 4e-9]
    space = {"epochs": 4, "embedding_dim": 8, "batch_size": 32, "space": {"learning_rate": {"choices": rates}}}
    result = tune(small, space, model="mf", trials=10, pruner_warmup=1, progress=False)
    frame = result.trials
    assert {"complete", "pruned"} == set(frame["state"])
    late = frame[frame.index >= 5]  # the pruner compares with five trials at least
    assert (late.loc[late["learning_rate"] < 1e-8, "state"] == "pruned").all()
    assert (late["learning_rate"] < 1e-8).sum() == 2
    assert (frame.loc[frame["state"] == "pruned", "epochs"] < 4).all()
    assert isinstance(result.best, MF)
    assert result.best.learning_rate >= 0.05
    split = tuning_split(small, result.space)
    assert result.best_value == validate(fit(split, result.best, progress=False), split)


def test_other_objectives_of_a_model_with_epochs(small: Split) -> None:
    space = {"epochs": 2, "embedding_dim": 8, "space": {"learning_rate": {"choices": [0.05, 0.01]}}}
    result = tune(small, space, model="mf", trials=2, objectives="recall@5", progress=False)
    assert (result.trials["epochs"] == 2).all()
    split = tuning_split(small, result.space)
    assert result.best_value == validate(fit(split, result.best, progress=False), split, "recall", 5)


def test_hyperparameters_of_an_estimator_are_the_base(small: Split) -> None:
    space = {"space": {"learning_rate": {"choices": [0.05, 0.01]}}}
    result = tune(small, space, model=MF(embedding_dim=4, epochs=1), trials=1, progress=False)
    assert (result.best.embedding_dim, result.best.epochs) == (4, 1)
    assert result.space.override(["epochs=2"]).base.epochs == 2


@pytest.mark.parametrize(
    ("model", "space", "problem"),
    [
        ("ease", {"space": {"regg": {"low": 1, "high": 2}}}, r"regg: unknown key; did you mean 'reg'\?"),
        ("ease", {"space": {"train.epochs": {"low": 1, "high": 2}}}, "train.epochs: unknown key; choose one of reg"),
        ("ease", {"space": {"reg": {"low": -1, "high": 2}}}, "must be above 0"),
        ("ease", {"reg": -1, "space": REG}, "search space: EASE: reg: must be above 0"),
        ("ease", {"rag": 1, "space": REG}, "search space: EASE: rag: there is no such key; did you mean 'reg'"),
        ("mf", {"space": {"seed": {"low": 1, "high": 2}}}, "seed: a study cannot vary it: trials would differ by"),
        ("popularity", {"space": REG}, "reg: unknown key; popularity has no hyperparameters"),
        ("pop", {"space": REG}, "unknown model 'pop'"),
    ],
)
def test_errors(model: str, space: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        SearchSpace.from_mapping(space, model=model)


def test_a_space_is_for_one_model(small: Split) -> None:
    space = SearchSpace.from_mapping({"space": REG}, model="ease")
    with pytest.raises(ConfigError, match="the search space is for ease"):
        tune(small, space, model="itemknn")
    with pytest.raises(ConfigError, match="cannot read 'reg'; write key=value"):
        space.override(["reg"])


@pytest.fixture
def plugin() -> Iterator[type[Estimator]]:
    """Register a model, as a module named by ``--plugin`` does."""

    with restored_registries():

        @register_model("by-rating")
        class ByRating(Popularity):
            """Scores movies by number of ratings to some power."""

            power: float = Field(1.0, ge=-1)

            def fit_graph(self, graph: Graph, run: FitRun) -> PopularityModel:
                counts = torch.bincount(graph.users.movie_index, minlength=graph.num_movies).float()
                return PopularityModel(graph, (counts + 1) ** self.power, self)

        yield ByRating


def test_the_model_of_a_plugin(small: Split, plugin: type[Estimator], tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text("power: 0.5\nspace:\n  power: {low: -1, high: 1, step: 0.5}\n")
    result = tune(small, tmp_path / "search.yaml", model="by-rating", trials=4, progress=False)
    assert isinstance(result.best, plugin)
    assert result.best_value > result.trials["ndcg@20"].min()
    assert result.best.power > 0, "popular movies first"


def test_the_metric_of_a_plugin(small: Split) -> None:
    space = {"train": {"epochs": 2, "batch_size": 32}, "space": {"model.embedding_dim": {"choices": [4, 8]}}}
    with restored_registries():
        register_metric("first-hit")(lambda hits, num_relevant: hits[:, 0].float())  # a name with a hyphen
        for objectives, settings in (("first-hit@5", {}), (None, {"metric": "first-hit", "k": 5})):
            given = {**space, "train": {**space["train"], **settings}}
            result = tune(small, given, trials=2, objectives=objectives, progress=False)
            assert result.objectives == ("first-hit@5",)
            assert result.best_value == result.trials["first-hit@5"].max() > 0
            assert validate(fit(small, config=result.best, progress=False), small, "first-hit", 5) == pytest.approx(
                result.best_value
            )
    with pytest.raises(ConfigError, match="unknown objective 'first-hit@5'"):
        tune(small, space, trials=2, objectives="first-hit@5", progress=False)
