"""LightGCN as published, with an embedding per user; `gnnrec.nn.LightGCN`, the encoder of that name, has none."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from gnnrec.graph import Graph
from gnnrec.models.factorization import DotProductEstimator, DotProductModel, training_ids
from gnnrec.registry import register_model
from gnnrec.sparse import SymmetricAdjacency
from gnnrec.training.loop import FitRun, NegativeSampler, OptimizerConfig, batches, seeded, trained_users

PATIENCE = 20


class LightGCNNetwork(nn.Module):
    r"""Embeddings of users and movies, propagated over the graph of their ratings.

    The final embedding is the mean of all layers (He et al., SIGIR 2020, eq. 3 to 8):

    .. math:: E = \frac{1}{L + 1} \sum_{l=0}^{L} (D^{-1/2} A D^{-1/2})^l E^{(0)}

    Parameters
    ----------
    graph : Graph
        Graph of the training ratings.
    embedding_dim, num_layers : int
        Dimension of the embeddings, and :math:`L`.

    Attributes
    ----------
    embedding : nn.Embedding
        :math:`E^{(0)}`, ``[num_users + num_movies, embedding_dim]``, users first.
    """

    def __init__(self, graph: Graph, embedding_dim: int, num_layers: int) -> None:
        super().__init__()
        self.num_users, self.num_layers = graph.num_users, num_layers
        edges = graph.users.user_index, graph.users.movie_index
        self.adjacency = SymmetricAdjacency(*edges, graph.num_users, graph.num_movies)
        self.embedding = nn.Embedding(self.adjacency.num_nodes, embedding_dim)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self) -> Tensor:
        """Return the final embeddings, ``[num_users + num_movies, embedding_dim]``, users first."""
        total = layer = self.embedding.weight
        for _ in range(self.num_layers):
            layer = self.adjacency.matmul(layer)
            total = total + layer
        return total / (self.num_layers + 1)

    def loss(self, users: Tensor, rated: Tensor, unrated: Tensor, reg: float) -> Tensor:
        r"""Return the mean BPR loss of triplets (eq. 15).

        .. math:: -\ln \sigma(s_{ui} - s_{uj})
            + \lambda \left( \|e^{(0)}_u\|^2 + \|e^{(0)}_i\|^2 + \|e^{(0)}_j\|^2 \right)

        Parameters
        ----------
        users, rated, unrated : Tensor
            ``[num_triplets]`` int64, nodes of users, of a movie that each has rated, and of one that is not rated.
        reg : float
            :math:`\lambda`.
        """
        nodes = torch.stack([users, self.num_users + rated, self.num_users + unrated])
        # Unlike indexing, an embedding look-up sums its gradient in the same order on any number of threads.
        final = self()
        user, better, worse = (nn.functional.embedding(ends, final) for ends in nodes)
        loss = -nn.functional.logsigmoid((user * (better - worse)).sum(1)).mean()
        times = torch.bincount(nodes.flatten(), minlength=self.adjacency.num_nodes)
        return loss + reg * (times * self.embedding.weight.square().sum(1)).sum() / len(users)


@register_model("lightgcn")
class LightGCNReference(DotProductEstimator, OptimizerConfig):
    """LightGCN (He et al., SIGIR 2020).

    Users and movies have an embedding each. The BPR loss compares each rating with one unrated movie, and L2 is on the
    embeddings of each comparison before propagation, as in the authors' code. Embeddings, loss and gradients equal
    those of `torch_geometric.nn.models.LightGCN`. The whole graph is propagated at every step, so the default batches
    are eight times as large as the paper's, with a higher learning rate; the defaults suit MovieLens-1M.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two groups of users
    >>> dataset = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"]))
    >>> model = LightGCNReference(embedding_dim=4, epochs=30, learning_rate=0.05, batch_size=64).fit(dataset)
    >>> model.recommend(0, k=1)["movie_id"].tolist()  # what else users of that group rated
    [0]
    """

    embedding_dim: int = Field(64, ge=1)
    """Dimension of the embeddings."""
    num_layers: int = Field(3, ge=1)
    """Number of propagation layers."""
    reg: float = Field(5e-4, ge=0)
    """L2 regularization of the embeddings before propagation; the authors' code has twice this and half the square."""
    epochs: int = Field(200, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(0.02, gt=0, le=1e30)
    """Learning rate of AdamW."""
    final_lr_ratio: float = Field(1.0, gt=0, le=1)
    """Learning rate after the last epoch relative to the first, with linear decay; 1 keeps it constant."""
    batch_size: int = Field(16384, ge=1)
    """Ratings per step."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    def fit_graph(self, graph: Graph, run: FitRun) -> DotProductModel:
        """See `Estimator.fit_graph`."""
        with seeded(self.seed) as generator:
            network = LightGCNNetwork(graph, self.embedding_dim, self.num_layers)
            optimizer, negatives = self.optimizer(network), NegativeSampler(graph)
            trained, ids = trained_users(graph), training_ids(graph)
            row, movie = graph.users.user_index, graph.users.movie_index
            num_steps = self.epochs * math.ceil(len(row) / self.batch_size)
            schedule = LambdaLR(optimizer, lambda step: 1 - step / num_steps * (1 - self.final_lr_ratio))

            def run_epoch() -> float:
                total = 0.0
                for edges in batches(len(row), self.batch_size, generator):
                    users = row[edges]
                    loss = network.loss(users, movie[edges], negatives.sample(users, generator), self.reg)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    total += loss.item() * len(edges)
                return total / len(row)

            @torch.no_grad()
            def snapshot() -> DotProductModel:
                users, movies = network().split([graph.num_users, graph.num_movies])
                return DotProductModel(graph, users, movies, None, trained, ids, self)

            return run.run_epochs(run_epoch, snapshot, self.epochs, PATIENCE)
