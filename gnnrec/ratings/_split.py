"""`global_random_split`: the random split that published rating-prediction errors are measured on."""

from __future__ import annotations

import numpy as np

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.splitting import Split


def global_random_split(
    dataset: Dataset, fractions: tuple[float, float, float] = (0.9, 0.0, 0.1), seed: int = 0
) -> Split:
    """Split all ratings at random, 90/10 by default as in the rating-prediction literature.

    Unlike `Split.random`, it ignores users: all ratings of a user or a movie may end up in the test set.

    Parameters
    ----------
    dataset : Dataset
        Ratings to split.
    fractions : tuple of float
        Fractions of train, valid and test; they sum to 1. The test rows depend only on the test fraction and the seed:
        ``(0.85, 0.05, 0.1)`` has the same test rows as ``(0.9, 0, 0.1)`` and can be used to tune hyperparameters.
    seed : int
        Random seed.

    Returns
    -------
    Split
        Rows keep their order in the dataset.

    Raises
    ------
    ConfigError
        `fractions` are negative, do not sum to 1 or leave nothing to train on.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> global_random_split(make_sample(60, 40))
    Split('sample', random over all ratings 0.9/0/0.1, seed 0: 1,095 train, 0 valid, 121 test)
    """
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or not np.isclose(sum(fractions), 1):
        raise ConfigError(
            f"fractions must be the shares of train (above 0), valid and test and sum to 1, not {fractions}"
        )
    num_ratings = dataset.num_ratings
    order = np.random.default_rng(seed).permutation(num_ratings)
    num_valid, num_test = (int(fraction * num_ratings + 1e-9) for fraction in fractions[1:])
    codes = np.zeros(num_ratings, dtype=np.int64)
    codes[order[:num_test]] = 2
    codes[order[num_test : num_test + num_valid]] = 1
    protocol = f"random over all ratings {'/'.join(f'{fraction:g}' for fraction in fractions)}, seed {seed}"
    return Split.from_codes(dataset, codes, protocol)
