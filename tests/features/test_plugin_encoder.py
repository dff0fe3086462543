"""A feature encoder in a module outside the package is available by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from PIL import Image

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.features import encode_plot, encode_plots, encode_poster, encode_posters, get_encoder, load_features
from gnnrec.features.encoders import encoder_usage
from gnnrec.registry import FEATURE_ENCODERS

MODULE = """
import numpy as np

from gnnrec.features import FeatureEncoder
from gnnrec.registry import register_feature_encoder


@register_feature_encoder("test-brightness", modality="image", usage="test-brightness:FACTOR")
class BrightnessEncoder(FeatureEncoder):
    def __init__(self, factor):
        self.factor = factor
        self.name = f"test-brightness:{factor}"

    @classmethod
    def from_options(cls, options, device="auto"):
        return cls(int(options or 1))

    @property
    def cache_key(self):
        return {"encoder": "test-brightness", "factor": self.factor}

    def preprocess(self, raw):
        return float(np.asarray(raw).mean())

    def encode(self, batch):
        return self.factor * np.array([[value, 255 - value] for value in batch], dtype="float32")


@register_feature_encoder("test-words", modality="text")
class WordCountEncoder(FeatureEncoder):
    name = "test-words"
    cache_key = {"encoder": "test-words"}

    def encode(self, batch):
        return np.array([[len(text.split())] for text in batch], dtype="float32")
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "gnnrec_test_plugin.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("gnnrec_test_plugin")
    sys.path.remove(str(folder))


@pytest.fixture
def posters(tmp_path: Path) -> Path:
    for movie_id, color in {1: "white", 2: "black"}.items():
        Image.new("RGB", (60, 90), color).save(tmp_path / f"{movie_id}.png")
    return tmp_path


def test_image_encoder_by_name(plugin: ModuleType, posters: Path) -> None:
    encoder = get_encoder("test-brightness:2", "image")
    assert isinstance(encoder, plugin.BrightnessEncoder) and encoder.modality == "image"
    by_name = encode_posters([2, 1], posters, "test-brightness:2", out=posters / "out", progress=False)
    assert by_name.values.tolist() == [[0, 510], [510, 0]]
    by_instance = encode_posters([2, 1], posters, plugin.BrightnessEncoder(2), progress=False)
    assert by_instance.values.tolist() == by_name.values.tolist()
    stored = load_features(posters / "out")["poster"]
    assert stored.description == "test-brightness:2"
    assert encode_poster(posters / "1.png", stored).tolist() == [510, 0]  # the stored description names the encoder


@pytest.mark.usefixtures("plugin")
def test_text_encoder_by_name() -> None:
    movies = pd.DataFrame({"movie_id": [1, 2], "plot": ["a ship", "lost in space"]})
    dataset = Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [1, 2]}), movies)
    assert encode_plots(dataset, encoder="test-words", progress=False).values.tolist() == [[2], [3]]
    assert encode_plot("a ship is lost", "test-words").tolist() == [4]


@pytest.mark.usefixtures("plugin")
def test_a_plugin_is_listed_and_checked_like_a_built_in_encoder() -> None:
    assert {"test-brightness", "test-words"} <= set(FEATURE_ENCODERS.names())
    assert "test-brightness:FACTOR" in encoder_usage("image") and "test-words" in encoder_usage("text")
    with pytest.raises(ConfigError, match=r"'test-words' encodes texts, not images; .*test-brightness:FACTOR"):
        get_encoder("test-words", "image")
    with pytest.raises(ConfigError, match="encoder 'test-words' takes no options, but '3' follows its name"):
        get_encoder("test-words:3", "text")
    with pytest.raises(ConfigError, match="did you mean 'test-words'"):
        get_encoder("test-word", "text")
