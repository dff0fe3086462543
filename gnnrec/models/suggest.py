"""`suggest_config`: settings of the graph neural network chosen from the size and kind of the data.

They are what `gnnrec.fit` uses without a config. The constants were chosen on validation ratings of datasets between
400 and 30,000 users; `docs/explanation/training.md` names them and gives the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gnnrec.config import Config
from gnnrec.data import Dataset
from gnnrec.splitting import Split

Task = Literal["any order", "next", "later", "cold users"]

_MIN_ORDERED = 0.95
"""Minimum share of validation ratings later than the user's median training rating, for a split by time."""

_LONG_SUPPORT = 0.5
"""Mean number of known ratings of held-out users, in units of that of training users, from which they are not cold."""
_SPARSE = 0.005
"""Density below which training stays closer to its initialization."""
_FEW_RATINGS = 25
"""Ratings per node (user or movie) below which the model is a filter of the graph rather than trained."""
_LOW_PASS_SMOOTHING = 0.7
"""Pseudo-count added to the degrees of users and movies of sparse data, in units of their means."""
_LONG_TAIL = 15
"""Ratings per movie below which most movies have too few to learn an embedding."""
_MANY_MOVIES = 4
"""Movies per user above which, with such movies, small data are filtered rather than trained."""
_SMALL, _MEDIUM = 1024, 2_000_000
"""Number of users or movies up to which data are small, and of ratings up to which they are of medium size: there are
several networks, and the scores of EASE are added to theirs."""
_NUM_MEMBERS, _MEDIUM_NUM_MEMBERS = 3, 2
"""Number of networks on data of these sizes."""
_MAX_EASE_DIM, _EASE_WEIGHT, _MEDIUM_EASE_WEIGHT, _LONG_TAIL_EASE_WEIGHT = 512, 1.5, 1.0, 2.5
"""Largest number of singular vectors of the EASE part, and the weight of its scores, on small and medium data and with
many movies that have few ratings."""
_STEPS, _MIN_EPOCHS, _MAX_EPOCHS = 1000, 20, 100
"""Number of training steps, and the limits of the number of epochs that make them."""


@dataclass(frozen=True)
class DataShape:
    """What the suggested settings depend on.

    Attributes
    ----------
    num_users, num_movies, num_ratings : int
        Of the training ratings; users and movies without one do not count.
    task : str
        How validation ratings relate to training ratings: ``"any order"``; ``"next"``, one later rating per user;
        ``"later"``, several later ones; ``"cold users"``, users without training ratings and with few known ones.

    Examples
    --------
    >>> from gnnrec import load_dataset, split
    >>> dataset = load_dataset("sample")
    >>> DataShape.of(dataset).num_users, [DataShape.of(split(dataset, p)).task for p in ("random", "next-item")]
    (600, ['any order', 'next'])
    """

    num_users: int
    num_movies: int
    num_ratings: int
    task: Task

    @property
    def density(self) -> float:
        """Share of all pairs of a user and a movie that have a rating."""
        return self.num_ratings / (self.num_users * self.num_movies)

    @classmethod
    def of(cls, data: Dataset | Split) -> DataShape:
        """Return the shape of a dataset or of the training ratings of a split."""
        train = data.train if isinstance(data, Split) else data.ratings
        task = _task(data) if isinstance(data, Split) else "any order"
        return cls(max(1, train["user_id"].nunique()), max(1, train["movie_id"].nunique()), max(1, len(train)), task)


def suggest_config(data: Dataset | Split) -> Config:
    """Choose the settings of the graph neural network for some data.

    Width, batch size, the weight of unobserved movies and regularization follow the numbers of users, movies and
    ratings; the training objective follows the validation ratings of a split: the next rating where they are later than
    the training ratings, any rating elsewhere. Of the validation ratings only users and times are read.

    Parameters
    ----------
    data : Dataset or Split

    Returns
    -------
    Config
        Use `Config.override` to change single settings.

    Examples
    --------
    >>> from gnnrec import load_dataset, split
    >>> config = suggest_config(load_dataset("sample"))
    >>> config.model.embedding_dim, config.train.batch_size, config.train.objective
    (16, 96, 'masked_edges')
    >>> suggest_config(split(load_dataset("sample"), "next-item")).train.objective
    'next_item'
    """
    shape = DataShape.of(data)
    if shape.task in ("next", "later"):
        config = Config.from_mapping(_next_item(shape))
        told = isinstance(data, Split) and data.request_times
        return config.override(["model.request_time_features=true"]) if told else config
    return Config.from_mapping(
        _low_pass(shape) if shape.task == "any order" and _has_few_ratings(shape) else _any_order(shape)
    )


def describe_config(config: Config) -> str:
    """Return the settings that `suggest_config` chooses from the data, in one line.

    Examples
    --------
    >>> describe_config(Config())
    'objective masked_edges, embedding_dim 128, batch_size 512, learning_rate 0.002, negative_weight 0.3, epochs 30'
    """
    model, train = config.model, config.train
    shown: dict[str, Any] = {
        "objective": train.objective,
        "embedding_dim": model.embedding_dim,
        "batch_size": train.batch_size,
    }
    shown["learning_rate"] = train.learning_rate
    if train.loss == "weighted_mse":
        shown["negative_weight"] = train.negative_weight
    if model.num_members > 1:
        shown["num_members"] = model.num_members
    if model.ease_dim:
        shown["ease_dim"] = model.ease_dim
    return ", ".join(f"{name} {value}" for name, value in {**shown, "epochs": train.epochs}.items())


def _task(split: Split) -> Task:
    """Return how the validation ratings of a split relate to its training ratings."""
    train, valid = split.train, split.valid
    if valid.empty:
        return "any order"
    known = valid["user_id"].isin(train["user_id"].unique())
    if known.mean() < 0.5:
        return "any order" if _has_long_support(split) else "cold users"
    if "timestamp" not in train or "timestamp" not in valid:
        return "any order"
    median = train.groupby("user_id")["timestamp"].median()
    rows = valid[known]
    later = rows["timestamp"].to_numpy() > rows["user_id"].map(median).to_numpy()
    if later.mean() < _MIN_ORDERED:
        return "any order"
    return "next" if rows["user_id"].value_counts().median() == 1 else "later"


def _has_long_support(split: Split) -> bool:
    """Return whether users of the validation ratings have about as many known ratings as others have for training."""
    if split.support is None:
        return False
    users = split.valid["user_id"].unique()
    length = split.support["user_id"].isin(users).sum() / len(users)
    return bool(length >= _LONG_SUPPORT * len(split.train) / max(1, split.train["user_id"].nunique()))


def _any_order(shape: DataShape) -> dict[str, Any]:
    """Return settings that predict ratings irrespective of their order."""
    dim, is_sparse = _embedding_dim(shape), shape.density < _SPARSE
    batch_size = int(np.clip(16 * round(shape.num_users / 96), 64, 768))
    epochs = int(np.clip(_STEPS * batch_size / shape.num_users, _MIN_EPOCHS, _MAX_EPOCHS))
    model = {
        "embedding_dim": dim,
        "movie_degree_smoothing": 0.0 if is_sparse else 0.6,
        "user_degree_smoothing": 0,
        "init_scale": 1.0 if is_sparse else 0.3,
    }
    train = {
        "negative_weight": _significant(min(12.0, 1.2 * dim**0.5) * shape.density),
        "edge_dropout": 0.5,
        "id_dropout": 0.25 if dim < 64 else 0.05,
        "history_dropout": 0.02,
        "history_truncation": 0,
        "profile_dropout": 0.2,
        "epochs": epochs,
        "patience": max(4, 8 * epochs // 100),
        "batch_size": batch_size,
        "learning_rate": 0.002 if is_sparse else 0.0043,
        "final_lr_ratio": 0.05,
        "weight_decay": _significant(min(0.3, 3 * shape.num_movies / shape.num_ratings)),
    }
    has_long_tail = not is_sparse and shape.num_ratings < _LONG_TAIL * shape.num_movies  # few users, many movies
    if has_long_tail:
        model |= {
            "embedding_dim": min(dim, max(16, 16 * round(shape.num_users / 160))),
            "movie_degree_smoothing": 3.0,
            "init_scale": 1.0,
            "init_spectral_power": 0.5,
        }
        train |= {"id_dropout": 0.25, "learning_rate": 0.001}
    smaller = min(shape.num_users, shape.num_movies)
    is_small = smaller <= _SMALL
    if (is_small or shape.num_ratings <= _MEDIUM) and not is_sparse and shape.task == "any order":
        model |= {
            "num_members": _NUM_MEMBERS if is_small else _MEDIUM_NUM_MEMBERS,
            "ease_dim": min(_MAX_EASE_DIM, smaller),
            "ease_weight": _EASE_WEIGHT if is_small else _MEDIUM_EASE_WEIGHT,
        }
        if is_small and has_long_tail and shape.num_movies > _MANY_MOVIES * shape.num_users:
            # Beside EASE, training ended below the initialization.
            model |= {"ease_weight": _LONG_TAIL_EASE_WEIGHT}
            train |= {"epochs": 1, "learning_rate": _small_steps(shape)}
    if shape.task == "cold users":
        model |= {"user_degree_smoothing": 20}
        train |= {"history_dropout": 0.15, "history_truncation": 0.2}
    return {"model": model, "train": train}


def _has_few_ratings(shape: DataShape) -> bool:
    return shape.density < _SPARSE and shape.num_ratings < _FEW_RATINGS * (shape.num_users + shape.num_movies)


def _low_pass(shape: DataShape) -> dict[str, Any]:
    """Return settings for sparse data: a wide low-pass filter of the graph, and one epoch of small steps.

    Movies have too few ratings to learn individual embeddings: in short runs, larger steps ended below the
    initialization.
    """
    dim = int(np.clip(16 * round((shape.num_users + shape.num_movies) / 1024), 16, 1024))
    batch_size = int(np.clip(16 * round(shape.num_users / 96), 64, 4096))
    model = {
        "embedding_dim": dim,
        "movie_degree_smoothing": _LOW_PASS_SMOOTHING,
        "user_degree_smoothing": 0,
        "init_scale": 1.0,
        "init_user_smoothing": _LOW_PASS_SMOOTHING,
        "init_spectral_power": 0.5,
    }
    train = {
        "negative_weight": _significant(10 * shape.density),
        "edge_dropout": 0.5,
        "id_dropout": 0.05,
        "history_dropout": 0.02,
        "history_truncation": 0,
        "profile_dropout": 0.2,
        "epochs": 1,
        "batch_size": batch_size,
        "learning_rate": _small_steps(shape),
        "final_lr_ratio": 0.05,
    }
    return {"model": model, "train": train}


def _next_item(shape: DataShape) -> dict[str, Any]:
    """Return settings that predict the next rating, or the next ten."""
    mean_length = shape.num_ratings / shape.num_users
    dim = int(2 ** np.clip(np.round(np.log2(min(2 * _embedding_dim(shape), 16 * mean_length))), 6, 8))
    model = {
        "embedding_dim": dim,
        "user_degree_smoothing": 0,
        "temporal": True,
        "hidden_dim": max(256, 2 * dim),
        "dropout": 0.4,
        "init": "transitions",
        "init_scale": 1.0,
    }
    train = {
        "objective": "next_item",
        "cutoffs_per_user": int(np.clip(round(mean_length / 3), 2, 10)),
        "horizon": 1 if shape.task == "next" else 10,
        "loss": "softmax",
        "edge_dropout": 0.1,
        "id_dropout": 0.02,
        "epochs": 12,
        "batch_size": 1280 if dim > 64 else 512,
        "learning_rate": 0.002,
        "final_lr_ratio": 0.1,
        "k": 10 if shape.task == "next" else 20,
    }
    if _has_few_ratings(shape):  # a wide initialization, few and small steps, and much dropout
        dim = int(2 ** np.clip(np.round(np.log2((shape.num_users + shape.num_movies) / 64)), 6, 9))
        model |= {"embedding_dim": dim, "hidden_dim": 256, "dropout": 0.5}
        model |= {"transition_attribute_weight": 0.4, "transition_spectral_power": 0.6}
        train |= {"loss": "sampled_softmax", "id_dropout": 0.2, "epochs": 3, "batch_size": 1280, "learning_rate": 0.001}
        train |= {"cutoffs_per_user": int(np.clip(round(mean_length / 2), 3, 10))}
    return {"model": model, "train": train}


def _small_steps(shape: DataShape) -> float:
    """Return a learning rate that leaves a model close to its initialization after one epoch."""
    return _significant(0.007 / shape.num_movies**0.5)


def _embedding_dim(shape: DataShape) -> int:
    """One dimension per hundred nodes, in steps of 16 between 16 and 256."""
    return int(np.clip(16 * round((shape.num_users + shape.num_movies) / 1600), 16, 256))


def _significant(value: float, digits: int = 2) -> float:
    """Round to some significant digits.

    Examples
    --------
    >>> _significant(0.0041931), _significant(0.4661)
    (0.0042, 0.47)
    """
    return float(f"{value:.{digits}g}")
