"""Sequential models: SASRec, and mean pooling as the simplest one. They predict the next movie of a history."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from gnnrec._torch import pick_device
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import check_grown
from gnnrec.models.estimator import Estimator
from gnnrec.models.factorization import lowest_for_added, zeros_for_added
from gnnrec.models.saved_state import build_with
from gnnrec.registry import register_model
from gnnrec.training.loop import DEFAULT_PATIENCE, FitRun, NegativeSampler, OptimizerConfig, batches, frozen, seeded

CHUNK = 128
"""Maximum number of users scored at a time."""


class SequenceNetwork(nn.Module, ABC):
    """Encodes every prefix of a history, and scores all movies as the next one.

    Tokens are the movies, then `start`, then `pad`.
    """

    def __init__(self, num_movies: int, length: int) -> None:
        super().__init__()
        self.num_movies, self.length = num_movies, length
        self.start, self.pad = num_movies, num_movies + 1

    @abstractmethod
    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; later positions must not influence earlier ones."""

    @abstractmethod
    def output(self) -> tuple[Tensor, Tensor]:
        """Return output embeddings ``[num_movies, dim]`` and bias ``[num_movies]``."""


def window_columns(row: Tensor, num_users: int, length: int) -> Tensor:
    """Return the column of each edge in windows ``[num_users, length]`` that end with each user's last edge.

    `row` is sorted. Edges that do not fit have a negative column.
    """
    counts = torch.bincount(row, minlength=num_users)
    position = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    return length - counts[row] + position


def history_tokens(users: UserBatch, num_movies: int, length: int) -> Tensor:
    """Return ``[num_users, length]`` int64: the latest movies, right-aligned; a start token before complete histories.

    Movies beyond `num_movies` were added after training and are skipped.
    """
    tokens = torch.full((users.num_users, length), num_movies + 1, device=users.user_index.device)
    known = users.movie_index < num_movies
    row, movie = users.user_index[known], users.movie_index[known]
    column = window_columns(row, users.num_users, length)
    tokens[row[column >= 0], column[column >= 0]] = movie[column >= 0]
    counts = torch.bincount(row, minlength=users.num_users)
    short = torch.nonzero(counts < length).squeeze(1)
    tokens[short, length - 1 - counts[short]] = num_movies
    return tokens


@dataclass(frozen=True, eq=False, repr=False)
class SequenceModel(Recommender):
    """Fitted sequential model: scores each movie as the next one. Movies added later get the lowest score.

    Attributes
    ----------
    graph : Graph
    network : SequenceNetwork
    estimator : SequenceEstimator
    """

    graph: Graph
    network: SequenceNetwork
    estimator: Estimator

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32, from the histories alone."""
        tokens = history_tokens(users, self.network.num_movies, self.network.length)
        weight, bias = self.network.output()
        tokens = tokens.to(weight.device)
        with torch.no_grad():
            last = torch.cat([self.network.encode(part)[:, -1] for part in tokens.split(CHUNK)])
            return lowest_for_added(last @ weight.T + bias, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`."""
        check_grown(self.network.num_movies, graph.num_movies)
        return replace(self, graph=graph)

    def to(self, device: str) -> Self:
        """See `Recommender.to`."""
        moved = replace(self, network=copy.deepcopy(self.network).to(pick_device(device)))
        return moved.with_records(self.history, self.report)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``, zeros for movies added later."""
        return zeros_for_added(self.network.output()[0], self.graph.num_movies)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {**self.network.state_dict(), "num_movies": torch.tensor(self.network.num_movies)}

    def __repr__(self) -> str:
        return f"SequenceModel({self.name}, {self.network.num_movies:,} movies)"


class SequenceEstimator(Estimator, OptimizerConfig):
    """Base of the sequential models: trains a network to predict each movie of a history from the previous ones."""

    trains_in_epochs: ClassVar[bool] = True
    patience: ClassVar[int] = DEFAULT_PATIENCE

    loss: Literal["softmax", "binary"] = "softmax"
    """Cross entropy over all movies, or binary cross entropy with one sampled negative per movie."""
    length: int = Field(200, ge=1)
    """Maximum history length, the start token included."""
    seed: int = Field(0, ge=0)
    """Random seed."""
    device: str = "cpu"
    """PyTorch device."""

    @abstractmethod
    def build_network(self, num_movies: int) -> SequenceNetwork:
        """Return the untrained network."""

    def fit_graph(self, graph: Graph, run: FitRun) -> SequenceModel:
        """See `Estimator.fit_graph`."""
        device = pick_device(self.device)
        with seeded(self.seed) as generator:
            network = self.build_network(graph.num_movies).to(device)
            optimizer = self.optimizer(network)
            # One position more than the network reads: the last movie is a target only.
            windows = history_tokens(graph.users, graph.num_movies, network.length + 1)
            active = torch.nonzero(windows[:, -1] < graph.num_movies).squeeze(1)  # users with a history
            negatives = NegativeSampler(graph)

            def run_epoch() -> float:
                network.train()
                total, num_targets = torch.zeros((), device=device), 0
                for batch in batches(len(active), self.batch_size, generator):
                    nodes = active[batch]
                    inputs, following = windows[nodes, :-1], windows[nodes, 1:]
                    real = following < graph.num_movies
                    targets = following[real].to(device)  # [num_targets]
                    states = network.encode(inputs.to(device))[real.to(device)]  # [num_targets, dim]
                    weight, bias = network.output()
                    if self.loss == "softmax":
                        loss = nn.functional.cross_entropy(states @ weight.T + bias, targets)
                    else:
                        users = nodes.unsqueeze(1).expand_as(following)[real]
                        sampled = negatives.sample(users, generator).to(device)
                        positive, negative = (
                            (states * weight[movies]).sum(1) + bias[movies] for movies in (targets, sampled)
                        )
                        loss = -(nn.functional.logsigmoid(positive) + nn.functional.logsigmoid(-negative)).mean()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += loss.detach() * len(targets)
                    num_targets += len(targets)
                return total.item() / num_targets

            return run.run_epochs(
                run_epoch, lambda: SequenceModel(graph, frozen(network), self), self.epochs, self.patience
            )

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> SequenceModel:
        """See `Estimator.restore`."""
        weights = dict(state)
        num_movies = int(weights.pop("num_movies"))
        if not 0 < num_movies <= graph.num_movies:
            raise LookupError(f"it has {num_movies:,} movies, and the graph {graph.num_movies:,}")
        network = build_with(weights, lambda: self.build_network(num_movies))
        return SequenceModel(graph, frozen(network), self)


class Block(nn.Module):
    """Self-attention and a position-wise feed-forward network, both with dropout, residual and layer norm."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_attention, self.norm_forward = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.forward_1, self.forward_2 = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; `mask` is True where a position may attend to another."""
        # As in the authors' code, queries are normalized before attention, keys and values are not.
        normed = self.norm_attention(x)
        query, key, value = (
            layer(source).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [num_users, num_heads, length, width]
            for layer, source in ((self.query, normed), (self.key, x), (self.value, x))
        )
        rate = self.dropout.p if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        x = normed + mixed.transpose(1, 2).flatten(2)
        normed = self.norm_forward(x)
        hidden = self.dropout(torch.relu(self.forward_1(normed)))
        output: Tensor = normed + self.dropout(self.forward_2(hidden))
        return output


class SASRecNetwork(SequenceNetwork):
    """Embeddings of movies and positions, attention blocks, and the movie embeddings again as output."""

    def __init__(self, num_movies: int, length: int, dim: int, num_blocks: int, num_heads: int, dropout: float) -> None:
        super().__init__(num_movies, length)
        self.movie = nn.Embedding(num_movies + 2, dim, padding_idx=self.pad)
        self.position = nn.Parameter(torch.empty(length, dim))
        for table in (self.movie.weight, self.position):
            nn.init.normal_(table, std=0.02)
        with torch.no_grad():
            self.movie.weight[self.pad] = 0.0
        self.blocks = nn.ModuleList(Block(dim, num_heads, dropout) for _ in range(num_blocks))
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.register_buffer("no_bias", torch.zeros(num_movies))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``."""
        x = self.dropout(self.movie(tokens) * self.position.size(1) ** 0.5 + self.position)
        length = tokens.size(1)
        past = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)  # padding attends to itself
        mask = past & ((tokens != self.pad).unsqueeze(1) | itself)  # [num_users, length, length]
        for block in self.blocks:
            x = block(x, mask.unsqueeze(1))
        output: Tensor = self.norm(x)
        return output

    def output(self) -> tuple[Tensor, Tensor]:
        """Return the movie embeddings, without a bias."""
        return self.movie.weight[: self.num_movies], self.get_buffer("no_bias")


@register_model("sasrec")
class SASRec(SequenceEstimator):
    """Self-attentive sequential recommendation (Kang & McAuley, ICDM 2018).

    Causal self-attention over the latest movies with learned position embeddings (section III). The loss is the
    cross entropy over all movies, with which the same network ranks far better (Klenitskiy & Vasilev, RecSys 2023),
    or the paper's binary cross entropy (section III-E; registered as ``sasrec-binary``). Profiles and rating values are
    not used.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # each movie is followed by the next one
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"]))
    >>> small = {"embedding_dim": 8, "length": 4, "num_blocks": 1, "dropout": 0}
    >>> estimator = SASRec(**small, epochs=30, learning_rate=0.02, batch_size=20)
    >>> estimator.fit(dataset).recommend({2: 5}, k=1)["movie_id"].tolist()
    [3]
    """

    patience: ClassVar[int] = 10

    embedding_dim: int = Field(64, ge=1)
    """Dimension of the embeddings."""
    num_blocks: int = Field(2, ge=1)
    """Number of attention blocks."""
    num_heads: int = Field(1, ge=1)
    """Number of attention heads."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout probability."""
    epochs: int = Field(100, ge=1)
    """Maximum number of epochs."""
    batch_size: int = Field(64, ge=1)
    """Users per step."""

    @model_validator(mode="after")
    def _heads_divide_the_dimension(self) -> Self:
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                f"embedding_dim must be a multiple of num_heads, not {self.embedding_dim} and {self.num_heads}"
            )
        return self

    def build_network(self, num_movies: int) -> SequenceNetwork:
        """See `SequenceEstimator.build_network`."""
        return SASRecNetwork(num_movies, self.length, self.embedding_dim, self.num_blocks, self.num_heads, self.dropout)


@register_model("sasrec-binary")
class SASRecBinary(SASRec):
    """`SASRec` with the binary cross entropy of the paper.

    Examples
    --------
    >>> SASRecBinary(embedding_dim=32).loss, SASRecBinary.name
    ('binary', 'sasrec-binary')
    """

    patience: ClassVar[int] = 20

    loss: Literal["softmax", "binary"] = "binary"
    """Cross entropy over all movies, or binary cross entropy with one sampled negative per movie."""


class MeanPoolingNetwork(SequenceNetwork):
    """Running mean of the embeddings, dropout, and a linear layer to all movies."""

    def __init__(self, num_movies: int, length: int, dim: int, dropout: float) -> None:
        super().__init__(num_movies, length)
        self.movie = nn.Embedding(num_movies + 2, dim)
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(dim, num_movies)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; the start token is part of the mean."""
        real = (tokens != self.pad).unsqueeze(-1).float()
        mean = (self.movie(tokens) * real).cumsum(1) / real.cumsum(1).clamp(min=1)
        output: Tensor = self.dropout(mean)
        return output

    def output(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the linear layer."""
        return self.linear.weight, self.linear.bias


@register_model("average")
class MeanPooling(SequenceEstimator):
    r"""Next movie from the mean of the history's embeddings.

    With :math:`e_i` the embedding of a movie and :math:`H_t` the latest movies before the next one,

    .. math:: p(j \mid H_t) = \mathrm{softmax}_j \left( W \frac{1}{|H_t|} \sum_{i \in H_t} e_i + b \right)

    trained with the cross entropy of every next movie: the candidate network of Covington et al. (RecSys 2016) without
    its hidden layers. The order within the history is not used.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # each movie is followed by the next one
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"]))
    >>> estimator = MeanPooling(embedding_dim=8, length=4, dropout=0, epochs=30, learning_rate=0.05, batch_size=20)
    >>> estimator.fit(dataset).recommend({2: 5}, k=1)["movie_id"].tolist()
    [3]
    """

    embedding_dim: int = Field(128, ge=1)
    """Dimension of the embeddings."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout of the mean."""
    epochs: int = Field(60, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(3e-3, gt=0, le=1e30)
    """Learning rate of AdamW."""
    batch_size: int = Field(64, ge=1)
    """Users per step."""

    def build_network(self, num_movies: int) -> SequenceNetwork:
        """See `SequenceEstimator.build_network`."""
        return MeanPoolingNetwork(num_movies, self.length, self.embedding_dim, self.dropout)
