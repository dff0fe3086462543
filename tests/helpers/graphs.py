"""Small datasets whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gnnrec import Dataset


def dataset_of(**columns: Any) -> Dataset:
    """Return a dataset with these columns of ratings."""
    return Dataset(pd.DataFrame(columns))


def random_dataset(num_users: int, num_movies: int, density: float, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Return a dataset and its binary matrix; every movie has a rating."""
    matrix = (np.random.default_rng(seed).random((num_users, num_movies)) < density).astype("float64")
    matrix[np.arange(num_movies) % num_users, np.arange(num_movies)] = 1
    user, movie = np.nonzero(matrix)
    ratings = pd.DataFrame({"user_id": user, "movie_id": movie})
    movies, users = pd.DataFrame({"movie_id": range(num_movies)}), pd.DataFrame({"user_id": range(num_users)})
    return Dataset(ratings, movies, users), matrix
