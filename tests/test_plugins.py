"""One file outside the package is enough to use an encoder, loss, metric, model, dataset, ... of one's own by name.

The file is `tests/helpers/plugin.py`; it is copied to a folder of its own, as a user would have it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml

import gnnrec
from gnnrec import Config, ConfigError, NewUser, load_dataset
from gnnrec.features import encode_plots
from gnnrec.models import GNN
from gnnrec.models.estimator import get_estimator
from tests.helpers.cli import HOME, cells
from tests.helpers.contract import Subject, run_checks
from tests.helpers.registries import restored_registries

SOURCE = Path(__file__).parent / "helpers" / "plugin.py"
YAML = """
model:
  encoder: plugin-mean
  history_weight: 0.5
  embedding_dim: 8
train:
  loss: plugin-hinge
  loss_options: {margin: 0.2}
  metric: plugin-first-hit
  k: 5
  epochs: 3
  batch_size: 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugin and a config that uses it."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(SOURCE, folder / "my_plugin.py")
    (folder / "mine.yaml").write_text(YAML)
    return folder


@pytest.fixture(scope="module")
def plugin(folder: Path) -> Iterator[ModuleType]:
    """Load the plugin by its path."""
    with restored_registries():
        gnnrec.load_plugins([str(folder / "my_plugin.py")])
        yield sys.modules["my_plugin"]


@pytest.fixture(scope="module")
def split(plugin: ModuleType) -> gnnrec.Split:
    return gnnrec.split(load_dataset("plugin-blocks", num_users=30), "plugin-fives")


# By name


def test_dataset(plugin: ModuleType) -> None:
    assert load_dataset("plugin-blocks").num_users == 40
    assert load_dataset("plugin-blocks", num_users=6).num_ratings == 60
    with pytest.raises(ConfigError, match="unknown option size of dataset 'plugin-blocks'; choose from num_users"):
        load_dataset("plugin-blocks", size=6)


def test_splitter_and_protocol(plugin: ModuleType) -> None:
    dataset = load_dataset("plugin-blocks")
    by_protocol, by_splitter = gnnrec.split(dataset, "plugin-fives"), gnnrec.split(dataset, "plugin-every:step=4")
    assert (len(by_protocol.train), len(by_protocol.valid), len(by_protocol.test)) == (240, 80, 80)
    assert (len(by_splitter.train), len(by_splitter.valid), len(by_splitter.test)) == (200, 100, 100)
    assert (by_protocol.mask, by_splitter.mask) == ("train+valid", "train")
    assert len(gnnrec.split(dataset, "plugin-fives:step=10").test) == 40
    with pytest.raises(ConfigError, match=r"unknown protocol option 'steps'; did you mean 'step'\?"):
        gnnrec.split(dataset, "plugin-fives:steps=10")


def test_encoder_loss_and_metric_in_yaml(plugin: ModuleType, folder: Path, split: gnnrec.Split, tmp_path: Path) -> None:
    config = Config.from_yaml(folder / "mine.yaml")
    assert type(config.model) is plugin.MeanEncoderConfig
    model = gnnrec.fit(split, config=config, run_dir=tmp_path / "run", progress=False)
    assert type(model.encoder) is plugin.MeanEncoder and model.encoder.history_weight == 0.5
    assert set(model.history[0]) == {"epoch", "loss", "seconds", "plugin-first-hit@5"}
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    again = gnnrec.load(tmp_path / "run")
    assert again.config == config
    users = [1, NewUser(ratings={3: 5, 4: 4})]
    pd.testing.assert_frame_equal(gnnrec.recommend(again, users), gnnrec.recommend(model, users))
    assert again.add_ratings(pd.DataFrame({"user_id": [99], "movie_id": [3]})).graph.num_users == 31
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["model"]["history_weight"] == 0.5 and "aggregation" not in saved["model"]
    resumed = gnnrec.fit(
        split, config=config.override(["train.epochs=4"]), run_dir=tmp_path / "run", resume=True, progress=False
    )
    assert [entry["loss"] for entry in resumed.history][:3] == [entry["loss"] for entry in model.history]


def test_settings_are_checked(plugin: ModuleType, split: gnnrec.Split) -> None:
    for values, message in (
        ({"model": {"encoder": "plugin-mean", "history_weight": 0}}, "model.history_weight: must be above"),
        ({"model": {"history_weight": 1}}, "model.history_weight: only the encoder plugin-mean has this setting"),
        (
            {"model": {"encoder": "plugin-mean", "history_weigth": 1}},
            "there is no such key; did you mean 'model.history_weight'",
        ),
        ({"model": {"encoder": "plugin-maen"}}, "unknown encoder 'plugin-maen'; did you mean 'plugin-mean'"),
        (
            {"train": {"loss": "plugin-hinge", "loss_options": {"margins": 1}}},
            "the loss 'plugin-hinge' has no option margins; choose from margin",
        ),
        ({"train": {"loss_options": {"margin": 1}}}, "the loss 'weighted_mse' has no option margin; choose from neg"),
        ({"train": {"metric": "plugin-last-hit"}}, "unknown metric 'plugin-last-hit'; did you mean 'plugin-first-hit'"),
    ):
        with pytest.raises(ConfigError) as caught:
            Config.from_mapping(values)
        assert message in str(caught.value)


def test_settings_in_python(plugin: ModuleType) -> None:
    config = Config(model=plugin.MeanEncoderConfig(history_weight=2.0))
    assert config.model.history_weight == 2.0
    assert Config.from_mapping(config.model_dump()) == config
    assert config.override(["model.history_weight=3"]).model.history_weight == 3.0
    assert "history_weight" not in config.override(["model.encoder=lightgcn"]).model_dump()["model"]

    class Forgotten(gnnrec.ModelConfig):
        depth: int = 3

    with pytest.raises(ConfigError, match="Forgotten is not the settings class of the encoder 'lightgcn'"):
        Config(model=Forgotten(depth=4))


def test_the_options_of_a_loss_reach_it(plugin: ModuleType, split: gnnrec.Split) -> None:
    losses = []
    for margin in (0.2, 2.0):
        config = Config.from_mapping({**yaml.safe_load(YAML), "train": {"loss": "plugin-hinge", "epochs": 1}})
        config = config.override([f"train.loss_options={{margin: {margin}}}"])
        losses.append(gnnrec.fit(split, config=config, progress=False).history[0]["loss"])
    assert losses[1] > losses[0] + 1


def test_metric_in_evaluate(plugin: ModuleType, split: gnnrec.Split) -> None:
    model = gnnrec.fit(split, "popularity", progress=False)
    by_name = gnnrec.evaluate(model, split, ks=(1,), metrics=("plugin-first-hit", "precision"))
    assert by_name["metric"].tolist() == ["precision", "plugin-first-hit"]  # built-in metrics come first
    assert by_name["value"].nunique() == 1  # at k = 1 they are the same
    by_function = gnnrec.evaluate(model, split, ks=(1,), metrics=(plugin.first_hit,))
    assert by_function["value"].iloc[0] == by_name["value"].iloc[0]


def test_model(plugin: ModuleType, split: gnnrec.Split, tmp_path: Path) -> None:
    model = gnnrec.fit(split, "plugin-counts", power=-1, run_dir=tmp_path / "run", progress=False)
    assert isinstance(model, plugin.FittedCounts) and model.name == "plugin-counts"
    counts = split.train["movie_id"].value_counts().reindex(split.movies["movie_id"], fill_value=0)
    np.testing.assert_allclose(model.scores, 1 / (counts + 1))
    for same in (gnnrec.load(tmp_path / "run"), gnnrec.load(model.save(tmp_path / "again"))):
        pd.testing.assert_frame_equal(same.recommend([1, {3: 5}]), model.recommend([1, {3: 5}]))
    assert plugin.Counts(power=-1).fit(split).scores.equal(model.scores)
    assert gnnrec.fit(split, plugin.Counts(power=1)).estimator.power == 1
    assert get_estimator("plugin-counts", power=2) == plugin.Counts(power=2)
    with pytest.raises(ConfigError, match="power: must be at most 2"):
        gnnrec.fit(split, "plugin-counts", power=3)


def test_feature_encoder(plugin: ModuleType, split: gnnrec.Split) -> None:
    dataset = load_dataset("plugin-blocks", num_users=30)
    embeddings = encode_plots(dataset, encoder="plugin-length", progress=False)
    # Tables are cleaned: the last blank of each plot is gone.
    assert embeddings.values[:, 0].tolist() == [len("word " * i) - 1 for i in range(1, 31)]


def test_finding(plugin: ModuleType, tmp_path: Path) -> None:
    found = gnnrec.analyze(load_dataset("plugin-blocks"), tmp_path / "report")
    assert list(found.findings)[-1] == "plugin-titles"
    finding = found["plugin-titles"]
    assert (finding.title, finding.text) == ("Lengths of titles", "The longest has 8.")
    assert (tmp_path / "report" / "plugin-titles.png").read_bytes() == finding.png()
    assert "## Lengths of titles" in (tmp_path / "report" / "report.md").read_text()
    with pytest.raises(ConfigError, match=r"the finding 'matrix' is already registered"):
        gnnrec.register_finding("matrix", title="Mine")(plugin.titles)


@pytest.mark.slow
def test_the_encoder_passes_the_contract(plugin: ModuleType) -> None:
    model = {"encoder": "plugin-mean", "embedding_dim": 16, "dropout": 0.0}
    train = {"batch_size": 32, "learning_rate": 0.01, "epochs": 30, "history_truncation": 0}
    run_checks(Subject(GNN(config={"model": model, "train": train})))


# Ways to load it


LOADED = """
import os, sys
sys.path[0] = {root!r}
import gnnrec
gnnrec.load, gnnrec.models  # imported once, before the forks
for folder, code in {cases!r}:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Runs code in processes that know no plugin yet."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_saved_models_in_new_processes(plugin: ModuleType, split: gnnrec.Split, folder: Path, tmp_path: Path) -> None:
    run, site = tmp_path / "run", tmp_path / "site"
    model = gnnrec.fit(split, "plugin-counts", power=0.5, run_dir=run, progress=False)
    shutil.copytree(folder, site)
    metadata = site / "shop-1.0.dist-info"  # of an installed distribution
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gnnrec.plugins]\nshop = my_plugin\n")
    ways = [
        "sys.path.insert(0, os.getcwd()); gnnrec.load_plugins(['my_plugin'])",
        "gnnrec.load_plugins(['my_plugin.py'])",
        f"sys.path.append({str(site)!r})",
    ]
    show = f"print(gnnrec.load({str(run)!r}).recommend({{3: 5}}, k=5)['movie_id'].tolist())"
    refused = f"""
try:
    gnnrec.load({str(run)!r})
except gnnrec.ConfigError as error:
    print(error)
"""
    words = ["gnnrec", "benchmark", "--dataset", "plugin-blocks", "--models", "plugin-counts"]
    words += ["--protocol", "plugin-fives", "--plugin", "my_plugin"]
    command = f"""
import runpy
sys.path[0] = os.getcwd()  # as of python -m
sys.path.append({str(HOME)!r})
sys.argv = {words!r}
print("# command")
runpy.run_module("gnnrec", run_name="__main__", alter_sys=True)
"""
    cases = [*((str(folder), f"{way}\n{show}") for way in ways), (str(tmp_path), refused), (str(folder), command)]
    code = LOADED.format(root=str(HOME), cases=cases)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found, _, table = done.stdout.partition("# command\n")
    *shown, error = found.splitlines()
    assert shown == [str(model.recommend({3: 5}, k=5)["movie_id"].tolist())] * len(ways)
    assert error.startswith("unknown model 'plugin-counts'; choose one of gnn, ")
    assert [row[0] for row in cells(table)] == ["plugin-counts"]


# On the command line: see tests/cli
