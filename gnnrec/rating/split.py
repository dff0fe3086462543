"""`split_ratings`: the division that published errors of predicted ratings are measured on."""

from __future__ import annotations

import numpy as np

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.splitting import Split


def split_ratings(dataset: Dataset, fractions: tuple[float, float, float] = (0.9, 0.0, 0.1), seed: int = 0) -> Split:
    """Divide all ratings at random, whoever gave them: by default 90/10, as in the literature on rating prediction.

    Unlike `Split.random` it does not look at users, so somebody's or some movie's every rating may be held out.

    Parameters
    ----------
    dataset : Dataset
    fractions : tuple of float
        Shares of train, valid and test; they sum to 1. The test rows depend on their share and on the seed alone, so
        ``(0.85, 0.05, 0.1)`` has the test rows of ``(0.9, 0, 0.1)`` and chooses settings on some of its train rows.
    seed : int
        The same seed gives the same parts.

    Returns
    -------
    Split
        Rows keep the order they have in the dataset.

    Raises
    ------
    ConfigError
        Other `fractions`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split_ratings(make_sample(60, 40))
    Split('sample', random over all ratings 0.9/0/0.1, seed 0: 1,095 train, 0 valid, 121 test)
    """
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or not np.isclose(sum(fractions), 1):
        raise ConfigError(
            f"fractions must be the shares of train (above 0), valid and test and sum to 1, not {fractions}"
        )
    n = dataset.num_ratings
    order = np.random.default_rng(seed).permutation(n)
    num_valid, num_test = (int(share * n + 1e-9) for share in fractions[1:])
    codes = np.zeros(n, dtype=np.int64)
    codes[order[:num_test]] = 2
    codes[order[num_test : num_test + num_valid]] = 1
    line = f"random over all ratings {'/'.join(f'{share:g}' for share in fractions)}, seed {seed}"
    return Split.from_codes(dataset, codes, line)
