"""Where training starts: at a truncated SVD of the ratings, which one propagation turns into scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnrec.nn.encoder import Encoder, GraphTensors
from gnnrec.propagate import symmetric_norm


def factorise(graph: GraphTensors, dim: int, generator: torch.Generator, extra_degree: Tensor) -> Tensor:
    r"""Return the first right singular vectors of :math:`D_u^{-1/2} A (D_i + c)^{-1/2}`, ``[num_movies, dim]``.

    By randomised subspace iteration (Halko et al. 2011, alg. 4.4). Where the rank is below `dim` the rest is zero.
    """
    watched = graph.users.watched
    user_degree, movie_degree = watched.degrees()
    weight = symmetric_norm(user_degree, movie_degree + extra_degree, watched.row, watched.col)
    width = min(dim + 16, watched.num_rows, watched.num_cols)
    q = torch.randn(watched.num_cols, width, generator=generator).to(weight.device)
    q = torch.linalg.qr(q).Q
    for _ in range(4):
        q = torch.linalg.qr(watched.matmul_transposed(weight, watched.matmul(weight, q))).Q  # [num_movies, width]
    _, _, vh = torch.linalg.svd(watched.matmul(weight, q), full_matrices=False)  # of [num_users, width]
    v = q @ vh.T[:, :dim]  # [num_movies, <= dim]
    return nn.functional.pad(v, (0, dim - v.size(1)))


@torch.no_grad()
def start_from_svd(encoder: Encoder, graph: GraphTensors, generator: torch.Generator, scale: float) -> None:
    r"""Set the movies' id vectors so that one propagation gives the SVD's reconstruction of the ratings.

    With :math:`V` from `factorise`, messages :math:`V` and targets :math:`(D_i + c)^{1/2} V \bar d_u^{1/2}` make the
    score :math:`z_u \cdot t_i` about 1 for a watched movie. `scale` damps this: training from a fraction of the
    solution does better than from the solution itself.

    Parameters
    ----------
    encoder : Encoder
        Prepared; the id vectors of its movies are changed in place.
    graph : GraphTensors
        Training ratings only.
    generator : torch.Generator
    scale : float
        Of the initial scores.
    """
    message, target = encoder.message, encoder.target
    if message.ids is None or target.ids is None:
        raise ValueError("both movie encoders need id vectors")
    v = factorise(graph, message.ids.size(1), generator, encoder.extra_degree)
    per_user = max(graph.users.watched.num_edges / max(int((graph.users.watched.degrees()[0] > 0).sum()), 1), 1.0)
    message.ids.copy_(v * (scale * per_user**0.5))
    target.ids.copy_(v * (graph.movie_degree + encoder.extra_degree).sqrt().unsqueeze(1))
