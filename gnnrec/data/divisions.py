"""The usual ways to divide ratings into train, valid and test; `Split` inherits them."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from gnnrec.data import divide
from gnnrec.data.dataset import Dataset
from gnnrec.errors import ConfigError, DataError


class Divisions:
    """Class methods that divide a dataset. Rows keep the order they have in it."""

    @classmethod
    def _from_codes(cls, dataset: Dataset, codes: np.ndarray, line: str, *, with_support: bool = False) -> Self:
        """Return a split of a part code per rating; `line` says how it was made."""
        raise NotImplementedError

    @classmethod
    def random(cls, dataset: Dataset, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> Self:
        """Divide each user's ratings at random.

        Shares are rounded down for valid and test and the rest trains, so every user keeps a train row, and
        users with few ratings (fewer than 10 for a share of 0.1) stay in train as a whole.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fractions : tuple of float
            Shares of train, valid and test; they sum to 1.
        seed : int
            The same seed gives the same parts.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.
        """
        shuffled = np.random.default_rng(seed).permutation(dataset.num_ratings)
        codes = divide.by_fractions(dataset.ratings["user_id"], shuffled, fractions)
        return cls._from_codes(dataset, codes, f"random per user {divide.shares(fractions)}, seed {seed}")

    @classmethod
    def chronological(
        cls,
        dataset: Dataset,
        fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
        *,
        test_first: bool = False,
    ) -> Self:
        """Divide each user's ratings by time: the oldest train, the newest test.

        Ratings of the same second keep their order in the file. Small users are treated as in `random`.

        Parameters
        ----------
        dataset : Dataset
            What to divide; it needs timestamps.
        fractions : tuple of float
            Shares of train, valid and test; they sum to 1.
        test_first : bool
            Test on what follows the train rows, and validate on the newest: nothing lies between what is known and
            what is asked.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.
        """
        ids, times = dataset.ratings["user_id"], _times(dataset, "chronological")
        line = f"chronological per user {divide.shares(fractions)}"
        codes = divide.by_fractions(ids, times, fractions)
        if test_first:
            train, valid, test = fractions
            codes = np.array([0, 2, 1])[divide.by_fractions(ids, times, (train, test, valid))]
            line += ", test before valid"
        return cls._from_codes(dataset, codes, line)

    @classmethod
    def leave_last_out(cls, dataset: Dataset) -> Self:
        """Test on each user's last rating, validate on the one before it.

        Users with fewer than 3 ratings stay in train. Ratings of the same second keep their file order.

        Parameters
        ----------
        dataset : Dataset
            What to divide; it needs timestamps.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.
        """
        rank, size = divide.ranks(dataset.ratings["user_id"], _times(dataset, "leave_last_out"))
        left = size - rank  # 1 is the last rating
        codes = np.select([(size >= 3) & (left == 1), (size >= 3) & (left == 2)], [2, 1], default=0)
        return cls._from_codes(dataset, codes, "leave last out")

    @classmethod
    def global_time(
        cls,
        dataset: Dataset,
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        *,
        drop_new: bool = False,
    ) -> Self:
        """Divide all ratings at two moments: what was rated before the first trains, after the second tests.

        Nothing is learned from a time later than what is asked about, as in real use. Whoever and whatever first
        comes after training stays: such people are tested on what their profile (and `history`) says, such
        movies can be found by their content.

        Parameters
        ----------
        dataset : Dataset
            What to divide; it needs timestamps.
        fractions : tuple of float
            Shares of train, valid and test among all ratings; they sum to 1. Rounded down for valid and test, but
            ratings of the same second stay together in the later part.
        drop_new : bool
            Leave valid and test rows out whose user or movie has no train row.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset. The moments stand in its `protocol`.
        """
        codes, begin = divide.by_time(_times(dataset, "global_time"), fractions)
        since = " and ".join(f"{pd.Timestamp(moment, unit='s'):%Y-%m-%d %H:%M:%S}" for moment in begin)
        line = f"global time {divide.shares(fractions)}, cut at {since}"
        if drop_new:
            train = dataset.ratings[codes == 0]
            known = [dataset.ratings[column].isin(train[column]) for column in ("user_id", "movie_id")]
            codes = np.where(known[0] & known[1], codes, -1)
            line += ", new users and movies dropped"
        return cls._from_codes(dataset, codes, line)

    @classmethod
    def held_out_users(cls, dataset: Dataset, fraction: float = 0.1, support: int = 5, seed: int = 0) -> Self:
        """Hold out people: none of their ratings train.

        The first `support` ratings of each (by time; in file order without timestamps) become the part
        `support`, the history a model may look at when it is tested; the others are valid or test. Only
        people with more than `support` ratings are held out.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fraction : float
            Share of the people that is held out for test; as many more are for valid.
        support : int
            Ratings per held-out person to be known; 0 tests people of whom only the profile is known.
        seed : int
            People are chosen by a hash of this and their id, whatever the order of the rows.

        Returns
        -------
        Split
            With `support` set.
        """
        if support < 0:
            raise ConfigError(f"support must be 0 or more, not {support}")
        times = dataset.ratings.get("timestamp", pd.Series(0, index=dataset.ratings.index))
        ids = dataset.ratings["user_id"]
        rank, size = divide.ranks(ids, times.to_numpy())
        valid, test = divide.hold_out(ids[size > support], ids.nunique(), fraction, seed, "users")
        codes = np.select([ids.isin(test), ids.isin(valid)], [2, 1], default=0)
        codes = np.where((codes > 0) & (rank < support), 3, codes)
        line = f"held-out users {fraction:g}+{fraction:g}, first {support} ratings known, seed {seed}"
        return cls._from_codes(dataset, codes, line, with_support=True)

    @classmethod
    def held_out_movies(cls, dataset: Dataset, fraction: float = 0.1, seed: int = 0) -> Self:
        """Hold out movies with all their ratings, to test recommending what nobody has seen.

        People who rated held-out movies only have no train row.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fraction : float
            Share of the rated movies that is held out for test; as many more are for valid.
        seed : int
            Movies are chosen by a hash of this and their id, whatever the order of the rows.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.
        """
        ids = dataset.ratings["movie_id"]
        valid, test = divide.hold_out(ids, ids.nunique(), fraction, seed, "movies")
        codes = np.select([ids.isin(test), ids.isin(valid)], [2, 1], default=0)
        return cls._from_codes(dataset, codes, f"held-out movies {fraction:g}+{fraction:g}, seed {seed}")


def _times(dataset: Dataset, protocol: str) -> np.ndarray:
    if "timestamp" not in dataset.ratings:
        raise DataError(f"{dataset.name} has no timestamps, which {protocol} needs; use Split.random")
    return dataset.ratings["timestamp"].to_numpy()
