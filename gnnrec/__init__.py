"""gnnrec: inductive graph-neural-network recommendations for movies.

Functions (`load_dataset`, `split`, `fit`, `recommend`, `similar_movies`, `evaluate`, `tune`, `load`) work on immutable
objects (`Dataset`, `Split`, `Config`, `NewUser`, `NewMovie`, `RecGraph`). Names are imported on first use.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from typing import Any

__version__ = "0.2.0"

# PyTorch's threads busy-wait by default, which makes training many times slower when another program uses the same
# cores. This must be set before PyTorch is loaded; a value that the user has set is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _compute_in_one_thread() -> None:
    """Make PyTorch usable after a fork: the compute threads of the parent do not exist in the child.

    OpenMP would wait for them forever. With one thread it does not need them.
    """
    set_num_threads = getattr(sys.modules.get("torch"), "set_num_threads", None)
    if set_num_threads is not None:
        set_num_threads(1)


def _release_cached_properties() -> None:
    """Give cached properties new locks after a fork: a thread that held one does not exist in the child.

    Up to Python 3.11, one lock of each property is shared by all objects and held while the value is computed.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == __name__:
            values = getattr(module, "__dict__", {}).values()
            own = [one for one in values if isinstance(one, type) and one.__module__ == name]
            for value in (value for one in own for value in vars(one).values()):
                if isinstance(value, functools.cached_property):
                    vars(value)["lock"] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_compute_in_one_thread)
    if sys.version_info < (3, 12):
        os.register_at_fork(after_in_child=_release_cached_properties)

_MODULES = {
    "gnnrec.benchmarking": ("BenchmarkReport", "benchmark"),
    "gnnrec.config": ("Config", "ModelConfig", "RatingConfig", "TrainConfig"),
    "gnnrec.data": ("ContentEmbeddings", "Dataset"),
    "gnnrec.datasets": ("load_dataset",),
    "gnnrec.errors": (
        "ConfigError",
        "DataError",
        "DownloadError",
        "GnnrecError",
        "OutOfMemoryError",
        "StorageError",
    ),
    "gnnrec.evaluation": ("evaluate",),
    "gnnrec.explanations": ("explain",),
    "gnnrec.explore": ("analyze",),
    "gnnrec.export": ("export_onnx",),
    "gnnrec.graph": ("Graph", "NewMovie", "NewUser", "read_history", "search"),
    "gnnrec.models": (
        "Estimator",
        "RecGraph",
        "Recommender",
        "fit",
        "load",
        "recommend",
        "recommend_group",
        "similar_movies",
        "suggest_config",
    ),
    "gnnrec.ratings": ("RatingModel", "evaluate_ratings", "fit_rating_model", "load_rating_model", "predict_ratings"),
    "gnnrec.registry": (
        "load_plugins",
        "register_dataset",
        "register_encoder",
        "register_feature_encoder",
        "register_finding",
        "register_history_format",
        "register_loss",
        "register_metadata_provider",
        "register_metric",
        "register_model",
        "register_protocol",
        "register_splitter",
        "register_user_feature",
    ),
    "gnnrec.splitting": ("Protocol", "Split", "split"),
    "gnnrec.training.callbacks": (
        "Callback",
        "EarlyStopping",
        "MLflowLogger",
        "TensorBoardLogger",
        "TimeLimit",
        "WandbLogger",
    ),
    "gnnrec.tuning": ("SearchSpace", "StudyResult", "tune"),
}
_PACKAGES = (
    "benchmarking",
    "data",
    "datasets",
    "evaluation",
    "explore",
    "features",
    "graph",
    "metadata",
    "models",
    "nn",
    "plots",
    "ratings",
    "reranking",
    "service",
    "splitting",
    "training",
    "tuning",
    "user_features",
)
_SOURCES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_SOURCES)


def __getattr__(name: str) -> Any:
    if name in _SOURCES:
        value = getattr(importlib.import_module(_SOURCES[name]), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"gnnrec.{name}")
    else:
        raise AttributeError(f"module 'gnnrec' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
