"""Divisions that hold out whole movies or whole people: nothing of them is in the train rows.

There are two kinds. `unseen_*` goes by published folds, which anyone can rebuild from the ids alone (`divide.bucket`).
`held_out_*` holds out any exact share, drawn anew for each seed.
"""

from __future__ import annotations

from numbers import Integral
from typing import Self

import numpy as np
import pandas as pd

from gnnrec.data import divide
from gnnrec.data.candidates import candidates_of, check_candidates
from gnnrec.data.dataset import Dataset
from gnnrec.errors import ConfigError, DataError


class UnseenDivisions:
    """Class methods that hold movies or people out. Rows keep the order they have in the dataset."""

    @classmethod
    def _from_codes(
        cls,
        dataset: Dataset,
        codes: np.ndarray,
        line: str,
        *,
        with_support: bool = False,
        candidates: pd.DataFrame | None = None,
    ) -> Self:
        """Return a split of a part code per rating (-1 is in no part); `line` says how it was made."""
        raise NotImplementedError

    @classmethod
    def unseen_movies(cls, dataset: Dataset, fold: int = 0, *, candidates: str = "held-out") -> Self:
        """Hold out the movies of one of five fixed folds, with all their ratings.

        Movies of bucket `fold` are for test, those of bucket ``fold + 5`` for validation, all others train; the bucket
        of a movie is `gnnrec.data.divide.bucket` of its id. So over the five folds every movie is held out once, half
        of them for test. People who rated held-out movies only have no train row.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fold : int
            0 to 4.
        candidates : str
            ``"held-out"`` ranks the movies of a part among each other, ``"all"`` among all rated movies.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.

        Raises
        ------
        ConfigError
            There is no such fold, or no such choice of candidates.
        DataError
            There are so few movies that a part of this fold has none.
        """
        codes = divide.by_fold(dataset.ratings["movie_id"], fold, "movies")
        return cls._of_movies(dataset, codes, f"unseen movies, fold {fold} of {divide.FOLDS}", candidates)

    @classmethod
    def unseen_movies_by_time(cls, dataset: Dataset, *, candidates: str = "held-out") -> Self:
        """Hold out the newest tenth of the movies: those whose first rating came last.

        The tenth before them is for validation. Both shares are rounded down, but movies whose first rating is of the
        same second stay together in the later part. Older movies train with all their ratings, whenever these came.

        Parameters
        ----------
        dataset : Dataset
            What to divide; it needs timestamps.
        candidates : str
            As in `unseen_movies`.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset. The moments stand in its `protocol`.
        """
        times = pd.Series(divide.times_of(dataset, "unseen_movies_by_time"))
        ids = dataset.ratings["movie_id"]
        first = times.groupby(ids.to_numpy()).min()
        of_movies, begin = divide.by_time(first.to_numpy(), (0.8, 0.1, 0.1))
        codes = pd.Series(of_movies, index=first.index).reindex(ids).to_numpy()
        line = f"unseen movies by time, first rated from {divide.moments(begin)}"
        return cls._of_movies(dataset, codes, line, candidates)

    @classmethod
    def unseen_users(cls, dataset: Dataset, fold: int = 0, support: int = 5) -> Self:
        """Hold out the people of one of five fixed folds, but for their first ratings.

        People are held out by the hash of their id, as movies are in `unseen_movies`. The first `support` ratings of
        each (by time, equal times in file order; in file order without timestamps) become the part `support`, which is
        their history when they are tested; the others are valid or test. The train rows are the same for every
        `support`, so one model can be measured with all of them.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fold : int
            0 to 4.
        support : int
            Ratings per held-out person to be known; 0 tests people of whom only the profile is known. Who has no more
            than these has no test row.

        Returns
        -------
        Split
            With `support` set.

        Raises
        ------
        ConfigError
            There is no such fold, or `support` is no whole number of at least 0.
        DataError
            There are so few people that a part of this fold has none, or none with more than `support` ratings.
        """
        part = divide.by_fold(dataset.ratings["user_id"], fold, "users")
        rank, _ = divide.ranks(dataset.ratings["user_id"], divide.times_or_order(dataset))
        codes = np.where((part > 0) & (rank < _checked_support(support)), 3, part)
        line = f"unseen users, fold {fold} of {divide.FOLDS}, first {support} ratings known"
        _check_judged(codes, line)
        return cls._from_codes(dataset, codes, line, with_support=True)

    @classmethod
    def unseen_both(cls, dataset: Dataset, fold: int = 0, support: int = 5, *, candidates: str = "held-out") -> Self:
        """Hold out people and movies, to ask what somebody new would think of something new.

        People and movies of bucket `fold` are for test, those of bucket ``fold + 5`` for validation. The known movies
        of known people train. The first `support` ratings that a new person gave to known movies are their history, and
        their ratings of the new movies of their own part are what is asked. All other ratings are in no part.

        Parameters
        ----------
        dataset : Dataset
            What to divide.
        fold, support, candidates
            As in `unseen_users` and `unseen_movies`.

        Returns
        -------
        Split
            With `support` set. Raises what `unseen_users` does.
        """
        movies = dataset.ratings["movie_id"]
        user_part = divide.by_fold(dataset.ratings["user_id"], fold, "users")
        movie_part = divide.by_fold(movies, fold, "movies")
        known = movie_part == 0
        rank = np.full(len(movies), _checked_support(support))
        rank[known], _ = divide.ranks(dataset.ratings["user_id"][known], divide.times_or_order(dataset)[known])
        codes = np.select([user_part == movie_part, known & (rank < support)], [user_part, 3], default=-1)
        line = f"unseen users and movies, fold {fold} of {divide.FOLDS}, first {support} ratings known"
        _check_judged(codes, line)
        ranked = [movies[movie_part == part].unique() for part in (1, 2)]
        if check_candidates(candidates) == "all":
            ranked = [movies.unique()] * 2  # not the catalogue: a movie may have lost all its ratings
        line += f", among {candidates} movies"
        return cls._from_codes(dataset, codes, line, with_support=True, candidates=candidates_of(*map(np.sort, ranked)))

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
        _checked_support(support)
        ids = dataset.ratings["user_id"]
        rank, size = divide.ranks(ids, divide.times_or_order(dataset))
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

    @classmethod
    def _of_movies(cls, dataset: Dataset, codes: np.ndarray, line: str, candidates: str) -> Self:
        """Return a split of whole movies, and among which they are ranked."""
        line += f", among {check_candidates(candidates)} movies"
        _check_judged(codes, line)
        if candidates == "all":
            return cls._from_codes(dataset, codes, line)
        ids = dataset.ratings["movie_id"]
        own = candidates_of(*(np.sort(ids[codes == part].unique()) for part in (1, 2)))
        return cls._from_codes(dataset, codes, line, candidates=own)


def _checked_support(support: int) -> int:
    if not isinstance(support, Integral) or isinstance(support, bool) or support < 0:
        raise ConfigError(f"support must be a whole number of 0 or more, not {support!r}")
    return support


def _check_judged(codes: np.ndarray, line: str) -> None:
    """Refuse a division with nothing to choose on or to judge by: it would only be found out after training."""
    for code, part in ((1, "validation"), (2, "test")):
        if not (codes == code).any():
            raise DataError(f"{line}: no ratings are left for {part}; there is too little data for this")
