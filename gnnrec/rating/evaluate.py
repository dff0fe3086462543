"""`evaluate_ratings`: how far predictions are off, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.rating.base import RatingPredictor, check_predictor, predict_pairs, rated
from gnnrec.splitting import Split

RESAMPLES = 1000


def evaluate_ratings(
    model: RatingPredictor, test: pd.DataFrame | Split, *, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    r"""Measure a model on ratings it has not seen.

    .. math:: \mathrm{RMSE} = \sqrt{\tfrac{1}{N} \sum (\hat r - r)^2}, \qquad
              \mathrm{MAE} = \tfrac{1}{N} \sum |\hat r - r|

    Parameters
    ----------
    model : RatingPredictor
        A `RatingModel` or one of `gnnrec.rating.baselines`.
    test : pandas.DataFrame or Split
        Rows of ``user_id, movie_id, rating``. Of a `Split` its ``test`` rows; its ``support`` is taken in first.
    confidence : float
        Level of the interval, between 0 and 1.
    seed : int
        Of the bootstrap behind it.

    Returns
    -------
    pandas.DataFrame
        ``metric, value, ci_low, ci_high, num_ratings`` for ``rmse`` and ``mae``. Each rating counts alike. The interval
        is from a percentile bootstrap that resamples users with all their test rows (Efron & Tibshirani 1993, ch. 13).

    Raises
    ------
    DataError
        `test` is empty, has no ratings, names an unknown user or movie, or a pair that the model has been given.
    ConfigError
        A `confidence` outside of 0 to 1.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.rating.baselines import Biases
    >>> from gnnrec.rating.split import split_ratings
    >>> parts = split_ratings(make_sample(60, 40))
    >>> model = Biases.fit(Graph.from_dataset(parts.dataset))
    >>> evaluate_ratings(model, parts)[["metric", "num_ratings"]].values.tolist()
    [['rmse', 121], ['mae', 121]]
    """
    check_predictor(model)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be between 0 and 1, not {confidence}")
    if isinstance(test, Split):
        if test.support is not None and len(test.support):
            model = model.add_ratings(test.support)
        test = test.test
    if isinstance(test, pd.DataFrame) and test.empty:
        raise DataError("there are no test ratings")
    graph = model.graph
    rows = Dataset(test, graph.dataset.movies, graph.dataset.users, "the test rows").ratings
    if "rating" not in rows:
        raise DataError("the test rows have no column rating to compare with")
    nodes, row = graph.user_nodes(rows["user_id"]).unique(return_inverse=True)
    movie = graph.movie_nodes(rows["movie_id"])
    users = graph.user_batch(nodes)
    if (seen := rated(users, row, movie) >= 0).any():
        user, what = rows.loc[int(seen.int().argmax()), ["user_id", "movie_id"]]
        raise DataError(f"the rating of movie {what} by user {user} was given to the model; leave it out of the test")
    error = (predict_pairs(model, users, row, movie) - torch.tensor(rows["rating"].to_numpy())).double()
    columns = torch.stack([error**2, error.abs(), torch.ones_like(error)], dim=1)
    per_user = torch.zeros(len(nodes), 3, dtype=torch.float64).index_add_(0, row, columns).numpy()
    value, drawn = _values(per_user.sum(0)), _values(_resampled(per_user, seed))
    edge = (1 - confidence) / 2
    low, high = np.quantile(drawn, [edge, 1 - edge], axis=0)
    names = ["rmse", "mae"]
    return pd.DataFrame({"metric": names, "value": value, "ci_low": low, "ci_high": high, "num_ratings": len(rows)})


def _values(sums: np.ndarray) -> np.ndarray:
    """Return RMSE and MAE ``[..., 2]`` from summed squares, absolute errors and numbers of ratings ``[..., 3]``."""
    means = sums[..., :2] / sums[..., 2:]
    return np.stack([np.sqrt(means[..., 0]), means[..., 1]], axis=-1)


def _resampled(per_user: np.ndarray, seed: int) -> np.ndarray:
    """Return the sums over as many users drawn with replacement, ``[RESAMPLES, 3]``."""
    rng, n = np.random.default_rng(seed), len(per_user)
    times = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(RESAMPLES))
    return np.stack([drawn @ per_user for drawn in times])
