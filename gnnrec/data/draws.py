"""Random choice without replacement for many choosers at once, as the generated world needs it."""

from __future__ import annotations

import numpy as np


def gumbel(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return float32 noise; adding it and keeping the largest draws without replacement, each by its softmax weight."""
    return -np.log(np.maximum(rng.standard_exponential(shape, dtype=np.float32), np.float32(1e-30)))


def largest(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the `counts[i]` largest values of each row i, the largest first, -inf left out."""
    most = max(1, int(counts.max()))
    columns = np.argpartition(-values, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-best, axis=1)
    best, columns = (np.take_along_axis(array, order, axis=1) for array in (best, columns))
    rows, ranks = np.nonzero((np.arange(most) < counts[:, None]) & np.isfinite(best))
    return rows, columns[rows, ranks]
