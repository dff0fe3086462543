"""PyTorch helpers that several parts of the package share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gnnrec._checks import shown
from gnnrec.errors import ConfigError, DataError, OutOfMemoryError

CHUNK_SIZE = 1024
"""Maximum number of users scored at a time; see `rows_per_chunk`."""
MAX_SCORES = 1024 * 65_536
"""Maximum number of scores computed at a time; 256 MB."""
CACHED_SCORES, MIN_ROWS = 4 * 1024 * 1024, 64
"""Number of scores from which further rows are not worth their memory, which would be requested anew for each chunk
instead of being reused, and rows from which a matrix product is fast."""
MAXIMA_WIDTH, MIN_MAXIMA = 64, 4
"""Columns whose largest value is compared first, and how many times `k` of them are worth it."""
MAX_TIED = 4_000_000
"""Scores among which ties are resolved at once."""
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "failed to map segment from shared object",
)
"""Messages by which PyTorch reports missing memory as a plain RuntimeError, and the loader as an ImportError."""


def pick_device(name: str) -> torch.device:
    """Return a PyTorch device by name; ``auto`` is a GPU if available. An unusable device is a `ConfigError`."""
    if not isinstance(name, str):
        raise ConfigError(f"a device is a name such as 'cpu' or 'cuda:1', not {shown(name)}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError, TypeError, NotImplementedError) as error:
        raise ConfigError(f"device {shown(name)} cannot be used: {str(error).splitlines()[0]}") from None
    if device.type == "meta":
        raise ConfigError("device 'meta' cannot be used: it has no values")
    return device


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, which PyTorch reports as a plain RuntimeError.

    Examples
    --------
    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    (True, True)
    >>> is_out_of_memory(ImportError("libx.so: failed to map segment from shared object"))
    True
    >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")), is_out_of_memory(ImportError("x"))
    (False, False)
    """
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, (RuntimeError, ImportError)) and any(text in str(error).lower() for text in OUT_OF_MEMORY)


@contextlib.contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Turn the out-of-memory errors of NumPy, PyTorch and Python into `OutOfMemoryError`."""
    try:
        yield
    except OutOfMemoryError:
        raise
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        text = " ".join(str(error).split())
        raise OutOfMemoryError(f"not enough memory for {what}{f': {text}' if text else ''}") from None


def csr_ranges(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return the integers of all ranges ``[start, end)``, concatenated, and the index of the range of each."""
    length = end - start
    row = torch.repeat_interleave(torch.arange(len(start)), length)
    offset = torch.arange(int(length.sum())) - torch.repeat_interleave(length.cumsum(0) - length, length)
    return start[row] + offset, row


def ridge_gram(x: Tensor, reg: float | Tensor) -> Tensor:
    """Return ``x.T @ x + reg * I``, the matrix of the normal equations of a ridge regression.

    Parameters
    ----------
    x : Tensor
        ``[n, width]``, one row per observation.
    reg : float or Tensor
        Ridge penalty.

    Returns
    -------
    Tensor
        ``[width, width]``, on the device and of the type of `x`.

    Examples
    --------
    >>> ridge_gram(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), 10).tolist()
    [[11.0, 2.0], [2.0, 15.0]]
    """
    gram = x.T @ x
    gram.diagonal().add_(reg)
    return gram


def stable_topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` largest values of each row and their columns; equal values are in column order.

    The order of ties in `torch.topk` is undefined. If the k-th value equals the next one, the first of the columns with
    this value are taken. Memory is a few times that of `scores`, whatever the number of ties.

    Parameters
    ----------
    scores : Tensor
        ``[n, m]``, not NaN; masked scores are ``-inf``.
    k : int

    Returns
    -------
    values, columns : Tensor
        ``[n, min(k, m)]``.

    Examples
    --------
    >>> stable_topk(torch.tensor([[1.0, 3.0, 3.0]]), 2)[1].tolist()
    [[1, 2]]
    """
    k = min(k, scores.size(1))
    number = scores.size(1) // MAXIMA_WIDTH
    if k < number and 0 < MIN_MAXIMA * k <= number and scores.size(0):
        return _topk_of_maxima(scores, k, number)
    values, columns = scores.topk(min(k + 1, scores.size(1)), dim=1)
    if k == 0:
        return values[:, :0], columns[:, :0]
    limit, columns = values[:, k - 1 : k], columns[:, :k]
    tied = torch.nonzero((values[:, k:] == limit).any(1)).squeeze(1)
    # An empty tensor is split into one empty part.
    for rows in tied.split(max(1, MAX_TIED // scores.size(1))) if len(tied) else ():
        some, least = scores[rows], limit[rows]
        equal = some == least
        room = k - (some > least).sum(1, keepdim=True)
        chosen = (some > least) | (equal & (equal.cumsum(1, dtype=torch.int32) <= room))
        columns[rows] = chosen.nonzero()[:, 1].view(-1, k)
    columns = columns.sort(dim=1).values
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values, columns.gather(1, order)


def _topk_of_maxima(scores: Tensor, k: int, number: int) -> tuple[Tensor, Tensor]:
    """Return what `stable_topk` returns; only the blocks of columns with the `k` largest maxima are searched.

    A value of another block is preceded by the maximum of each of these: it is larger, or equal and further left.
    """
    end = number * MAXIMA_WIDTH
    maxima = scores[:, :end].unflatten(1, (number, MAXIMA_WIDTH)).amax(2)  # [n, number]
    blocks = stable_topk(maxima, k)[1].sort(dim=1).values
    columns = (blocks.unsqueeze(2) * MAXIMA_WIDTH + torch.arange(MAXIMA_WIDTH, device=blocks.device)).flatten(1)
    rest = torch.arange(end, scores.size(1), device=blocks.device).expand(len(scores), -1)
    columns = torch.cat([columns, rest], dim=1)  # in ascending order, so that ties are resolved in it
    values, places = stable_topk(scores.gather(1, columns), k)
    return values, columns.gather(1, places)


def rows_per_chunk(width: int, most: int) -> int:
    """Return how many rows of `width` values to compute at once: `most`, or fewer if they are wide.

    Examples
    --------
    >>> rows_per_chunk(3_000, 1024), rows_per_chunk(20_000, 1024), rows_per_chunk(2_000_000, 1024)
    (1024, 209, 33)
    """
    width = max(1, width)
    return max(1, min(most, MAX_SCORES // width, max(MIN_ROWS, CACHED_SCORES // width)))


def check_scores(scores: Tensor, model: str, users: Callable[[], list[Any]]) -> None:
    """Raise a `DataError` if a score is NaN or infinite; minus infinity stands for movies that are never listed.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``.
    model : str
        Name of the model, for the message.
    users : callable
        Returns the ids of the users, for the message.
    """
    # The sum of a row shows both; it may be infinite or NaN without them, hence the second check.
    totals = scores.sum(1)
    if not (totals.isnan() | (totals == torch.inf)).any():
        return
    bad = (scores.isnan() | (scores == torch.inf)).any(1)
    if bad.any():
        row = int(bad.int().argmax())
        kind = "NaN" if scores[row].isnan().any() else "infinite"
        raise DataError(f"the model {model!r} returned {kind} scores for user {users()[row]!r}; they cannot be ranked")
