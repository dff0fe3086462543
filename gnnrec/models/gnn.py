"""`RecGraph`: a graph, a trained encoder and the movies' vectors. What `fit` returns and `load` reads back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from gnnrec._io import write_atomic
from gnnrec._torch import pick_device
from gnnrec.config import Config
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.errors import DataError
from gnnrec.graph import Graph, UserBatch, encode_users
from gnnrec.models.base import Recommender
from gnnrec.nn import ENCODERS, Encoder, GraphTensors, MovieEmbeddings, NodeFeatures, content_sizes

FORMAT = 3
"""Version of the folder's layout; raised when an older reader could not make sense of it."""
HEADER = "run.json"
OF_A_RUN = ("checkpoint.pt", "split", "training.png", "rating.json", "rating.safetensors")
"""What belongs to a run besides what is always written; it means nothing to the run that takes its place."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run folder holds, before an encoder is made of it."""

    config: Config
    graph: Graph
    weights: dict[str, Tensor]
    records: dict[str, Any]

    @property
    def num_ids(self) -> int:
        """Number of movies that have an id vector."""
        return self.weights["target.ids"].size(0)


def write_run(
    path: str | Path,
    config: Config,
    graph: Graph,
    weights: Mapping[str, Tensor],
    records: Mapping[str, Any],
    keep: Iterable[str] = (),
) -> Path:
    """Write config, weights, graph and records to a new folder and move it into place; `keep` as in `new_folder`."""
    with new_folder(path, keep) as folder:
        config.to_yaml(folder / "config.yaml")
        save_file(
            {name: t.detach().cpu().contiguous() for name, t in weights.items()},
            folder / "weights.safetensors",
        )
        _write_graph(graph, folder)
        _write_json(folder / "metrics.json", {"history": list(records["history"]), "report": dict(records["report"])})
        if records["history"]:
            from gnnrec.plots import training_curve

            training_curve(records["history"], title=graph.dataset.name, path=folder / "training.png")
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes for the owner alone
        _write_json(folder / HEADER, {"format": FORMAT, "dataset": graph.dataset.name, "graph": repr(graph)})
    return Path(path)


def read_run(path: str | Path) -> Run:
    """Read a run folder; a `DataError` says what is missing or damaged."""
    folder = Path(path)
    if not (folder / HEADER).is_file():
        raise DataError(f"{folder} is not a saved run: it has no {HEADER}")
    try:
        layout = _read_json(folder / HEADER)["format"]
        if layout == FORMAT:
            config = Config.from_yaml(folder / "config.yaml")
            graph = _read_graph(folder)
            weights = load_file(folder / "weights.safetensors")
            return Run(config, graph, weights, _read_json(folder / "metrics.json"))
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"the saved run {folder} is damaged: {error}") from error
    raise DataError(f"{folder} has layout {layout}; this version of gnnrec reads layout {FORMAT}")


def load_weights(encoder: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy weights into an encoder that must have just these."""
    try:
        encoder.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise DataError(f"the weights of {path} do not fit its config: {error}") from None


@contextlib.contextmanager
def new_folder(
    path: str | Path,
    keep: Iterable[str] = (),
    *,
    header: str = HEADER,
    owned: Container[str] = OF_A_RUN,
    what: str = "saved run",
) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` at the end, replacing an earlier run.

    Files that are not a run's stay.

    Parameters
    ----------
    path : str or Path
    keep : iterable of str
        Names from `owned` that stay, too, unless they are written anew.
    header, owned, what : str, container of str, str
        The file by which an earlier one is known, the names that belong to it, and what errors call it.
    """
    target = Path(path).resolve()  # a link to a folder stays a link
    if target.exists() and not (target.is_dir() and ((target / header).exists() or not any(target.iterdir()))):
        raise DataError(f"{path} exists and is not a {what}; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    old = temporary.with_name(temporary.name + ".old")
    try:
        temporary.chmod(0o755)
        yield temporary
        for entry in target.iterdir() if target.exists() else ():
            stays = entry.name in keep or entry.name not in owned
            if stays and not (temporary / entry.name).exists():
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, temporary / entry.name)
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    finally:
        if old.exists() and not target.exists():  # stopped between the two renames: nothing has happened
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


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
    _write_json(folder / "nodes.json", nodes)


def _read_graph(folder: Path) -> Graph:
    nodes = _read_json(folder / "nodes.json")
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


def _write_json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(value, ensure_ascii=False, indent=None if path.name == "nodes.json" else 2),
        encoding="utf-8",
    )


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False, repr=False)
class RecGraph(Recommender):
    """A trained recommender. It is never changed: what adds to it returns a new one.

    Attributes
    ----------
    graph : Graph
        Everything it may look at: the training ratings and what was added since.
    config : Config
        How it was made.
    encoder : Encoder
        The trained network, in evaluation mode.
    history : list of dict
        One entry per epoch of training: ``epoch, loss, <metric>, seconds``.
    report : dict
        Metrics and facts that were recorded with it, as plain JSON values.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import fit, load_dataset, recommend
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = fit(load_dataset("sample", n_users=60, n_movies=40), config, progress=False)
    >>> tuple(model.user_embeddings([1, {3: 5, 7: 4}]).shape), tuple(model.similarity_embeddings().shape)
    ((2, 8), (40, 8))
    >>> more = model.add_ratings(pd.DataFrame({"user_id": [61], "movie_id": [3], "rating": [5]}))
    >>> model.graph.num_users, more.graph.num_users, len(recommend(more, 61, k=5))
    (60, 61, 5)
    """

    graph: Graph
    config: Config
    encoder: Encoder
    history: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    name: str = "gnn"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.encoder.parameters()).device

    @cached_property
    def states(self) -> MovieEmbeddings:
        """All movies after propagation through the whole graph; computed once."""
        with torch.inference_mode():
            return self.encoder.movies(GraphTensors.of(self.graph, self.device))

    @cached_property
    def _spread(self) -> Tensor:
        """The symmetric root ``[dim, dim]`` of the second moments of the users' vectors."""
        with torch.inference_mode():
            z = self.embed(self.graph.users)
            values, directions = torch.linalg.eigh(z.T @ z / len(z))
            return (directions * values.clamp(min=0).sqrt()) @ directions.T

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]``, each the inner product of a person's and a movie's vector."""
        with torch.inference_mode():
            return self.embed(users) @ self.states.targets.T

    def embed(self, users: UserBatch) -> Tensor:
        """Return the vectors ``[num_users, dim]`` of the people in a batch."""
        with torch.inference_mode():
            return self.encoder.users(users.to(self.device), self.states)

    def user_embeddings(self, who: Any) -> Tensor:
        """Return the vectors ``[num_people, dim]`` of known or new people; `who` as in `recommend`."""
        return self.embed(encode_users(self.graph, who)[0])

    def similarity_embeddings(self) -> Tensor:
        r"""Return vectors ``[num_movies, dim]`` whose inner product compares the scores that all users give two movies.

        With :math:`Z` the vectors of the graph's users and :math:`t_i` those that users are compared with, it is
        :math:`t_i^T Z^T Z \, t_j / n`: movies are alike when the same people are shown them. Directions in which people
        do not differ count for nothing. The :math:`t_i` themselves are ``states.targets``.
        """
        return self.states.targets @ self._spread

    def with_graph(self, graph: Graph) -> Self:
        """Return the same network on another graph that begins with the same movies; nothing is trained."""
        return dataclasses.replace(self, graph=graph)

    def with_report(self, **entries: Any) -> Self:
        """Return the same model with more entries in its report."""
        return dataclasses.replace(self, report={**self.report, **entries})

    def save(self, path: str | Path, *, keep: Iterable[str] = ()) -> Path:
        """Write a folder that `load` reads back; it appears whole or not at all.

        It holds ``config.yaml``, ``weights.safetensors``, ``graph.safetensors`` and ``nodes.json`` (ratings and
        tables), ``metrics.json``, ``run.json`` and, where there is a history, ``training.png``, none of it pickled.

        Parameters
        ----------
        path : str or Path
            The folder. If it exists it must be a saved run, which is replaced.
        keep : iterable of str
            What to keep of the replaced run: ``"checkpoint.pt"``, ``"split"``. Files that are not a run's always stay.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder exists and is not a saved run.
        """
        records = {"history": self.history, "report": self.report}
        return write_run(path, self.config, self.graph, self.encoder.state_dict(), records, keep)

    def __repr__(self) -> str:
        model = self.config.model
        return f"RecGraph({model.encoder}, {model.embedding_dim} dimensions, {self.graph!r})"


def load(path: str | Path, device: str = "cpu") -> RecGraph:
    """Read a folder that `RecGraph.save` or `fit` wrote.

    Parameters
    ----------
    path : str or Path
    device : str
        Where the network shall run; ``"auto"`` takes a GPU when there is one.

    Raises
    ------
    DataError
        The folder is not a saved run, or a file in it is damaged.
    ConfigError
        The device cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import fit, load_dataset
    >>> config = Config().override(["train.epochs=1", "model.embedding_dim=8"])
    >>> model = fit(load_dataset("sample", n_users=60, n_movies=40), config, progress=False)
    >>> load(model.save(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    RecGraph(lightgcn, 8 dimensions, Graph(60 users, 40 movies, ...
    """
    run = read_run(path)
    encoder = make_encoder(run.config, run.graph, num_ids=run.num_ids)
    load_weights(encoder, run.weights, path)
    encoder.to(pick_device(device)).eval().requires_grad_(False)
    return RecGraph(run.graph, run.config, encoder, run.records["history"], run.records["report"])


def make_encoder(config: Config, graph: Graph, num_ids: int | None = None) -> Encoder:
    """Return an untrained encoder of the right size for a graph.

    Parameters
    ----------
    config : Config
    graph : Graph
    num_ids : int, optional
        Number of movies with an id vector; all by default. Fewer when movies were added after training.
    """
    movie = content_sizes(graph, config.model)
    person = NodeFeatures.of_people(graph.users).sizes
    num_movies = graph.num_movies if num_ids is None else num_ids
    return ENCODERS[config.model.encoder].build(config.model, movie, person, num_movies)
