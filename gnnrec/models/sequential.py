"""The mean of what was watched, and a linear layer to what comes next: the plainest model of a sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.factorization import last_for_added, zeros_for_added
from gnnrec.models.neighbors import check_grown
from gnnrec.training.loop import NegativeSampler, OptimizerConfig, Watch, batches, check_at_least, frozen, seeded, train

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
    tokens = torch.full((users.num_users, length), num_movies + 1, device=users.user_index.device)
    known = users.movie_index < num_movies
    row, movie = users.user_index[known], users.movie_index[known]
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

    def similarity_embeddings(self) -> Tensor:
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
        schedule: OptimizerConfig,
        *,
        loss: str,
        watch: Watch | None,
        device: str,
    ) -> Self:
        """Train `network` to tell each movie of a history from those before it."""
        if loss not in LOSSES:
            raise ConfigError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        network = network.to(device)
        optimizer = schedule.optimizer(network)
        # One place more than the network reads: the last movie is only ever a question.
        windows = tokens_of(graph.users, graph.num_movies, network.length + 1)
        readers = torch.nonzero(windows[:, -1] < graph.num_movies).squeeze(1)  # with a history
        unwatched = NegativeSampler(graph)

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
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                total += value.detach() * len(wanted)
                asked += len(wanted)
            return total.item() / asked

        return train(epoch, lambda: cls(graph, frozen(network)), schedule.epochs, watch)


class Block(nn.Module):
    """Self-attention and a feed-forward network at each place, both with dropout, residual and layer norm."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_attention, self.norm_forward = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.forward_1, self.forward_2 = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; `allowed` says which place may look at which."""
        # As in the authors' program, queries are normalized before attention, keys and values are not.
        normed = self.norm_attention(x)
        query, key, value = (
            layer(source).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [num_users, num_heads, length, width]
            for layer, source in ((self.query, normed), (self.key, x), (self.value, x))
        )
        rate = self.dropout.p if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=rate)
        x = normed + mixed.transpose(1, 2).flatten(2)
        normed = self.norm_forward(x)
        hidden = self.dropout(torch.relu(self.forward_1(normed)))
        return normed + self.dropout(self.forward_2(hidden))


class SASRecNetwork(SequenceNetwork):
    """Embeddings of movies and places, blocks, and the same movie embeddings for the answer."""

    def __init__(self, num_movies: int, length: int, dim: int, num_blocks: int, num_heads: int, dropout: float) -> None:
        super().__init__(num_movies, length)
        if dim % num_heads:
            raise ConfigError(f"dim must be a multiple of num_heads, not {dim} and {num_heads}")
        self.movie = nn.Embedding(num_movies + 2, dim, padding_idx=self.pad)
        self.place = nn.Parameter(torch.empty(length, dim))
        for table in (self.movie.weight, self.place):
            nn.init.normal_(table, std=0.02)
        with torch.no_grad():
            self.movie.weight[self.pad] = 0.0
        self.blocks = nn.ModuleList(Block(dim, num_heads, dropout) for _ in range(num_blocks))
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.register_buffer("no_bias", torch.zeros(num_movies))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``."""
        x = self.dropout(self.movie(tokens) * self.place.size(1) ** 0.5 + self.place)
        length = tokens.size(1)
        past = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)  # padding sees itself, or its row were empty
        allowed = past & ((tokens != self.pad).unsqueeze(1) | itself)  # [num_users, length, length]
        for block in self.blocks:
            x = block(x, allowed.unsqueeze(1))
        return self.norm(x)

    def output(self) -> tuple[Tensor, Tensor]:
        """Return the movie embeddings, without a bias."""
        return self.movie.weight[: self.num_movies], self.get_buffer("no_bias")


class SASRec(SequenceModel):
    """Self-attentive sequential recommendation (Kang & McAuley, ICDM 2018).

    Causal self-attention over the latest movies with learned places, section III. Two choices of loss: the paper's
    (``"binary"``: log loss with one unwatched movie for each watched one, section III-E), and the cross entropy over
    all movies (``"softmax"``), with which the same network ranks far better (Klenitskiy & Vasilev, RecSys 2023).
    Profiles and ratings are not read.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # after each movie comes the next one
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> schedule = OptimizerConfig(30, learning_rate=0.02, batch_size=20)
    >>> model = SASRec.fit(graph, dim=8, length=4, num_blocks=1, dropout=0.0, schedule=schedule)
    >>> recommend(model, {2: 5}, k=1)["movie_id"].tolist()
    [3]
    """

    name = "sasrec"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        loss: str = "softmax",
        dim: int = 64,
        length: int = 200,
        num_blocks: int = 2,
        num_heads: int = 1,
        dropout: float = 0.2,
        schedule: OptimizerConfig = OptimizerConfig(epochs=100, learning_rate=1e-3, batch_size=64),
        seed: int = 0,
        watch: Watch | None = None,
        device: str = "cpu",
    ) -> Self:
        """Train on the histories in `graph`.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        loss : str
            ``"softmax"`` or ``"binary"``.
        dim : int
            Width of a vector.
        length : int
            Latest movies that are read, the start token included.
        num_blocks, num_heads : int
        dropout : float
        schedule : OptimizerConfig
        seed : int
        watch : Watch, optional
            Stops early.
        device : str
            Where PyTorch computes.
        """
        with seeded(seed) as generator:
            network = SASRecNetwork(graph.num_movies, length, dim, num_blocks, num_heads, dropout)
            return cls.learn(graph, network, generator, schedule, loss=loss, watch=watch, device=device)


class AverageNetwork(SequenceNetwork):
    """The running mean of the embeddings, dropout, and one linear layer to all movies."""

    def __init__(self, num_movies: int, length: int, dim: int, dropout: float) -> None:
        super().__init__(num_movies, length)
        self.movie = nn.Embedding(num_movies + 2, dim)
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(dim, num_movies)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; the start token is part of the mean."""
        real = (tokens != self.pad).unsqueeze(-1).float()
        mean = (self.movie(tokens) * real).cumsum(1) / real.cumsum(1).clamp(min=1)
        return self.dropout(mean)

    def output(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the linear layer."""
        return self.linear.weight, self.linear.bias


class MeanPooling(SequenceModel):
    r"""Next movie from the averaged history: the bag-of-embeddings network of many a student project.

    With :math:`e_i` the embedding of a movie and :math:`H_t` the latest movies before the next one,

    .. math:: p(j \mid H_t) = \mathrm{softmax}_j \left( W \frac{1}{|H_t|} \sum_{i \in H_t} e_i + b \right)

    trained with the cross entropy of every next movie. It is the candidate network of Covington et al. (RecSys 2016)
    without its hidden layers. The order within the history is not read.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # after each movie comes the next one
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> schedule = OptimizerConfig(30, learning_rate=0.05, batch_size=20)
    >>> model = MeanPooling.fit(graph, dim=8, length=4, dropout=0.0, schedule=schedule)
    >>> recommend(model, {2: 5}, k=1)["movie_id"].tolist()
    [3]
    """

    name = "average"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 128,
        length: int = 200,
        dropout: float = 0.3,
        schedule: OptimizerConfig = OptimizerConfig(epochs=60, learning_rate=3e-3, batch_size=64),
        seed: int = 0,
        watch: Watch | None = None,
        device: str = "cpu",
    ) -> Self:
        """Train on the histories in `graph`.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of an embedding.
        length : int
            Latest movies that are averaged, the start token included.
        dropout : float
            Of the mean.
        schedule : OptimizerConfig
        seed : int
        watch : Watch, optional
            Stops early.
        device : str
            Where PyTorch computes.
        """
        with seeded(seed) as generator:
            network = AverageNetwork(graph.num_movies, length, dim, dropout)
            return cls.learn(graph, network, generator, schedule, loss="softmax", watch=watch, device=device)
