"""Models that read a history as a sequence and say what comes next: what SASRec and the averaging model share.

They have no table of users. A history is the latest movies in the order they were watched, after a start token, so
that an empty one has an answer, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.baselines.counts import check_grown
from gnnrec.baselines.peers.tables import last_for_added, zeros_for_added
from gnnrec.baselines.peers.training import Schedule, Unwatched, Watch, batches, check_at_least, frozen, train
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.recommend import Recommender

CHUNK = 128
"""People scored at once."""

LOSSES = ("softmax", "binary")


class SequenceNetwork(nn.Module, ABC):
    """Turns each beginning of a history into a vector, and a vector into scores of movies.

    Tokens are the movies, then `start`, then `pad`.
    """

    def __init__(self, num_movies: int, length: int) -> None:
        super().__init__()
        check_at_least(1, length=length)
        self.num_movies, self.length = num_movies, length
        self.start, self.pad = num_movies, num_movies + 1

    @abstractmethod
    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; what comes later must not reach an earlier place."""

    @abstractmethod
    def output(self) -> tuple[Tensor, Tensor]:
        """Return vector ``[num_movies, dim]`` and bias ``[num_movies]`` of each movie as the next one."""


def columns(row: Tensor, num_users: int, length: int) -> Tensor:
    """Return the column of each edge in windows ``[num_users, length]`` that end with a user's last one.

    `row` is sorted. What does not fit has a negative column.
    """
    counts = torch.bincount(row, minlength=num_users)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    return length - counts[row] + place


def tokens_of(users: UserBatch, num_movies: int, length: int) -> Tensor:
    """Return ``[num_users, length]`` int64: the latest movies, up to the right edge; before a whole history its start.

    Movies beyond `num_movies` were not there in training and are passed over.
    """
    tokens = torch.full((users.num_users, length), num_movies + 1, device=users.row.device)
    known = users.movie < num_movies
    row, movie = users.row[known], users.movie[known]
    column = columns(row, users.num_users, length)
    tokens[row[column >= 0], column[column >= 0]] = movie[column >= 0]
    counts = torch.bincount(row, minlength=users.num_users)
    short = torch.nonzero(counts < length).squeeze(1)
    tokens[short, length - 1 - counts[short]] = num_movies
    return tokens


@dataclass(frozen=True, eq=False, repr=False)
class SequenceModel(Recommender):
    """Scores a movie as the next one after the history. Movies added later come last.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    network : SequenceNetwork
    """

    graph: Graph
    network: SequenceNetwork

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        tokens = tokens_of(users, self.network.num_movies, self.network.length)
        weight, bias = self.network.output()
        tokens = tokens.to(weight.device)
        with torch.no_grad():
            last = torch.cat([self.network.encode(part)[:, -1] for part in tokens.split(CHUNK)])
            return last_for_added(last @ weight.T + bias, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same network on a larger graph."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(self.network.output()[0], self.graph.num_movies)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.network.num_movies:,} movies)"

    @classmethod
    def learn(
        cls,
        graph: Graph,
        network: SequenceNetwork,
        generator: torch.Generator,
        schedule: Schedule,
        *,
        loss: str,
        watch: Watch | None,
        device: str,
    ) -> Self:
        """Train `network` to tell each movie of a history from those before it."""
        if loss not in LOSSES:
            raise ConfigError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        network = network.to(device)
        optimiser = schedule.optimiser(network)
        # One place more than the network reads: the last movie is only ever a question.
        windows = tokens_of(graph.users, graph.num_movies, network.length + 1)
        readers = torch.nonzero(windows[:, -1] < graph.num_movies).squeeze(1)  # with a history
        unwatched = Unwatched(graph)

        def epoch() -> float:
            network.train()
            total, asked = torch.zeros((), device=device), 0
            for batch in batches(len(readers), schedule.batch_size, generator):
                nodes = readers[batch]
                inputs, targets = windows[nodes, :-1], windows[nodes, 1:]
                real = targets < graph.num_movies
                wanted = targets[real].to(device)  # [num_questions]
                states = network.encode(inputs.to(device))[real.to(device)]  # [num_questions, dim]
                weight, bias = network.output()
                if loss == "softmax":
                    value = nn.functional.cross_entropy(states @ weight.T + bias, wanted)
                else:
                    drawn = unwatched.draw(nodes.unsqueeze(1).expand_as(targets)[real], generator).to(device)
                    right, wrong = ((states * weight[some]).sum(1) + bias[some] for some in (wanted, drawn))
                    value = -(nn.functional.logsigmoid(right) + nn.functional.logsigmoid(-wrong)).mean()
                optimiser.zero_grad()
                value.backward()
                optimiser.step()
                total += value.detach() * len(wanted)
                asked += len(wanted)
            return total.item() / asked

        return train(epoch, lambda: cls(graph, frozen(network)), schedule.epochs, watch)
