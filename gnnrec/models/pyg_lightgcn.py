"""PyG's own LightGCN, trained as its authors do; not gnnrec's encoder of that name, which has no table of users."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch_geometric.nn.models import LightGCN

from gnnrec.graph import Graph
from gnnrec.models.factorization import DotProductModel
from gnnrec.sparse import symmetric_norm
from gnnrec.training.loop import NegativeSampler, OptimizerConfig, Watch, batches, seeded, train, trained_users


class LightGCNReference(DotProductModel):
    """LightGCN (He et al., SIGIR 2020) by `torch_geometric.nn.models.LightGCN`.

    Users and movies are one table of nodes. The BPR loss compares each rating with one unwatched movie; L2 is on the
    vectors of the nodes in the batch. The whole graph is propagated at every step, over a sparse matrix that
    is normalized once (equation 3), which is three times as fast as PyG's edge list.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> rows = [(u, m) for u in range(20) for m in range(6) if m % 2 == u % 2 and m != u]  # two tastes
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> model = LightGCNReference.fit(graph, dim=4, schedule=OptimizerConfig(30, learning_rate=0.05, batch_size=64))
    >>> recommend(model, 0, k=1)["movie_id"].tolist()  # what else people of that taste watch
    [0]
    """

    name = "lightgcn"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 64,
        num_layers: int = 3,
        reg: float = 1e-4,
        schedule: OptimizerConfig = OptimizerConfig(epochs=200, learning_rate=5e-3, batch_size=8192),
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Self:
        """Train on the ratings of `graph`, each of which counts as 1.

        Parameters
        ----------
        graph : Graph
        dim : int
            Width of a vector.
        num_layers : int
            Propagations.
        reg : float
            ``lambda_reg`` of PyG's loss.
        schedule : OptimizerConfig
        seed : int
        watch : Watch, optional
            Stops early.
        """
        with seeded(seed) as generator:
            network = LightGCN(graph.num_users + graph.num_movies, dim, num_layers, normalize=False)
            optimizer = schedule.optimizer(network)
            adjacency, unwatched, trained = normalized(graph), NegativeSampler(graph), trained_users(graph)
            row, movie = graph.users.user_index, graph.users.movie_index + graph.num_users

            def epoch() -> float:
                total = 0.0
                for edges in batches(len(row), schedule.batch_size, generator):
                    users = row[edges]
                    others = unwatched.draw(users, generator) + graph.num_users
                    pairs = torch.stack([users.repeat(2), torch.cat([movie[edges], others])])
                    # The network's own call picks nodes by index, whose gradient depends on the number of threads.
                    nodes = network.get_embedding(adjacency)
                    user, ranked = (nn.functional.embedding(ends, nodes) for ends in pairs)
                    watched, unseen = (user * ranked).sum(1).chunk(2)
                    loss = network.recommendation_loss(watched, unseen, pairs.unique(), lambda_reg=reg)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += loss.item() * len(edges)
                return total / len(row)

            @torch.no_grad()
            def tables() -> tuple[Tensor, Tensor]:
                nodes = network.get_embedding(adjacency)
                return nodes[: graph.num_users], nodes[graph.num_users :]

            return train(epoch, lambda: cls(graph, *tables(), trained, graph), schedule.epochs, watch)


def normalized(graph: Graph) -> Tensor:
    """Return the graph of users (first) and movies as a sparse CSR tensor, both directions, normalized."""
    user, movie = graph.users.user_index, graph.users.movie_index + graph.num_users
    row, col = torch.cat([user, movie]), torch.cat([movie, user])
    size = graph.num_users + graph.num_movies
    degree = torch.bincount(row, minlength=size).float()
    weight = symmetric_norm(degree, degree, row, col)
    edges = torch.stack([row, col])
    return torch.sparse_coo_tensor(edges, weight, (size, size), check_invariants=False).to_sparse_csr()
