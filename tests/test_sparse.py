"""The sparse product and its gradient against dense ones; the normalization against GCN and PyG."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn import LGConv

from gnnrec.sparse import Adjacency, SymmetricAdjacency, symmetric_norm

DIM = 3
few = settings(max_examples=25, deadline=None)


@st.composite
def relations(draw: st.DrawFn) -> Adjacency:
    """Draw edges in any order, rows and columns without edges, and relations without any edge."""
    num_rows, num_cols = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    pairs = st.tuples(st.integers(0, num_rows - 1), st.integers(0, num_cols - 1))
    return relation(draw(st.lists(pairs, max_size=25, unique=True)), num_rows, num_cols)


def relation(pairs: list[tuple[int, int]], num_rows: int, num_cols: int) -> Adjacency:
    row, col = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return Adjacency(row, col, num_rows, num_cols)


def dense(adjacency: Adjacency, weight: Tensor) -> Tensor:
    matrix = torch.zeros(adjacency.num_rows, adjacency.num_cols, dtype=weight.dtype)
    for row, col, value in zip(adjacency.row.tolist(), adjacency.col.tolist(), weight, strict=True):
        matrix[row, col] = value
    return matrix


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_numbers(adjacency: Adjacency) -> tuple[Tensor, Tensor, Tensor]:
    rows, cols = numbers(adjacency.num_rows, DIM, seed=1), numbers(adjacency.num_cols, DIM, seed=2)
    return numbers(adjacency.num_edges), rows.requires_grad_(), cols.requires_grad_()


@few
@given(relations())
@example(relation([], 3, 2))
@example(relation([(2, 0), (0, 1), (2, 1)], 4, 3))
def test_products_are_the_dense_ones(adjacency: Adjacency) -> None:
    weight, rows, cols = some_numbers(adjacency)
    matrix = dense(adjacency, weight)
    torch.testing.assert_close(adjacency.matmul(weight, cols), matrix @ cols)
    torch.testing.assert_close(adjacency.matmul_transposed(weight, rows), matrix.T @ rows)
    scores = (rows @ cols.T)[adjacency.row, adjacency.col]
    torch.testing.assert_close(adjacency.edge_scores(rows, cols), scores)


@few
@given(relations())
@example(relation([], 3, 2))
@example(relation([(2, 0), (0, 1), (2, 1)], 4, 3))
def test_gradients_are_the_dense_ones(adjacency: Adjacency) -> None:
    weight, rows, cols = some_numbers(adjacency)
    matrix = dense(adjacency, weight)
    upstream = numbers(adjacency.num_rows, DIM, seed=3), numbers(adjacency.num_cols, DIM, seed=4)
    (of_cols,) = torch.autograd.grad(adjacency.matmul(weight, cols), cols, upstream[0])
    torch.testing.assert_close(of_cols, matrix.T @ upstream[0])
    (of_rows,) = torch.autograd.grad(adjacency.matmul_transposed(weight, rows), rows, upstream[1])
    torch.testing.assert_close(of_rows, matrix @ upstream[1])
    found = torch.autograd.grad(adjacency.edge_scores(rows, cols), (rows, cols), weight)
    torch.testing.assert_close(found, (matrix @ cols, matrix.T @ rows))


def test_gradcheck() -> None:
    adjacency = relation([(2, 0), (0, 1), (2, 1), (3, 2), (0, 0)], 5, 4)
    weight, rows, cols = some_numbers(adjacency)
    assert torch.autograd.gradcheck(lambda x: adjacency.matmul(weight, x), cols)
    assert torch.autograd.gradcheck(lambda x: adjacency.matmul_transposed(weight, x), rows)
    assert torch.autograd.gradcheck(adjacency.edge_scores, (rows, cols))


def test_the_order_of_the_edges_does_not_matter() -> None:
    pairs = [(0, 1), (0, 3), (1, 0), (2, 2), (2, 3)]
    in_order, shuffled = relation(pairs, 3, 4), relation([pairs[i] for i in (3, 0, 4, 2, 1)], 3, 4)
    weight, rows, cols = some_numbers(in_order)
    moved = weight[[3, 0, 4, 2, 1]]
    assert torch.equal(in_order.matmul(weight, cols), shuffled.matmul(moved, cols))
    assert torch.equal(in_order.edge_scores(rows, cols)[[3, 0, 4, 2, 1]], shuffled.edge_scores(rows, cols))


def test_single_precision_weights_serve_any_input() -> None:
    adjacency = relation([(0, 1), (1, 0)], 2, 2)
    product = adjacency.matmul(torch.tensor([0.5, 2.0]), numbers(2, DIM))
    assert product.dtype == torch.float64
    assert torch.equal(product, torch.stack([0.5 * numbers(2, DIM)[1], 2 * numbers(2, DIM)[0]]))


@few
@given(relations(), st.integers(0, 2**20))
def test_degrees_count_edges(adjacency: Adjacency, seed: int) -> None:
    keep = (numbers(adjacency.num_edges, seed=seed) > 0).float()
    for found, weight in (
        (adjacency.degrees(), torch.ones(adjacency.num_edges)),
        (adjacency.degrees(keep), keep),
    ):
        matrix = dense(adjacency, weight)
        assert torch.equal(found[0], matrix.sum(1))
        assert torch.equal(found[1], matrix.sum(0))


def normalized(adjacency: Adjacency) -> Tensor:
    """Return D^-1/2 A D^-1/2 from the dense A; nodes without edges count as degree 1."""
    matrix = dense(adjacency, torch.ones(adjacency.num_edges, dtype=torch.float64))
    by_row, by_col = (matrix.sum(axis).clamp(min=1).pow(-0.5) for axis in (1, 0))
    return torch.diag(by_row) @ matrix @ torch.diag(by_col)


def norm(adjacency: Adjacency) -> Tensor:
    return symmetric_norm(*adjacency.degrees(), adjacency.row, adjacency.col).double()


@few
@given(relations())
def test_symmetric_norm_is_the_dense_formula(adjacency: Adjacency) -> None:
    _, rows, cols = some_numbers(adjacency)
    matrix = normalized(adjacency)
    torch.testing.assert_close(adjacency.matmul(norm(adjacency), cols), matrix @ cols, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(
        adjacency.matmul_transposed(norm(adjacency), rows), matrix.T @ rows, atol=1e-6, rtol=1e-6
    )


def test_symmetric_norm_with_other_powers() -> None:
    row, col = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    weight = symmetric_norm(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0]), row, col, row_power=1, col_power=0)
    assert weight.tolist() == [0.5, 0.5, 1.0]  # the mean of what a row receives
    weight = symmetric_norm(torch.tensor([4.0, 1.0]), torch.tensor([1.0, 16.0]), row, col, 0.5, 0.25)
    assert weight.tolist() == [0.5, 0.25, 0.5]


@few
@given(relations())
def test_one_product_each_way_is_lgconv_on_both_directions(adjacency: Adjacency) -> None:
    _, rows, cols = some_numbers(adjacency)
    forward = torch.stack([adjacency.row, adjacency.col + adjacency.num_rows])
    both = torch.cat([forward, forward.flip(0)], dim=1)
    theirs = LGConv()(torch.cat([rows, cols]), both)
    ours = torch.cat([adjacency.matmul(norm(adjacency), cols), adjacency.matmul_transposed(norm(adjacency), rows)])
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_with_one_direction_only_lgconv_carries_nothing() -> None:
    """Why the graph must hold both: users then have no incoming edge, their degree is 0, and so is every weight."""
    adjacency = relation([(0, 0), (0, 1), (1, 1)], 2, 2)
    _, rows, cols = some_numbers(adjacency)
    to_movies = torch.stack([adjacency.row, adjacency.col + adjacency.num_rows])
    assert LGConv()(torch.cat([rows, cols]), to_movies).abs().sum() == 0
    assert adjacency.matmul_transposed(norm(adjacency), rows).abs().min() > 0.01


def test_no_gradient_reaches_the_weights() -> None:
    adjacency = relation([(0, 1), (1, 0)], 2, 2)
    weight = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        adjacency.matmul(weight.detach(), torch.ones(2, DIM)).sum().backward()
    adjacency.matmul(weight, torch.ones(2, DIM)).sum().backward()
    assert weight.grad is None


@few
@given(relations())
@example(relation([], 3, 2))
@example(relation([(2, 0), (0, 1), (2, 1)], 4, 3))
def test_both_directions_are_one_symmetric_matrix(adjacency: Adjacency) -> None:
    weight = symmetric_norm(*adjacency.degrees(), adjacency.row, adjacency.col).double()
    block = dense(adjacency, weight)
    matrix = torch.cat([torch.cat([torch.zeros(len(block), len(block)), block], 1),
                        torch.cat([block.T, torch.zeros(block.size(1), block.size(1))], 1)])  # fmt: skip
    symmetric = SymmetricAdjacency(adjacency.row, adjacency.col, adjacency.num_rows, adjacency.num_cols)
    x = numbers(symmetric.num_nodes, DIM).requires_grad_()
    torch.testing.assert_close(symmetric.matmul(x), matrix @ x)
    upstream = numbers(symmetric.num_nodes, DIM, seed=3)
    (gradient,) = torch.autograd.grad((symmetric.matmul(x) * upstream).sum(), x)
    torch.testing.assert_close(gradient, matrix.T @ upstream)
