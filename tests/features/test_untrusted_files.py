"""Runs and embedding files of somebody else choose no files of this machine, neither to read nor to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from gnnrec import ConfigError, DataError, fit, load
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.features import FeatureEncoder, encode_plot, encode_plots, load_features, store
from gnnrec.features.encoders import sentence
from gnnrec.registry import register_feature_encoder
from tests.helpers.registries import restored_registries


def embeddings(description: str) -> ContentEmbeddings:
    return ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], description=description)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every model that would be loaded; loading a model folder of a stranger can run its code."""
    found: list[str] = []

    def load_model(self: Any) -> None:
        found.append(self.name)
        raise AssertionError(f"{self.name} must not be loaded")

    monkeypatch.setattr(sentence.SentenceEncoder, "load", load_model)
    return found


@pytest.mark.parametrize("name", ["{folder}", "evil", "./evil", "../{parent}/evil", "~/evil"])
def test_no_encoder_by_path_from_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[str], name: str
) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    name = name.format(folder=folder, parent=tmp_path.name)
    dataset = make_sample(60, 40)
    stranger = dataset.with_features(text=embeddings(f"sentence:{name}, long texts in pieces"))
    run = fit(stranger, "popularity").save(tmp_path / "run")
    features = load(run).dataset.features["text"]
    with pytest.raises(
        ConfigError, match=r"was made with an encoder from local files, which are loaded only on request; pass the enc"
    ):
        encode_plot("A ship sinks.", features)
    assert loaded == []
    with pytest.raises(AssertionError, match="must not be loaded"):  # the caller may name it
        encode_plot("A ship sinks.", f"sentence:{name}")


def test_no_checkpoint_by_path_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.pt").write_bytes(b"pickle")
    monkeypatch.chdir(tmp_path)
    for name in ("clip-text:ViT-B-32:evil.pt", f"clip-text:ViT-B-32:{tmp_path / 'evil.pt'}"):
        with pytest.raises(ConfigError, match="was made with an encoder from local files"):
            encode_plot("A ship sinks.", embeddings(f"{name}, text tower"))


def test_auto_is_no_encoder_of_a_run() -> None:
    with pytest.raises(ConfigError, match=r"the text encoder of .* is not recorded"):
        encode_plot("A ship sinks.", embeddings("auto, chosen"))


def test_a_registered_encoder_is_taken_from_a_run() -> None:
    class Length(FeatureEncoder):
        name, cache_key = "length-of-text", {"encoder": "length"}

        def encode(self, batch: list[Any]) -> np.ndarray:
            return np.array([[len(text), 1] for text in batch], dtype="float32")

    with restored_registries():
        register_feature_encoder("length-of-text", modality="text")(Length)
        assert encode_plot("A ship.", embeddings("length-of-text, by hand")).tolist() == [7, 1]


# Keys in file names


def with_key(path: Path, key: Any) -> None:
    """Change the key of an embedding file, and its checksum accordingly."""
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["gnnrec"]) | {"encoder_key": key}
    tensors = load_file(path)
    del header["digest"]
    header["digest"] = store._digest(header, tensors)
    save_file(tensors, path, {"gnnrec": json.dumps(header)})


@pytest.mark.parametrize(
    "key", ["x/../../home/config", "../../home/config", "/etc/passwd", "ABCDEF0123456789", "0" * 15, "0" * 17, 7, None]
)
def test_the_key_of_a_file_is_no_path(tmp_path: Path, key: Any) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.safetensors").write_text("precious")
    (home / "config.json").write_text("precious")
    folder = tmp_path / "data" / "features"
    (folder / "text.x").mkdir(parents=True)
    dataset = make_sample(60, 40)
    encode_plots(dataset, encoder="tfidf:8", out=folder, progress=False)
    with_key(folder / "text.safetensors", key)
    with pytest.raises(DataError, match="is not the key of an encoder, 16 hexadecimal digits"):
        load_features(folder)
    with pytest.warns(UserWarning, match="is not the key of an encoder, 16 hexadecimal digits"):
        encode_plots(dataset, encoder="tfidf:4", out=folder, progress=False)
    assert {path.read_text() for path in home.iterdir()} == {"precious"}
    assert sorted(path.name for path in folder.iterdir()) == ["text.json", "text.safetensors", "text.x"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "home"]
    assert load_features(folder)["text"].dim == 4
