"""Scores of a group from the scores of its members.

The strategies are those of Masthoff, "Group recommender systems: aggregation, satisfaction and group attributes",
Recommender Systems Handbook, 2015: average, least misery, most pleasure and fairness.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec._checks import choose_from
from gnnrec.errors import ConfigError

STRATEGIES = ("average", "least_misery", "most_pleasure", "fair")
"""Ways to make one list for several users."""


def standardize(scores: Tensor) -> Tensor:
    """Return scores with mean 0 and standard deviation 1 in each row, so that all members count the same.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``, finite.

    Examples
    --------
    >>> standardize(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    centered = scores - scores.mean(1, keepdim=True)
    return centered / centered.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)


def suitability(scores: Tensor, movies: Tensor) -> Tensor:
    """Return the share of all movies that suit each member less than some movies, ``[num_users, len(movies)]``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``.
    movies : Tensor
        Movie nodes, int64.

    Examples
    --------
    >>> suitability(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), torch.tensor([1, 3])).tolist()
    [[0.75, 0.0]]
    """
    ordered = scores.contiguous().sort(1).values
    return torch.searchsorted(ordered, scores[:, movies].contiguous()).float() / scores.size(1)


def combine_scores(scores: Tensor, strategy: str, allowed: Tensor, k: int) -> Tensor:
    """Return scores of a group, ``[num_movies]`` float32; movies that are not allowed have ``-inf``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``, standardized.
    strategy : str
        ``"average"`` of the scores; ``"least_misery"``, the lowest; ``"most_pleasure"``, the highest; or ``"fair"``:
        members take turns, the next turn is of whoever the movies so far suit least, and they take the movie that suits
        them best. All others follow, by average.
    allowed : Tensor
        ``[num_movies]`` bool.
    k : int
        Number of turns.

    Raises
    ------
    ConfigError
        The strategy is unknown.

    Examples
    --------
    >>> scores = torch.tensor([[3.0, 2.0, 0.0], [-3.0, 1.0, 2.0]])
    >>> [combine_scores(scores, name, torch.ones(3).bool(), 2).argmax().item() for name in STRATEGIES]
    [1, 1, 0, 0]
    """
    if strategy == "average":
        combined = scores.mean(0)
    elif strategy == "least_misery":
        combined = scores.min(0).values
    elif strategy == "most_pleasure":
        combined = scores.max(0).values
    elif strategy == "fair":
        return _take_turns(scores, allowed, k)
    else:
        raise ConfigError(f"unknown strategy {strategy!r}{choose_from(str(strategy), STRATEGIES)}")
    return combined.masked_fill(~allowed, -torch.inf)


def _take_turns(scores: Tensor, allowed: Tensor, k: int) -> Tensor:
    """Return the average with a constant on top for each movie that a member takes, more for earlier ones."""
    combined = scores.mean(0).masked_fill(~allowed, -torch.inf)
    left = scores.masked_fill(~allowed, -torch.inf)
    gained = torch.zeros(len(scores))
    taken: list[int] = []
    for _ in range(min(k, int(allowed.sum()))):
        movie = int(left[int(gained.argmin())].argmax())
        gained += scores[:, movie]
        left[:, movie] = -torch.inf
        taken.append(movie)
    if taken:
        top = combined.max().clamp(min=0)
        combined[taken] = top + torch.arange(len(taken), 0, -1, dtype=torch.float32)
    return combined
