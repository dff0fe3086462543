"""`Split`: which ratings train, which choose the model, which judge it.

A split is three frames of ratings and nothing else, so anyone can build one; the class methods are the usual
protocols. No pair of user and movie may be in two parts: that is how test ratings leak into training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec.data import divide
from gnnrec.data.dataset import Dataset
from gnnrec.data.parts import PARTS, checked_whole, read_parts, write_parts
from gnnrec.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Split:
    """Train, validation and test ratings of one dataset.

    Parameters
    ----------
    train, valid, test : pandas.DataFrame
        Ratings with the columns of `Dataset.ratings`, the same in every part. `train` needs a row; `valid`
        and `test` may be empty (then nothing can be chosen, or reported, on them).
    movies, users : pandas.DataFrame, optional
        As in `Dataset`; derived from the rows of all parts when not given.
    name : str
        Name of the dataset.
    protocol : str
        One line for reports: how the rows were divided.
    support : pandas.DataFrame, optional
        Ratings of held-out people that may serve as their history at test time, never in training.

    Raises
    ------
    DataError
        As for `Dataset`, and when a user and movie occur in two parts; the message names both rows.

    Examples
    --------
    >>> from gnnrec.data import make_sample
    >>> Split.leave_last_out(make_sample(50, 40))
    Split('sample', leave last out: 919 train, 50 valid, 50 test)
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    movies: pd.DataFrame
    users: pd.DataFrame
    name: str
    protocol: str
    support: pd.DataFrame | None

    # Written out because None is accepted for frames that are never None afterwards.
    def __init__(
        self,
        train: pd.DataFrame,
        valid: pd.DataFrame,
        test: pd.DataFrame,
        movies: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        name: str = "custom",
        protocol: str = "as given",
        support: pd.DataFrame | None = None,
    ) -> None:
        given = {"train": train, "valid": valid, "test": test, "support": support}
        parts = {part: frame for part, frame in given.items() if frame is not None}
        whole = checked_whole(parts, movies, users, name)
        values = {
            "support": None,
            "movies": whole.movies,
            "users": whole.users,
            "name": name,
            "protocol": protocol,
        }
        start = 0
        for part, frame in parts.items():
            values[part] = whole.ratings.iloc[start : start + len(frame)].reset_index(drop=True)
            start += len(frame)
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in PARTS if getattr(self, part) is not None)
        return f"Split({self.name!r}, {self.protocol}: {sizes})"

    @property
    def dataset(self) -> Dataset:
        """The training ratings as a `Dataset`, with all movies and all users of the split."""
        return Dataset(self.train, self.movies, self.users, self.name)

    @property
    def catalogue(self) -> pd.Index:
        """Sorted ids of the movies that are rated in any part."""
        parts = [getattr(self, part)["movie_id"] for part in PARTS if getattr(self, part) is not None]
        return pd.Index(np.sort(pd.concat(parts).unique()), name="movie_id")

    @classmethod
    def random(cls, dataset: Dataset, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0) -> Split:
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
        return _from_codes(dataset, codes, f"random per user {divide.shares(fractions)}, seed {seed}")

    @classmethod
    def chronological(cls, dataset: Dataset, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)) -> Split:
        """Divide each user's ratings by time: the oldest train, the newest test.

        Ratings of the same second keep their order in the file. Small users are treated as in `random`.

        Parameters
        ----------
        dataset : Dataset
            What to divide; it needs timestamps.
        fractions : tuple of float
            Shares of train, valid and test; they sum to 1.

        Returns
        -------
        Split
            Rows keep the order they have in the dataset.
        """
        codes = divide.by_fractions(dataset.ratings["user_id"], _times(dataset, "chronological"), fractions)
        return _from_codes(dataset, codes, f"chronological per user {divide.shares(fractions)}")

    @classmethod
    def leave_last_out(cls, dataset: Dataset) -> Split:
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
        return _from_codes(dataset, codes, "leave last out")

    @classmethod
    def held_out_users(cls, dataset: Dataset, fraction: float = 0.1, support: int = 5, seed: int = 0) -> Split:
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
        return _from_codes(dataset, codes, line, with_support=True)

    @classmethod
    def held_out_movies(cls, dataset: Dataset, fraction: float = 0.1, seed: int = 0) -> Split:
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
        return _from_codes(dataset, codes, f"held-out movies {fraction:g}+{fraction:g}, seed {seed}")

    @classmethod
    def from_folder(cls, path: str | Path, dataset: Dataset | None = None) -> Split:
        """Read ``train``, ``valid`` and ``test`` (and ``support`` if there) as .csv, .tsv or .parquet.

        Parameters
        ----------
        path : str or Path
            The folder.
        dataset : Dataset, optional
            Where movies, users and the name come from. Without it ``movies`` and ``users`` files beside the
            parts are used, else both are derived from the rows.

        Returns
        -------
        Split
            Rows in the order of the files.

        Raises
        ------
        DataError
            As for `Split`, with file and line.
        """
        frames, place = read_parts(Path(path), dataset)
        try:
            return cls(**frames)
        except DataError as error:
            raise error.moved(place) from None

    def to_folder(self, path: str | Path) -> Path:
        """Write each part, movies and users as CSV, and name and protocol as ``split.json``.

        Parameters
        ----------
        path : str or Path
            Folder; made when missing.

        Returns
        -------
        Path
            The folder, which `from_folder` reads back.
        """
        folder = Path(path)
        frames = {table: getattr(self, table) for table in (*PARTS, "movies", "users")}
        write_parts(folder, frames, {"name": self.name, "protocol": self.protocol})
        return folder


def _from_codes(dataset: Dataset, codes: np.ndarray, protocol: str, *, with_support: bool = False) -> Split:
    """Build a split from a part code per rating."""
    parts = {part: dataset.ratings[codes == code] for code, part in enumerate(PARTS[: 4 if with_support else 3])}
    return Split(**parts, movies=dataset.movies, users=dataset.users, name=dataset.name, protocol=protocol)


def _times(dataset: Dataset, protocol: str) -> np.ndarray:
    if "timestamp" not in dataset.ratings:
        raise DataError(f"{dataset.name} has no timestamps, which {protocol} needs; use Split.random")
    return dataset.ratings["timestamp"].to_numpy()
