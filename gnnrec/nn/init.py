"""Where training starts: at a truncated SVD of the graph, which one propagation turns into scores."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from gnnrec.graph import transition_counts
from gnnrec.nn.encoder import Encoder, GraphTensors
from gnnrec.sparse import Adjacency, symmetric_norm

RARE = 20.0
"""Counts added to every movie when "followed by" is normalized: what was hardly ever watched says little."""


def randomized_svd(
    adjacency: Adjacency, weight: Tensor, dim: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first singular vectors and values of a sparse matrix, by randomised subspace iteration.

    (Halko et al. 2011, alg. 4.4.) Where the rank is below `dim` the rest is zero.

    Parameters
    ----------
    adjacency : Adjacency
    weight : Tensor
        ``[num_edges]``, the entries.
    dim : int
    generator : torch.Generator

    Returns
    -------
    u, s, v : Tensor
        ``[num_rows, dim]``, ``[dim]`` and ``[num_cols, dim]``.
    """
    width = min(dim + 16, adjacency.num_rows, adjacency.num_cols)
    q = torch.randn(adjacency.num_cols, width, generator=generator).to(weight.device)
    q = torch.linalg.qr(q).Q
    for _ in range(4):
        q = torch.linalg.qr(adjacency.matmul_transposed(weight, adjacency.matmul(weight, q))).Q  # [num_cols, width]
    u, s, vh = torch.linalg.svd(adjacency.matmul(weight, q), full_matrices=False)  # of [num_rows, width]
    u, s, v = u[:, :dim], s[:dim], q @ vh.T[:, :dim]
    missing = dim - len(s)
    pad = nn.functional.pad
    return pad(u, (0, missing)), pad(s, (0, missing)), pad(v, (0, missing))


@torch.no_grad()
def init_from_svd(encoder: Encoder, graph: GraphTensors, generator: Generator, scale: float) -> None:
    r"""Set the movies' id vectors so that one propagation gives the SVD's reconstruction of the ratings.

    With :math:`V` the right singular vectors of :math:`D_u^{-1/2} A (D_i + c)^{-1/2}`, messages :math:`V` and targets
    :math:`(D_i + c)^{1/2} V \bar d_u^{1/2}` make the score :math:`z_u \cdot t_i` about 1 for a watched movie. `scale`
    damps this: training from a fraction of the solution does better than from the solution itself.

    Parameters
    ----------
    encoder : Encoder
        Prepared; the id vectors of its movies are changed in place.
    graph : GraphTensors
        Training ratings only.
    generator : torch.Generator
    scale : float
        Of the initial scores.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.nn import NodeFeatures, LightGCN
    >>> rows = [(1, "a"), (1, "b"), (2, "b"), (2, "c"), (3, "c"), (3, "d")]
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> tensors, person = GraphTensors.of(graph), Content.of_people(graph.users).sizes
    >>> encoder = LightGCN(movie=tensors.content.sizes, person=person, num_movies=4, dim=4)
    >>> encoder.prepare(tensors)
    >>> init_from_svd(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0)
    >>> vectors = encoder(tensors)
    >>> (vectors["user"] @ vectors["movie"].T).detach().round(decimals=2).abs().tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    message, target = _ids(encoder)
    watched = graph.users.user_movie
    user_degree, _ = watched.degrees()
    degree = graph.movie_degree + encoder.extra_degree
    weight = symmetric_norm(user_degree, degree, watched.row, watched.col)
    _, _, v = randomized_svd(watched, weight, message.size(1), generator)
    per_user = max(watched.num_edges / max(int((user_degree > 0).sum()), 1), 1.0)
    message.copy_(v * (scale * per_user**0.5))
    target.copy_(v * degree.sqrt().unsqueeze(1))


@torch.no_grad()
def init_from_transitions(
    encoder: Encoder, graph: GraphTensors, generator: Generator, scale: float, window: int = 10
) -> None:
    r"""Set the movies' id vectors so that a message scores the movies that people watch next.

    With :math:`U S V^T` the truncated SVD of the normalized counts of `gnnrec.graph.transitions.transition_counts`,
    :math:`(R + r)^{-1/2} F (C + r)^{-1/2}` (:math:`R, C` their row and column sums), messages are
    :math:`U S^{1/2}` and targets :math:`V S^{1/2}`, enlarged for scores of a size that suits a softmax. The profile of
    somebody of whom nothing is known starts at what is popular, as far as targets can say it.

    Parameters
    ----------
    encoder, graph, generator, scale
        As in `init_from_svd`.
    window : int
        See `gnnrec.graph.transitions.transition_counts`.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.config import Config
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.gnn import make_encoder
    >>> rows = [(user, movie, movie) for user in range(9) for movie in range(4)]  # everybody watches 0, 1, 2, 3
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> encoder, tensors = make_encoder(Config().override(["model.embedding_dim=4"]), graph), GraphTensors.of(graph)
    >>> encoder.prepare(tensors)
    >>> init_from_transitions(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0, window=1)
    >>> (encoder.message.ids @ encoder.target.ids.T)[:3].argmax(1).tolist()  # what follows 0, 1 and 2
    [1, 2, 3]
    """
    message, target = _ids(encoder)
    num_movies, dim = message.shape
    source, following, count = transition_counts(graph.users, window)
    pairs = Adjacency(source, following, num_movies, num_movies)
    before = count.new_zeros(num_movies).index_add_(0, source, count) + RARE
    after = count.new_zeros(num_movies).index_add_(0, following, count) + RARE
    weight = count * before.rsqrt()[source] * after.rsqrt()[following]
    u, s, v = randomized_svd(pairs, weight, dim, generator)
    size = (scale * s * num_movies / dim**0.5).sqrt()
    relative = (graph.movie_degree + encoder.extra_degree).clamp(min=1) / encoder.typical_degree.clamp(min=1)
    message.copy_(u * size * relative.sqrt().unsqueeze(1))  # undone by the normalisation of `HistoryViews`
    target.copy_(v * size)
    popularity = (graph.movie_degree + 1).log()
    rated = graph.movie_degree > 0
    known = target[rated] * graph.movie_degree[rated].sqrt().unsqueeze(1)
    wanted = (popularity - popularity[rated].mean())[rated] * graph.movie_degree[rated].sqrt()
    gram = known.T @ known + graph.movie_degree.mean() * torch.eye(dim, device=known.device)
    encoder.profile.features.bias.copy_(torch.linalg.solve(gram, known.T @ wanted))


def _ids(encoder: Encoder) -> tuple[Tensor, Tensor]:
    message, target = encoder.message.ids, encoder.target.ids
    if message is None or target is None:
        raise ValueError("both movie encoders need id vectors")
    return message, target
