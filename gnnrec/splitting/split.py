"""`Split`: training, validation and test ratings of a dataset, and how models are evaluated on them.

A split can be made from any data frames of ratings; the functions in `gnnrec.splitting.splitters` make the usual ones.
A rating may be in one part only, so test ratings cannot leak into training.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import as_path, raise_at_first, shown
from gnnrec._io import own_file, read_json, write_atomic
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.convert import format_id, to_ids
from gnnrec.data.embeddings import check_features
from gnnrec.data.frames import take_rows, write_csv
from gnnrec.data.tables import find_table, locator, read_folder
from gnnrec.errors import ConfigError, DataError, Location
from gnnrec.splitting.negatives import check_negatives, resolve_negatives

PARTS = ("train", "valid", "test", "support")
EVALUATED_PARTS = ("valid", "test")
MASK_AND_HISTORY_CHOICES = ("train", "train+valid")
"""Ratings that are excluded from ranked lists (``mask``), or known at test time (``history``)."""
SPLIT_FILE = "split.json"
SPLIT_FIELDS = ("name", "protocol", "mask", "history")
"""Fields that `SPLIT_FILE` stores; `request_times` only if it is true."""
EMPTY_TRAIN = "the training set is empty; a split needs training ratings"


def check_mask_or_history(value: Any, name: str) -> str:
    """Return a `mask` or `history`; raise `ConfigError` unless it is one of `MASK_AND_HISTORY_CHOICES`."""
    if not isinstance(value, str) or value not in MASK_AND_HISTORY_CHOICES:
        raise ConfigError(f"{name} must be one of {', '.join(MASK_AND_HISTORY_CHOICES)}, not {shown(value)}")
    return str(value)


def check_request_times(value: Any, ratings: pd.DataFrame) -> bool:
    """Return `request_times`; raise `ConfigError` unless it is a bool, or if timestamps are missing."""
    if not isinstance(value, bool):
        raise ConfigError(f"request_times must be true or false, not {value!r}")
    if value and "timestamp" not in ratings:
        raise ConfigError("request_times needs timestamps, which the ratings do not have")
    return value


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Split:
    """Training, validation and test ratings of one dataset.

    Parameters
    ----------
    train, valid, test : pandas.DataFrame
        Ratings with the columns of `Dataset.ratings`, the same in every part. `train` must not be empty.
    movies, users : pandas.DataFrame, optional
        As in `Dataset`; derived from the ratings of all parts by default.
    name : str
        Name of the dataset.
    protocol : str
        Filters and splitter, for reports.
    support : pandas.DataFrame, optional
        Ratings of held-out users that are their history at test time and never used in training.
    negatives : pandas.DataFrame, optional
        ``user_id, movie_id``: rank each user's test movies among these only; see `with_negatives`. All candidates are
        ranked by default.
    mask : str
        Ratings excluded from the ranked lists: ``"train"`` or ``"train+valid"``.
    history : str
        Ratings known at test time: ``"train"`` or ``"train+valid"``. Models are not trained on the validation ratings.
        Known ratings are also excluded from the lists.
    candidates : pandas.DataFrame, optional
        ``movie_id, part``: the movies to rank for ``"valid"`` and for ``"test"``; by default the `catalog` for both.
    request_times : bool
        Whether models are given the time of each user's request: that of the first test (or validation) rating. Later
        known ratings are ignored. A service always knows this time; many published results do not use it.
    features : mapping of str to ContentEmbeddings, optional
        As in `Dataset`.

    Raises
    ------
    DataError
        As for `Dataset`; a rating is in two parts; invalid `negatives`, see `with_negatives`; or a movie of `valid` or
        `test` is not among the `candidates` of that part.
    ConfigError
        Invalid `mask` or `history`, or `request_times` without timestamps.

    Examples
    --------
    >>> train = pd.DataFrame({"user_id": [1, 2], "movie_id": [10, 10]})
    >>> test = pd.DataFrame({"user_id": [2], "movie_id": [20]})
    >>> Split(train, test.iloc[:0], test)
    Split('custom', as given: 2 train, 0 valid, 1 test)
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    movies: pd.DataFrame
    users: pd.DataFrame
    name: str
    features: Mapping[str, ContentEmbeddings]
    protocol: str
    support: pd.DataFrame | None
    negatives: pd.DataFrame | None
    mask: str
    history: str
    candidates: pd.DataFrame | None
    request_times: bool
    dataset: Dataset = field(init=False)
    """The training ratings, with all movies and users of the split."""

    # Written by hand because arguments and fields differ in type: movies, users and features may be None.
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
        features: Mapping[str, ContentEmbeddings] | None = None,
        request_times: bool = False,
    ) -> None:
        given = {"train": train, "valid": valid, "test": test, "support": support}
        for part, frame in given.items():
            if not isinstance(frame, pd.DataFrame) and not (part == "support" and frame is None):
                raise DataError(f"{part} must be a pandas DataFrame, not {type(frame).__name__}")
        check_features(features)
        parts = {part: frame for part, frame in given.items() if frame is not None}
        whole = _join_parts(parts, movies, users, name)
        values: dict[str, Any] = {
            "support": None,
            "movies": whole.movies,
            "users": whole.users,
            "name": name,
            "features": dict(features or {}),
            "protocol": protocol,
            "mask": check_mask_or_history(mask, "mask"),
            "history": check_mask_or_history(history, "history"),
            "request_times": check_request_times(request_times, train),
        }
        start = 0
        for part, frame in parts.items():
            values[part] = whole.ratings.iloc[start : start + len(frame)].reset_index(drop=True)
            start += len(frame)
        values["dataset"] = whole.take(np.arange(len(train))).with_only_features(values["features"])
        values["negatives"] = None if negatives is None else check_negatives(negatives, whole, values["test"])
        values["candidates"] = None if candidates is None else _check_candidates(candidates, whole, values)
        self._set(**values)

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in PARTS if getattr(self, part) is not None)
        return f"Split({self.name!r}, {self.protocol}: {sizes})"

    @property
    def catalog(self) -> pd.Index:
        """Sorted ids of the movies with ratings in any part."""
        parts = [getattr(self, part)["movie_id"] for part in PARTS if getattr(self, part) is not None]
        found = [part.drop_duplicates() for part in parts]  # the training ratings may be larger than memory
        ids: pd.Index = pd.Index(np.sort(pd.concat(found).unique()), name="movie_id")
        return ids

    def candidates_for(self, part: str = "test") -> pd.Index:
        """Return the sorted ids of the movies to rank for a part, ``"test"`` or ``"valid"``."""
        if part not in EVALUATED_PARTS:
            raise ConfigError(f"part must be one of {', '.join(EVALUATED_PARTS)}, not {shown(part)}")
        if self.candidates is None:
            return self.catalog
        rows = self.candidates["part"] == part
        ids: pd.Index = pd.Index(np.sort(self.candidates.loc[rows, "movie_id"]), name="movie_id")
        return ids

    def with_negatives(self, negatives: int | str | Path | pd.DataFrame, seed: int = 0) -> Split:
        """Return the split with negatives: each user's test movies are ranked among these movies only.

        Parameters
        ----------
        negatives : int, path or pandas.DataFrame
            A number of movies to sample for each user from the `catalog`, except movies that the user has rated in any
            part; a file or frame of ``user_id, movie_id``; or a file in the format published with NCF, with lines
            ``(user,movie)<tab>negative<tab>negative...`` and the ids of the dataset.
        seed : int
            Random seed for sampling.

        Raises
        ------
        DataError
            A movie is unknown or was rated by that user before the test, or a test user has no negatives.
        ConfigError
            There are not enough unrated movies to sample this many negatives.
        """
        parts = [getattr(self, part) for part in PARTS if getattr(self, part) is not None]
        whole = Dataset.from_validated(pd.concat(parts, ignore_index=True), self.movies, self.users, self.name)
        frame, description = resolve_negatives(negatives, whole, self.test, seed)
        return self._with(negatives=frame, protocol=f"{self.protocol}, {description}")

    def with_request_times(self, request_times: bool = True) -> Split:
        """Return the split with another value of `request_times`."""
        told = check_request_times(request_times, self.train)
        return self._with(request_times=told)

    def with_mask_and_history(self, *, mask: str | None = None, history: str | None = None) -> Split:
        """Return the split with another `mask` or `history`."""
        given = {name: value for name, value in (("mask", mask), ("history", history)) if value is not None}
        return self._with(**{name: check_mask_or_history(value, name) for name, value in given.items()})

    def _with(self, **fields: Any) -> Split:
        """Return the split with other fields, without checking them against the rest."""
        made = copy.copy(self)
        made._set(**fields)
        return made

    @classmethod
    def from_codes(
        cls,
        dataset: Dataset,
        codes: np.ndarray,
        protocol: str,
        *,
        with_support: bool = False,
        candidates: pd.DataFrame | None = None,
    ) -> Split:
        """Build a split from a part code per rating; splitters end with this.

        Parameters
        ----------
        dataset : Dataset
            All ratings.
        codes : numpy.ndarray
            ``[num_ratings]`` int: 0 train, 1 valid, 2 test, 3 support, -1 dropped.
        protocol : str
            Description of the splitter, for reports; the filters of the dataset are put in front.
        with_support : bool
            Whether the split has `support`, even if no code is 3.
        candidates : pandas.DataFrame, optional
            As for `Split`.

        Raises
        ------
        DataError
            The training set is empty, or a movie of another part is not among its `candidates`.

        Examples
        --------
        >>> ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})
        >>> Split.from_codes(Dataset(ratings), np.array([0, 2, 0]), "by hand")
        Split('custom', by hand: 2 train, 0 valid, 1 test)
        """
        parts = PARTS[: 4 if with_support else 3]
        values: dict[str, Any] = {"support": None, "negatives": None, "mask": "train", "history": "train"}
        values["request_times"] = False
        values |= {
            part: take_rows(dataset.ratings, np.flatnonzero(codes == code)) for code, part in enumerate(parts) if code
        }
        train = dataset.take(codes == 0)
        if not train.num_ratings:
            raise DataError(EMPTY_TRAIN)
        made = cls.__new__(cls)  # The ratings come from a dataset, so they need no further checks.
        made._set(
            **values,
            train=train.ratings,
            dataset=train,
            movies=dataset.movies,
            users=dataset.users,
            name=dataset.name,
            features=dict(dataset.features),
            protocol=f"{dataset.filters}, {protocol}" if dataset.filters else protocol,
            candidates=None,
        )
        if candidates is None:
            return made
        return made._with(candidates=_check_candidates(candidates, dataset, values))

    @classmethod
    def from_folder(cls, path: str | Path, dataset: Dataset | None = None) -> Split:
        """Read a split from ``train``, ``valid`` and ``test`` files (.csv, .tsv or .parquet) in a folder.

        ``support``, ``negatives``, ``candidates`` and ``split.json`` are read if present.

        Parameters
        ----------
        path : str or Path
            The folder.
        dataset : Dataset, optional
            Source of movies, users, features and name. Without it, ``movies`` and ``users`` files in the folder are
            used if present, else both are derived from the ratings.

        Returns
        -------
        Split
            Rows in the order of the files.

        Raises
        ------
        DataError
            As for `Split`, with file and line.
        """
        arguments, locate = _read_folder(as_path(path, "the folder of a split"), dataset)
        try:
            return cls(**arguments, features=None if dataset is None else dataset.features)
        except DataError as error:
            raise error.relocated(locate) from None

    def to_folder(self, path: str | Path) -> Path:
        """Write parts, negatives, candidates, movies and users as CSV files, other fields as ``split.json``.

        `features` are not written.

        Parameters
        ----------
        path : str or Path
            The folder; created if missing.

        Returns
        -------
        Path
            The folder, which `from_folder` reads.
        """
        folder = as_path(path, "the folder of a split")
        for table in (*PARTS, "negatives", "candidates", "movies", "users"):
            frame, file = getattr(self, table), folder / f"{table}.csv"
            if frame is None:
                file.unlink(missing_ok=True)  # from an earlier split
            else:
                write_csv(frame, file)
        fields = {key: getattr(self, key) for key in SPLIT_FIELDS}
        if self.request_times:
            fields["request_times"] = True
        write_atomic(folder / SPLIT_FILE, (json.dumps(fields, indent=2) + "\n").encode())
        return folder


def _join_parts(
    parts: dict[str, pd.DataFrame], movies: pd.DataFrame | None, users: pd.DataFrame | None, name: str
) -> Dataset:
    """Return all parts as one dataset, whose checks include ratings that are in two parts."""
    if parts["train"].empty:
        raise DataError(EMPTY_TRAIN)
    filled = {part: frame for part, frame in parts.items() if len(frame)}  # dtypes of empty frames are meaningless
    for part, frame in filled.items():
        if not frame.columns.is_unique:
            raise DataError(f"{part} has two columns of the same name; keep one of them")
        if set(frame.columns) != set(parts["train"].columns):
            columns, expected = (", ".join(map(str, rows.columns)) for rows in (frame, parts["train"]))
            raise DataError(f"{part} has the columns {columns} but train has {expected}; use the same in all parts")

    def locate(table: str, row: int | None) -> Location:
        if table != "ratings" or row is None:
            return table, row
        for part, frame in filled.items():
            if row < len(frame):
                return part, row
            row -= len(frame)
        return table, row

    try:
        return Dataset(pd.concat(filled.values(), ignore_index=True), movies, users, name)
    except DataError as error:
        raise error.relocated(locate) from None


def _check_candidates(candidates: pd.DataFrame, whole: Dataset, parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return checked candidates, ``movie_id, part``."""
    if not isinstance(candidates, pd.DataFrame) or not {"movie_id", "part"} <= set(candidates.columns):
        raise DataError("candidates must be a DataFrame with the columns movie_id and part")
    rows = candidates[["movie_id", "part"]].reset_index(drop=True)
    rows = rows.assign(movie_id=to_ids(rows["movie_id"], "candidates"))
    known = whole.movies["movie_id"]
    for bad, problem in (
        (~rows["part"].isin(EVALUATED_PARTS), f"part {{part}} is not one of {', '.join(EVALUATED_PARTS)}"),
        (~rows["movie_id"].isin(known), "movie {movie_id} is not in the movies table; candidates must be known movies"),
        (rows.duplicated(), "movie {movie_id} is listed twice as a candidate for {part}; keep one row"),
    ):
        raise_at_first(bad, "candidates", lambda row: problem.format(**rows.map(format_id).iloc[row]))  # noqa: B023
    for part in EVALUATED_PARTS:
        ids = parts[part]["movie_id"]
        raise_at_first(
            ~ids.isin(rows.loc[rows["part"] == part, "movie_id"]),
            part,
            lambda row: (
                f"movie {format_id(ids.iloc[row])} is in {part} but not among the candidates, "  # noqa: B023
                "so it can never be ranked"
            ),
        )
    return rows


def _read_folder(folder: Path, dataset: Dataset | None) -> tuple[dict[str, Any], Callable[[str, int | None], Location]]:
    """Return the arguments of the `Split` in a folder, and the function that maps a row to its file and line."""
    kinds = dict.fromkeys((*PARTS, "negatives"), "ratings") | {"candidates": "movies"}
    text_ids: set[str] = set()
    if dataset is None:
        kinds |= {"movies": "movies", "users": "users"}
    else:
        text_ids = {column for column in ("user_id", "movie_id") if dataset.ratings[column].dtype != "int64"}
    if folder.is_dir() and find_table(folder, "train") is not None and find_table(folder, "valid") is None:
        raise DataError(
            f"{folder} has no valid.csv (or .tsv, .parquet); without validation ratings, write one that has only "
            "the header of train"
        )
    tables = read_folder(folder, kinds, required=PARTS[:3], text_ids=text_ids)
    arguments: dict[str, Any] = {part: table.frame for part, table in tables.items()}
    name = folder.resolve().name
    fields: dict[str, Any] = {"name": name, "protocol": f"given files ({name})"} | _read_split_file(
        own_file(folder, SPLIT_FILE)
    )
    if dataset is not None:
        fields["name"] = dataset.name
        arguments |= {"movies": dataset.movies, "users": dataset.users}
    return arguments | fields, locator(tables)


def _read_split_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        fields = read_json(path)
        texts = {key: str(fields[key]) for key in SPLIT_FIELDS if key in fields}
        return texts | {"request_times": fields["request_times"]} if "request_times" in fields else texts
    except (ValueError, TypeError) as error:
        raise DataError(f"not a JSON object ({error}); correct or remove the file", at=str(path)) from None
