"""`Split`: which ratings train, which choose the model, which judge it, and how they do.

A split is three frames of ratings and little else, so anyone can build one; the class methods are the usual
protocols. No pair of user and movie may be in two parts: that is how test ratings leak into training.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gnnrec._checks import raise_at_first
from gnnrec._io import write_atomic
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.data.dataset import write_csv
from gnnrec.data.schema import format_id, to_ids
from gnnrec.data.tables import locator, read_folder
from gnnrec.errors import ConfigError, DataError, Location
from gnnrec.splitting.negatives import check_negatives, resolve_negatives

PARTS = ("train", "valid", "test", "support")
SPLIT_FILE = "split.json"
SPLIT_FIELDS = ("name", "protocol", "mask", "history")
"""What the note beside the parts says."""


def check_parts(
    parts: dict[str, pd.DataFrame], movies: pd.DataFrame | None, users: pd.DataFrame | None, name: str
) -> Dataset:
    """Return all parts as one dataset: its checks are those of a split, pairs in two parts included."""
    if parts["train"].empty:
        raise DataError("train is empty; a split needs ratings to train on")
    filled = {part: frame for part, frame in parts.items() if len(frame)}  # an empty frame has no useful types
    for part, frame in filled.items():
        if set(frame.columns) != set(parts["train"].columns):
            theirs, ours = ", ".join(map(str, frame.columns)), ", ".join(map(str, parts["train"].columns))
            raise DataError(f"{part} has the columns {theirs} but train has {ours}; use the same in all parts")

    def part_of(table: str, row: int | None) -> Location:
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
        raise error.relocated(part_of) from None


def read_parts(folder: Path, dataset: Dataset | None) -> tuple[dict[str, Any], Callable[[str, int | None], Location]]:
    """Return the arguments of a `Split` that lies in a folder, and the function that names file and line of a row."""
    wanted = dict.fromkeys((*PARTS, "negatives"), "ratings") | {"candidates": "movies"}
    text_ids: set[str] = set()
    if dataset is None:
        wanted |= {"movies": "movies", "users": "users"}
    else:
        text_ids = {column for column in ("user_id", "movie_id") if dataset.ratings[column].dtype != "int64"}
    tables = read_folder(folder, wanted, required=PARTS[:3], text_ids=text_ids)
    frames: dict[str, Any] = {part: table.frame for part, table in tables.items()}
    name = folder.resolve().name
    note = {"name": name, "protocol": f"given files ({name})"} | _read_split_json(folder / SPLIT_FILE)
    if dataset is not None:
        note["name"] = dataset.name
        frames |= {"movies": dataset.movies, "users": dataset.users}
    return frames | note, locator(tables)


def write_parts(folder: Path, frames: dict[str, pd.DataFrame | None], note: dict[str, str]) -> None:
    """Write each frame as CSV; a frame that is None has no file, an older one is removed."""
    for table, frame in frames.items():
        path = folder / f"{table}.csv"
        if frame is None:
            path.unlink(missing_ok=True)
        else:
            write_csv(frame, path)
    write_atomic(folder / SPLIT_FILE, (json.dumps(note, indent=2) + "\n").encode())


def _read_split_json(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return {key: str(note[key]) for key in SPLIT_FIELDS if key in note}
    except (ValueError, TypeError) as error:
        raise DataError(f"no JSON object ({error}); correct or remove the file", at=str(path)) from None


SCOPES = ("train", "train+valid")
"""Which ratings are excluded from the lists (``mask``) and which are known at test time (``history``)."""

CANDIDATES = ("held-out", "all")
"""Among which movies unseen ones are ranked: those held out for the same part, or all rated ones."""

JUDGED = ("valid", "test")
"""The parts that lists are compared with."""


def candidate_table(valid: Iterable[Any], test: Iterable[Any]) -> pd.DataFrame:
    """Return ``movie_id, part`` of the movies that are ranked for each part."""
    both = zip(JUDGED, (valid, test), strict=True)
    return pd.concat(
        [pd.DataFrame({"movie_id": pd.Series(list(ids)), "part": part}) for part, ids in both], ignore_index=True
    )


def check_scope(value: Any, name: str) -> str:
    """Return a `mask` or `history` if it is one of `SCOPES`."""
    if value not in SCOPES:
        raise ConfigError(f"{name} must be one of {', '.join(SCOPES)}, not {value!r}")
    return str(value)


def check_candidates(value: Any) -> str:
    """Return a name after checking that it is one of `CANDIDATES`."""
    if value not in CANDIDATES:
        raise ConfigError(f"candidates must be one of {', '.join(CANDIDATES)}, not {value!r}")
    return str(value)


def check_candidate_table(candidates: pd.DataFrame, whole: Dataset, parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return candidates as they stand in a `Split`: ``movie_id, part``.

    A `DataError` names the row of a movie that nobody knows, that stands there twice, or is for no part that is judged,
    and a row of valid or test whose movie would not be ranked.
    """
    if not isinstance(candidates, pd.DataFrame) or not {"movie_id", "part"} <= set(candidates.columns):
        raise DataError("candidates must be a DataFrame with the columns movie_id and part")
    rows = candidates[["movie_id", "part"]].reset_index(drop=True)
    rows = rows.assign(movie_id=to_ids(rows["movie_id"], "candidates"))
    known = whole.movies["movie_id"]
    for bad, problem in (
        (~rows["part"].isin(JUDGED), "part {part} is not one of " + ", ".join(JUDGED)),
        (~rows["movie_id"].isin(known), "movie {movie_id} is not in the movies table; candidates must be known movies"),
        (rows.duplicated(), "movie {movie_id} is a candidate for {part} twice; keep one of the rows"),
    ):
        raise_at_first(bad, "candidates", lambda row: problem.format(**rows.map(format_id).iloc[row]))  # noqa: B023
    for part in JUDGED:
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
    features : mapping of str to ContentEmbeddings, optional
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
    >>> rows = [pd.DataFrame({"user_id": [1, 2], "movie_id": [10, movie]}) for movie in (10, 20)]
    >>> train, test = rows[0], rows[1].iloc[1:]
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
    dataset: Dataset
    """The training ratings, with all movies and users of the split."""

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
        features: Mapping[str, ContentEmbeddings] | None = None,
    ) -> None:
        given = {"train": train, "valid": valid, "test": test, "support": support}
        parts = {part: frame for part, frame in given.items() if frame is not None}
        whole = check_parts(parts, movies, users, name)
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
        values["dataset"] = whole.take(np.arange(len(train))).with_only_features(values["features"])
        values["negatives"] = None if negatives is None else check_negatives(negatives, whole, values["test"])
        values["candidates"] = None if candidates is None else check_candidate_table(candidates, whole, values)
        self._set(**values)

    def _set(self, **fields: Any) -> None:
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in PARTS if getattr(self, part) is not None)
        return f"Split({self.name!r}, {self.protocol}: {sizes})"

    @property
    def catalogue(self) -> pd.Index:
        """Sorted ids of the movies that are rated in any part."""
        parts = [getattr(self, part)["movie_id"] for part in PARTS if getattr(self, part) is not None]
        return pd.Index(np.sort(pd.concat(parts).unique()), name="movie_id")

    def candidates_for(self, part: str = "test") -> pd.Index:
        """Return the sorted ids of the movies that are ranked for the ``"test"`` rows, or for the ``"valid"`` ones."""
        if part not in JUDGED:
            raise ConfigError(f"lists are made for {' or '.join(JUDGED)} rows, not for {part!r}")
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
        whole = Dataset.trusted(pd.concat(parts, ignore_index=True), self.movies, self.users, self.name)
        frame, line = resolve_negatives(negatives, whole, self.test, seed)
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
            raise error.relocated(place) from None

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
        write_parts(folder, frames, {key: getattr(self, key) for key in SPLIT_FIELDS})
        return folder

    @classmethod
    def from_codes(
        cls,
        dataset: Dataset,
        codes: np.ndarray,
        line: str,
        *,
        with_support: bool = False,
        candidates: pd.DataFrame | None = None,
    ) -> Split:
        """Build a split from a part code per rating; this is what splitters return.

        Parameters
        ----------
        dataset : Dataset
        codes : numpy.ndarray
            ``[num_ratings]`` int, 0 train, 1 valid, 2 test, 3 support, -1 dropped.
        line : str
            How the ratings were split, for reports.
        with_support : bool
            Whether code 3 is used.
        candidates : pandas.DataFrame, optional
            As for `Split`.
        """
        parts = PARTS[: 4 if with_support else 3]
        values: dict[str, Any] = {"support": None, "negatives": None, "mask": "train", "history": "train"}
        values |= {
            part: dataset.ratings[codes == code].reset_index(drop=True) for code, part in enumerate(parts) if code
        }
        train = dataset.take(codes == 0)
        if not train.num_ratings:
            raise DataError("train is empty; a split needs ratings to train on")
        made = cls.__new__(cls)  # its rows come from a dataset, so they need no further checks
        made._set(
            **values,
            train=train.ratings,
            dataset=train,
            movies=dataset.movies,
            users=dataset.users,
            name=dataset.name,
            features=dict(dataset.features),
            protocol=f"{dataset.filters}, {line}" if dataset.filters else line,
            candidates=None,
        )
        if candidates is None:
            return made
        return made._with(candidates=check_candidate_table(candidates, dataset, values))

    def with_scopes(self, *, mask: str | None = None, history: str | None = None) -> Split:
        """Return the split with another `mask` or `history`."""
        given = {"mask": mask, "history": history}
        return self._with(**{name: check_scope(value, name) for name, value in given.items() if value is not None})

    def _with(self, **fields: Any) -> Split:
        """Return the split with other fields, which need no check against the rest."""
        made = copy.copy(self)
        made._set(**fields)
        return made
