"""Scores of a group from the scores of its members.

The strategies are those of Masthoff, "Group recommender systems: aggregation, satisfaction and group attributes",
Recommender Systems Handbook, 2015: average, least misery, most pleasure and fairness.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec._checks import choose_from, shown
from gnnrec.errors import ConfigError

STRATEGIES = ("average", "least_misery", "most_pleasure", "fair")
"""Ways to make one list for several users."""


def standardize(scores: Tensor, seen: Tensor) -> Tensor:
    """Standardize scores: those of unseen movies have mean 0 and standard deviation 1 in each row.

    All members then have equal influence, regardless of the spread of their scores and the length of their histories.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``, finite.
    seen : Tensor
        ``[num_users, num_movies]`` bool.

    Examples
    --------
    >>> standardize(torch.tensor([[1.0, 3.0, 8.0], [10.0, 30.0, 20.0]]), torch.tensor([[0, 0, 1], [0, 0, 0]]).bool())
    tensor([[-1.0000,  1.0000,  6.0000],
            [-1.2247,  1.2247,  0.0000]])
    """
    number = (~seen).sum(1, keepdim=True).clamp(min=1)
    centered = scores - scores.masked_fill(seen, 0).sum(1, keepdim=True) / number
    variance = centered.masked_fill(seen, 0).square().sum(1, keepdim=True) / number
    return centered / variance.sqrt().clamp(min=1e-9)


def suitability(scores: Tensor, seen: Tensor, movies: Tensor) -> Tensor:
    """Return the share of each member's unseen movies that score lower, ``[num_users, len(movies)]``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``.
    seen : Tensor
        ``[num_users, num_movies]`` bool.
    movies : Tensor
        Movie nodes, int64.

    Examples
    --------
    >>> suitability(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), torch.zeros(1, 4).bool(), torch.tensor([1, 3])).tolist()
    [[0.75, 0.0]]
    """
    ordered = scores.masked_fill(seen, torch.inf).sort(1).values
    number = (~seen).sum(1, keepdim=True).clamp(min=1)
    below = torch.searchsorted(ordered, scores[:, movies].contiguous())
    return (below.minimum(number) / number).float()


def combine_scores(scores: Tensor, strategy: str, allowed: Tensor, k: int) -> Tensor:
    """Return scores of a group, ``[num_movies]`` float32; movies that are not allowed have ``-inf``.

    Parameters
    ----------
    scores : Tensor
        ``[num_users, num_movies]``, standardized.
    strategy : str
        ``"average"`` of the scores; ``"least_misery"``, the lowest; ``"most_pleasure"``, the highest; or ``"fair"``:
        members take turns. The next turn goes to the member whom the list has served worst so far, and adds the movie
        with their highest score. All other movies follow, by average.
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
        raise ConfigError(f"unknown strategy {shown(strategy)}{choose_from(shown(strategy), STRATEGIES)}")
    return combined.masked_fill(~allowed, -torch.inf)


def _take_turns(scores: Tensor, allowed: Tensor, k: int) -> Tensor:
    """Return the average, plus a bonus for each movie that a member picks, larger for earlier picks."""
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
