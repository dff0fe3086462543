"""A search space says which settings vary, and every mistake in it is told with file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import Config, ConfigError, SearchSpace
from gnnrec.study import Choices, Objective, Range
from gnnrec.study.objectives import read_objectives

HOME = Path(__file__).resolve().parent.parent
RATE = {"train.learning_rate": {"low": 0.001, "high": 0.01, "log": True}}


def space(spec: Any, **sections: Any) -> SearchSpace:
    return SearchSpace.from_mapping({"space": spec, **sections})


def drawn(one: SearchSpace, **values: Any) -> dict[str, Any]:
    """Return what a trial draws that is told what to draw."""
    return one.draw(optuna.trial.FixedTrial({key.replace("__", "."): value for key, value in values.items()}))  # type: ignore[arg-type]


def test_a_file_beside_the_config_it_varies(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("model: {embedding_dim: 16}\ntrain: {epochs: 7, patience: 2}\n")
    spec = {"model.embedding_dim": {"choices": [8, 16]}, "train.epochs": {"low": 2, "high": 8, "step": 3}}
    text = {"config": "base.yaml", "train": {"patience": 3}, "space": spec}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(text))
    found = SearchSpace.from_yaml(tmp_path / "search.yaml")
    # What the file says itself wins over the config it names, key by key.
    assert found.base == Config().override(["model.embedding_dim=16", "train.epochs=7", "train.patience=3"])
    assert found.settings == {"model.embedding_dim": Choices((8, 16)), "train.epochs": Range(2, 8, step=3)}
    assert found.left_out == ["train.epochs"]  # 7 is none of 2, 5, 8
    assert found.start is None
    assert found.override(["train.seed=4"]).base.train.seed == 4
    with pytest.raises(ConfigError, match=r"train\.epochs is what the study varies"):
        found.override(["train.epochs=3"])


def test_the_config_of_a_trial() -> None:
    found = space(
        {
            **RATE,
            "model.position_decays": {"choices": [[1.0, 5.0], [2, 3]]},
            "model.modalities": {"choices": [None, ["text"]]},
            "model.temporal": {"choices": [False, True]},
            "train.batch_size": {"low": 32, "high": 256, "log": True},
            "train.id_dropout": {"low": 0, "high": 0.3, "step": 0.1},
        },
        model={"position_decays": [2.0, 3.0]},
    )
    own = found.start
    assert own is None
    assert found.left_out == ["train.batch_size"]  # 512 is above
    values = drawn(
        found,
        train__learning_rate=0.00234567,
        model__rank_decays="[2.0, 3.0]",
        model__modalities='["text"]',
        model__time=True,
        train__batch_size=33,
        train__id_dropout=0.3,
    )
    values["train.id_dropout"] = 0.1 + 0.2  # as steps add up
    config = found.config(values)
    expected = ["train.learning_rate=0.002346", "model.position_decays=[2, 3]", "model.modalities=[text]"]
    expected += ["model.temporal=true", "train.batch_size=33", "train.id_dropout=0.3"]
    assert config == Config().override(expected)


def test_the_base_is_a_trial_of_its_own() -> None:
    spec = {**RATE, "model.modalities": {"choices": [None, ["text"]]}, "model.position_decays": {"choices": [[1], [2, 3]]}}
    found = space(spec, model={"position_decays": [2, 3]})
    assert found.start == {
        "train.learning_rate": 0.002, "model.modalities": None, "model.position_decays": "[2.0, 3.0]",
    }  # fmt: skip
    assert found.config(found.start) == found.base


def test_it_reads_what_it_writes() -> None:
    found = space(
        {**RATE, "model.modalities": {"choices": [None, ["text"]]}, "train.epochs": {"low": 2, "high": 8, "step": 3}}
    )
    assert SearchSpace.from_mapping(yaml.safe_load(yaml.safe_dump(found.as_mapping()))) == found


@given(
    low=st.floats(1e-6, 1.0),
    factor=st.floats(1.001, 1e4),
    at=st.floats(0, 1),
    log=st.booleans(),
)
def test_rounded_values_stay_in_the_range(low: float, factor: float, at: float, log: bool) -> None:
    one = Range(low, low * factor, log)
    value = min(max(low * factor**at, one.low), one.high)
    rounded = one.decoded(value)
    assert one.low <= rounded <= one.high
    assert rounded == pytest.approx(value, rel=1e-3)
    assert one.decoded(rounded) == rounded
    assert one.holds(rounded)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"train.speed": {"low": 1, "high": 2}}, "space: train.speed: there is no such setting"),
        ({"learning_rate": {"low": 1, "high": 2}}, "space: learning_rate: there is no such setting"),
        ({"train.seed": {"low": 1, "high": 2}}, "train.seed: a study cannot vary it: the winner would be the luckiest"),
        ({"train.metric": {"choices": ["ndcg", "map"]}}, "train.metric: a study cannot vary it"),
        ({"train.epochs": 3}, "write {low: ..., high: ...} or {choices: [...]}, not 3"),
        ({"train.epochs": {"low": 1, "high": 9, "by": 2}}, "there is no by beside high, log, low, step"),
        ({"train.epochs": {"choices": [1, 2], "low": 2}}, "there is no low beside choices"),
        ({"train.epochs": {"low": 1}}, "high is missing"),
        ({"train.epochs": {"low": 9, "high": 1}}, "low 9 is not below high 1"),
        ({"train.epochs": {"low": 0, "high": 5}}, "0 is refused: Input should be greater than or equal to 1"),
        ({"train.epochs": {"low": 1.5, "high": 5}}, "1.5 is refused"),
        ({"train.epochs": {"low": 1, "high": 6, "step": 2}}, "from low 1 to high 6 there are no whole steps of 2"),
        ({"train.epochs": {"low": 1, "high": 5, "log": True, "step": 2}}, "log and step exclude each other"),
        ({"train.epochs": {"low": 1, "high": 5, "log": "yes"}}, "log must be true or false, not 'yes'"),
        ({"train.edge_dropout": {"low": 0.1, "high": 1}}, "1 is refused: Input should be less than 1"),
        ({"train.id_dropout": {"low": 0, "high": 0.5, "log": True}}, "must begin above 0, not at 0"),
        ({"train.learning_rate": {"low": 0.1, "high": float("inf")}}, "a range needs two finite ends"),
        ({"train.learning_rate": {"low": "fast", "high": 1}}, "'fast' is refused: Input should be a valid number"),
        ({"model.encoder": {"low": 1, "high": 2}}, "model.encoder: it is no number, so it has no range"),
        ({"model.encoder": {"choices": ["lightgcn", "gat"]}}, "'gat' is refused: Input should be 'lightgcn'"),
        ({"model.encoder": {"choices": ["lightgcn"]}}, "choices must be a list of at least two values"),
        ({"model.position_decays": {"choices": [[1], [1.0]]}}, "'[1.0]' is among the choices twice"),
        ({"model.position_decays": {"choices": [[1], [-1]]}}, "[-1] is refused: Input should be greater than 0"),
        ({}, "has no space: of settings to vary"),
        ([1], "has no space: of settings to vary"),
    ],
)
def test_mistakes(spec: Any, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump({"space": spec}))
    with pytest.raises(ConfigError) as told:
        SearchSpace.from_yaml(path)
    assert problem in str(told.value)
    assert str(told.value).startswith(str(path))


def test_mistakes_around_the_space(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no config file .*gone\.yaml"):
        SearchSpace.from_yaml(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=r"there is no config file .*away\.yaml"):
        space(RATE, config="away.yaml")
    with pytest.raises(ConfigError, match="config must name a file, not 3"):
        space(RATE, config=3)
    with pytest.raises(ConfigError, match=r"search space is not valid:\n  train\.speed: there is no such key"):
        space(RATE, train={"speed": 1})
    with pytest.raises(ConfigError, match="tuning: there is no such key"):
        space(RATE, tuning={"speed": 1})


def test_the_space_for_movielens_holds_its_config_and_what_was_before() -> None:
    found = SearchSpace.from_yaml(HOME / "configs" / "ml1m-search.yaml")
    assert found.left_out == []
    assert found.config(found.start or {}) == found.base
    assert len(found.settings) == 11
    winner = Config.from_yaml(HOME / "configs" / "ml1m.yaml")
    drawn = {key: getattr(getattr(winner, key.split(".")[0]), key.split(".")[1]) for key in found.settings}
    assert found.config(drawn) == winner, "all that differs is in the space"
    assert drawn != found.start


def test_objectives() -> None:
    config = Config().override(["train.metric=recall", "train.k=5"])
    assert read_objectives(None, config) == (Objective("recall", 5),)
    assert read_objectives("ndcg@20, seconds", config) == (Objective("ndcg", 20), Objective("seconds"))
    assert [one.direction for one in read_objectives(["map@3", "seconds", "novelty@3"], config)] == [
        "maximize", "minimize", "maximize",
    ]  # fmt: skip
    for wrong, problem in {
        "ndcg": "objective 'ndcg' is not seconds and not metric@k",
        "ndcg@0": "is not seconds",
        "auc@10": "is not seconds",
        "seconds": "the first objective must be one that training can watch",
        "coverage@10,ndcg@10": "the first objective must be one that training can watch",
        "ndcg@5,ndcg@5": "an objective is there twice: ndcg@5, ndcg@5",
        "": "objective '' is not",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            read_objectives(wrong, config)
    with pytest.raises(ConfigError, match="there is no objective"):
        read_objectives([], config)
