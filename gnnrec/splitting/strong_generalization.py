"""Strong generalization: test users have no training ratings; most of their ratings are folded in."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd

from gnnrec._checks import check_integer
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.registry import register_splitter
from gnnrec.splitting.cold_splits import check_not_empty, hold_out
from gnnrec.splitting.split import Split
from gnnrec.splitting.splitters import by_fractions


@register_splitter("strong-generalization")
def strong_generalization_split(
    dataset: Dataset, seed: int = 0, *, fraction: float = 0.1, fold_in: float = 0.8, min_ratings: int = 5
) -> Split:
    """Hold out users, fold in a random part of their ratings and predict the rest.

    The procedure of Liang et al. (WWW 2018, sec. 4.1) and later papers; the term is from Marlin (2004).
    Users with fewer than `min_ratings` ratings are dropped first, and with them their ratings. A random `fraction` of
    the others is held out for testing and as many for validation. Their ratings of movies without a training rating are
    dropped. Of what is left of each of them, a random `fold_in` is ``support``, the history at test time, and the rest,
    rounded down, is to be predicted.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        Random seed, of the users and of the ratings that are folded in.
    fraction : float
        Fraction of the users held out for testing, and as many for validation.
    fold_in : float
        Fraction of the ratings of each held-out user that is known at test time.
    min_ratings : int
        Minimum number of ratings of a user.

    Returns
    -------
    Split
        With `support` set. Rows keep their order in the dataset; the parts do not depend on that order.

    Raises
    ------
    ConfigError
        Invalid `seed`, `fraction`, `fold_in` or `min_ratings`, or too few users to hold out.
    DataError
        The dataset is so small that a part would be empty.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split = strong_generalization_split(make_sample(60, 40))
    >>> split.protocol
    'strong generalization 0.1+0.1 of the users, 0.8 folded in, at least 5 ratings, seed 0'
    >>> bool(split.test["user_id"].isin(split.train["user_id"]).any())
    False
    """
    check_integer(min_ratings=min_ratings)
    if not isinstance(fold_in, Real) or not 0 < fold_in < 1:
        raise ConfigError(f"fold_in must be between 0 and 1, not {fold_in!r}")
    users, movies = dataset.ratings["user_id"], dataset.ratings["movie_id"]
    eligible = (users.map(users.value_counts()) >= min_ratings).to_numpy()
    valid, test = hold_out(users[eligible], users[eligible].nunique(), fraction, seed, "users")
    codes = np.select([~eligible, users.isin(test), users.isin(valid)], [-1, 2, 1], default=0)
    known = movies.isin(movies[codes == 0].unique()).to_numpy()
    codes = np.where(known, codes, -1)
    held_out = np.flatnonzero(codes > 0)
    draws = _draws(users.iloc[held_out], movies.iloc[held_out], seed)
    folded_in = by_fractions(users.iloc[held_out], draws, (fold_in, 0.0, 1 - fold_in)) == 0
    codes[held_out[folded_in]] = 3
    description = (
        f"strong generalization {fraction:g}+{fraction:g} of the users, {fold_in:g} folded in, "
        f"at least {min_ratings} ratings, seed {seed}"
    )
    check_not_empty(codes, description)
    return Split.from_codes(dataset, codes, description, with_support=True)


def _draws(users: pd.Series, movies: pd.Series, seed: int) -> np.ndarray:
    """Return a random permutation of the rows, ``[num_rows]`` int64, that does not depend on their order."""
    codes = [pd.factorize(ids, sort=True)[0] for ids in (movies, users)]
    draws = np.empty(len(users), dtype=np.int64)
    draws[np.lexsort(codes)] = np.random.default_rng(seed).permutation(len(users))
    return draws
