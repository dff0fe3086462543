"""Exported networks: the same embeddings as the model, for histories of any length, in ONNX Runtime."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import gnnrec
from gnnrec import Config, ConfigError, DataError, Dataset, NewUser, RecGraph
from gnnrec.datasets import make_sample
from gnnrec.export import UserEncoder, export_onnx, padded_inputs, run_onnx
from gnnrec.graph.padded import PaddedAdjacency
from gnnrec.models import EASE
from gnnrec.sparse import Adjacency

pytestmark = pytest.mark.filterwarnings("ignore:no epoch was better")

TEMPORAL = (
    "model.temporal=true",
    "model.rating_decays=[2, 10]",
    "model.day_decays=[1, 30]",
    "model.date_features=true",
)
TIMED = ("model.request_time_features=true", "train.objective=next_item")
SETTINGS = {
    "defaults": (),
    "ensemble": ("model.num_members=3", "model.ease_dim=12", "model.num_layers=2", *TEMPORAL, "model.hidden_dim=16"),
    "set": ("model.temporal=false", "model.dislike_weight=0", "model.num_layers=3"),
    "temporal": (*TEMPORAL, "model.hidden_dim=16"),
    "sage": ("model.encoder=graphsage", "model.num_layers=2", "model.aggregation=mean", *TEMPORAL),
    "sage-max": ("model.encoder=graphsage", "model.num_layers=2", "model.aggregation=max"),
    "sage-min": ("model.encoder=graphsage", "model.num_layers=1", "model.aggregation=min"),
    "sage-sum": ("model.encoder=graphsage", "model.num_layers=2", "model.aggregation=sum"),
    "weights": ("model.edge_weights=true", "model.ease_dim=12", "model.num_layers=2"),
    "no profiles": ("model.num_layers=1",),
    "timed": (*TEMPORAL, *TIMED, "model.hidden_dim=16"),
    "sage-timed": (
        "model.encoder=graphsage",
        "model.num_layers=1",
        "model.aggregation=max",
        "model.temporal=true",
        "model.position_decays=[2]",
        "model.rating_decays=[3]",
        "model.day_decays=[7]",
        "model.date_features=true",
        "model.dislike_weight=0",  # else it is three times as large: a user is embedded with three histories
        *TIMED,
    ),
}


@cache
def model(name: str) -> RecGraph:
    """Return a model in which every weight matters; training changes some of them little."""
    made = make_sample(60, 40)
    ratings = made.ratings
    if name == "weights":
        ratings = ratings.assign(weight=np.random.default_rng(0).uniform(0.1, 4, len(ratings)))
    dataset = Dataset(ratings, made.movies, None if name in ("no profiles", "sage-timed") else made.users, "mine")
    config = Config().override(["model.embedding_dim=8", "train.epochs=1", *SETTINGS[name]])
    fitted = gnnrec.fit(dataset, config=config, progress=False)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in fitted.encoder.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.3
    return dataclasses.replace(fitted)  # without embeddings from before


def random_users(graph: gnnrec.Graph, number: int, longest: int = 40) -> list[NewUser]:
    """Return users with histories of random length, none of them included, and parts of profiles."""
    rng = np.random.default_rng(7)
    movies = graph.ids["movie"].to_numpy()
    users = []
    for place in range(number):
        length = min(place % (longest + 1), len(movies))
        chosen = rng.choice(movies, length, replace=False).tolist()
        ratings = dict(zip(chosen, rng.choice([0.5, 1, 2, 3, 3.5, 4, 5], length).tolist(), strict=True))
        times = sorted(rng.integers(900_000_000, 1_000_000_000, length).tolist()) if rng.random() < 0.8 else None
        liked, disliked = (ratings, ()) if times or length < 4 else (dict([*ratings.items()][2:]), chosen[:2])
        users.append(
            NewUser(
                age=float(rng.integers(0, 100)) if rng.random() < 0.7 else None,
                gender=str(rng.choice(graph.genders)) if len(graph.genders) and rng.random() < 0.7 else None,
                occupation=str(rng.choice(graph.occupations))
                if len(graph.occupations) and rng.random() < 0.7
                else None,
                ratings=liked,
                timestamps=times,
                weights=rng.uniform(0, 3, len(liked)).tolist() if graph.has_weights and rng.random() < 0.8 else None,
                disliked=disliked,
                at=int(rng.integers(900_000_000, 1_100_000_000)) if rng.random() < 0.8 else None,
            )
        )
    return users


def assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    scale = max(1.0, float(expected.abs().max()))
    assert np.abs(found - expected.numpy()).max() <= 1e-5 * scale
    assert expected.std() > 0.1


@pytest.mark.parametrize("name", SETTINGS)
def test_padded_users_are_the_same_users(name: str) -> None:
    graph = model(name).graph
    users: list[Any] = [*random_users(graph, 120), *graph.ids["user"].tolist()[:20]]
    network = UserEncoder(model(name)).eval()
    inputs = {key: torch.from_numpy(array) for key, array in padded_inputs(model(name), users).items()}
    with torch.inference_mode():
        found = network(**inputs)
        assert_close(found.numpy(), model(name).user_embeddings(users))
        wider = {
            key: torch.cat([value, value[:, :3]], 1) if value.ndim == 2 else value for key, value in inputs.items()
        }
        wider["movies"][:, -3:] = -1  # more padding, whatever its values
        assert_close(network(**wider).numpy(), found)


def test_padding_may_be_anywhere() -> None:
    network = UserEncoder(model("temporal")).eval()
    inputs = {key: torch.from_numpy(array) for key, array in padded_inputs(model("temporal"), [{1: 5, 7: 2}]).items()}
    moved = {
        key: torch.cat([value[:, :1], value[:, :1], value[:, 1:]], 1) if value.ndim == 2 else value
        for key, value in inputs.items()
    }
    moved["movies"][0, 1] = -1
    with torch.inference_mode():
        torch.testing.assert_close(network(**inputs), network(**moved), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max", "min"])
def test_pooling(aggregation: str) -> None:
    x = torch.tensor([[1.0, -2.0], [-3.0, 5.0]])
    adjacency = PaddedAdjacency(torch.tensor([[0, 1], [1, 0], [0, 0]]), torch.tensor([[1, 1], [1, 0], [0, 0.0]]), 2)
    expected = {"mean": [-1, 1.5], "sum": [-2, 3], "max": [1, 5], "min": [-3, -2]}[aggregation]
    assert adjacency.pool(aggregation, x).tolist() == [expected, [-3, 5], [0, 0]]
    kept = torch.tensor([0, 1, 0, 1, 1, 1.0])
    assert adjacency.pool(aggregation, x, kept).tolist() == [[-3, 5], [0, 0], [0, 0]]
    plain = Adjacency(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 3, 2)
    assert adjacency.degrees(kept)[1].tolist() == plain.degrees(torch.tensor([0, 1, 0.0]))[1].tolist()


@pytest.fixture
def needs_onnx() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"needs {name}: pip install 'gnnrec[onnx]'")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that exports a model, once; tests must not change the folder."""
    return cache(lambda name: export_onnx(model(name), tmp_path_factory.mktemp("exports") / "out"))


@pytest.mark.slow
@pytest.mark.usefixtures("needs_onnx")
@pytest.mark.parametrize("name", ["weights", "sage-timed"])
def test_onnx_runtime_computes_the_same(name: str, exported: Callable[[str], Path]) -> None:
    """Both together have every part of a network; an export takes long, and most of it is PyTorch's.

    One has users with profiles, the other without.
    """
    graph, folder = model(name).graph, exported(name)
    network = folder / "user_encoder.onnx"
    users: list[Any] = [*random_users(graph, 400), *graph.ids["user"].tolist()]
    expected = model(name).user_embeddings(users)
    assert_close(run_onnx(network, padded_inputs(model(name), users)), expected)
    for one in (0, 1, 2, 17, 40, 405):  # no rating, one, two; alone, so neither size is that of the example
        assert_close_alone(run_onnx(network, padded_inputs(model(name), [users[one]])), expected[one])

    movies = load_file(folder / "movies.safetensors")["embeddings"]
    table = json.loads((folder / "movies.json").read_text(encoding="utf-8"))
    assert table["movie_id"] == graph.ids["movie"].tolist()
    assert table["title"] == graph.dataset.movies["title"].tolist()
    scores = run_onnx(network, padded_inputs(model(name), [5])) @ movies.T
    best = gnnrec.recommend(model(name), 5, k=3, exclude_seen=False)["movie_id"].tolist()
    assert [table["movie_id"][place] for place in np.argsort(-scores[0], kind="stable")[:3]] == best


def assert_close_alone(found: np.ndarray, expected: torch.Tensor) -> None:
    assert found.shape == (1, len(expected))
    assert np.abs(found[0] - expected.numpy()).max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.usefixtures("needs_onnx")
def test_the_folder(exported: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "out"
    shutil.copytree(exported("weights"), folder)
    assert {path.name for path in folder.iterdir()} == {
        "export.json", "movies.json", "movies.safetensors", "user_encoder.onnx",
    }  # fmt: skip
    header = json.loads((folder / "export.json").read_text())
    assert header["inputs"][-1]["name"] == "weights" and header["num_movies"] == 40
    assert header["check"]["num_users"] == 60 and header["check"]["max_difference"] < 1e-5
    (folder / "notes.txt").write_text("mine")
    network = exported("sage-timed") / "user_encoder.onnx"  # the same that would be written again
    monkeypatch.setattr("gnnrec.export._write_network", lambda model, path: shutil.copy(network, path))
    export_onnx(model("sage-timed"), folder, table="parquet")
    assert {path.name for path in folder.iterdir()} == {
        "export.json", "movies.parquet", "movies.safetensors", "notes.txt", "user_encoder.onnx",
    }  # fmt: skip
    header = json.loads((folder / "export.json").read_text())
    assert header["inputs"][-1]["name"] == "request_time" and header["genders"] == header["occupations"] == []
    assert (
        pd.read_parquet(folder / "movies.parquet")["title"].tolist()
        == model("sage-timed").dataset.movies["title"].tolist()
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="choose another folder"):
        export_onnx(model("weights"), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    ease = EASE().fit(make_sample(60, 40))
    with pytest.raises(ConfigError, match="only the graph neural network can be exported, not 'ease'"):
        export_onnx(ease, tmp_path / "out")
    with pytest.raises(ConfigError, match="table must be json or parquet, not 'csv'"):
        export_onnx(model("defaults"), tmp_path / "out", table="csv")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"needs the package onnx: pip install 'gnnrec\[onnx\]'"):
        export_onnx(model("defaults"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("needs_onnx")
def test_an_encoder_that_onnx_lacks_operations_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = model("set")

    def by_values(users: Any, movies: Any, edge_mask: Any = None) -> torch.Tensor:
        return torch.zeros(users.num_users, 8) if float(users.rating.sum()) > 3 else torch.ones(users.num_users, 8)

    copied = dataclasses.replace(chosen)
    monkeypatch.setattr(type(chosen.encoder), "aggregate", lambda self, *args: by_values(*args))
    with pytest.raises(ConfigError, match="the encoder 'lightgcn' cannot be exported"):
        export_onnx(copied, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_inputs_of_a_frame() -> None:
    frame = pd.DataFrame({"user_id": [7, 7, 8], "movie_id": [1, 2, 3], "rating": [5, 4, 3.0]})
    inputs = padded_inputs(model("defaults"), frame)
    assert inputs["movies"].tolist() == [[0, 1], [2, -1]] and inputs["ratings"].tolist() == [[5, 4], [3, 0]]
    assert {array.shape[0] for array in inputs.values()} == {2}
