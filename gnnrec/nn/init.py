"""Initialization of id embeddings: a truncated SVD of the ratings or of the transition counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gnnrec._torch import ridge_gram
from gnnrec.graph import transition_counts
from gnnrec.nn.encoder import Encoder, GraphTensors
from gnnrec.nn.svd import Matrix, SparseMatrix, randomized_svd, svd_of_products
from gnnrec.sparse import Adjacency, symmetric_norm

TRANSITION_SMOOTHING = 20.0
"""Count added to every movie when transition counts are normalized, which reduces the influence of rare movies."""


@torch.no_grad()
def init_from_svd(
    encoder: Encoder,
    graph: GraphTensors,
    generator: Generator,
    scale: float,
    user_smoothing: float = 0.0,
    spectral_power: float = 0.0,
) -> None:
    r"""Set the id embeddings of movies so that one propagation gives the SVD's reconstruction of the ratings.

    With :math:`V` the right singular vectors of :math:`(D_u + s)^{-1/2} A (D_i + c)^{-1/2}`, messages
    :math:`V \bar d_u^{1/2}` and targets :math:`(D_i + c)^{1/2} V` give a score :math:`z_u \cdot t_i` of about 1 for a
    rated movie. Where many pairs have a rating, training from scores of a fraction of that size, `scale`, does better
    than from the solution itself.

    With a spectral power :math:`p`, singular vectors count for :math:`(\sigma_k / \sigma_1)^p`: a smoother low-pass
    filter of the graph than the cut after the last dimension (Shen et al. 2021, https://arxiv.org/abs/2108.07567).

    Parameters
    ----------
    encoder : Encoder
        Prepared; the id embeddings of movies are changed in place.
    graph : GraphTensors
        The training graph.
    generator : torch.Generator
    scale : float
        Scale of the initial scores.
    user_smoothing : float
        :math:`s` in units of the mean degree of a user. Ratings of users with few ratings have large weights; in
        sparse data they would dominate the first singular vectors.
    spectral_power : float
        :math:`p`, not negative.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.nn import LightGCN, NodeFeatures
    >>> rows = [(1, "a"), (1, "b"), (2, "b"), (2, "c"), (3, "c"), (3, "d")]
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> tensors, user_features = GraphTensors.from_graph(graph), NodeFeatures.from_users(graph.users)
    >>> encoder = LightGCN(tensors.movie_features.sizes, user_features.sizes, num_movies=4, embedding_dim=4)
    >>> encoder.prepare(tensors)
    >>> init_from_svd(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0)
    >>> embeddings = encoder(tensors)
    >>> (embeddings["user"] @ embeddings["movie"].T).detach().round(decimals=2).abs().tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    message, target = _id_embeddings(encoder)
    user_movie = graph.users.user_movie
    user_degree, _ = user_movie.degrees()
    degree = graph.movie_degree + encoder.degree_pseudocount
    mean_user_degree = max(user_movie.num_edges / max(int((user_degree > 0).sum()), 1), 1.0)
    smoothed = user_degree + user_smoothing * mean_user_degree
    weight = symmetric_norm(smoothed, degree, user_movie.row, user_movie.col)
    _, s, v = randomized_svd(user_movie, weight, message.size(1), generator)
    message.copy_(v * (scale * mean_user_degree**0.5))
    target.copy_(v * degree.sqrt().unsqueeze(1))
    if spectral_power:
        root = (s / s[0].clamp(min=1e-12)) ** (spectral_power / 2)
        message.mul_(root)
        target.mul_(root)


@torch.no_grad()
def init_from_transitions(
    encoder: Encoder,
    graph: GraphTensors,
    generator: Generator,
    scale: float,
    window: int = 10,
    attribute_weight: float = 0.0,
    spectral_power: float = 1.0,
) -> None:
    r"""Set the id embeddings of movies so that a message scores the movies that users rate next.

    With :math:`U S V^T` the truncated SVD of the normalized counts of `gnnrec.graph.transition_counts`,
    :math:`(R + r)^{-1/2} F (C + r)^{-1/2}` (:math:`R, C` their row and column sums), messages are :math:`U S^{1/2}` and
    targets :math:`V S^{1/2}`, scaled for scores of a size that suits a softmax. The profile of a user without any
    features starts at the popularity of movies, as far as targets can express it.

    If most pairs of movies never follow each other, shared attributes indicate which ones could. With an attribute
    weight :math:`w`, the decomposed matrix is

    .. math:: (R + r)^{-1/2} F (C + r)^{-1/2} + w \sum_A X_A X_A^T

    where :math:`X_A = D_m^{-1/2} A D_a^{-1/2}` is the normalized adjacency from the nodes of an attribute to movies:
    the last term is a walk of two steps through them.

    Parameters
    ----------
    encoder, graph, generator, scale
        As for `init_from_svd`.
    window : int
        Maximum number of positions between a movie and a later one.
    attribute_weight : float
        :math:`w`, of the attributes that the encoder uses; not negative.
    spectral_power : float
        :math:`p`: singular vectors count for :math:`\sigma_1 (\sigma_k / \sigma_1)^p`; not negative. Below 1, the later
        ones count for more than in the SVD itself.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.config import Config
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.gnn import make_encoder
    >>> rows = [(user, movie, movie) for user in range(9) for movie in range(4)]  # all users rate 0, 1, 2, 3
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> encoder = make_encoder(Config().override(["model.embedding_dim=4"]), graph)
    >>> tensors = GraphTensors.from_graph(graph)
    >>> encoder.prepare(tensors)
    >>> init_from_transitions(encoder, tensors, torch.Generator().manual_seed(0), scale=1.0, window=1)
    >>> (encoder.message.id_embeddings @ encoder.target.id_embeddings.T)[:3].argmax(1).tolist()  # after 0, 1 and 2
    [1, 2, 3]
    """
    message, target = _id_embeddings(encoder)
    num_movies, embedding_dim = message.shape
    source, following, count = transition_counts(graph.users, window)
    transitions = Adjacency(source, following, num_movies, num_movies)
    before = count.new_zeros(num_movies).index_add_(0, source, count) + TRANSITION_SMOOTHING
    after = count.new_zeros(num_movies).index_add_(0, following, count) + TRANSITION_SMOOTHING
    weight = count * before.rsqrt()[source] * after.rsqrt()[following]
    matrix: Matrix = SparseMatrix(transitions, weight)
    attributes = _normalized_attributes(encoder, graph)
    if attribute_weight and attributes:
        matrix = _WithSharedAttributes(matrix, attributes, attribute_weight)
    u, s, v = svd_of_products(matrix, embedding_dim, generator)
    if spectral_power != 1:
        s = s[0] * (s / s[0].clamp(min=1e-12)) ** spectral_power
    size = (scale * s * num_movies / embedding_dim**0.5).sqrt()
    relative = (graph.movie_degree + encoder.degree_pseudocount).clamp(min=1) / encoder.mean_degree.clamp(min=1)
    message.copy_(u * size * relative.sqrt().unsqueeze(1))  # cancels the normalization in `TemporalPooling`
    target.copy_(v * size)
    popularity = (graph.movie_degree + 1).log()
    rated = graph.movie_degree > 0
    # Weighted ridge regression of the log popularity on the targets.
    known = target[rated] * graph.movie_degree[rated].sqrt().unsqueeze(1)
    wanted = (popularity - popularity[rated].mean())[rated] * graph.movie_degree[rated].sqrt()
    gram = ridge_gram(known, graph.movie_degree.mean())
    encoder.profile.linear.bias.copy_(torch.linalg.solve(gram, known.T @ wanted))


@dataclass(frozen=True, eq=False)
class _WithSharedAttributes:
    """A matrix of movies by movies plus `weight` times the products of attribute matrices with their transposes."""

    matrix: Matrix
    attributes: list[SparseMatrix]
    weight: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def matmul(self, x: Tensor) -> Tensor:
        return self.matrix.matmul(x) + self._similar(x)

    def matmul_transposed(self, x: Tensor) -> Tensor:
        return self.matrix.matmul_transposed(x) + self._similar(x)

    def _similar(self, x: Tensor) -> Tensor:
        similar = [one.matmul(one.matmul_transposed(x)) for one in self.attributes]
        return self.weight * torch.stack(similar).sum(0)


def _normalized_attributes(encoder: Encoder, graph: GraphTensors) -> list[SparseMatrix]:
    """Return :math:`X_A` of every attribute that the encoder uses and the data have."""
    found = []
    for name in encoder.target.attributes:
        adjacency = graph.movie_features.attributes[name]
        if not adjacency.num_edges:
            continue
        movie_degree, node_degree = adjacency.degrees()
        weight = symmetric_norm(movie_degree, node_degree, adjacency.row, adjacency.col)
        found.append(SparseMatrix(adjacency, weight))
    return found


def _id_embeddings(encoder: Encoder) -> tuple[Tensor, Tensor]:
    message, target = encoder.message.id_embeddings, encoder.target.id_embeddings
    if message is None or target is None:
        raise ValueError("messages and targets both need id embeddings")
    return message, target
