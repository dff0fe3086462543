"""What a caller of `evaluate` asked for: the rows of a `Split` by their names, and everything else as given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gnnrec.data import Split
from gnnrec.data.protocols import check_scope
from gnnrec.errors import ConfigError
from gnnrec.evaluate.fingerprint import Fingerprint


@dataclass(frozen=True, eq=False)
class Asked:
    """Frames of rows, and the protocol they are of, which is known for a `Split` only."""

    test: pd.DataFrame
    mask: pd.DataFrame | None
    history: pd.DataFrame | None
    candidates: Iterable[Any] | None
    negatives: pd.DataFrame | None
    fingerprint: Fingerprint | None = None

    @classmethod
    def of(
        cls,
        test: pd.DataFrame | Split,
        mask: pd.DataFrame | str | None,
        history: pd.DataFrame | str | None,
        candidates: Iterable[Any] | None,
        negatives: pd.DataFrame | None,
        graph: pd.DataFrame,
    ) -> Asked:
        """Take from a split what is not given, look up what is given by name; `graph` has the model's ratings."""
        if not isinstance(test, Split):
            if isinstance(mask, str) or isinstance(history, str):
                raise ConfigError("a mask or a history by name, such as 'train+valid', needs a Split to look it up in")
            return cls(test, mask, history, candidates, negatives)
        split = test
        mask = split.mask if mask is None else mask
        history = split.history if history is None else history
        candidates = split.ranked() if candidates is None else list(candidates)
        negatives = split.negatives if negatives is None else negatives
        return cls(
            split.test,
            _masked(split, mask) if isinstance(mask, str) else mask,
            _known(split, history) if isinstance(history, str) else history,
            candidates,
            negatives,
            Fingerprint.of(split, mask=mask, history=history, candidates=candidates, negatives=negatives, graph=graph),
        )

    @property
    def attrs(self) -> dict[str, str]:
        """What a table of results says about its protocol."""
        if self.fingerprint is None:
            return {}
        return {"fingerprint": self.fingerprint.digest, "protocol": str(self.fingerprint)}


def _masked(split: Split, mask: str) -> pd.DataFrame | None:
    return split.valid if check_scope(mask, "mask") == "train+valid" else None


def _known(split: Split, history: str) -> pd.DataFrame | None:
    """Return the rows to be taken in at test time; each person's are older first where they were divided by time."""
    if check_scope(history, "history") == "train":
        return split.support
    return split.valid if split.support is None else pd.concat([split.support, split.valid], ignore_index=True)
