"""PyTorch helpers that several parts of the package share."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec.errors import ConfigError

CHUNK_SIZE = 1024
"""Users scored at once; bounds memory to ``CHUNK_SIZE * num_movies`` floats."""


def pick_device(name: str) -> torch.device:
    """Return a PyTorch device by name; ``auto`` is a GPU if available. An unusable device is a `ConfigError`."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device


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

    `torch.topk` leaves the order of ties open. It is used to find the k-th value; only values at or above it are then
    sorted stably.

    Parameters
    ----------
    scores : Tensor
        ``[n, m]``.
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
    limit = scores.topk(k, dim=1).values[:, -1:]
    width = int((scores >= limit).sum(1).max())
    # All columns tied with the k-th value, in column order: a stable sort then keeps that order among ties.
    columns = scores.topk(width, dim=1).indices.sort(dim=1).values
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values[:, :k], columns.gather(1, order)[:, :k]
