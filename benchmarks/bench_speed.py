"""Time one training step against PyG's stock LightGCN, and `recommend` for one new user.

    python benchmarks/bench_speed.py [--dataset ml-1m] [--dim 64] [--batch-size 512] [--repeats 7]

Both steps use the same graph and the same supervision: half of the ratings of a batch of users. gnnrec predicts them
from the other half against the whole catalog; the model `lightgcn` and PyG's `LightGCN` rank each above one sampled
movie (BPR), as published. Steps alternate, so that all see the same load; quote the ratio of the medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from _common import console
from rich.table import Table
from torch_geometric.nn.models import LightGCN as StockLightGCN

import gnnrec
from gnnrec.models.gnn_training import init_training
from gnnrec.models.lightgcn import LightGCNNetwork
from gnnrec.training.edge_sampling import batch_loss


def main() -> None:
    parser = argparse.ArgumentParser(description="Time gnnrec's training step and its recommendations.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    dataset = gnnrec.load_dataset(arguments.dataset)
    graph = gnnrec.Graph.from_dataset(dataset)
    batch = torch.randperm(graph.num_users, generator=torch.Generator().manual_seed(0))[: arguments.batch_size]
    console.print(
        f"{graph}, {arguments.dim} dimensions, {len(batch)} users per step, {torch.get_num_threads()} threads"
    )

    steps = {f"gnnrec, {k} layer{'s'[: k - 1]}": our_step(graph, batch, arguments.dim, k) for k in (1, 2)}
    steps |= {f"lightgcn, {k} layer{'s'[: k - 1]}": bpr_step(graph, batch, arguments.dim, k) for k in (1, 2, 3)}
    steps |= {f"PyG LightGCN, {k} layer{'s'[: k - 1]}": stock_step(graph, batch, arguments.dim, k) for k in (1, 2, 3)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if repeat:  # the first run warms up
                seconds[name].append(time.perf_counter() - started)
    grid = Table(title=f"One training step, median of {arguments.repeats}", title_justify="left")
    for heading in ("model", "ms", "times gnnrec with 1 layer", "times gnnrec with 2 layers"):
        grid.add_column(heading, justify="left" if heading == "model" else "right")
    ours = [median(seconds[name]) for name in list(steps)[:2]]
    for name in steps:
        typical = median(seconds[name])
        grid.add_row(name, f"{typical * 1e3:.1f}", *(f"{typical / mine:.1f}" for mine in ours))
    console.print(grid)

    model = gnnrec.fit(dataset, config=gnnrec.Config().override(["train.epochs=1"]), progress=False)
    liked = dataset.ratings["movie_id"].value_counts().index[:5]
    call = partial(gnnrec.recommend, model, gnnrec.NewUser(age=29, ratings=dict.fromkeys(liked, 5)))
    times = []
    for _ in range(220):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    times = sorted(times[20:])
    typical, slow = median(times) * 1e3, times[190] * 1e3
    console.print(f"recommend for one new user: median {typical:.2f} ms, 95% within {slow:.2f} ms (200 calls)")


def our_step(graph: gnnrec.Graph, batch: torch.Tensor, dim: int, num_layers: int) -> Callable[[], None]:
    """Return one optimizer step of gnnrec's LightGCN, as in `gnnrec.fit`."""
    config = gnnrec.Config().override([f"model.embedding_dim={dim}", f"model.num_layers={num_layers}"])
    tensors, state = init_training(graph, config, torch.device("cpu"))

    def step() -> None:
        loss = batch_loss(state.encoder, graph, tensors, batch, config.train, state.generator)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()

    return step


def bpr_step(graph: gnnrec.Graph, batch: torch.Tensor, dim: int, num_layers: int) -> Callable[[], None]:
    """Return one optimizer step of the model `lightgcn`, which has the loss and the gradients of PyG's."""
    network = LightGCNNetwork(graph, dim, num_layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    supervision = supervision_edges(graph, batch)
    user, movie = graph.users.user_index[supervision], graph.users.movie_index[supervision]

    def step() -> None:
        loss = network.loss(user, movie, torch.randint(graph.num_movies, (len(supervision),)), reg=5e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def stock_step(graph: gnnrec.Graph, batch: torch.Tensor, dim: int, num_layers: int) -> Callable[[], None]:
    """Return one optimizer step of PyG's LightGCN: users are nodes 0 ... num_users - 1, movies follow."""
    row, movie = graph.users.user_index, graph.users.movie_index + graph.num_users
    edge_index = torch.stack([torch.cat([row, movie]), torch.cat([movie, row])])
    model = StockLightGCN(graph.num_users + graph.num_movies, dim, num_layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    supervision = supervision_edges(graph, batch)

    def step() -> None:
        drawn = torch.randint(graph.num_users, graph.num_users + graph.num_movies, (len(supervision),))
        pairs = torch.stack([row[supervision].repeat(2), torch.cat([movie[supervision], drawn])])
        positive, negative = model(edge_index, pairs).chunk(2)
        loss = model.recommendation_loss(positive, negative, node_id=pairs.unique())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def supervision_edges(graph: gnnrec.Graph, batch: torch.Tensor) -> torch.Tensor:
    """Return a random half of the ratings of a batch of users."""
    edges = graph.user_edges(batch)
    return edges[torch.rand(len(edges)) < 0.5]


if __name__ == "__main__":
    main()
