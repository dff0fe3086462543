"""Losses of user and movie embeddings, over the whole catalog.

All losses take the same arguments, so that ``train.loss`` can name any of them. Edges are either supervision edges, to
be predicted, or message-passing edges (see `gnnrec.training.edge_sampling`); a movie with a message-passing edge counts
neither as positive nor as negative for that user. Add a loss of your own with ``@register_loss("name")``; further
keyword arguments are set by ``train.loss_options``. A loss is a mean over the supervision edges of a batch, or with
``@register_loss("name", mean_over="users")`` over its users: this is how losses of several processes are weighted.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from gnnrec.registry import register_loss
from gnnrec.sparse import Adjacency

BPR_ATTEMPTS = 20
"""Maximum number of times that a sampled negative is redrawn because the user has rated it."""


@register_loss("weighted_mse", mean_over="users")
def weighted_mse(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    observed: Adjacency,
    supervision: Tensor,
    generator: Generator | None = None,
    negative_weight: float = 0.3,
    confidence: Tensor | None = None,
) -> Tensor:
    r"""Weighted squared error over all movies, averaged over users (Hu, Koren & Volinsky 2008, eq. 3).

    .. math:: L_u = \sum_{i \in P} c_{ui} (1 - s_{ui})^2 + w \sum_{i \notin P \cup M} s_{ui}^2

    :math:`P` are supervision edges, :math:`M` message-passing edges. The score matrix is never computed:
    :math:`\sum_{ui} s_{ui}^2` is the inner product of two small Gram matrices, and the rest concerns observed edges
    only.

    Parameters
    ----------
    user_embeddings : Tensor
        ``[num_users, embedding_dim]``.
    movie_embeddings : Tensor
        ``[num_movies, embedding_dim]``, of the movies with a training rating.
    observed : Adjacency
        Adjacency from movies to users with all observed edges.
    supervision : Tensor
        ``[num_edges]`` bool, true for supervision edges, false for message-passing edges.
    generator : torch.Generator, optional
        Not used.
    negative_weight : float
        :math:`w`, weight of unobserved movies.
    confidence : Tensor, optional
        ``[num_edges]``, :math:`c`, for data with weights; 1 by default.

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> observed = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> supervision = torch.tensor([False, True])  # movie 0 is in the history, movie 1 is to be predicted
    >>> movies = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> users = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(weighted_mse(users, movies, observed, supervision, negative_weight=0.3).item(), 4)  # 0.5^2 + 0.3 * 2^2
    1.45
    """
    all_squares = ((user_embeddings.T @ user_embeddings) * (movie_embeddings.T @ movie_embeddings)).sum()
    scores = observed.edge_scores(user_embeddings, movie_embeddings)  # [num_edges]
    squares = supervision * (1 - scores).square()
    positive = (squares if confidence is None else squares * confidence).sum()
    return (positive + negative_weight * (all_squares - scores.square().sum())) / len(user_embeddings)


@register_loss("softmax")
def softmax(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    observed: Adjacency,
    supervision: Tensor,
    generator: Generator | None = None,
) -> Tensor:
    r"""Softmax cross-entropy over the catalog, averaged over supervision edges (Liang et al. 2018, eq. 2).

    .. math:: L = -\frac{1}{|P|} \sum_{(u, i) \in P} \log \frac{e^{s_{ui}}}{\sum_{j \notin M_u} e^{s_{uj}}}

    Parameters are those of `weighted_mse`.

    Examples
    --------
    >>> observed = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> supervision = torch.tensor([False, True])  # movie 0 is in the history, movie 1 is to be predicted
    >>> movies = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> users = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(softmax(users, movies, observed, supervision).item(), 4)  # log(1 + e^1.5): movies 1 and 2 only
    1.7014
    """
    user, movie = observed.row, observed.col
    scores = user_embeddings @ movie_embeddings.T  # [num_users, num_movies]
    scores = scores.index_put((user[~supervision], movie[~supervision]), scores.new_tensor(-torch.inf))
    user, movie = user[supervision], movie[supervision]
    return (scores.logsumexp(dim=1)[user] - scores[user, movie]).sum() / max(len(user), 1)


@register_loss("sampled_softmax")
def sampled_softmax(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    observed: Adjacency,
    supervision: Tensor,
    generator: Generator | None = None,
    num_negatives: int = 1024,
) -> Tensor:
    r"""Softmax cross-entropy with sampled negatives, averaged over supervision edges (Jean et al. 2015, eq. 11).

    .. math:: L = -\frac{1}{|P|} \sum_{(u, i) \in P} \log \frac{e^{s_{ui}}}
        {e^{s_{ui}} + \frac{M - 1}{|S \setminus i|} \sum_{j \in S \setminus (M_u \cup i)} e^{s_{uj}}}

    All users of a batch share the sample :math:`S` of :math:`n` of the :math:`M` movies, so a step costs a fraction of
    `softmax` where there are many movies. The factor before the sum makes it an estimate of the sum over all of them.

    Parameters
    ----------
    user_embeddings, movie_embeddings, observed, supervision
        As for `weighted_mse`.
    generator : torch.Generator, optional
        Source of the sample.
    num_negatives : int
        :math:`n`; all movies are used if there are not more.

    Examples
    --------
    >>> observed = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> supervision = torch.tensor([False, True])  # movie 0 is in the history, movie 1 is to be predicted
    >>> movies = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> users = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(sampled_softmax(users, movies, observed, supervision).item(), 4)  # all movies: the same as `softmax`
    1.7014
    """
    num_movies = len(movie_embeddings)
    n = min(num_negatives, num_movies)
    sample = torch.randperm(num_movies, generator=generator)[:n].to(user_embeddings.device)
    scores = user_embeddings @ movie_embeddings[sample].T  # [num_users, n]
    user, movie = observed.row[supervision], observed.col[supervision]
    place = sample.new_full((num_movies,), -1)
    place[sample] = torch.arange(n, device=sample.device)
    hidden = ~supervision & (place[observed.col] >= 0)
    minus_infinity = scores.new_tensor(-torch.inf)
    scores = scores.index_put((observed.row[hidden], place[observed.col[hidden]]), minus_infinity)
    negatives = scores[user]  # [num_supervision_edges, n]
    is_sampled = place[movie] >= 0
    negatives = negatives.index_put((torch.nonzero(is_sampled)[:, 0], place[movie[is_sampled]]), minus_infinity)
    positive = (user_embeddings[user] * movie_embeddings[movie]).sum(1)
    share = (n - is_sampled.to(scores.dtype)) / max(num_movies - 1, 1)
    others = negatives.logsumexp(dim=1) - share.clamp(min=1e-12).log()
    return (torch.logaddexp(positive, others) - positive).sum() / max(len(user), 1)


@register_loss("bpr")
def bpr(
    user_embeddings: Tensor,
    movie_embeddings: Tensor,
    observed: Adjacency,
    supervision: Tensor,
    generator: Generator | None = None,
) -> Tensor:
    r"""Bayesian personalized ranking (Rendle et al. 2009, sec. 4), with one sampled negative per supervision edge.

    .. math:: L = -\frac{1}{|P|} \sum_{(u, i) \in P} \log \sigma(s_{ui} - s_{uj})

    Parameters are those of `weighted_mse`; negatives are drawn from `generator`. A sampled movie that the user has
    rated is drawn again a few times; if none is found, the edge is left out.

    Examples
    --------
    >>> observed = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> supervision = torch.tensor([False, True])  # movie 0 is in the history, movie 1 is to be predicted
    >>> movies = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> users = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(bpr(users, movies, observed, supervision).item(), 4)  # log(1 + e^1.5): only movie 2 is unobserved
    1.7014
    """
    num_users, num_movies = len(user_embeddings), len(movie_embeddings)
    user, positive = observed.row[supervision], observed.col[supervision]
    is_observed = torch.zeros(num_users, num_movies, dtype=torch.bool, device=user_embeddings.device)
    is_observed[observed.row, observed.col] = True
    negative = torch.randint(num_movies, (len(user),), generator=generator).to(user_embeddings.device)
    for _ in range(BPR_ATTEMPTS):
        wrong = torch.nonzero(is_observed[user, negative]).squeeze(1)
        if not len(wrong):
            break
        negative[wrong] = torch.randint(num_movies, (len(wrong),), generator=generator).to(user_embeddings.device)
    valid = ~is_observed[user, negative]
    user, positive, negative = user[valid], positive[valid], negative[valid]
    positive_scores, negative_scores = (
        Adjacency(user, movie, num_users, num_movies).edge_scores(user_embeddings, movie_embeddings)
        for movie in (positive, negative)
    )
    return -nn.functional.logsigmoid(positive_scores - negative_scores).sum() / max(len(user), 1)
