"""`EASEPart`: a movie-to-movie matrix in closed form, whose scores are added to those of the network."""

from __future__ import annotations

from typing import Self

import torch
from torch import Generator, Tensor, nn

from gnnrec.graph import UserBatch
from gnnrec.nn.svd import randomized_svd
from gnnrec.sparse import Adjacency


class EASEPart(nn.Module):
    r"""EASE (Steck, WWW 2019) in the span of the first singular vectors of the ratings, as embeddings.

    EASE scores a movie by its weights from the movies of the history, :math:`B_{ij} = -P_{ij} / P_{jj}` with
    :math:`P = (X^T X + \lambda I)^{-1}`. With :math:`X = U \Sigma V^T`, the binary ratings of users by movies,

    .. math::
        \lambda P = I - V G V^T, \quad G = \mathrm{diag}\left(\frac{\sigma_k^2}{\sigma_k^2 + \lambda}\right), \qquad
        B_{ij} = \frac{(V G V^T)_{ij}}{1 - (V G V^T)_{jj}} \; (i \ne j)

    So messages :math:`m_i = G^{1/2} V_i` and targets :math:`t_j = m_j / (1 - |m_j|^2)` give :math:`B_{ij} = m_i \cdot
    t_j`. Only the diagonal differs, the weight of a movie for itself, which no list of unseen movies depends on. With
    fewer singular vectors than the rank of :math:`X`, nothing is learned in the directions of the others.

    The user embedding is the sum of the messages of the history. Nothing is trained and nothing is stored per user.

    Parameters
    ----------
    num_movies : int
        Number of movies of the training graph; movies that are added later have no weights.
    dim : int
        Number of singular vectors.

    Attributes
    ----------
    message, target : Tensor
        ``[num_movies, dim]``.

    Examples
    --------
    >>> observed = Adjacency(torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1, 0, 1, 2, 3]), 3, 4)
    >>> part = EASEPart.fit(observed, dim=3, reg=1.0)
    >>> [round(weight, 2) for weight in (part.message @ part.target.T).abs()[0].tolist()]  # of movie 0
    [0.55, 0.55, 0.0, 0.0]
    """

    message: Tensor
    target: Tensor

    def __init__(self, num_movies: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("message", torch.zeros(num_movies, dim))
        self.register_buffer("target", torch.zeros(num_movies, dim))

    @classmethod
    @torch.no_grad()
    def fit(cls, user_movie: Adjacency, dim: int, reg: float, weight: float = 1.0, seed: int = 0) -> Self:
        r"""Solve for the embeddings.

        Parameters
        ----------
        user_movie : Adjacency
            Adjacency from movies to users with the training ratings.
        dim : int
            Number of singular vectors; if there are fewer, the rest of the embeddings is zero.
        reg : float
            :math:`\lambda`, in units of the mean degree of a rating's movie, :math:`\sum_i d_i^2 / \sum_i d_i`.
        weight : float
            Factor of the scores.
        seed : int
            Random seed of the singular value decomposition.

        Returns
        -------
        EASEPart
            On the device of `user_movie`.
        """
        ones = torch.ones(user_movie.num_edges, device=user_movie.row.device)
        generator = Generator().manual_seed(seed)
        _, s, v = randomized_svd(user_movie, ones, dim, generator)
        degree = user_movie.degrees()[1]
        penalty = reg * degree.square().sum() / degree.sum().clamp(min=1)
        message = v * (s.square() / (s.square() + penalty)).sqrt()  # [num_movies, dim]
        part = cls(len(v), dim).to(v.device)
        part.message.copy_(message * weight)
        part.target.copy_(message / (1 - message.square().sum(1, keepdim=True)).clamp(min=1e-6))
        return part

    def messages(self, num_movies: int) -> Tensor:
        """Return the messages, ``[num_movies, dim]``; zeros for movies that were added after training."""
        return _padded(self.message, num_movies)

    def targets(self, num_movies: int) -> Tensor:
        """Return the targets, ``[num_movies, dim]``; zeros for movies that were added after training."""
        return _padded(self.target, num_movies)


def sum_of_history(users: UserBatch, messages: Tensor, edge_mask: Tensor | None = None) -> Tensor:
    """Return the sum of the messages of each user's movies, ``[num_users, dim]``.

    Parameters
    ----------
    users : UserBatch
    messages : Tensor
        ``[num_movies, dim]``.
    edge_mask : Tensor, optional
        ``[num_edges]`` float, 0 for ratings to leave out.
    """
    weight = torch.ones_like(users.rating) if edge_mask is None else edge_mask
    return users.user_movie.matmul(weight, messages)


def _padded(values: Tensor, num_movies: int) -> Tensor:
    return nn.functional.pad(values, (0, 0, 0, num_movies - len(values)))
