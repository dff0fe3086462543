"""Settings are checked where they come in, and an error names the key, what is wrong and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gnnrec import Config, ConfigError
from gnnrec._yaml import find_config, shipped_configs
from gnnrec.config import ModelConfig, TrainConfig
from gnnrec.nn import GraphSAGEConfig, LightGCNConfig

SHARED = {
    "embedding_dim": st.integers(1, 1024),
    "temporal": st.booleans(),
    "position_decays": st.lists(st.floats(0, exclude_min=True), min_size=1, max_size=4),
    "day_decays": st.lists(st.floats(0, exclude_min=True), max_size=3).map(tuple),
    "init_scale": st.floats(0, exclude_min=True, allow_infinity=False),
}
CONFIGS = st.builds(
    Config,
    model=st.one_of(
        st.builds(ModelConfig, encoder=st.sampled_from(["lightgcn", "graphsage"]), **SHARED),
        st.builds(LightGCNConfig, user_degree_smoothing=st.floats(0, 1e6), **SHARED),
        st.builds(
            GraphSAGEConfig,
            aggregation=st.sampled_from(["mean", "max", "min", "sum"]),
            **SHARED,
        ),
    ),
    train=st.builds(
        TrainConfig,
        learning_rate=st.floats(0, 1e30, exclude_min=True),
        edge_dropout=st.floats(0, 1, exclude_min=True, exclude_max=True),
        seed=st.integers(0, 2**62),
        device=st.sampled_from(["auto", "cpu", "cuda:1", "no", "1", "é"]),
    ),
)


@settings(max_examples=40, deadline=None)
@given(config=CONFIGS)
def test_yaml_round_trip(config: Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    config.to_yaml(path)
    assert Config.from_yaml(path) == config
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == config.model_dump(mode="json")


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model:\n  num_layers: 2\ntrain: {learning_rate: 1e-3}\n")  # YAML 1.1 reads 1e-3 as text
    config = Config.from_yaml(path)
    assert config == Config(model=ModelConfig(num_layers=2), train=TrainConfig(learning_rate=0.001))
    path.write_text("# nothing but a comment\n")
    assert Config.from_yaml(path) == Config()


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().model.num_layers = 3
    config = Config()
    config.override(["model.num_layers=2"])
    assert config == Config()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"num_layer": 2}}, "  model.num_layer: there is no such key; did you mean 'model.num_layers'?"),
        ({"modle": {}}, "  modle: there is no such key; did you mean 'model'?"),
        ({"model": {"encoder": "gcn"}}, "  model.encoder: unknown encoder 'gcn'; choose one of lightgcn, graphsage"),
        ({"model": {"num_layers": 0}}, "  model.num_layers: must be at least 1, not 0"),
        ({"model": {"num_layers": 1.5}}, "must be an integer, not 1.5"),
        ({"train": {"edge_dropout": 1.0}}, "  train.edge_dropout: must be below 1, not 1.0"),
        ({"train": {"edge_dropout": 0}}, "  train.edge_dropout: must be above 0, not 0"),
        ({"train": {"learning_rate": float("nan")}}, "  train.learning_rate: must be at most 1e+30, not nan"),
        (
            {"train": {"loss": "hinge"}},
            "unknown loss 'hinge'; choose one of weighted_mse, softmax, sampled_softmax, bpr",
        ),
        ({"train": 3}, "(got 3)"),
        (
            {"model": {"position_decays": []}},
            "  model.position_decays: Tuple should have at least 1 item after validation",
        ),
        ({"model": {"position_decays": [1, 0]}}, "  model.position_decays.1: must be above 0, not 0"),
        ({"model": {"day_decays": 3}}, "  model.day_decays: Input should be a valid tuple (got 3)"),
        ({"model": {"dropout": 1.0}}, "  model.dropout: must be below 1, not 1.0"),
        (
            {"train": {"objective": "last"}},
            "  train.objective: must be 'masked_edges' or 'next_item', not 'last'",
        ),
        ({"train": {"cutoff_recency": 0.5}}, "  train.cutoff_recency: must be at least 1"),
        ({"train": {"final_lr_ratio": 0}}, "  train.final_lr_ratio: must be above 0, not 0"),
    ],
)
def test_wrong_values(values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(values, "my.yaml")
    assert str(caught.value).startswith("my.yaml is not valid:\n  ")
    assert message in str(caught.value)


def test_an_error_about_several_keys_is_one_line() -> None:
    keys = ["model.temporal=true", "model.date_features=true", "model.hidden_dim=0"]
    with pytest.raises(ConfigError) as caught:
        Config().override(keys)
    expected = "  model: date_features needs the hidden layer; set hidden_dim above 0, or date_features to false"
    assert str(caught.value) == f"config is not valid:\n{expected}"
    assert not Config().override(["model.temporal=false", *keys[1:]]).model.temporal, "dates are not used then"


def test_every_wrong_key_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({"model": {"depth": 1, "num_layers": "many"}, "train": {"epochs": -1}})
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "model.num_layers",
        "model.depth",
        "train.epochs",
    ]


def test_invalid_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(ConfigError, match=r"there is no config file .*a\.yaml"):
        Config.from_yaml(path)
    with pytest.raises(ConfigError, match=r"the config file .* is not a file"):
        Config.from_yaml(tmp_path)
    path.write_text("model: [1, 2\n")
    with pytest.raises(ConfigError, match=r"(?s)a\.yaml is not YAML: .*line 2"):
        Config.from_yaml(path)
    path.write_bytes(b"model: \xff\xfe")
    with pytest.raises(ConfigError, match=r"a\.yaml is not YAML"):
        Config.from_yaml(path)
    path.write_text("- model\n")
    with pytest.raises(ConfigError, match=r"a\.yaml must hold keys and values, not list"):
        Config.from_yaml(path)
    path.write_text("model:\n  dim: 3\n")
    with pytest.raises(ConfigError, match=r"a\.yaml is not valid:\n  model\.dim: there is no such key"):
        Config.from_yaml(path)


def test_overrides() -> None:
    config = Config().override(
        ["model.num_layers=2", " train.loss =bpr", "train.learning_rate=1e-4", "train.device=cuda:1", "train.epochs=3"]
    )
    assert config.model == LightGCNConfig(num_layers=2)
    assert config.train == TrainConfig(loss="bpr", learning_rate=1e-4, device="cuda:1", epochs=3)
    assert Config().override([]) == Config()
    decays = Config().override(["model.position_decays=[1, 2.5, .inf]", "model.day_decays=[7]"]).model
    assert (decays.position_decays, decays.day_decays) == ((1.0, 2.5, float("inf")), (7.0,))
    assert Config().override(["train.epochs=1", "train.epochs=2"]).train.epochs == 2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("epochs=3", "cannot read 'epochs=3'; write section.key=value, as in model.num_layers=2"),
        ("train.epochs", "cannot read 'train.epochs'; write section.key=value, as in model.num_layers=2"),
        ("optimizer.epochs=3", "unknown config section 'optimizer'; choose one of model, train"),
        ("train.epoch=3", "config is not valid:\n  train.epoch: there is no such key; did you mean 'train.epochs'?"),
        ("train.epochs.x=3", "config is not valid:\n  train.epochs.x: there is no such key"),
        ("train.epochs=many", "must be an integer, not 'many'"),
        ("train.epochs=", "must be an integer, not None"),
        ("train.epochs=[1", "cannot read the value in 'train.epochs=[1'; it is not YAML"),
    ],
)
def test_wrong_overrides(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config().override([assignment])
    assert message in str(caught.value)


def test_shipped_configs_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(__file__).resolve().parent.parent / "configs"
    assert {path.stem for path in home.glob("*.yaml")} == set(shipped_configs())
    monkeypatch.chdir(tmp_path)
    assert Config.from_yaml("ml1m") == Config.from_yaml(home / "ml1m.yaml")
    (tmp_path / "ml1m").mkdir()  # a folder of that name, such as one of data, is not a config
    assert find_config("ml1m").parent == find_config("ml1m-fast").parent
    (tmp_path / "ml1m-fast").write_text("train: {epochs: 3}")
    assert Config.from_yaml("ml1m-fast").train.epochs == 3  # a file of one's own wins


def test_configs_inside_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel holds them there."""
    (tmp_path / "site" / "gnnrec" / "configs").mkdir(parents=True)
    (tmp_path / "site" / "configs").mkdir()
    (tmp_path / "site" / "configs" / "other.yaml").write_text("")
    own = tmp_path / "site" / "gnnrec" / "configs" / "mine.yaml"
    own.write_text("")
    monkeypatch.setattr("gnnrec._yaml.__file__", str(tmp_path / "site" / "gnnrec" / "_yaml.py"))
    assert shipped_configs() == {"mine": own}


def test_missing_configs() -> None:
    with pytest.raises(ConfigError, match=r"there is no config 'ml1m-nxt'; .*did you mean 'ml1m-next'\?"):
        Config.from_yaml("ml1m-nxt")
    with pytest.raises(ConfigError, match=r"there is no config file nowhere\.yaml$"):
        Config.from_yaml("nowhere.yaml")
