"""`Fingerprint`: what a number depends on besides the model, so that only like is compared with like."""

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
    """Some ``user_id, movie_id`` rows in short: how many, of how many users and movies, and a digest of the pairs."""

    rows: int
    users: int
    movies: int
    digest: str

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Rows:
        """Count the rows; the digest does not depend on their order, nor on whether ids are numbers or text."""
        mixed = np.zeros(len(frame), dtype=np.uint64)
        for column in COLUMNS:
            codes, ids = pd.factorize(frame[column])
            mixed = _mixed(mixed ^ _hashes(ids)[codes])
        return cls(len(frame), frame["user_id"].nunique(), frame["movie_id"].nunique(), _digest(mixed))

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.users:,} users, {self.movies:,} movies ({self.digest})"


@dataclass(frozen=True)
class Fingerprint:
    """A protocol as it was really followed.

    Attributes
    ----------
    dataset, protocol : str
        Name, and in words what was left out and how the rest was divided. Two people may call the same rows by
        different names, so these do not enter the `digest`.
    parts : dict of str to Rows
        Train, valid, test, and support where there is one.
    history, mask : str
        What is known of people at test time, and what is left out of the lists.
    candidates : str
        Which movies are ranked.
    metrics : str
        `gnnrec.evaluation.metrics.DEFINITIONS`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import leave_one_out
    >>> split = leave_one_out(make_sample(50, 40))
    >>> Fingerprint.of(split).digest == Fingerprint.of(split, mask="train+valid").digest
    False
    """

    dataset: str
    protocol: str
    parts: dict[str, Rows]
    history: str
    mask: str
    candidates: str
    metrics: str = DEFINITIONS

    @classmethod
    def of(
        cls,
        split: Split,
        *,
        mask: str | pd.DataFrame | None = None,
        history: str | pd.DataFrame | None = None,
        candidates: Iterable[Any] | None = None,
        negatives: pd.DataFrame | None = None,
        graph: pd.DataFrame | None = None,
    ) -> Fingerprint:
        """Return the fingerprint of what `evaluate` does with the same arguments.

        `graph` has the ratings in the graph of the model; where they are not the train rows, `history` says so.
        """
        history = split.history if history is None else history
        mask = split.mask if mask is None else mask
        if isinstance(history, str) and isinstance(mask, str):
            mask = max(mask, history, key=len)  # what is known is left out, too
        negatives = split.negatives if negatives is None else negatives
        ids = split.candidates_for() if candidates is None else pd.Index(list(candidates)).unique()
        ranked = f"{len(ids):,} movies ({_digest(_mixed(_hashes(ids)))})"
        if negatives is not None:
            negatives = negatives[negatives["user_id"].isin(split.test["user_id"])]
            each = negatives.groupby("user_id").size()
            number = f"{each.min()}" if each.min() == each.max() else f"{each.min()} to {each.max()}"
            ranked = f"test movies and {number} negatives of each user ({Rows.of(negatives).digest}) among {ranked}"
        parts = {part: Rows.of(rows) for part in PARTS if (rows := getattr(split, part)) is not None}
        known = _text(history)
        if graph is not None and (rows := Rows.of(graph)) != parts["train"]:
            known = f"{known}, but in the graph not train but {rows}"
        return cls(
            dataset=split.name,
            protocol=split.protocol,
            parts=parts,
            history=known,
            mask=_text(mask),
            candidates=ranked,
        )

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits: the same for the same rows and rules, whatever they are called."""
        parts = {part: (rows.rows, rows.digest) for part, rows in self.parts.items()}
        text = json.dumps([parts, self.history, self.mask, self.candidates, self.metrics])
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def __str__(self) -> str:
        parts = "; ".join(f"{part} {rows}" for part, rows in self.parts.items())
        return (
            f"{self.digest} = {self.dataset}, {self.protocol}; {parts}; history {self.history}; masked {self.mask}; "
            f"ranked {self.candidates}; metrics {self.metrics}"
        )


def _text(which: str | pd.DataFrame) -> str:
    return which if isinstance(which, str) else f"{Rows.of(which)} as given"


def _digest(numbers: np.ndarray) -> str:
    """Return eight hexadecimal digits that do not depend on the order of the numbers."""
    total = f"{len(numbers)} {np.sum(numbers, dtype=np.uint64)}"
    return hashlib.blake2b(total.encode(), digest_size=4).hexdigest()


def _hashes(ids: Iterable[Any]) -> np.ndarray:
    """Return a number of 64 bits for each id."""
    digests = b"".join(hashlib.blake2b(str(one).encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Scatter 64-bit numbers (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014).

    Without it the sum over rows would be one over users plus one over movies, and could not tell who rated what.
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
