"""All models under one interface: an `Estimator` holds hyperparameters, its ``fit`` returns a fitted `Recommender`.

The estimators are loaded on first use, so importing this package does not import all of them.
"""

from __future__ import annotations

from typing import Any

from gnnrec.models.all_lists import write_lists
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator, Estimator, fit, load
from gnnrec.models.gnn import RecGraph
from gnnrec.models.groups import recommend_group
from gnnrec.models.index import MovieIndex
from gnnrec.models.recommend import recommend, similar_movies
from gnnrec.models.suggest import suggest_config
from gnnrec.registry import MODELS

_ESTIMATORS = {
    "GNN": "gnn",
    "Popularity": "popularity",
    "ItemKNN": "itemknn",
    "EASE": "ease",
    "SLIM": "slim",
    "ContentKNN": "contentknn",
    "FeatureRidge": "ridge",
    "ALS": "als",
    "BPR": "bpr",
    "MF": "mf",
    "NeuMF": "neumf",
    "LightGCNReference": "lightgcn",
    "LightFM": "lightfm",
    "MeanPooling": "average",
    "SASRec": "sasrec",
    "SASRecBinary": "sasrec-binary",
    "MultVAE": "mult-vae",
    "RecVAE": "recvae",
}

__all__ = [
    "ALS",
    "BPR",
    "EASE",
    "GNN",
    "MF",
    "SLIM",
    "BaseEstimator",
    "ContentKNN",
    "Estimator",
    "FeatureRidge",
    "ItemKNN",
    "LightFM",
    "LightGCNReference",
    "MeanPooling",
    "MovieIndex",
    "MultVAE",
    "NeuMF",
    "Popularity",
    "RecGraph",
    "RecVAE",
    "Recommender",
    "SASRec",
    "SASRecBinary",
    "fit",
    "load",
    "recommend",
    "recommend_group",
    "similar_movies",
    "suggest_config",
    "write_lists",
]


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return MODELS.get(_ESTIMATORS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
