"""The usual ways to divide ratings into train, valid and test; `Split` inherits them."""

from __future__ import annotations

from typing import Self

import numpy as np

from gnnrec.data import divide
from gnnrec.data.dataset import Dataset
from gnnrec.data.protocols import find_protocol
from gnnrec.data.unseen import UnseenDivisions


class Divisions(UnseenDivisions):
    """Class methods that divide a dataset. Rows keep the order they have in it."""

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
        ids, times = dataset.ratings["user_id"], divide.times_of(dataset, "chronological")
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
        rank, size = divide.ranks(dataset.ratings["user_id"], divide.times_of(dataset, "leave_last_out"))
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
        codes, begin = divide.by_time(divide.times_of(dataset, "global_time"), fractions)
        line = f"global time {divide.shares(fractions)}, cut at {divide.moments(begin)}"
        if drop_new:
            train = dataset.ratings[codes == 0]
            known = [dataset.ratings[column].isin(train[column]) for column in ("user_id", "movie_id")]
            codes = np.where(known[0] & known[1], codes, -1)
            line += ", new users and movies dropped"
        return cls._from_codes(dataset, codes, line)

    @classmethod
    def by_protocol(
        cls,
        name: str,
        dataset: Dataset,
        seed: int = 0,
        *,
        fold: int | None = None,
        support: int | None = None,
        candidates: str | None = None,
    ) -> Self:
        """Filter and divide a dataset as a named protocol says.

        The split also knows how that protocol makes its lists (`mask`, `history`, `negatives`, `candidates`), so
        `evaluate` and `benchmark` need not be told.

        Parameters
        ----------
        name : str
            One of ``random``, ``recbole``, ``chronological``, ``chronological-10core``, ``last-tenth``,
            ``next-tenth``, ``global-time``, ``leave-last-out``, ``next-movie``, ``next-movie-99``, ``held-out-users``,
            ``held-out-movies``, ``unseen-movies``, ``unseen-movies-by-time``, ``unseen-users`` and ``unseen-both``;
            `gnnrec.data.PROTOCOLS` holds what each of them means.
        dataset : Dataset
            The whole of it.
        seed : int
            Of what is drawn: the division, where it is random, and the negatives.
        fold : int, optional
            Of those that have folds: which one, 0 to 4; else 0.
        support : int, optional
            Of those that hold people out: how many of their first ratings are known; else 5.
        candidates : str, optional
            Of those that hold movies out by folds or time: ``"held-out"`` ranks a part's movies among each other (the
            default), ``"all"`` among all rated movies.

        Raises
        ------
        ConfigError
            There is no such protocol, or it has no folds, support or candidates to choose.
        DataError
            The dataset lacks what the protocol goes by, ratings or timestamps.

        Examples
        --------
        >>> from gnnrec.data import Split
        >>> from gnnrec.datasets import make_sample
        >>> Split.by_protocol("recbole", make_sample(50, 40))
        Split('sample', rating >= 3, 10-core, random per user 0.8/0.1/0.1, seed 0: 718 train, 53 valid, 53 test)
        >>> split = Split.by_protocol("unseen-users", make_sample(50, 40), fold=1, support=3)
        >>> split.protocol
        'unseen users, fold 1 of 5, first 3 ratings known'
        """
        steps = find_protocol(name)
        options = steps.arguments(name, seed, fold=fold, support=support, candidates=candidates)
        whole = dataset.filtered(steps.min_rating, steps.core)
        split = getattr(cls, steps.division)(whole, **options)._with(mask=steps.mask, history=steps.history)
        return split.with_negatives(steps.negatives, seed) if steps.negatives else split
