"""Rating counts that several models start from, and padding for movies added after the fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec._memory import check_memory
from gnnrec.errors import DataError
from gnnrec.graph import Graph
from gnnrec.models.sharing import shareable

CHUNK = 2048
"""Users per dense block of the rating matrix."""
FLOAT_BYTES = 4
"""Of a number in a movie-to-movie matrix."""


def movie_counts(graph: Graph) -> Tensor:
    """Return the number of ratings of each movie, ``[num_movies]`` float32."""
    return torch.bincount(graph.users.movie_index, minlength=graph.num_movies).float()


@shareable
def cooccurrence_counts(graph: Graph) -> Tensor:
    """Return the number of users who rated both movies of each pair.

    Parameters
    ----------
    graph : Graph
        Ratings of any value count as 1.

    Returns
    -------
    Tensor
        ``[num_movies, num_movies]`` float32, on the diagonal the number of ratings; ``X.T @ X`` of the binary
        user-movie matrix ``X``. Fits may share it (`shared_inputs`), so that it must not be changed.
    """
    size = graph.num_movies
    counts = torch.zeros(size, size)
    for start in range(0, graph.num_users, CHUNK):
        users = graph.users.slice(start, min(start + CHUNK, graph.num_users))
        rated = torch.zeros(users.num_users, size)
        rated[users.user_index, users.movie_index] = 1.0
        counts.addmm_(rated.T, rated)
    return counts


def check_square(num_movies: int, matrices: int, model: str) -> None:
    """Raise an `OutOfMemoryError` if dense movie-to-movie matrices do not fit into memory, before one is made.

    Parameters
    ----------
    num_movies : int
    matrices : int
        Matrices that the model has at once.
    model : str
        Its name.
    """
    needed = matrices * FLOAT_BYTES * num_movies**2 + CHUNK * FLOAT_BYTES * num_movies
    remedy = "remove rarely rated movies, or use a model without a movie-to-movie matrix, such as gnn or als"
    check_memory(needed, f"{model} on {num_movies:,} movies", remedy)


def id_order(graph: Graph) -> Tensor:
    """Return the movie nodes in the order of their ids, ``[num_movies]`` int64.

    Used to break ties between neighbors, so that the result does not depend on the order of the movies table.
    """
    return torch.from_numpy(np.argsort(graph.ids["movie"].to_numpy(), kind="stable"))


def padded(values: Tensor, num_movies: int) -> Tensor:
    """Pad every dimension of `values` to `num_movies` with zeros, for movies added after the fit."""
    check_grown(values.size(0), num_movies)
    more = num_movies - values.size(0)
    return values if more == 0 else torch.nn.functional.pad(values, (0, more) * values.dim())


def check_grown(fitted: int, now: int, what: str = "movies") -> None:
    """Raise a `DataError` if a graph has fewer movies (or users) than at the fit."""
    if now < fitted:
        raise DataError(f"the graph has {now:,} {what} but the model was fitted on {fitted:,}")
