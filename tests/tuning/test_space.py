"""`SearchSpace`: reading, sampling, configurations of trials, and errors with file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import Config, ConfigError, SearchSpace
from gnnrec.config import ModelConfig, config_keys
from gnnrec.tuning import Choices, Objective, Range, known_keys
from gnnrec.tuning.space import parse_objectives

ROOT = Path(__file__).resolve().parents[2]
RATE = {"train.learning_rate": {"low": 0.001, "high": 0.01, "log": True}}


def space(spec: Any, **sections: Any) -> SearchSpace:
    return SearchSpace.from_mapping({"space": spec, **sections})


def suggested(one: SearchSpace, **values: Any) -> dict[str, Any]:
    """Return the suggestions of a trial with fixed values."""
    return one.suggest(optuna.trial.FixedTrial({key.replace("__", "."): value for key, value in values.items()}))  # type: ignore[arg-type]


def test_a_file_next_to_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("model: {embedding_dim: 16}\ntrain: {epochs: 7, patience: 2}\n")
    spec = {"model.embedding_dim": {"choices": [8, 16]}, "train.epochs": {"low": 2, "high": 8, "step": 3}}
    text = {"config": "base.yaml", "train": {"patience": 3}, "space": spec}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(text))
    found = SearchSpace.from_yaml(tmp_path / "search.yaml")
    # Sections of the file override the config that it names, key by key.
    assert found.base == Config().override(["model.embedding_dim=16", "train.epochs=7", "train.patience=3"])
    assert found.parameters == {"model.embedding_dim": Choices((8, 16)), "train.epochs": Range(2, 8, step=3)}
    assert found.outside == ["train.epochs"]  # 7 is not 2, 5 or 8
    assert found.base_params is None
    assert found.override(["train.seed=4"]).base.train.seed == 4
    with pytest.raises(ConfigError, match=r"train\.epochs is varied by the study; remove it"):
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
    assert found.base_params is None
    assert found.outside == ["train.batch_size"]  # 512 is above
    values = suggested(
        found,
        train__learning_rate=0.00234567,
        model__position_decays="[2.0, 3.0]",
        model__modalities='["text"]',
        model__temporal=True,
        train__batch_size=33,
        train__id_dropout=0.3,
    )
    values["train.id_dropout"] = 0.1 + 0.2  # as Optuna adds up steps
    config = found.config(values)
    expected = ["train.learning_rate=0.002346", "model.position_decays=[2, 3]", "model.modalities=[text]"]
    expected += ["model.temporal=true", "train.batch_size=33", "train.id_dropout=0.3"]
    assert config == Config().override(expected)


def test_the_base_as_a_trial() -> None:
    decays = {"model.position_decays": {"choices": [[1], [2, 3]]}}
    found = space(
        {**RATE, "model.modalities": {"choices": [None, ["text"]]}, **decays}, model={"position_decays": [2, 3]}
    )
    assert found.base_params == {
        "train.learning_rate": 0.002, "model.modalities": None, "model.position_decays": "[2.0, 3.0]",
    }  # fmt: skip
    assert found.config(found.base_params) == found.base


def test_mapping_round_trip() -> None:
    found = space(
        {**RATE, "model.modalities": {"choices": [None, ["text"]]}, "train.epochs": {"low": 2, "high": 8, "step": 3}}
    )
    assert SearchSpace.from_mapping(yaml.safe_load(yaml.safe_dump(found.to_mapping()))) == found


@given(
    low=st.floats(1e-6, 1.0),
    factor=st.floats(1.001, 1e4),
    at=st.floats(0, 1),
    log=st.booleans(),
)
def test_rounded_values_stay_in_the_range(low: float, factor: float, at: float, log: bool) -> None:
    one = Range(low, low * factor, log)
    value = min(max(low * factor**at, one.low), one.high)
    rounded = one.decode(value)
    assert one.low <= rounded <= one.high
    assert rounded == pytest.approx(value, rel=1e-3)
    assert one.decode(rounded) == rounded
    assert one.contains(rounded)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"train.speed": {"low": 1, "high": 2}}, "space: train.speed: unknown key; did you mean 'train.seed'?"),
        (
            {"learning_rate": {"low": 1, "high": 2}},
            "space: learning_rate: unknown key; did you mean 'train.learning_rate'?",
        ),
        (
            {"train.seed": {"low": 1, "high": 2}},
            "train.seed: a study cannot vary it: trials would differ by their random",
        ),
        ({"train.metric": {"choices": ["ndcg", "map"]}}, "train.metric: a study cannot vary it"),
        ({"train.epochs": 3}, "write {low: ..., high: ...} or {choices: [...]}, not 3"),
        ({"train.epochs": {"low": 1, "high": 9, "by": 2}}, "unknown by; allowed here: high, log, low, step"),
        ({"train.epochs": {"choices": [1, 2], "low": 2}}, "unknown low; allowed here: choices"),
        ({"train.epochs": {"low": 1}}, "high is missing"),
        ({"train.epochs": {"low": 9, "high": 1}}, "low 9 is not below high 1"),
        ({"train.epochs": {"low": 0, "high": 5}}, "must be at least 1"),
        ({"train.epochs": {"low": 1.5, "high": 5}}, "must be an integer, not 1.5"),
        ({"train.epochs": {"low": 1, "high": 6, "step": 2}}, "step 2 does not divide the range from 1 to 6"),
        ({"train.epochs": {"low": 1, "high": 5, "log": True, "step": 2}}, "log and step exclude each other"),
        ({"train.epochs": {"low": 1, "high": 5, "log": "yes"}}, "log must be true or false, not 'yes'"),
        ({"train.edge_dropout": {"low": 0.1, "high": 1}}, "must be below 1"),
        ({"train.id_dropout": {"low": 0, "high": 0.5, "log": True}}, "must start above 0, not at 0"),
        ({"train.weight_decay": {"low": 0.1, "high": float("inf")}}, "low and high must be finite"),
        ({"train.learning_rate": {"low": "fast", "high": 1}}, "must be a number"),
        ({"model.encoder": {"low": 1, "high": 2}}, "model.encoder: not a number, so it cannot have a range"),
        (
            {"model.encoder": {"choices": ["lightgcn", "gat"]}},
            "unknown encoder 'gat'; choose one of lightgcn, graphsage",
        ),
        ({"train.loss": {"choices": ["bpr", "softmx"]}}, "unknown loss 'softmx'; did you mean 'softmax'"),
        ({"model.encoder": {"choices": ["lightgcn"]}}, "choices must be a list of at least two values"),
        ({"model.position_decays": {"choices": [[1], [1.0]]}}, "'[1.0]' is repeated among the choices"),
        ({"model.position_decays": {"choices": [[1], [-1]]}}, "must be above 0"),
        ({}, "the section space: is missing or empty"),
        ([1], "the section space: is missing or empty"),
    ],
)
def test_errors(spec: Any, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump({"space": spec}))
    with pytest.raises(ConfigError) as error:
        SearchSpace.from_yaml(path)
    assert problem in str(error.value)
    assert str(error.value).startswith(str(path))


def test_errors_outside_the_space(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no config file .*gone\.yaml"):
        SearchSpace.from_yaml(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=r"there is no config file .*away\.yaml"):
        space(RATE, config="away.yaml")
    with pytest.raises(ConfigError, match="config must be a file name, not 3"):
        space(RATE, config=3)
    with pytest.raises(ConfigError, match=r"search space is not valid:\n  train\.speed: there is no such key"):
        space(RATE, train={"speed": 1})
    with pytest.raises(ConfigError, match="tuning: there is no such key"):
        space(RATE, tuning={"speed": 1})


def test_the_movielens_space_contains_base_and_winner() -> None:
    found = SearchSpace.from_yaml(ROOT / "configs" / "ml1m-search.yaml")
    assert found.outside == []
    assert found.config(found.base_params or {}) == found.base
    assert len(found.parameters) == 11
    winner = Config.from_yaml(ROOT / "configs" / "ml1m.yaml")
    values = {key: getattr(getattr(winner, key.split(".")[0]), key.split(".")[1]) for key in found.parameters}
    assert found.config(values) == winner, "the space has every key that differs"
    assert values != found.base_params


# Keys of some encoders only

ENCODERS = {"model.encoder": {"choices": ["lightgcn", "graphsage"]}}
BOTH = {
    "model.user_degree_smoothing": {"low": 0.0, "high": 20.0},
    "model.aggregation": {"choices": ["mean", "max", "sum"]},
}


def test_known_keys() -> None:
    keys = known_keys(Config)
    assert {"model.aggregation", "model.user_degree_smoothing"} <= {key for key, one in keys.items() if one.requires}
    assert not any(keys[f"model.{key}"].requires for key in ModelConfig.model_fields)
    assert keys["model.user_degree_smoothing"].requires == ("model.encoder", frozenset({"lightgcn"}))
    assert keys.keys() == {key for key in config_keys(Config) if "." in key}
    for encoder in ("lightgcn", "graphsage"):
        config = Config().override([f"model.encoder={encoder}"])
        own = {f"{name}.{key}": value for name, section in config for key, value in section}
        assert {key: keys[key].default for key in own if key != "model.encoder"} == {
            key: value for key, value in own.items() if key != "model.encoder"
        }
    assert keys["train.epochs"].number is int
    assert keys["train.learning_rate"].number is float
    assert keys["model.temporal"].number is None


def test_keys_are_suggested_with_their_encoder_only() -> None:
    found = space({**BOTH, **ENCODERS, **RATE})  # the encoder comes first whatever the order of the file
    fixed = {
        "train__learning_rate": 0.002,
        "model__user_degree_smoothing": 7.0,
        "model__aggregation": "max",
    }
    light = suggested(found, model__encoder="lightgcn", **fixed)
    assert light == {"model.encoder": "lightgcn", "train.learning_rate": 0.002, "model.user_degree_smoothing": 7.0}
    assert found.config(light) == Config().override(["model.user_degree_smoothing=7"])
    sage = suggested(found, model__encoder="graphsage", **fixed)
    assert sage == {"model.encoder": "graphsage", "train.learning_rate": 0.002, "model.aggregation": "max"}
    assert found.config(sage) == Config().override(["model.encoder=graphsage", "model.aggregation=max"])
    assert found.is_conditional
    assert found.base_params == {
        "model.encoder": "lightgcn", "train.learning_rate": 0.002, "model.user_degree_smoothing": 10.0,
    }  # fmt: skip
    assert found.config(found.base_params) == found.base
    assert SearchSpace.from_mapping(found.to_mapping()) == found
    # With one encoder all trials have the same keys.
    assert not space({**RATE, "model.user_degree_smoothing": BOTH["model.user_degree_smoothing"]}).is_conditional


def test_fixed_values_of_another_encoder() -> None:
    found = space({**ENCODERS, **RATE}, model={"aggregation": "max", "user_degree_smoothing": 3.0})
    assert found.inactive == {"model.aggregation": "max"}
    assert found.base.model.user_degree_smoothing == 3.0
    sage = found.config({"model.encoder": "graphsage", "train.learning_rate": 0.002})
    assert sage == Config().override(["model.encoder=graphsage", "model.aggregation=max"])
    assert found.config({"model.encoder": "lightgcn", "train.learning_rate": 0.002}) == found.base
    assert SearchSpace.from_mapping(found.to_mapping()) == found
    changed = found.override(["model.aggregation=min", "model.user_degree_smoothing=4", "train.epochs=2"])
    assert changed.inactive == {"model.aggregation": "min"}
    assert (changed.base.model.user_degree_smoothing, changed.base.train.epochs) == (4.0, 2)
    with pytest.raises(
        ConfigError,
        match=r"config is not valid: model\.aggregation: must be 'mean', 'max', 'min' or 'sum', not 'median'",
    ):
        found.override(["model.aggregation=median"])


def test_a_named_config_of_another_encoder(tmp_path: Path) -> None:
    (tmp_path / "light.yaml").write_text("model: {user_degree_smoothing: 3, embedding_dim: 16}\n")
    values = {"config": "light.yaml", "model": {"encoder": "graphsage", "aggregation": "max"}, "space": RATE}
    found = SearchSpace.from_mapping(values, folder=tmp_path)
    expected = ["model.encoder=graphsage", "model.aggregation=max", "model.embedding_dim=16"]
    assert found.base == Config().override(expected)  # a leftover of the other encoder does not stay


def test_keys_that_never_apply_are_refused() -> None:
    problem = r"search space: space: model\.aggregation applies only with model\.encoder graphsage, which no trial has"
    with pytest.raises(ConfigError, match=problem):
        space({"model.aggregation": BOTH["model.aggregation"]})
    assert space({"model.aggregation": BOTH["model.aggregation"]}, model={"encoder": "graphsage"}).base_params == {
        "model.aggregation": "mean"
    }
    with pytest.raises(ConfigError, match=r"unknown key train\.epoch; write"):
        SearchSpace(Config(), {"train.epoch": Range(1, 2)})
    with pytest.raises(ConfigError, match=r"model\.aggregation applies only with"):
        space({"model.aggregation": BOTH["model.aggregation"]}, model={"encoder": "graphsage"}).override(
            ["model.encoder=lightgcn"]
        )


def test_overrides_that_cannot_be_read() -> None:
    for assignment, problem in {
        "epochs": "cannot read 'epochs'; write section.key=value",
        "epochs=3": "cannot read 'epochs=3'; write section.key=value",
        "train.epochs=[": "cannot read the value in 'train.epochs=\\['; it is not YAML",
        "train.epochs=0": "train.epochs: must be at least 1",
        "train.epoch=2": "there is no such key; did you mean 'train.epochs'",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            space(RATE).override([assignment])


def test_objectives() -> None:
    base = space(RATE, train={"metric": "recall", "k": 5})
    assert parse_objectives(None, base) == (Objective("recall", 5),)
    assert parse_objectives("ndcg@20, seconds", base) == (Objective("ndcg", 20), Objective("seconds"))
    assert [one.direction for one in parse_objectives(["map@3", "seconds", "novelty@3"], base)] == [
        "maximize", "minimize", "maximize",
    ]  # fmt: skip
    for wrong, problem in {
        "ndcg": "unknown objective 'ndcg'; use seconds or metric@k",
        "ndcg@0": "unknown objective 'ndcg@0'",
        "auc@10": "unknown objective 'auc@10'",
        "seconds": "the first objective must be a validation metric, not seconds",
        "coverage@10,ndcg@10": "the first objective must be a validation metric, not coverage@10; put one of",
        "ndcg@5,ndcg@5": "objectives must differ: ndcg@5, ndcg@5",
        "": "unknown objective ''",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            parse_objectives(wrong, base)
    with pytest.raises(ConfigError, match="no objective given"):
        parse_objectives([], base)
