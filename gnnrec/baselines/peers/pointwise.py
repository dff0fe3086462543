"""Learning "watched or not" pair by pair: what matrix factorisation and NeuMF have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnrec.baselines.peers.training import Schedule, Unwatched, batches, check_at_least
from gnnrec.graph import Graph


class PairNetwork(nn.Module, ABC):
    """Scores pairs of a user and a movie."""

    @abstractmethod
    def embed(self, users: Tensor, movies: Tensor) -> tuple[Tensor, ...]:
        """Return what the score is computed from, each ``[n, width]``, of the users and movies ``[n]``."""

    @abstractmethod
    def logits(self, *embedded: Tensor) -> Tensor:
        """Return the scores ``[n]``."""


def pointwise(
    network: PairNetwork,
    graph: Graph,
    generator: torch.Generator,
    schedule: Schedule,
    *,
    negatives: int,
    reg: float = 0.0,
) -> Callable[[], float]:
    r"""Return a function that trains `network` for one epoch and returns its mean loss.

    The log loss, with :math:`D` every rating as a 1 and `negatives` unwatched movies of the same person as 0, drawn
    anew each time (He et al. 2017, eq. 7), and L2 on what the score was computed from:

    .. math:: -\sum_{(u, i) \in D} y_{ui} \log \sigma(s_{ui}) + (1 - y_{ui}) \log(1 - \sigma(s_{ui}))
    """
    check_at_least(1, negatives=negatives)
    check_at_least(0, reg=reg)
    optimiser, unwatched = schedule.optimiser(network), Unwatched(graph)

    def epoch() -> float:
        total = 0.0
        for edges in batches(len(graph.users.row), schedule.batch_size, generator):
            users = graph.users.row[edges].repeat(1 + negatives)  # [batch * (1 + negatives)]
            movies = torch.cat([graph.users.movie[edges], unwatched.draw(users[len(edges) :], generator)])
            watched = torch.zeros(len(users))
            watched[: len(edges)] = 1.0
            embedded = network.embed(users, movies)
            loss = nn.functional.binary_cross_entropy_with_logits(network.logits(*embedded), watched)
            if reg:
                loss = loss + reg * torch.stack([part.square().sum(1).mean() for part in embedded]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(edges)
        return total / len(graph.users.row)

    return epoch
