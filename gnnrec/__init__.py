"""gnnrec: inductive graph-neural-network recommendations for movies.

Verbs are functions (`load_dataset`, `analyze`, `fit`, `recommend`, `similar_movies`, `evaluate`, `tune`, `load`), nouns
never change (`Dataset`, `Split`, `Config`, `NewUser`, `NewMovie`, `RecGraph`).
"""

import os
import warnings

# PyTorch's threads otherwise wait by spinning, which makes training many times slower as soon as another program wants
# the same cores. It has to be set before PyTorch is loaded; a value of your own wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

with warnings.catch_warnings():  # the newest PyTorch tells PyG to do without TorchScript, which is between these two
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    import torch_geometric  # noqa: F401

from gnnrec.analysis import analyze
from gnnrec.config import Config
from gnnrec.data import Dataset
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError, DataError, DownloadError, GnnrecError
from gnnrec.evaluation import evaluate
from gnnrec.explain import explain
from gnnrec.fit import fit
from gnnrec.graph import Graph, NewMovie, NewUser
from gnnrec.models.base import Recommender, recommend, similar_movies
from gnnrec.models.gnn import RecGraph, load
from gnnrec.rating import RatingConfig, RatingModel, evaluate_ratings, fit_ratings, load_ratings, predict_rating
from gnnrec.splitting import Split
from gnnrec.study import SearchSpace, StudyResult, tune

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "Dataset",
    "DownloadError",
    "GnnrecError",
    "Graph",
    "NewMovie",
    "NewUser",
    "RatingConfig",
    "RatingModel",
    "RecGraph",
    "Recommender",
    "SearchSpace",
    "Split",
    "StudyResult",
    "analyze",
    "evaluate",
    "evaluate_ratings",
    "explain",
    "fit",
    "fit_ratings",
    "load",
    "load_dataset",
    "load_ratings",
    "predict_rating",
    "recommend",
    "similar_movies",
    "tune",
]
