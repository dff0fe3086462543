"""`Split`: which ratings train, which choose the model, which judge it, and how they do.

A split is three frames of ratings and little else, so anyone can build one; the class methods are the usual
protocols. No pair of user and movie may be in two parts: that is how test ratings leak into training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.data import candidates as ranked_among
from gnnrec.data.dataset import Dataset
from gnnrec.data.divisions import Divisions
from gnnrec.data.negatives import checked, found
from gnnrec.data.parts import NOTED, PARTS, checked_whole, read_parts, write_parts
from gnnrec.data.protocols import check_scope
from gnnrec.data.vectors import MovieVectors
from gnnrec.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Split(Divisions):
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
        One line for reports: what was left out, and how the rows were divided.
    support : pandas.DataFrame, optional
        Ratings of held-out people that may serve as their history at test time, never in training.
    negatives : pandas.DataFrame, optional
        ``user_id, movie_id``: among these and the test movies alone each test user's list is made; see
        `with_negatives`. All movies are ranked when not given.
    mask : str
        What is left out of the lists: ``"train"`` rows, or ``"train+valid"``.
    history : str
        What is known of the people at test time: ``"train"`` rows, or ``"train+valid"`` (nothing is trained again;
        what is known is also left out of the lists).
    candidates : pandas.DataFrame, optional
        ``movie_id, part``: the movies that are ranked for the ``"valid"`` and for the ``"test"`` rows. The `catalogue`
        is ranked for both when not given.
    features : mapping of str to MovieVectors, optional
        As in `Dataset`.

    Raises
    ------
    DataError
        As for `Dataset`, when a user and movie occur in two parts (the message names both rows), for `negatives` as
        in `with_negatives`, and when a movie of `valid` or `test` is not among the `candidates` of that part.
    ConfigError
        Another `mask` or `history`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> Split.leave_last_out(make_sample(50, 40))
    Split('sample', leave last out: 919 train, 50 valid, 50 test)
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    movies: pd.DataFrame
    users: pd.DataFrame
    name: str
    features: Mapping[str, MovieVectors]
    protocol: str
    support: pd.DataFrame | None
    negatives: pd.DataFrame | None
    mask: str
    history: str
    candidates: pd.DataFrame | None

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
        negatives: pd.DataFrame | None = None,
        mask: str = "train",
        history: str = "train",
        candidates: pd.DataFrame | None = None,
        features: Mapping[str, MovieVectors] | None = None,
    ) -> None:
        given = {"train": train, "valid": valid, "test": test, "support": support}
        parts = {part: frame for part, frame in given.items() if frame is not None}
        whole = checked_whole(parts, movies, users, name)
        values: dict[str, Any] = {
            "support": None,
            "movies": whole.movies,
            "users": whole.users,
            "name": name,
            "features": dict(features or {}),
            "protocol": protocol,
            "mask": check_scope(mask, "mask"),
            "history": check_scope(history, "history"),
        }
        start = 0
        for part, frame in parts.items():
            values[part] = whole.ratings.iloc[start : start + len(frame)].reset_index(drop=True)
            start += len(frame)
        values["negatives"] = None if negatives is None else checked(negatives, whole, values["test"])
        values["candidates"] = None if candidates is None else ranked_among.checked(candidates, whole, values)
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in PARTS if getattr(self, part) is not None)
        return f"Split({self.name!r}, {self.protocol}: {sizes})"

    @property
    def dataset(self) -> Dataset:
        """The training ratings as a `Dataset`, with all movies and all users of the split."""
        return Dataset(self.train, self.movies, self.users, self.name, features=self.features)

    @property
    def catalogue(self) -> pd.Index:
        """Sorted ids of the movies that are rated in any part."""
        parts = [getattr(self, part)["movie_id"] for part in PARTS if getattr(self, part) is not None]
        return pd.Index(np.sort(pd.concat(parts).unique()), name="movie_id")

    def ranked(self, part: str = "test") -> pd.Index:
        """Return the sorted ids of the movies that are ranked for the ``"test"`` rows, or for the ``"valid"`` ones."""
        if part not in ranked_among.JUDGED:
            raise ConfigError(f"lists are made for {' or '.join(ranked_among.JUDGED)} rows, not for {part!r}")
        if self.candidates is None:
            return self.catalogue
        ids = self.candidates.loc[self.candidates["part"] == part, "movie_id"]
        return pd.Index(np.sort(ids), name="movie_id")

    def with_negatives(self, negatives: int | str | Path | pd.DataFrame, seed: int = 0) -> Split:
        """Return the split with a few movies per test user, among which alone the test movies are ranked.

        Parameters
        ----------
        negatives : int, path or pandas.DataFrame
            How many to draw for each user, from the `catalogue` without what the user has rated in any part; or those
            of a file or frame of ``user_id, movie_id``; or a file as published with NCF, of lines
            ``(user,movie)<tab>negative<tab>negative...`` with the ids of the dataset.
        seed : int
            Of the drawing.

        Raises
        ------
        DataError
            A movie is unknown or was rated by that user, or a test user has no negatives.
        ConfigError
            So many cannot be drawn.
        """
        parts = [getattr(self, part) for part in PARTS if getattr(self, part) is not None]
        whole = Dataset(pd.concat(parts), self.movies, self.users, self.name)
        frame, line = found(negatives, whole, self.test, seed)
        return self._with(negatives=frame, protocol=f"{self.protocol}, {line}")

    @classmethod
    def from_folder(cls, path: str | Path, dataset: Dataset | None = None) -> Split:
        """Read ``train``, ``valid`` and ``test`` (others if there) as .csv, .tsv or .parquet.

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
            return cls(**frames, features=None if dataset is None else dataset.features)
        except DataError as error:
            raise error.moved(place) from None

    def to_folder(self, path: str | Path) -> Path:
        """Write each part, movies and users as CSV; name, protocol, mask and history as ``split.json``.

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
        frames = {table: getattr(self, table) for table in (*PARTS, "negatives", "candidates", "movies", "users")}
        write_parts(folder, frames, {key: getattr(self, key) for key in NOTED})
        return folder

    @classmethod
    def _from_codes(
        cls,
        dataset: Dataset,
        codes: np.ndarray,
        line: str,
        *,
        with_support: bool = False,
        candidates: pd.DataFrame | None = None,
    ) -> Split:
        parts = {part: dataset.ratings[codes == code] for code, part in enumerate(PARTS[: 4 if with_support else 3])}
        line = f"{dataset.filters}, {line}" if dataset.filters else line
        known: dict[str, Any] = {
            "movies": dataset.movies,
            "users": dataset.users,
            "name": dataset.name,
            "features": dataset.features,
        }
        return cls(**parts, **known, protocol=line, candidates=candidates)

    def _with(self, **fields: Any) -> Split:
        """Return the split with other fields, which need no check against the rest."""
        made = copy.copy(self)
        for field, value in fields.items():
            object.__setattr__(made, field, value)
        return made
