"""`export_onnx`: a trained graph neural network for other runtimes, as a folder of files without Python.

The network that is exported is the encoder itself, from history and profile to the embedding of a user. Movies do not
change after training, so their embeddings are written as a matrix.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from gnnrec._io import new_folder, stamp, to_json_value, write_json
from gnnrec.errors import ConfigError, GnnrecError
from gnnrec.graph import Graph, UserBatch, encode_users
from gnnrec.graph.padded import PaddedUsers
from gnnrec.models.base import Recommender
from gnnrec.models.gnn import RecGraph
from gnnrec.nn import MovieEmbeddings
from gnnrec.typing import UserInput
from gnnrec.user_features import first_features
from gnnrec.user_features.age import AGE_BINS

FORMAT = 1
"""Layout of the folder."""
HEADER, NETWORK, MATRIX = "export.json", "user_encoder.onnx", "movies.safetensors"
TABLES = {"json": "movies.json", "parquet": "movies.parquet"}
FILES = (HEADER, NETWORK, f"{NETWORK}.data", MATRIX, *TABLES.values())
OPSET = 18
NUM_CHECKED = 64
"""Maximum number of users for whom the exported network is compared with the model."""
TOLERANCE = 1e-4
"""Maximum difference of a coordinate, relative to the largest coordinate (or 1)."""
INPUTS = {
    "movies": (
        "int64",
        ("batch", "length"),
        "rows of the rated movies in the movie table, oldest first; -1 is padding",
    ),
    "ratings": ("float32", ("batch", "length"), "ratings on the scale of the training data"),
    "timestamps": ("int64", ("batch", "length"), "times of the ratings in seconds since 1970; 0 where unknown"),
    "age": ("float32", ("batch",), "age in years; NaN or negative where unknown"),
    "gender": ("int64", ("batch",), "place in `genders`; -1 where unknown"),
    "occupation": ("int64", ("batch",), "place in `occupations`; -1 where unknown"),
    "weights": ("float32", ("batch", "length"), "how much each rating counts; 1 by default"),
    "request_time": ("int64", ("batch",), "time of the request in seconds since 1970; 0 where unknown"),
}
"""Type, shape and meaning of the inputs of the network: `weights` for data with weights, `request_time` for models that
use it."""
OUTPUT = "user_embedding"


class UserEncoder(nn.Module):
    """The exported module: from padded histories and profiles to user embeddings.

    Parameters
    ----------
    model : RecGraph

    Examples
    --------
    >>> from gnnrec import Config
    >>> model = gnnrec.fit(dataset, config=Config().override(["train.epochs=1"]), progress=False)
    >>> users = [3, {1: 5, 2: 1}]
    >>> inputs = {name: torch.from_numpy(array) for name, array in padded_inputs(model, users).items()}
    >>> bool(torch.allclose(UserEncoder(model)(**inputs), model.user_embeddings(users), atol=1e-6))
    True
    """

    degree: Tensor
    ease: Tensor | None

    def __init__(self, model: RecGraph) -> None:
        super().__init__()
        graph = model.graph
        self.num_genders, self.num_occupations = len(graph.genders), len(graph.occupations)
        self.num_movies, self.num_features = graph.num_movies, graph.users.x.size(1)
        self.encoder = copy.deepcopy(model.encoder).cpu().eval()
        for member in self.encoder.members:
            member.message = member.target = nn.Identity()  # type: ignore[assignment]  # only movies need them
        self.encoder.ease = None
        movies = model.movie_embeddings
        self.num_layers = len(movies.messages)
        for layer, message in enumerate(movies.messages):
            self.register_buffer(f"message_{layer}", message.detach().clone().cpu())
        self.register_buffer("degree", movies.degree.detach().clone().cpu())
        self.register_buffer("ease", None if movies.ease is None else movies.ease.detach().clone().cpu())

    def forward(
        self,
        movies: Tensor,
        ratings: Tensor,
        timestamps: Tensor,
        age: Tensor,
        gender: Tensor,
        occupation: Tensor,
        weights: Tensor | None = None,
        request_time: Tensor | None = None,
    ) -> Tensor:
        """Return ``[batch, embedding_dim]``; see `INPUTS`."""
        users = PaddedUsers.from_arrays(
            self._profile(age, gender),
            occupation,
            movies,
            ratings,
            timestamps,
            weights,
            request_time,
            num_movies=self.num_movies,
            num_occupations=self.num_occupations,
        )
        messages = [getattr(self, f"message_{layer}") for layer in range(self.num_layers)]
        embeddings = MovieEmbeddings(messages, messages[0], self.degree, self.ease)  # targets are not needed for users
        return self.encoder.embed_users(users, embeddings, users.mask)

    def _profile(self, age: Tensor, gender: Tensor) -> Tensor:
        """Return ``[batch, num_features]``, as `gnnrec.graph.users.UserProfiles` has them."""
        group = (age.unsqueeze(1) >= torch.tensor([float(lower) for lower in AGE_BINS])).sum(dim=1)
        ages = (group.unsqueeze(1) == torch.arange(len(AGE_BINS) + 1)) & (age >= 0).unsqueeze(1)
        genders = gender.unsqueeze(1) == torch.arange(self.num_genders)
        x = torch.cat([ages, genders], dim=1).float()
        assert x.size(1) == self.num_features
        return x


def padded_inputs(graph: Graph | Recommender, users: UserInput) -> dict[str, np.ndarray]:
    """Return users as the inputs of an exported network.

    Parameters
    ----------
    graph : Graph or Recommender
    users : user id, NewUser, mapping, list of these, or DataFrame
        As for `gnnrec.recommend`.

    Returns
    -------
    dict of str to numpy.ndarray
        See `INPUTS`.

    Examples
    --------
    >>> padded_inputs(graph, [{3: 5, 7: 4}, {2: 1}])["movies"].tolist()  # rows of the movie table
    [[2, 6], [1, -1]]
    """
    if isinstance(graph, Recommender):
        arrays = _padded(graph.graph, graph.encode_users(users)[0])
        return arrays if graph.uses_request_time else {k: v for k, v in arrays.items() if k != "request_time"}
    return _padded(graph, encode_users(graph, users)[0])


def _padded(graph: Graph, batch: UserBatch) -> dict[str, np.ndarray]:
    counts = torch.bincount(batch.user_index, minlength=batch.num_users)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(batch.user_index)) - first[batch.user_index]
    shape = batch.num_users, max(int(counts.max()), 1)

    def padded(values: Tensor, fill: int) -> np.ndarray:
        made = torch.full(shape, fill, dtype=values.dtype)
        made[batch.user_index, place] = values
        return made.numpy()

    groups = len(AGE_BINS) + 1
    ages, genders = batch.x[:, :groups], batch.x[:, groups:]
    lower = torch.tensor([0.0, *map(float, AGE_BINS)])  # only the age group matters
    occupation = torch.full((batch.num_users,), -1)
    occupation[batch.occupation[0]] = batch.occupation[1]
    arrays = {
        "movies": padded(batch.movie_index, -1),
        "ratings": padded(batch.rating, 0),
        "timestamps": padded(batch.timestamp, 0),
        "age": torch.where(ages.any(1), lower[ages.argmax(1)], torch.nan).numpy(),
        "gender": np.where(genders.any(1), genders.argmax(1), -1) if len(graph.genders) else np.full(shape[0], -1),
        "occupation": occupation.numpy(),
    }
    if batch.weight is not None:
        arrays["weights"] = padded(batch.weight, 1)
    if batch.request_time is not None:
        arrays["request_time"] = batch.request_time.numpy()
    return arrays


def export_onnx(model: Recommender, folder: str | Path, *, table: str = "json") -> Path:
    """Write a graph neural network for other runtimes, and check it in ONNX Runtime.

    Parameters
    ----------
    model : RecGraph
    folder : str or Path
        A new folder, or one with an earlier export, which is replaced.
    table : str
        Write ids and titles as ``"json"`` or ``"parquet"``.

    Returns
    -------
    Path
        The folder, with

        - ``user_encoder.onnx``: from a history of any length, and a profile, to the embedding of a user. Its inputs are
          those of `padded_inputs`.
        - ``movies.safetensors``: ``embeddings``, float32 ``[num_movies, embedding_dim]``. The score of a movie is its
          inner product with the embedding of a user.
        - ``movies.json`` or ``movies.parquet``: ``movie_id, title`` of each row, and ``year`` where it is known.
        - ``export.json``: the inputs with their meaning, genders, occupations, the rating scale, and the largest
          difference that the check has found.

    Raises
    ------
    ConfigError
        The model is not a graph neural network, it has additional user features, a package is missing, or the encoder
        uses operations that ONNX lacks.
    DataError
        The folder exists and is not an export.

    Examples
    --------
    >>> export_onnx(model, "exported")  # doctest: +SKIP
    PosixPath('exported')
    """
    if not isinstance(model, RecGraph):
        name = model.name if isinstance(model, Recommender) else type(model).__name__
        raise ConfigError(f"only the graph neural network can be exported, not {name!r}: it has the user embeddings")
    if table not in TABLES:
        raise ConfigError(f"table must be {' or '.join(TABLES)}, not {table!r}")
    if further := [name for name in model.graph.user_values if name not in first_features()]:
        raise ConfigError(
            f"the exported network takes {', '.join(first_features())}; this model also sees {', '.join(further)}"
        )
    for module in ("onnx", "onnxscript", "onnxruntime", *(["pyarrow"] if table == "parquet" else [])):
        extra = "parquet" if module == "pyarrow" else "onnx"
        try:
            import_module(module)
        except ModuleNotFoundError:
            raise ConfigError(f"the export needs the package {module}: pip install 'gnnrec[{extra}]'") from None
    graph = model.graph
    if others := graph.user_values.keys() - INPUTS.keys():
        raise ConfigError(f"models with the user feature {', '.join(sorted(others))} cannot be exported")
    movies = graph.dataset.movies
    columns = [column for column in ("movie_id", "title", "year") if column in movies.columns]
    with new_folder(folder, header=HEADER, owned=FILES, kind="export") as made:
        _write_network(model, made / NETWORK)
        targets = model.movie_embeddings.targets.detach().cpu().contiguous()
        (made / MATRIX).write_bytes(save({"embeddings": targets}))
        if table == "parquet":
            movies[columns].to_parquet(made / TABLES[table], index=False)
        else:
            write_json(made / TABLES[table], {column: movies[column].tolist() for column in columns})
        names = _input_names(model)
        header = {
            **stamp(FORMAT),
            "dataset": graph.dataset.name,
            "encoder": model.config.model.encoder,
            "num_movies": graph.num_movies,
            "embedding_dim": targets.size(1),
            "inputs": [
                {"name": name, "type": kind, "shape": list(shape), "meaning": meaning}
                for name, (kind, shape, meaning) in INPUTS.items()
                if name in names
            ],
            "output": OUTPUT,
            "genders": [str(gender) for gender in graph.genders],
            "occupations": [str(occupation) for occupation in graph.occupations],
            "rating_scale": graph.dataset.rating_scale,
            "check": _check(model, made / NETWORK),
        }
        write_json(made / HEADER, to_json_value(header))
    return Path(folder)


def _input_names(model: RecGraph) -> list[str]:
    optional = {"weights": model.graph.has_weights, "request_time": model.uses_request_time}
    return [name for name in INPUTS if optional.get(name, True)]


def _write_network(model: RecGraph, path: Path) -> None:
    names = _input_names(model)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shapes: dict[str, Any] = {
        name: {0: batch, 1: length} if len(INPUTS[name][1]) == 2 else {0: batch} for name in names
    }
    size = (3, 5)  # not 0 or 1, which the exporter would treat as fixed
    example: dict[str, Tensor] = {
        name: torch.zeros(size[: len(INPUTS[name][1])], dtype=getattr(torch, INPUTS[name][0])) for name in names
    }
    with _quiet():
        try:
            traced = torch.export.export(UserEncoder(model).eval(), (), example, dynamic_shapes=shapes, strict=False)
            program = torch.onnx.export(
                traced, input_names=names, output_names=[OUTPUT], opset_version=OPSET, dynamo=True, verbose=False
            )
        except (NotImplementedError, RuntimeError, torch.onnx.OnnxExporterError) as error:
            reason = str(error).strip().splitlines()
            raise ConfigError(
                f"the encoder {model.config.model.encoder!r} cannot be exported: {reason[0] if reason else error!r}"
            ) from error
        assert program is not None
        for value in program.model.graph.inputs:
            # The exporter takes the shapes of inputs that the encoder does not use from the example.
            shape: Any = value.shape
            value.shape = type(shape)(INPUTS[str(value.name)][1])
        program.save(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's log."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _check(model: RecGraph, path: Path) -> dict[str, Any]:
    """Compare the exported network with the model for some users; raise a `GnnrecError` if they differ."""
    graph = model.graph
    batch = graph.users.slice(0, min(graph.num_users, NUM_CHECKED))
    if model.uses_request_time:
        later = torch.arange(batch.num_users) ** 4  # seconds
        batch = batch.at(batch.last_timestamp() + later)
    expected = model.embed(batch).cpu().numpy()
    found = run_onnx(path, _padded(graph, batch))
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise GnnrecError(
            f"the exported network differs from the model by {difference:.2g}; this is an error of gnnrec or of the "
            "exporter, please report it"
        )
    return {"num_users": batch.num_users, "max_difference": difference}


def run_onnx(network: str | Path, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the user embeddings that an exported network computes in ONNX Runtime, ``[batch, embedding_dim]``.

    Parameters
    ----------
    network : str or Path
        The file ``user_encoder.onnx``.
    inputs : mapping of str to numpy.ndarray
        See `padded_inputs`.

    Examples
    --------
    >>> run_onnx("exported/user_encoder.onnx", padded_inputs(model, 42)).shape  # doctest: +SKIP
    (1, 128)
    """
    runtime = import_module("onnxruntime")
    session = runtime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run([OUTPUT], dict(inputs))[0]
    return result
