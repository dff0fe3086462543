"""What a study may see of the data, and a digest of it: train and valid rows, never the test rows."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.config import Config
from gnnrec.data import Dataset
from gnnrec.errors import DataError
from gnnrec.fit import holdout_validation
from gnnrec.splitting import Split


def study_rows(data: Dataset | Split, config: Config) -> Split:
    """Return a split without test rows; lists for its valid rows do not depend on what was in them.

    Of a dataset, the valid rows are what `fit` would hold back with this config, the same for every trial. Movies that
    are rated in the test rows alone are not ranked; the tables of movies and of users stay whole.

    Raises
    ------
    DataError
        There are no valid rows.
    """
    if not isinstance(data, Dataset | Split):
        raise DataError(f"tune takes a Dataset or a Split, not {type(data).__name__}; load_dataset makes one")
    split = data if isinstance(data, Split) else holdout_validation(data, config.train)
    if split.valid.empty:
        raise DataError(f"{split.name}, {split.protocol}: there are no valid rows, which trials are compared by")
    candidates = split.candidates
    return Split(
        split.train,
        split.valid,
        split.test[:0],
        split.movies,
        split.users,
        name=split.name,
        protocol=split.protocol,
        support=split.support,
        candidates=None if candidates is None else candidates[candidates["part"] == "valid"],
        features=split.features,
    )


def facts_of(rows: Split) -> dict[str, Any]:
    """Return what the data of a study are: in words, and as a digest of all that a trial reads."""
    digest = hashlib.sha256()
    frames = {name: getattr(rows, name) for name in ("train", "valid", "support", "movies", "users")}
    for name, frame in frames.items():
        if frame is not None:
            digest.update(f"{name} {list(frame.columns)}".encode())
            digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    digest.update("\n".join(map(str, rows.candidates_for("valid"))).encode())
    for name, vectors in sorted(rows.features.items()):
        digest.update(f"{name} {list(vectors.movie_ids)}".encode())
        digest.update(np.ascontiguousarray(vectors.values).tobytes())
    return {
        "name": rows.name,
        "protocol": rows.protocol,
        "train": len(rows.train),
        "valid": len(rows.valid),
        "digest": digest.hexdigest()[:16],
    }
