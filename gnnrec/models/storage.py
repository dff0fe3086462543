"""Run folders: fitted models on disk, without pickles, written atomically."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from gnnrec._io import (
    check_layout,
    find_replaced,
    new_folder,
    own_file,
    parse_json,
    read_json,
    stamp,
    to_json_value,
    write_atomic,
    write_json,
)
from gnnrec._locks import check_unclaimed
from gnnrec._yaml import parse_yaml
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.append_only import RatingTable
from gnnrec.data.convert import LATEST_TIMESTAMP
from gnnrec.data.mixed_ids import clean_mixed_users
from gnnrec.data.provenance import Provenance
from gnnrec.data.schema import clean_movies, have_unique_pairs
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.models.saved_state import check_finite

T = TypeVar("T")

FORMAT = 6
"""Layout of a run folder."""
HEADER = "run.json"
CONFIG, NODES, METRICS, WEIGHTS, EDGES = (
    "config.yaml",
    "nodes.json",
    "metrics.json",
    "weights.safetensors",
    "graph.safetensors",
)
VALUES = ("rating", "weight", "timestamp")
"""Columns of ratings that are saved where a dataset has them."""
TEXTS = (CONFIG, NODES, METRICS)
RUN_FILES = (
    "checkpoint.safetensors",
    "split",
    "training.png",
    "rating.json",
    "rating.safetensors",
    "index.safetensors",
)
"""Optional files of a run, removed when another run replaces it."""
PATIENCE = 10.0
"""Seconds for which `read_run` retries while other processes keep replacing the run."""
RETRY_DELAY = 0.05
"""Seconds before a run with inconsistent files is read again."""


class Savable(Protocol):
    """The attributes of a fitted model that are saved, such as those of a `Recommender`."""

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
        """Loss and metrics of each epoch."""
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


class _InconsistentError(Exception):
    """Files of a run are missing, damaged, or from different versions of the run."""


def write_run(
    path: str | Path,
    model: Savable,
    keep: Iterable[str] = (),
    more: Callable[[Path], None] | None = None,
    *,
    in_training: bool = False,
) -> Path:
    """Write a fitted model to a folder, replacing an earlier run.

    ``run.json`` lists a digest of every other file, so that a reader never mixes the files of two runs.

    Parameters
    ----------
    path : str or Path
    model : Savable
    keep : iterable of str
        As for `new_folder`.
    more : callable, optional
        Writes additional files into the new folder before it is in place.
    in_training : bool
        Allow `write_weights` to replace the weights.

    Raises
    ------
    StorageError
        The folder cannot be written, or another process trains into it. An earlier run is unchanged.
    """
    check_unclaimed(path)
    weights = _plain_tensors(model.state())
    check_finite(weights, f"the model {model.name!r}")
    with new_folder(path, header=HEADER, owned=RUN_FILES, kind="saved run", keep=keep) as folder:
        settings = yaml.safe_dump(model.hyperparameters, sort_keys=False)
        (folder / CONFIG).write_text(settings, encoding="utf-8")
        digests = {EDGES: _write_graph(model.graph, folder)}
        write_json(folder / METRICS, {"history": list(model.history), "report": dict(model.report)})
        digests |= {name: _digest((folder / name).read_bytes()) for name in TEXTS}
        generation = _digest("".join(digests[name] for name in (CONFIG, NODES, EDGES)).encode())
        digest = tensors_digest(weights)
        if not in_training:
            digests[WEIGHTS] = digest
        (folder / WEIGHTS).write_bytes(_pack(weights, generation, digest))
        header = {
            **stamp(FORMAT),
            "model": model.name,
            "dataset": model.graph.dataset.name,
            "graph": repr(model.graph),
            "generation": generation,
            "digests": digests,
        }
        write_json(folder / HEADER, header)
        if more is not None:
            more(folder)
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors creates files that only the owner can read
    return Path(path)


def write_weights(folder: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Replace the weights of a run in training."""
    folder = Path(folder)
    header = read_header(folder)
    if header["digests"].pop(WEIGHTS, None) is not None:  # a resumed run is in training again
        write_atomic(folder / HEADER, json.dumps(header, ensure_ascii=False, indent=2).encode())
    check_finite(weights, "the model in training")
    plain = _plain_tensors(weights)
    write_atomic(folder / WEIGHTS, _pack(plain, header["generation"], tensors_digest(plain)))


def read_run(path: str | Path) -> Run:
    """Read a consistent run, even while another process replaces it; raise `DataError` if it is damaged."""
    return read_consistent(path, _read_once)


def read_consistent(path: str | Path, read: Callable[[Path], T]) -> T:
    """Call `read` with a run folder; again if the run was replaced in the meantime.

    A run on which `read` fails twice is damaged; if it keeps being replaced, `read` is retried for `PATIENCE` seconds.
    """
    folder = Path(path)
    deadline, failed = time.monotonic() + PATIENCE, object()
    while True:
        there = find_replaced(folder, HEADER) or folder
        current = _identity(there)
        try:
            return read(there)
        except (ConfigError, DataError) as error:
            problem: Exception = error
        except (_InconsistentError, OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            problem = DataError(f"the saved run {folder} is damaged: {error}")
        if current == failed or time.monotonic() > deadline:
            raise problem from None
        failed = current
        time.sleep(RETRY_DELAY)


def read_header(folder: Path) -> dict[str, Any]:
    """Return the content of ``run.json``, or raise a `DataError` if it is missing or of another layout."""
    path = own_file(folder, HEADER)
    if not path.is_file():
        raise DataError(f"{folder} is not a saved run: it has no {HEADER}")
    with _naming(HEADER):
        header = read_json(path)
    if not isinstance(header, dict):
        raise _InconsistentError(f"{HEADER} is not a JSON object")
    check_layout(header, FORMAT, str(folder), f"train it again with {folder / CONFIG}")
    return dict(header)


def _identity(folder: Path) -> object:
    """Return a value that changes when a run is replaced, even by one with equal content."""
    try:
        found = (folder / HEADER).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read_once(folder: Path) -> Run:
    header = read_header(folder)
    digests, generation = header["digests"], header["generation"]
    # All files are opened before any is parsed, because open files stay readable when the folder is replaced.
    with _open(own_file(folder, WEIGHTS)) as weights, _open(own_file(folder, EDGES)) as edges:
        texts = {name: own_file(folder, name).read_bytes() for name in TEXTS}
        for name, data in texts.items():
            if _digest(data) != digests[name]:
                raise _InconsistentError(f"{name} was changed after it was saved")
        with _naming(WEIGHTS):
            state = _unpack(weights, generation, digests.get(WEIGHTS), WEIGHTS)
        with _naming(EDGES):
            tensors = _unpack(edges, generation, digests[EDGES], EDGES)
    check_finite(state, WEIGHTS)
    settings = parse_yaml(texts[CONFIG].decode(), folder / CONFIG)
    with _naming(NODES):
        graph = _read_graph(parse_json(texts[NODES]), tensors)
    with _naming(METRICS):
        records = parse_json(texts[METRICS])
    if not all(isinstance(one, dict) for one in (records["report"], *records["history"])):
        raise _InconsistentError(f"{METRICS} does not contain the records of a training run")
    return Run(str(header["model"]), settings, graph, state, records)


def _open(path: Path) -> Any:
    try:
        with _naming(path.name):
            return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise _InconsistentError(f"{path.name} is missing") from None


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Add the name of the file to errors about its content."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _InconsistentError(f"{name}: {detail}") from None


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of tensors with their names and shapes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}".encode())
        if values.numel():
            digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _pack(tensors: Mapping[str, Tensor], generation: str, digest: str) -> bytes:
    return save(dict(tensors), {"generation": generation, "digest": digest})


def _unpack(file: Any, generation: str, digest: str | None, name: str) -> dict[str, Tensor]:
    """Return the tensors of an open safetensors file after a check that they belong to the run."""
    tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    found = tensors_digest(tensors)
    if digest is None:  # the run is in training: its weights are replaced on their own
        metadata = file.metadata() or {}
        digest = metadata.get("digest") if metadata.get("generation") == generation else None
    if found != digest:
        raise _InconsistentError(f"{name} was changed after it was saved")
    return tensors


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_graph(graph: Graph, folder: Path) -> str:
    """Write the graph and return the digest of its tensors."""
    dataset = graph.dataset
    ratings, table = dataset.ratings, dataset.rating_table
    edges = {"user": table.user.astype(np.int64), "movie": table.movie.astype(np.int64)}
    edges |= {column: ratings[column].to_numpy() for column in VALUES if column in ratings}
    if graph.has_removed_users:
        edges["embedding_rows"] = graph.embedding_rows.numpy()
    features = {f"features.{name}": dataset.features[name].values for name in dataset.features}
    tensors = {name: torch.from_numpy(np.array(v)) for name, v in (edges | features).items()}
    try:
        save_file(tensors, folder / EDGES)
    except SafetensorError as error:  # contains the error number of the operating system in its message only
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from None
    nodes = {
        "name": dataset.name,
        "rating_scale": dataset.rating_scale,
        "provenance": dataclasses.asdict(dataset.provenance),
        "vocabularies": {kind: values.tolist() for kind, values in graph.vocabularies.items()},
        "features": {
            name: {"description": vectors.description, "movie_ids": [_plain(v) for v in vectors.movie_ids.tolist()]}
            for name, vectors in dataset.features.items()
        },
        "movies": _columns(dataset.movies),
        "users": _columns(dataset.users),
    }
    (folder / NODES).write_text(json.dumps(nodes, ensure_ascii=False), encoding="utf-8")
    return tensors_digest(tensors)


def _read_graph(nodes: Mapping[str, Any], edges: Mapping[str, Tensor]) -> Graph:
    """Rebuild the graph; raise an error if anything that it refers to is missing."""
    movies, users = clean_movies(pd.DataFrame(nodes["movies"])), clean_mixed_users(pd.DataFrame(nodes["users"]))
    user, movie = (
        _rows(edges[name], len(table), f"{name} of {EDGES}") for name, table in (("user", users), ("movie", movies))
    )
    _check_values(edges, len(user), len(movie))
    if not have_unique_pairs(user, movie, len(movies)):
        raise _InconsistentError(f"{EDGES} has two ratings of a movie by the same user")
    ratings = pd.DataFrame(
        {
            "user_id": users["user_id"].iloc[user].reset_index(drop=True),
            "movie_id": movies["movie_id"].iloc[movie].reset_index(drop=True),
        }
    )
    for column in VALUES:
        if column in edges:
            ratings[column] = edges[column].numpy()
    features = {
        name: ContentEmbeddings(of["movie_ids"], edges[f"features.{name}"].numpy(), of["description"])
        for name, of in nodes["features"].items()
    }
    vocabularies = {kind: _vocabulary(kind, values) for kind, values in nodes["vocabularies"].items()}
    name = str(nodes["name"])
    dataset = Dataset.from_validated(RatingTable(ratings, user, movie), movies, users, name, features=features)
    scale = None if nodes["rating_scale"] is None else tuple(map(float, nodes["rating_scale"]))
    if scale is not None and not (len(scale) == 2 and -math.inf < scale[0] <= scale[1] < math.inf):
        raise _InconsistentError(f"{scale} is not a rating scale")
    dataset = dataset.with_provenance(Provenance.from_json(nodes["provenance"]), dataset.unused, scale)
    rows = edges.get("embedding_rows")
    if rows is not None:
        _rows(rows + 1, 2**31, f"embedding_rows of {EDGES}")
        known = rows[rows >= 0]
        if len(rows) > len(users) or len(known.unique()) < len(known):
            raise _InconsistentError(f"embedding_rows of {EDGES} do not fit the users")
    return Graph.from_dataset(dataset, vocabularies, embedding_rows=rows)


def _rows(values: Tensor, size: int, what: str) -> np.ndarray:
    """Return row numbers of a table; raise an error if one is out of range."""
    if values.dim() != 1 or values.dtype != torch.int64:
        raise _InconsistentError(f"{what} is {values.dtype} of the shape {list(values.shape)}")
    if len(values) and not (int(values.min()) >= 0 and int(values.max()) < size):
        raise _InconsistentError(f"{what} names rows that do not exist")
    rows: np.ndarray = values.numpy()
    return rows


def _check_values(edges: Mapping[str, Tensor], *lengths: int) -> None:
    """Raise an error unless the values of ratings are valid for a dataset."""
    bounds = {"rating": (-math.inf, math.inf), "weight": (0.0, math.inf), "timestamp": (0, LATEST_TIMESTAMP)}
    for name, (low, high) in bounds.items():
        if name not in edges:
            continue
        values = edges[name]
        lengths = (*lengths, len(values) if values.dim() == 1 else -1)
        wanted = torch.int64 if name == "timestamp" else torch.float32
        is_right = values.dtype == wanted and not (len(values) and bool((values < low).any() | (values > high).any()))
        if not is_right or not bool(torch.isfinite(values).all()):
            raise _InconsistentError(f"{name} of {EDGES} has invalid values")
    if len(set(lengths)) > 1:
        raise _InconsistentError(f"the columns of {EDGES} have different lengths")


def _vocabulary(kind: str, values: list[Any]) -> pd.Index:
    if (
        not isinstance(values, list)
        or not all(isinstance(one, str) for one in values)
        or len(set(values)) < len(values)
    ):
        raise _InconsistentError(f"the {kind} of {NODES} are not a list of distinct strings")
    index: pd.Index = pd.Index(values, dtype=object)
    return index


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of a frame as JSON values; missing values are null."""
    return {str(name): [_plain(v) for v in frame[name].tolist()] for name in frame.columns}


def _plain(value: Any) -> Any:
    if type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return None if math.isnan(value) else value  # Python can read Infinity
    return to_json_value(value)
