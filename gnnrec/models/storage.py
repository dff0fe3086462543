"""Run folders: a fitted model on disk as readable files, written completely or not at all, without pickles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from gnnrec.errors import DataError
from gnnrec.graph import Graph

if TYPE_CHECKING:
    from gnnrec.models.base import Recommender

FORMAT = 4
"""Version of the run folder layout."""
HEADER = "run.json"
RUN_FILES = ("checkpoint.pt", "split", "training.png", "rating.json", "rating.safetensors")
"""Optional files of a run; they are removed when another run replaces it."""


@dataclass(frozen=True, eq=False)
class Run:
    """Contents of a run folder, before a model is made of them."""

    model: str
    settings: dict[str, Any]
    graph: Graph
    state: dict[str, Tensor]
    records: dict[str, Any]


def write_run(path: str | Path, model: Recommender, keep: Iterable[str] = ()) -> Path:
    """Write a fitted model to a new folder and move it into place; `keep` as in `new_folder`."""
    with new_folder(path, header=HEADER, owned=RUN_FILES, what="saved run", keep=keep) as folder:
        settings = yaml.safe_dump(model.hyperparameters, sort_keys=False)
        (folder / "config.yaml").write_text(settings, encoding="utf-8")
        write_weights(folder, model.state())
        _write_graph(model.graph, folder)
        write_json(folder / "metrics.json", {"history": list(model.history), "report": dict(model.report)})
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes for the owner alone
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
    ratings = dataset.ratings
    edges: dict[str, np.ndarray] = {
        "user": graph.user_nodes(pd.Index(ratings["user_id"])).numpy(),
        "movie": graph.movie_nodes(pd.Index(ratings["movie_id"])).numpy(),
    }
    edges |= {column: ratings[column].to_numpy() for column in ("rating", "timestamp") if column in ratings}
    features = {f"features.{name}": dataset.features[name].values for name in dataset.features}
    save_file(
        {name: torch.from_numpy(np.array(v)) for name, v in (edges | features).items()}, folder / "graph.safetensors"
    )
    nodes = {
        "name": dataset.name,
        "known": {what: values.tolist() for what, values in graph.vocabularies.items()},
        "features": {
            name: {"about": vectors.about, "movie_ids": [_plain(v) for v in vectors.movie_ids.tolist()]}
            for name, vectors in dataset.features.items()
        },
        "movies": _columns(dataset.movies),
        "users": _columns(dataset.users),
    }
    (folder / "nodes.json").write_text(json.dumps(nodes, ensure_ascii=False), encoding="utf-8")


def _read_graph(folder: Path) -> Graph:
    nodes = read_json(folder / "nodes.json")
    edges = load_file(folder / "graph.safetensors")
    movies, users = pd.DataFrame(nodes["movies"]), pd.DataFrame(nodes["users"])
    ratings = pd.DataFrame(
        {
            "user_id": users["user_id"].to_numpy()[edges["user"].numpy()],
            "movie_id": movies["movie_id"].to_numpy()[edges["movie"].numpy()],
        }
    )
    for column in ("rating", "timestamp"):
        if column in edges:
            ratings[column] = edges[column].numpy()
    features = {
        name: ContentEmbeddings(of["movie_ids"], edges[f"features.{name}"].numpy(), of["about"])
        for name, of in nodes["features"].items()
    }
    known = {what: pd.Index(values, dtype=object) for what, values in nodes["known"].items()}
    return Graph.from_dataset(Dataset(ratings, movies, users, name=nodes["name"], features=features), known=known)


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a frame as JSON values: numbers stay numbers, text stays text, unknown is null."""
    return {str(name): [_plain(v) for v in frame[name].tolist()] for name in frame.columns}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (str, bool, int, list)):
        return value
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, float) else str(value)
