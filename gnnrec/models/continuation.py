"""Continued training: what a new fit takes over from a fitted graph neural network, and what cannot continue.

Movies that the network was trained on keep their embeddings. Other movies start from their features and, if the config
initializes embeddings by a singular value decomposition, from its result, mapped into the space of the network.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec._checks import shown
from gnnrec._torch import ridge_gram
from gnnrec.config import Config
from gnnrec.data import Dataset
from gnnrec.data.sorting import sort_by_group
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.graph.movies import attribute_values
from gnnrec.graph.user_values import find_user_values
from gnnrec.models.gnn import RecGraph
from gnnrec.nn import BaseEncoder, Encoder, GraphTensors, NodeEncoder, movie_feature_sizes
from gnnrec.splitting import Split
from gnnrec.splitting.splitters import times_or_file_order

CHANGEABLE = (
    "dislike_weight",
    "dropout",
    "ease_dim",
    "ease_reg",
    "ease_weight",
    "edge_weights",
    "init",
    "init_scale",
    "init_spectral_power",
    "init_user_smoothing",
    "modalities",
    "movie_degree_smoothing",
    "transition_attribute_weight",
    "transition_spectral_power",
    "transition_window",
    "user_degree_smoothing",
)
"""Settings of the model that do not change what its weights mean; modalities are compared by themselves."""
VALID_SHARE = 0.1
"""Share of each user's ratings that is held out for validation."""
FOLD_IN_REG = 0.01
"""Ridge penalty of the map between two spaces of embeddings, relative to the mean eigenvalue of the inputs."""


def check_start(start: Any) -> RecGraph:
    """Return a model that training can continue from; raise `ConfigError` if it is not a graph neural network."""
    if not isinstance(start, RecGraph):
        name = getattr(start, "name", None)
        what = f"the model {name!r}" if isinstance(name, str) else shown(start)
        raise ConfigError(f"start must be a graph neural network, as fit and load return it, not {what}")
    return start


def check_continuation(start: RecGraph, config: Config, data: Dataset | Split) -> None:
    """Raise an error if a model cannot be trained further with these settings on these data.

    Raises
    ------
    ConfigError
        Settings of the model differ in what its weights depend on.
    DataError
        The data have other features than those that the model was trained on, or none of its movies; or the model was
        trained on validation or test ratings of the split.
    """
    old, new = (one.model.model_dump() for one in (start.config, config))
    differing = [key for key in (old | new) if key not in CHANGEABLE and old.get(key) != new.get(key)]
    if differing:
        values = ", ".join(f"model.{key} is {shown(old.get(key))}, not {shown(new.get(key))}" for key in differing)
        raise ConfigError(f"training continues with the network of start, whose {values}; leave out these settings")
    dataset = data.dataset if isinstance(data, Split) else data
    _check_features(start, config, dataset)
    if not (start.graph.dataset.movie_ids.rows(pd.Index(dataset.movies["movie_id"])) >= 0).any():
        raise DataError(f"{dataset.name} has none of the movies of start; train a new model")
    for part in ("valid", "test") if isinstance(data, Split) else ():
        frame = getattr(data, part)
        if seen := int(is_rated_in(start.graph, frame).sum()):
            raise DataError(
                f"{seen:,} of the {len(frame):,} {part} ratings of the split are in the graph of start, which was "
                "trained on them; split the data first, and fit start on training ratings of that split"
            )


def _check_features(start: RecGraph, config: Config, dataset: Dataset) -> None:
    trained = movie_feature_sizes(start.graph, start.config.model).modalities
    wanted = tuple(dataset.features) if config.model.modalities is None else config.model.modalities
    if set(wanted) != set(trained):
        raise DataError(
            f"start was trained with {_named('content embeddings', trained)}, and {dataset.name} would be trained with "
            f"{_named('content embeddings', wanted)}; continue with the same ones"
        )
    for name, width in trained.items():
        if name not in dataset.features:
            raise DataError(f"start was trained with content embeddings {name}, which {dataset.name} does not have")
        found = dataset.features[name].values.shape[1]
        if found != width:
            raise DataError(f"{name} embeddings have {found} dimensions and had {width} in start; use the same encoder")
    known = attribute_values(dataset.movies, 1)
    for name in start.config.model.attributes:
        if len(start.graph.attributes.get(name, ())) and not len(known.get(name, ())):
            raise DataError(f"start was trained with {name} of movies, and {dataset.name} has none")
    old, new = (set(values) for values in (start.graph.user_values, find_user_values(dataset.users)))
    if old != new:
        raise DataError(
            f"start was trained with {_named('user features', old)}, and {dataset.name} has "
            f"{_named('user features', new)}; continue with the same ones"
        )


def _named(what: str, names: Any) -> str:
    return f"the {what} {', '.join(sorted(names))}" if names else f"no {what}"


def grown_vocabularies(graph: Graph, dataset: Dataset) -> dict[str, pd.Index]:
    """Return the vocabularies of a graph, followed by the genres, directors and actors that only a dataset has."""
    grown = dict(graph.vocabularies)
    for name, values in attribute_values(dataset.movies, 2).items():
        if name in graph.attributes:
            grown[name] = graph.attributes[name].append(values.difference(graph.attributes[name]))
    return grown


def is_rated_in(graph: Graph, ratings: pd.DataFrame) -> np.ndarray:
    """Return which ratings are by a user of a movie that the user has rated in a graph, ``[num_ratings]`` bool."""
    dataset = graph.dataset
    user = dataset.user_ids.rows(pd.Index(ratings["user_id"])).astype(np.int64)
    movie = dataset.movie_ids.rows(pd.Index(ratings["movie_id"])).astype(np.int64)
    known = dataset.rating_table.user.astype(np.int64) * dataset.num_movies + dataset.rating_table.movie
    rated: np.ndarray = (user >= 0) & (movie >= 0)
    rated[rated] = np.isin(user[rated] * dataset.num_movies + movie[rated], known)
    return rated


def holdout_new_ratings(dataset: Dataset, config: Config, graph: Graph) -> Split:
    """Hold out ratings for validation that a model was not trained on.

    Of each user a tenth of the ratings, and at most half of the new ones: random ones, or the last ones for
    ``next_item``.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    graph : Graph
        That of the model.

    Raises
    ------
    DataError
        The model was trained on all ratings.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> dataset = make_sample(60, 40)
    >>> graph = Graph.from_dataset(dataset.take(np.arange(1000)))
    >>> split = holdout_new_ratings(dataset, Config(), graph)
    >>> len(split.train), len(split.valid), bool(is_rated_in(graph, split.valid).any())
    (1195, 21, False)
    """
    new = np.flatnonzero(~is_rated_in(graph, dataset.ratings))
    if not len(new):
        raise DataError(f"start was trained on all ratings of {dataset.name}; add new ones, or pass a split")
    user = dataset.rating_table.user
    of_new = user[new]
    num_new = np.bincount(of_new, minlength=dataset.num_users)
    allowed = np.floor(VALID_SHARE * np.bincount(user, minlength=dataset.num_users) + 1e-9).astype(np.int64)
    if config.train.objective == "next_item":
        keys, how = times_or_file_order(dataset)[new], "last"
    else:
        keys, how = np.random.default_rng(config.train.seed).permutation(len(new)), "random"
    order = sort_by_group(of_new, keys)
    place = np.arange(len(new)) - np.repeat(np.cumsum(num_new) - num_new, num_new)
    by_user = of_new[order]
    held_out = place >= (num_new - np.minimum(allowed, num_new // 2))[by_user]
    codes = np.zeros(dataset.num_ratings, dtype=np.int8)
    codes[new[order[held_out]]] = 1
    split = Split.from_codes(dataset, codes, f"{how} new ratings per user")
    return split.with_request_times() if config.model.request_time_features else split


def trained_rows(start: RecGraph, graph: Graph) -> Tensor:
    """Return the row of each movie of a graph among those of a model, ``[num_movies]``; -1 if it has not learned it."""
    movies = pd.Index(graph.dataset.movies["movie_id"])
    rows = torch.from_numpy(start.graph.dataset.movie_ids.rows(movies).astype(np.int64))
    has_id = start.encoder.members[0].message.has_id.cpu()
    rows[rows >= len(has_id)] = -1  # added after training
    rows[~has_id[rows]] = -1
    return rows


@torch.no_grad()
def copy_weights(start: RecGraph, network: BaseEncoder, graph: Graph, tensors: GraphTensors) -> None:
    """Set a network to the weights of a fitted one; both compute the same from the same ratings.

    Statistics of the ratings (degrees, mean rating, which movies have an id embedding) stay those of the new graph.

    Parameters
    ----------
    start : RecGraph
    network : Encoder or Ensemble
        Prepared and initialized for `graph`; changed in place.
    graph : Graph
        With the vocabularies of `grown_vocabularies`.
    tensors : GraphTensors
        Of `graph`, on the device of the network.
    """
    features = GraphTensors.from_graph(start.graph, start.device).movie_features
    device = tensors.movie_degree.device
    rows = trained_rows(start, graph).to(device)
    trained = rows >= 0
    old_rows = rows[trained]
    for old, new in zip(start.encoder.members, network.members, strict=True):
        started = {name: _module(new, name).id_embeddings for name in ("message", "target")}
        initial = {name: None if ids is None else ids.clone() for name, ids in started.items()}
        _copy_shared(old, new)
        for name, values in initial.items():
            node_encoder, ids = _module(new, name), started[name]
            if ids is None or values is None:
                continue
            whole = _module(old, name)(features).to(device)[old_rows]  # [num_trained, embedding_dim]
            by_features = node_encoder.eval().embed_features(tensors.movie_features)  # [num_movies, embedding_dim]
            if node_encoder.fourier is not None:  # zero until training ends and `ContentRidge` sets it again
                node_encoder.fourier.weight.zero_()
            residual = whole - by_features[trained]
            is_random = start.config.model.init == "random"
            mapped = 0 * values if is_random else _fold_in(values, trained, residual, tensors.movie_degree)
            linear = node_encoder.embed_features(tensors.movie_features)
            ids.copy_(by_features + mapped - linear)
            ids[trained] = whole - linear[trained]


def _fold_in(initial: Tensor, trained: Tensor, residual: Tensor, degree: Tensor) -> Tensor:
    """Map initial embeddings into the space of trained ones, by ridge regression on the movies that have both.

    Parameters
    ----------
    initial : Tensor
        ``[num_movies, embedding_dim]``.
    trained : Tensor
        ``[num_movies]`` bool.
    residual : Tensor
        ``[num_trained, embedding_dim]``, what trained embeddings add to features.
    degree : Tensor
        ``[num_movies]``, weights of the regression.
    """
    weight = (degree[trained] / degree[trained].sum().clamp(min=1)).sqrt().unsqueeze(1)
    x = initial[trained] * weight
    gram = ridge_gram(x, FOLD_IN_REG * x.square().sum() / x.size(1) + 1e-12)
    solution: Tensor = torch.linalg.solve(gram, x.T @ (residual * weight))
    return initial @ solution


def _module(encoder: Encoder, name: str) -> NodeEncoder:
    module = getattr(encoder, name)
    assert isinstance(module, NodeEncoder)
    return module


def _copy_shared(old: Encoder, new: Encoder) -> None:
    """Copy everything but the id embeddings of movies and statistics of the ratings."""
    theirs = old.state_dict()
    for name, values in new.state_dict().items():
        part = name.rpartition(".")[2]
        if part in ("id_embeddings", "has_id") or name in _STATISTICS:
            continue
        given = theirs[name]
        if given.shape == values.shape:
            values.copy_(given)
        elif ".attributes." in name:  # with nodes that only the new graph has
            values[: len(given)].copy_(given)
        elif ".fourier." not in name:  # these are refitted; their inputs are numeric features and all genres
            shapes = f"{list(given.shape)} in start, and {list(values.shape)} here"
            raise ConfigError(f"training cannot continue: {name} has the shape {shapes}")


_STATISTICS = ("rating_mean", "rating_std", "degree_pseudocount", "mean_degree")


def fingerprint_of(start: RecGraph) -> bytes:
    """Return a digest of the weights and movies of a model."""
    digest = hashlib.sha256()
    for name, values in sorted(start.state().items()):
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    digest.update(
        pd.util.hash_pandas_object(start.graph.dataset.movies[["movie_id"]], index=False).to_numpy().tobytes()
    )
    return digest.digest()
