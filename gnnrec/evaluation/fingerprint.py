"""`Fingerprint`: digest of everything besides the model that a metric depends on; equal digests are comparable.

Digests are published with results, so the hashes and the texts that `Fingerprint.digest` is computed from must never
change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.evaluation.metrics import DEFINITIONS
from gnnrec.splitting import Split
from gnnrec.splitting.split import PARTS

COLUMNS = ("user_id", "movie_id")


@dataclass(frozen=True)
class Rows:
    """Summary of ``user_id, movie_id`` rows: number of rows, users and movies; digest of pairs and weights."""

    rows: int
    users: int
    movies: int
    digest: str

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Rows:
        """Summarize a frame; the digest depends neither on the order of rows nor on the type of the ids."""
        mixed = np.zeros(len(frame), dtype=np.uint64)
        for column in COLUMNS:
            codes, ids = pd.factorize(frame[column])
            mixed = _mix(mixed ^ _hash_ids(ids)[codes])
        if "weight" in frame:  # digests of data without weights were published before weights existed
            weights = frame["weight"].to_numpy(dtype="<f4").view("<u4").astype(np.uint64)
            mixed = _mix(mixed ^ _mix(weights))
        return cls(len(frame), frame["user_id"].nunique(), frame["movie_id"].nunique(), _digest(mixed))

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.users:,} users, {self.movies:,} movies ({self.digest})"


@dataclass(frozen=True)
class Fingerprint:
    """The protocol that an evaluation followed.

    Attributes
    ----------
    dataset, protocol : str
        Names. They do not enter the `digest`, because the same rows may have different names.
    parts : dict of str to Rows
        Train, valid, test, and support if there is one.
    history : str
        Ratings known at test time.
    mask : str
        Ratings excluded from the ranked lists.
    candidates : str
        Movies that are ranked.
    metrics : str
        `gnnrec.evaluation.metrics.DEFINITIONS`.
    graph : Rows, optional
        Ratings in the graph of the model if they are not the training ratings.
    request_times : str
        Digest of the request times of the users, if models are given them.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import leave_one_out
    >>> split = leave_one_out(make_sample(50, 40))
    >>> Fingerprint.from_split(split).digest == Fingerprint.from_split(split, mask="train+valid").digest
    False
    """

    dataset: str
    protocol: str
    parts: dict[str, Rows]
    history: str
    mask: str
    candidates: str
    metrics: str = DEFINITIONS
    graph: Rows | None = None
    request_times: str = ""

    @classmethod
    def from_split(
        cls,
        split: Split,
        *,
        mask: str | pd.DataFrame | None = None,
        history: str | pd.DataFrame | None = None,
        candidates: Iterable[Any] | None = None,
        negatives: pd.DataFrame | None = None,
        graph: pd.DataFrame | None = None,
        request_times: bool | None = None,
    ) -> Fingerprint:
        """Return the fingerprint of `evaluate` with the same arguments.

        Parameters
        ----------
        split : Split
            Test data.
        mask, history, candidates, negatives, request_times
            As for `evaluate`.
        graph : pandas.DataFrame, optional
            Ratings in the graph of the model; the training ratings by default.
        """
        history = split.history if history is None else history
        mask = split.mask if mask is None else mask
        if isinstance(history, str) and isinstance(mask, str):
            mask = max(mask, history, key=len)  # known ratings are excluded, too
        negatives = split.negatives if negatives is None else negatives
        ids = split.candidates_for() if candidates is None else pd.Index(list(candidates)).unique()
        ranked = f"{len(ids):,} movies ({_digest(_mix(_hash_ids(ids)))})"
        if negatives is not None:
            negatives = negatives[negatives["user_id"].isin(split.test["user_id"])]
            counts = negatives.groupby("user_id").size()
            number = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
            summary = Rows.from_frame(negatives)
            ranked = f"test movies and {number} negatives of each user ({summary.digest}) among {ranked}"
        told = split.request_times if request_times is None else request_times
        parts = {part: Rows.from_frame(rows) for part in PARTS if (rows := getattr(split, part)) is not None}
        in_graph = parts["train"] if graph is None else Rows.from_frame(graph)
        return cls(
            dataset=split.name,
            protocol=split.protocol,
            parts=parts,
            history=_describe(history),
            mask=_describe(mask),
            candidates=ranked,
            graph=None if in_graph == parts["train"] else in_graph,
            request_times=_times_digest(split.test) if told else "",
        )

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that identify the rows and rules, regardless of their names."""
        parts = {part: (rows.rows, rows.digest) for part, rows in self.parts.items()}
        # Published digests are computed from these words, so they must not change.
        history = self.history if self.graph is None else f"{self.history}, but in the graph not train but {self.graph}"
        told = [self.request_times] if self.request_times else []
        text = json.dumps([parts, history, self.mask, self.candidates, self.metrics, *told])
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def __str__(self) -> str:
        parts = "; ".join(f"{part} {rows}" for part, rows in self.parts.items())
        graph = "" if self.graph is None else f" (model graph: {self.graph})"
        return (
            f"{self.digest} = {self.dataset}, {self.protocol}; {parts}; history {self.history}{graph}; "
            f"masked {self.mask}; ranked {self.candidates}; metrics {self.metrics}"
            f"{f'; told the request times ({self.request_times})' if self.request_times else ''}"
        )


def _describe(ratings: str | pd.DataFrame) -> str:
    return ratings if isinstance(ratings, str) else f"{Rows.from_frame(ratings)} as given"


def _times_digest(test: pd.DataFrame) -> str:
    """Return a digest of the time of each user's first test rating."""
    first = test.groupby("user_id", sort=False)["timestamp"].min()
    return _digest(_mix(_hash_ids(first.index) ^ first.to_numpy().astype(np.uint64)))


def _digest(numbers: np.ndarray) -> str:
    """Return eight hexadecimal digits, independent of the order of the numbers."""
    total = f"{len(numbers)} {np.sum(numbers, dtype=np.uint64)}"
    return hashlib.blake2b(total.encode(), digest_size=4).hexdigest()


def _hash_ids(ids: Iterable[Any]) -> np.ndarray:
    """Return a 64-bit hash of each id."""
    digests = b"".join(hashlib.blake2b(str(identity).encode(), digest_size=8).digest() for identity in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """Mix the bits of 64-bit numbers (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014).

    Without it, the sum over rows would be a sum over users plus a sum over movies, independent of which user rated
    which movie.
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
