"""What baselines know about a movie that nobody has rated: genres, decade, and the vectors of its picture and texts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec.graph import Graph


def tag_matrix(graph: Graph) -> Tensor:
    """Return the genres and the decade of each movie, ``[num_movies, num_genres + 11]`` float32.

    Genres and decade weigh the same: a row of each kind has length 1, or 0 where nothing is known.
    """
    genres = torch.zeros(graph.num_movies, len(graph.genres))
    genres[graph.movie_genres] = 1.0
    return torch.cat([torch.nn.functional.normalize(genres, dim=1), graph.movie_x], dim=1)


def content_matrix(graph: Graph) -> Tensor:
    """Return all that is known about each movie besides who rated it.

    Parameters
    ----------
    graph : Graph
        Movies without any ratings are described like all others.

    Returns
    -------
    Tensor
        ``[num_movies, width]`` float32: `tag_matrix`, then the vectors of each modality of ``graph.dataset.features``
        in alphabetical order. These are standardised over all movies of the modality, in the graph or not: the mean
        vector is taken off, and what is left is divided by its root mean square length. So each modality weighs about
        as much as the genres, however wide it is, and a movie without a vector (zeros) counts as an average one.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Comedy|Drama", "Drama"], "year": [1995, None]})
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [7]}), movies))
    >>> content_matrix(graph)[:, :2].tolist()  # Comedy, Drama
    [[0.7071067690849304, 0.7071067690849304], [0.0, 1.0]]
    """
    features = graph.dataset.features
    blocks = [tag_matrix(graph)]
    for modality in sorted(features):
        vectors = features[modality]
        values, known = vectors.aligned(graph.ids["movie"])
        mean, length = _mean_and_length(vectors.values)
        values[known] = (values[known] - mean) / length
        blocks.append(torch.from_numpy(values))
    return torch.cat(blocks, dim=1)


def _mean_and_length(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of vectors, and the root mean square distance from it (1 where all are the same)."""
    mean = values.mean(axis=0, dtype=np.float64)
    length = float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean()))
    return mean.astype(np.float32), length or 1.0
