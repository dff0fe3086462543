"""The sparse product that all encoders aggregate neighbors with, and its gradient.

A relation is a list of edges from senders (columns) to receivers (rows). `Adjacency` sorts them once for the product
and once for its gradient, so that a step over a million edges takes milliseconds on a CPU. Weights are given with each
product, because training drops a random part of the edges at every step.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

# PyTorch warns once that its CSR layout is in beta; the tests compare the products with dense ones. The warning is
# triggered and ignored here, so that the caller's warning filters need not be changed.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))

CSR = tuple[Tensor, Tensor, Tensor | None]
"""Row pointers, columns, and the edge at each position (None: in the given order)."""


class Adjacency:
    """Edges from senders to receivers, sorted for sparse products.

    Parameters
    ----------
    row, col : Tensor
        ``[num_edges]`` int64, receiver and sender of each edge, in any order.
    num_rows, num_cols : int
        Number of receivers and senders.

    Notes
    -----
    PyG's ``EdgeIndex.matmul`` does the same; this class keeps both sorted forms across steps with different weights.

    Examples
    --------
    >>> receivers, senders = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    >>> adjacency = Adjacency(receivers, senders, num_rows=2, num_cols=2)
    >>> x = torch.tensor([[1.0], [10.0]])
    >>> adjacency.matmul(torch.tensor([1.0, 0.5, 2.0]), x).tolist()
    [[6.0], [20.0]]
    >>> adjacency.edge_scores(x, x).tolist()
    [1.0, 10.0, 100.0]
    >>> [degree.tolist() for degree in adjacency.degrees()]
    [[2.0, 1.0], [1.0, 2.0]]
    """

    def __init__(self, row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> None:
        self.row, self.col = row, col
        self.num_rows, self.num_cols = num_rows, num_cols
        self._forward = _csr(row, col, num_rows)
        self._backward: CSR | None = None

    @property
    def num_edges(self) -> int:
        """Number of edges."""
        return self.row.numel()

    def matmul(self, weight: Tensor, x: Tensor) -> Tensor:
        r"""Return :math:`y_r = \sum_{(r, c)} w_{rc} x_c`.

        Parameters
        ----------
        weight : Tensor
            ``[num_edges]``, in the order of the given edges. It gets no gradient.
        x : Tensor
            ``[num_cols, dim]``.

        Returns
        -------
        Tensor
            ``[num_rows, dim]``.
        """
        product: Tensor = _SparseProduct.apply(self, weight, x)
        return product

    def matmul_transposed(self, weight: Tensor, x: Tensor) -> Tensor:
        """Return the transposed product, from receivers ``[num_rows, dim]`` to senders ``[num_cols, dim]``."""
        product: Tensor = _SparseProduct.apply(self, weight, x, True)
        return product

    def edge_scores(self, rows: Tensor, cols: Tensor) -> Tensor:
        r"""Return the inner product of the two ends of every edge: :math:`s_{rc} = y_r \cdot x_c`.

        Its gradient is again a sparse product, and far fewer scores are computed than for all pairs.

        Parameters
        ----------
        rows : Tensor
            ``[num_rows, dim]``.
        cols : Tensor
            ``[num_cols, dim]``.

        Returns
        -------
        Tensor
            ``[num_edges]``, in the order of the given edges.
        """
        scores: Tensor = _EdgeScores.apply(self, rows, cols)
        return scores

    def degrees(self, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the number of edges of every receiver ``[num_rows]`` and sender ``[num_cols]``.

        Parameters
        ----------
        keep : Tensor, optional
            ``[num_edges]``, only edges where it is 1 count.
        """
        ones = torch.ones(self.num_edges, device=self.row.device) if keep is None else keep.float()
        rows = ones.new_zeros(self.num_rows).index_add_(0, self.row, ones)
        return rows, ones.new_zeros(self.num_cols).index_add_(0, self.col, ones)

    def csr(self, transposed: bool) -> CSR:
        """Return row pointers, columns and, unless the edges were sorted already, the edge at each position.

        The transposed form is computed on first use.
        """
        if not transposed:
            return self._forward
        if self._backward is None:
            self._backward = _csr(self.col, self.row, self.num_cols)
        return self._backward


class SymmetricAdjacency:
    r"""Edges between two kinds of nodes, in both directions, with the weights :math:`d_r^{-1/2} d_c^{-1/2}` of a GCN.

    Rows come first, then columns. The weights are fixed and sorted once; `Adjacency` sorts those of each product. The
    matrix equals its transpose, so the gradient of a product is the same product.

    Parameters
    ----------
    row, col : Tensor
        ``[num_edges]`` int64, both ends of each edge.
    num_rows, num_cols : int
        Number of nodes of each kind.

    Examples
    --------
    >>> user, movies = torch.zeros(4, dtype=torch.int64), torch.arange(4)  # one user who rated four movies
    >>> adjacency = SymmetricAdjacency(user, movies, num_rows=1, num_cols=4)
    >>> adjacency.matmul(torch.ones(5, 1)).flatten().tolist()
    [2.0, 0.5, 0.5, 0.5, 0.5]
    """

    def __init__(self, row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> None:
        self.num_nodes = num_rows + num_cols
        both = Adjacency(torch.cat([row, num_rows + col]), torch.cat([num_rows + col, row]), *[self.num_nodes] * 2)
        degree, _ = both.degrees()
        pointers, columns, order = both.csr(transposed=False)
        weight = symmetric_norm(degree, degree, both.row, both.col)
        self._csr = pointers, columns, weight if order is None else weight[order]

    def matmul(self, x: Tensor) -> Tensor:
        r"""Return :math:`D^{-1/2} A D^{-1/2} x`, ``[num_nodes, dim]`` like `x`."""
        product: Tensor = _SymmetricProduct.apply(self, x)
        return product

    def _multiply(self, x: Tensor) -> Tensor:
        pointers, columns, weight = self._csr
        if columns.numel() == 0:  # some sparse kernels do not accept a matrix without entries
            return torch.zeros_like(x)
        size = (self.num_nodes, self.num_nodes)
        matrix = torch.sparse_csr_tensor(pointers, columns, weight.to(x.dtype), size, check_invariants=False)
        return matrix @ x.contiguous()


def symmetric_norm(
    row_degree: Tensor,
    col_degree: Tensor,
    row: Tensor,
    col: Tensor,
    row_power: float = 0.5,
    col_power: float = 0.5,
) -> Tensor:
    r"""Return the weight :math:`d_r^{-p} d_c^{-q}` of each edge.

    With both powers 0.5 this is the GCN normalization :math:`D^{-1/2} A D^{-1/2}` (Kipf & Welling 2017; LightGCN,
    He et al. 2020, eq. 3). A node without edges counts as degree 1: the
    embedding of a movie without training ratings is not scaled down.

    Parameters
    ----------
    row_degree, col_degree : Tensor
        ``[num_rows]`` and ``[num_cols]``.
    row, col : Tensor
        ``[num_edges]``, ends of each edge.
    row_power, col_power : float
        ``p`` and ``q``.

    Examples
    --------
    >>> row_degree, col_degree = torch.tensor([4.0]), torch.tensor([1.0, 4.0])
    >>> symmetric_norm(row_degree, col_degree, torch.tensor([0, 0]), torch.tensor([0, 1])).tolist()
    [0.5, 0.25]
    """
    return (row_degree.clamp(min=1) ** -row_power)[row] * (col_degree.clamp(min=1) ** -col_power)[col]


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, adjacency: Adjacency, weight: Tensor, x: Tensor, transposed: bool = False) -> Tensor:
        ctx.adjacency, ctx.weight, ctx.transposed = adjacency, weight, transposed
        return _multiply(adjacency, weight, x, transposed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor, None]:
        return None, None, _multiply(ctx.adjacency, ctx.weight, grad, not ctx.transposed), None


class _SymmetricProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, adjacency: SymmetricAdjacency, x: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return adjacency._multiply(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, ctx.adjacency._multiply(grad)


class _EdgeScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, adjacency: Adjacency, rows: Tensor, cols: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        ctx.save_for_backward(rows, cols)
        pointers, columns, order = adjacency.csr(transposed=False)
        size = adjacency.num_rows, adjacency.num_cols
        empty = torch.sparse_csr_tensor(pointers, columns, rows.new_zeros(len(columns)), size, check_invariants=False)
        scores = torch.sparse.sampled_addmm(empty, rows.contiguous(), cols.T, beta=0.0).values()
        return scores if order is None else torch.empty_like(scores).index_copy_(0, order, scores)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        rows, cols = ctx.saved_tensors
        return (
            None,
            _multiply(ctx.adjacency, grad, cols, transposed=False),
            _multiply(ctx.adjacency, grad, rows, transposed=True),
        )


def _csr(row: Tensor, col: Tensor, num_rows: int) -> CSR:
    counts = torch.bincount(row, minlength=num_rows)
    pointers = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    if bool((row[1:] >= row[:-1]).all()):  # ratings are usually sorted by user
        return pointers, col, None
    order = torch.argsort(row, stable=True)
    return pointers, col[order], order


def _multiply(adjacency: Adjacency, weight: Tensor, x: Tensor, transposed: bool) -> Tensor:
    size = adjacency.num_rows, adjacency.num_cols
    size = size[::-1] if transposed else size
    if adjacency.num_edges == 0:  # some sparse kernels do not accept a matrix without entries
        return x.new_zeros(size[0], x.size(1))
    pointers, columns, order = adjacency.csr(transposed)
    values = (weight if order is None else weight[order]).to(x.dtype)
    matrix = torch.sparse_csr_tensor(pointers, columns, values, size, check_invariants=False)
    return matrix @ x.contiguous()
