"""Losses over the whole catalogue: of all movies, which are the ones a person went on to watch.

All take the same arguments, so that one config word swaps them. A rating is a message or a question (see
`gnnrec.training.edge_sampling`); a movie that carried a message is neither right nor wrong for that person and takes no part.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from gnnrec.registry import register_loss
from gnnrec.sparse import Adjacency


@register_loss("weighted_mse")
def weighted_mse(
    z: Tensor,
    targets: Tensor,
    watched: Adjacency,
    question: Tensor,
    generator: Generator | None = None,
    negative_weight: float = 0.3,
) -> Tensor:
    r"""Squared error on every movie of the catalogue, averaged over people.

    .. math:: L_u = \sum_{i \in P} (1 - s_{ui})^2 + w \sum_{i \notin P \cup M} s_{ui}^2

    (Hu, Koren & Volinsky 2008, eq. 3, with constant confidences; P questions, M messages.) Scores of all pairs are
    never made: :math:`\sum_{ui} s_{ui}^2` is the inner product of two small Gram matrices, and the rest concerns
    watched movies only.

    Parameters
    ----------
    z : Tensor
        ``[num_users, dim]``, people.
    targets : Tensor
        ``[num_movies, dim]``, the movies that can be watched.
    watched : Adjacency
        From movies to these people.
    question : Tensor
        ``[num_edges]`` bool, true for ratings to be predicted, false for messages.
    generator : Generator, optional
        Not used: this loss draws nothing.
    negative_weight : float
        :math:`w`, what an unwatched movie counts.

    Examples
    --------
    >>> watched = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> question = torch.tensor([False, True])  # movie 0 is known, movie 1 is asked for
    >>> targets = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> z = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(weighted_mse(z, targets, watched, question, negative_weight=0.3).item(), 4)  # 0.5^2 + 0.3 * 2^2
    1.45
    """
    everywhere = ((z.T @ z) * (targets.T @ targets)).sum()
    scores = watched.edge_scores(z, targets)  # [num_edges]
    of_questions = (question * (1 - scores).square()).sum()
    return (of_questions + negative_weight * (everywhere - scores.square().sum())) / len(z)


@register_loss("softmax")
def softmax(
    z: Tensor, targets: Tensor, watched: Adjacency, question: Tensor, generator: Generator | None = None
) -> Tensor:
    r"""Cross entropy of a softmax over the catalogue, averaged over questions (Liang et al. 2018, eq. 2).

    .. math:: L = -\frac{1}{|P|} \sum_{(u, i) \in P} \log \frac{e^{s_{ui}}}{\sum_{j \notin M_u} e^{s_{uj}}}

    Parameters are those of `weighted_mse`.

    Examples
    --------
    >>> watched = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> question = torch.tensor([False, True])  # movie 0 is known, movie 1 is asked for
    >>> targets = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> z = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(softmax(z, targets, watched, question).item(), 4)  # log(1 + e^1.5): movies 1 and 2 only
    1.7014
    """
    row, movie = watched.row, watched.col
    scores = z @ targets.T  # [num_users, num_movies]
    scores = scores.index_put((row[~question], movie[~question]), scores.new_tensor(-torch.inf))
    row, movie = row[question], movie[question]
    return (scores.logsumexp(dim=1)[row] - scores[row, movie]).sum() / max(len(row), 1)


@register_loss("bpr")
def bpr(z: Tensor, targets: Tensor, watched: Adjacency, question: Tensor, generator: Generator | None = None) -> Tensor:
    r"""Bayesian personalised ranking: each question against one unwatched movie drawn at random.

    .. math:: L = -\frac{1}{|P|} \sum_{(u, i) \in P} \log \sigma(s_{ui} - s_{uj})

    (Rendle et al. 2009, sec. 4.) Parameters are those of `weighted_mse`. A draw that hits a watched movie
    is drawn again a few times and then left out.

    Examples
    --------
    >>> watched = Adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), num_rows=1, num_cols=3)
    >>> question = torch.tensor([False, True])  # movie 0 is known, movie 1 is asked for
    >>> targets = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 2.0]])
    >>> z = torch.tensor([[1.0, 1.0]])  # scores 1, 0.5 and 2
    >>> round(bpr(z, targets, watched, question).item(), 4)  # log(1 + e^1.5): movie 2 is the only one left to draw
    1.7014
    """
    row, movie = watched.row[question], watched.col[question]
    taken = torch.zeros(len(z), len(targets), dtype=torch.bool, device=z.device)
    taken[watched.row, watched.col] = True
    drawn = torch.randint(len(targets), (len(row),), generator=generator).to(z.device)
    for _ in range(20):
        wrong = torch.nonzero(taken[row, drawn]).squeeze(1)
        if not len(wrong):
            break
        drawn[wrong] = torch.randint(len(targets), (len(wrong),), generator=generator).to(z.device)
    fair = ~taken[row, drawn]
    row, movie, drawn = row[fair], movie[fair], drawn[fair]
    positive, negative = (Adjacency(row, col, len(z), len(targets)).edge_scores(z, targets) for col in (movie, drawn))
    return -F.logsigmoid(positive - negative).sum() / max(len(row), 1)
