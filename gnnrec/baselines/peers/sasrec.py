"""SASRec: self-attention over the movies watched, in their order."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from gnnrec.baselines.peers.sequences import SequenceModel, SequenceNetwork
from gnnrec.baselines.peers.training import Schedule, Watch, seeded
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph


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
        # As in the authors' program, queries are normalised before attention, keys and values are not.
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
    >>> from gnnrec.recommend import recommend
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # after each movie comes the next one
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> schedule = Schedule(30, learning_rate=0.02, batch_size=20)
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
        schedule: Schedule = Schedule(epochs=100, learning_rate=1e-3, batch_size=64),
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
        schedule : Schedule
        seed : int
        watch : Watch, optional
            Stops early.
        device : str
            Where PyTorch computes.
        """
        with seeded(seed) as generator:
            network = SASRecNetwork(graph.num_movies, length, dim, num_blocks, num_heads, dropout)
            return cls.learn(graph, network, generator, schedule, loss=loss, watch=watch, device=device)
