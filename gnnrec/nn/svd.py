"""Randomized singular value decomposition of matrices that are only available through their products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from gnnrec.sparse import Adjacency


def randomized_svd(
    adjacency: Adjacency, weight: Tensor, rank: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first singular vectors and values of a sparse matrix (Halko et al. 2011, alg. 4.4).

    If the rank of the matrix is below `rank`, the remaining values are zero.

    Parameters
    ----------
    adjacency : Adjacency
    weight : Tensor
        ``[num_edges]``, the entries.
    rank : int
    generator : torch.Generator

    Returns
    -------
    u, s, v : Tensor
        ``[num_rows, rank]``, ``[rank]`` and ``[num_cols, rank]``.
    """
    return svd_of_products(SparseMatrix(adjacency, weight), rank, generator)


class Matrix(Protocol):
    """A matrix that is only available through its products."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""

    @property
    def device(self) -> torch.device:
        """Device of the products."""

    def matmul(self, x: Tensor) -> Tensor:
        """Return the product with a dense matrix."""

    def matmul_transposed(self, x: Tensor) -> Tensor:
        """Return the product of the transpose with a dense matrix."""


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse matrix: an adjacency and its entries ``[num_edges]``."""

    adjacency: Adjacency
    weight: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """See `Matrix`."""
        return self.adjacency.num_rows, self.adjacency.num_cols

    @property
    def device(self) -> torch.device:
        """See `Matrix`."""
        return self.weight.device

    def matmul(self, x: Tensor) -> Tensor:
        """See `Matrix`."""
        return self.adjacency.matmul(self.weight, x)

    def matmul_transposed(self, x: Tensor) -> Tensor:
        """See `Matrix`."""
        return self.adjacency.matmul_transposed(self.weight, x)


def svd_of_products(matrix: Matrix, rank: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first singular vectors and values of any matrix; see `randomized_svd`."""
    num_rows, num_cols = matrix.shape
    width = min(rank + 16, num_rows, num_cols)
    q = torch.randn(num_cols, width, generator=generator).to(matrix.device)
    q = torch.linalg.qr(q).Q
    for _ in range(4):
        q = torch.linalg.qr(matrix.matmul_transposed(matrix.matmul(q))).Q  # [num_cols, width]
    u, s, vh = torch.linalg.svd(matrix.matmul(q), full_matrices=False)  # of [num_rows, width]
    u, s, v = u[:, :rank], s[:rank], q @ vh.T[:, :rank]
    missing = rank - len(s)
    pad = nn.functional.pad
    return pad(u, (0, missing)), pad(s, (0, missing)), pad(v, (0, missing))
