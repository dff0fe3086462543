"""The one computation of the rating head: Gaussian vectors given what is at the other end of their ratings.

Many small linear regressions at once, one for each row of a sparse matrix. Their normal equations are two sparse
products, of the senders' vectors and of the outer products of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.sparse import Adjacency

BLOCK = 4096
"""Rows whose matrices are unpacked and factorised at once; bounds memory."""


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Independent Gaussian vectors, by what their densities are made of.

    Attributes
    ----------
    packed : Tensor
        ``[n, dim * (dim + 1) / 2]``, upper triangle of each precision matrix :math:`A`.
    pull : Tensor
        ``[n, dim]``, each :math:`A` times its mean.
    """

    packed: Tensor
    pull: Tensor

    def mean(self) -> Tensor:
        """Return the means ``[n, dim]``."""
        parts = [_solve(root, self.pull[rows]) for rows, root in self._roots()]
        return torch.cat(parts) if parts else self.pull

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Return one draw from each, ``[n, dim]``."""
        parts = []
        for rows, root in self._roots():
            noise = normal(rng, *root.shape[:2]).unsqueeze(2)
            noise = torch.linalg.solve_triangular(root.transpose(1, 2), noise, upper=True).squeeze(2)
            parts.append(_solve(root, self.pull[rows]) + noise)
        return torch.cat(parts) if parts else self.pull

    def without(self, row: Tensor, x: Tensor, y: Tensor, weight: Tensor) -> Gaussians:
        """Return, for each pair ``p``, the vector ``row[p]`` as it is without one of its edges.

        Parameters
        ----------
        row : Tensor
            ``[num_pairs]``.
        x : Tensor
            ``[num_pairs, dim]``, the sender of that edge.
        y, weight : Tensor
            ``[num_pairs]``, of that edge.
        """
        less = weight.unsqueeze(1) * _outer(x)
        return Gaussians(self.packed[row] - less, self.pull[row] - (weight * y).unsqueeze(1) * x)

    def _roots(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the Cholesky factors of the precisions, block by block."""
        for start in range(0, len(self.pull), BLOCK):
            rows = slice(start, min(start + BLOCK, len(self.pull)))
            yield rows, torch.linalg.cholesky(_unpack(self.packed[rows], self.pull.size(1)))


def conditional(
    links: Adjacency,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    prior_mean: Tensor,
    precision: Tensor,
    *,
    transposed: bool = False,
) -> Gaussians:
    r"""Return each receiver's vector given the vectors of its senders.

    With :math:`y_{rc} = v_r \cdot x_c + \epsilon`, noise of precision :math:`w_{rc}` and the prior
    :math:`v_r \sim N(m_r, \Lambda^{-1})`, the vector :math:`v_r` is Gaussian with (Salakhutdinov & Mnih 2008, eq. 11)

    .. math:: A_r = \Lambda + \sum_c w_{rc} x_c x_c^T, \qquad
              \bar v_r = A_r^{-1} \left(\Lambda m_r + \sum_c w_{rc} y_{rc} x_c\right)

    Parameters
    ----------
    links : Adjacency
        From senders to receivers.
    x : Tensor
        ``[num_senders, dim]``.
    y, weight : Tensor
        ``[num_edges]``.
    prior_mean : Tensor
        ``[num_receivers, dim]``.
    precision : Tensor
        ``[dim, dim]``, :math:`\Lambda`.
    transposed : bool
        Receivers are the columns of `links` and senders its rows.
    """
    product = links.matmul_transposed if transposed else links.matmul
    upper = torch.triu_indices(x.size(1), x.size(1))
    gram = product(weight, _outer(x))  # [num_receivers, dim * (dim + 1) / 2]
    return Gaussians(gram + precision[upper[0], upper[1]], product(weight * y, x) + prior_mean @ precision)


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Return standard normal numbers."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def with_one(vectors: Tensor) -> Tensor:
    """Return vectors as their other end meets them: ones in place of the first column, which is a bias."""
    return torch.cat([torch.ones_like(vectors[:, :1]), vectors[:, 1:]], dim=1)


def _outer(x: Tensor) -> Tensor:
    """Return the upper triangles of the outer products, ``[n, dim * (dim + 1) / 2]``."""
    upper = torch.triu_indices(x.size(1), x.size(1))
    return x[:, upper[0]] * x[:, upper[1]]


def _solve(root: Tensor, right: Tensor) -> Tensor:
    return torch.cholesky_solve(right.unsqueeze(2), root).squeeze(2)


def _unpack(packed: Tensor, dim: int) -> Tensor:
    upper = torch.triu_indices(dim, dim)
    full = packed.new_empty(len(packed), dim, dim)
    full[:, upper[0], upper[1]] = packed
    full[:, upper[1], upper[0]] = packed
    return full
