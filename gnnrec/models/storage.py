"""Run folders: fitted models on disk, without pickles, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from gnnrec._io import new_folder, read_json, write_atomic, write_json
from gnnrec.config import read_yaml
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.append_only import RatingTable
from gnnrec.data.schema import clean_movies, clean_users
from gnnrec.errors import DataError
from gnnrec.graph import Graph

FORMAT = 4
"""Version of the run folder layout."""
HEADER = "run.json"
RUN_FILES = ("checkpoint.pt", "split", "training.png", "rating.json", "rating.safetensors")
"""Optional files of a run, removed when another run replaces it."""


class Savable(Protocol):
    """The attributes of a fitted model that are saved; a `Recommender` has them."""

    @property
    def name(self) -> str:
        """Registered name of the model."""
        ...

    @property
    def graph(self) -> Graph:
        """Users, movies and ratings."""
        ...

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Hyperparameters as plain values."""
        ...

    @property
    def history(self) -> list[dict[str, Any]]:
        """Figures of each epoch."""
        ...

    @property
    def report(self) -> dict[str, Any]:
        """Recorded results."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors of the model."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """Contents of a run folder."""

    model: str
    settings: dict[str, Any]
    graph: Graph
    state: dict[str, Tensor]
    records: dict[str, Any]


def write_run(path: str | Path, model: Savable, keep: Iterable[str] = ()) -> Path:
    """Write a fitted model to a folder, replacing an earlier run; `keep` as in `new_folder`."""
    with new_folder(path, header=HEADER, owned=RUN_FILES, kind="saved run", keep=keep) as folder:
        settings = yaml.safe_dump(model.hyperparameters, sort_keys=False)
        (folder / "config.yaml").write_text(settings, encoding="utf-8")
        write_weights(folder, model.state())
        _write_graph(model.graph, folder)
        write_json(folder / "metrics.json", {"history": list(model.history), "report": dict(model.report)})
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors makes files that only the owner can read
        header = {
            "format": FORMAT,
            "model": model.name,
            "dataset": model.graph.dataset.name,
            "graph": repr(model.graph),
        }
        write_json(folder / HEADER, header)
    return Path(path)


def read_run(path: str | Path) -> Run:
    """Read a run folder; a `DataError` says what is missing or damaged."""
    folder = Path(path)
    if not (folder / HEADER).is_file():
        raise DataError(f"{folder} is not a saved run: it has no {HEADER}")
    try:
        header = read_json(folder / HEADER)
        layout = header["format"]
        if layout == FORMAT:
            settings = read_yaml(folder / "config.yaml")
            graph = _read_graph(folder)
            state = load_file(folder / "weights.safetensors")
            return Run(header["model"], settings, graph, state, read_json(folder / "metrics.json"))
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"the saved run {folder} is damaged: {error}") from error
    raise DataError(f"{folder} has layout {layout}; this version of gnnrec reads layout {FORMAT}. Train it again")


def write_weights(folder: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write or replace the weights of a run."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_atomic(Path(folder) / "weights.safetensors", save(plain))


def _write_graph(graph: Graph, folder: Path) -> None:
    dataset = graph.dataset
    ratings, table = dataset.ratings, dataset.rating_table
    edges = {"user": table.user.astype(np.int64), "movie": table.movie.astype(np.int64)}
    edges |= {column: ratings[column].to_numpy() for column in ("rating", "timestamp") if column in ratings}
    features = {f"features.{name}": dataset.features[name].values for name in dataset.features}
    save_file(
        {name: torch.from_numpy(np.array(v)) for name, v in (edges | features).items()}, folder / "graph.safetensors"
    )
    nodes = {
        "name": dataset.name,
        "vocabularies": {kind: values.tolist() for kind, values in graph.vocabularies.items()},
        "features": {
            name: {"description": vectors.description, "movie_ids": [_plain(v) for v in vectors.movie_ids.tolist()]}
            for name, vectors in dataset.features.items()
        },
        "movies": _columns(dataset.movies),
        "users": _columns(dataset.users),
    }
    (folder / "nodes.json").write_text(json.dumps(nodes, ensure_ascii=False), encoding="utf-8")


def _read_graph(folder: Path) -> Graph:
    nodes = read_json(folder / "nodes.json")
    edges = load_file(folder / "graph.safetensors")
    movies, users = clean_movies(pd.DataFrame(nodes["movies"])), clean_users(pd.DataFrame(nodes["users"]))
    user, movie = edges["user"].numpy(), edges["movie"].numpy()
    ratings = pd.DataFrame(
        {
            "user_id": users["user_id"].iloc[user].reset_index(drop=True),
            "movie_id": movies["movie_id"].iloc[movie].reset_index(drop=True),
        }
    )
    for column in ("rating", "timestamp"):
        if column in edges:
            ratings[column] = edges[column].numpy()
    features = {
        name: ContentEmbeddings(of["movie_ids"], edges[f"features.{name}"].numpy(), of["description"])
        for name, of in nodes["features"].items()
    }
    vocabularies = {kind: pd.Index(values, dtype=object) for kind, values in nodes["vocabularies"].items()}
    dataset = Dataset.from_validated(RatingTable(ratings, user, movie), movies, users, nodes["name"], features=features)
    return Graph.from_dataset(dataset, vocabularies)


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of a frame as JSON values; missing values are null."""
    return {str(name): [_plain(v) for v in frame[name].tolist()] for name in frame.columns}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (str, bool, int, list)):
        return value
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, float) else str(value)
