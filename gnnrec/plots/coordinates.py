"""Where the movies of a model lie in the plane."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import torch

from gnnrec.errors import ConfigError, DataError
from gnnrec.recommend import Recommender

METHODS = ("pca", "umap")


def movie_coordinates(model: Recommender, method: str = "pca", *, seed: int = 0) -> pd.DataFrame:
    """Lay all movies of a model out in the plane, alike ones near each other.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    method : str
        "pca" projects the movies' vectors, scaled to length 1, onto the two directions in which they differ most. "umap"
        keeps neighbours together and says little of distances; it needs the package umap-learn.
    seed : int
        Of "umap"; "pca" draws nothing.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, x, y``, a row for each movie of the graph, in its order. With "pca" both columns have mean 0,
        `x` the larger spread, and of the vectors' numbers the one that weighs most in an axis has a positive weight.

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
    >>> from gnnrec.baselines import EASE
    >>> from gnnrec.data import make_sample
    >>> model = EASE.fit(make_sample(100, 80))
    >>> movie_coordinates(model).columns.tolist()
    ['movie_id', 'title', 'x', 'y']
    """
    if method not in METHODS:
        raise ConfigError(f"there is no map {method!r}; there are: {', '.join(METHODS)}")
    vectors = torch.nn.functional.normalize(model.movie_vectors().detach().cpu().double(), dim=1)
    least = 2 if method == "pca" else 5
    if len(vectors) < least:
        raise DataError(f"a map by {method} needs at least {least} movies, the graph has {len(vectors)}")
    plane = _pca(vectors).numpy() if method == "pca" else _umap(vectors.numpy(), seed)
    movies = model.graph.dataset.movies
    return pd.DataFrame(
        {
            "movie_id": movies["movie_id"].to_numpy(),
            "title": movies["title"].to_numpy(),
            "x": plane[:, 0],
            "y": plane[:, 1],
        }
    )


def _pca(vectors: torch.Tensor) -> torch.Tensor:
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
    except ImportError as error:
        raise ConfigError(
            "the map umap needs umap-learn; install it with: pip install 'gnnrec[map]', or take pca"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed leaves it one thread
        neighbours = min(15, len(vectors) - 1)
        return np.asarray(
            UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed).fit_transform(vectors), dtype=np.float64
        )
