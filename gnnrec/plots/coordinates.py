"""Where the movies of a model lie in the plane."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.models.base import Recommender

METHODS = {"pca": 2, "umap": 5}
"""How a map is made, and how many movies that takes at least."""


def movie_coordinates(
    model: Recommender, method: str = "pca", *, num_movies: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Lay movies of a model out in the plane, alike ones near each other.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    method : str
        "pca" projects the movies' vectors, scaled to length 1, onto the two directions in which they differ most.
        "umap" keeps neighbours together and says little of distances; it needs the package umap-learn, and minutes
        for thousands of movies.
    num_movies : int, optional
        Only the most rated ones; all by default.
    seed : int
        Of "umap"; "pca" draws nothing.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, x, y``, in the order of the graph. With "pca" both columns have mean 0, `x` the larger
        spread, and of the vectors' numbers the one that weighs most in an axis has a positive weight.

    Raises
    ------
    ConfigError
        There is no such method, or its package is not installed.
    DataError
        There are too few movies: "pca" needs 2, "umap" 5.

    Notes
    -----
    UMAP is from L. McInnes et al., "UMAP: uniform manifold approximation and projection", JOSS 3(29), 2018.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> from gnnrec.datasets import make_sample
    >>> model = EASE.fit(Graph.from_dataset(make_sample(100, 80)))
    >>> movie_coordinates(model, num_movies=3).columns.tolist()
    ['movie_id', 'title', 'x', 'y']
    """
    if method not in METHODS:
        raise ConfigError(f"there is no map {method!r}; there are: {', '.join(METHODS)}")
    nodes = most_rated(model.graph, num_movies).sort().values
    if len(nodes) < METHODS[method]:
        raise DataError(f"a map by {method} needs at least {METHODS[method]} movies, not {len(nodes)}")
    vectors = torch.nn.functional.normalize(model.similarity_embeddings().detach().cpu()[nodes].double(), dim=1)
    plane = _pca(vectors).numpy() if method == "pca" else _umap(vectors.numpy(), seed)
    movies = model.graph.dataset.movies[["movie_id", "title"]].iloc[nodes.numpy()].reset_index(drop=True)
    return movies.assign(x=plane[:, 0], y=plane[:, 1])


def ratings_of(graph: Graph) -> Tensor:
    """Return how many ratings each movie has, ``[num_movies]`` int64."""
    return torch.bincount(graph.users.movie_index, minlength=graph.num_movies)


def most_rated(graph: Graph, num_movies: int | None = None) -> Tensor:
    """Return the nodes of the movies with the most ratings, these first, ties in the order of the graph."""
    return ratings_of(graph).sort(descending=True, stable=True).indices[:num_movies]


def _pca(vectors: Tensor) -> Tensor:
    """Return ``[n, 2]``, the first two principal components."""
    left, values, axes = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    # An axis may point either way; so that it always points the same one, its largest weight is made positive.
    heaviest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).squeeze(1)
    plane = (left * values * heaviest.sign())[:, :2]  # [n, 2], or [n, 1] where vectors are 1 wide
    return torch.nn.functional.pad(plane, (0, 2 - plane.size(1)))


def _umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Return ``[n, 2]``."""
    try:
        from umap import UMAP
    except ImportError:
        problem = "the map umap needs umap-learn; install it with: pip install 'gnnrec[map]', or take pca"
        raise ConfigError(problem) from None
    reducer = UMAP(n_neighbors=min(15, len(vectors) - 1), metric="cosine", random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own numerics
        return np.asarray(reducer.fit_transform(vectors), dtype=np.float64)
