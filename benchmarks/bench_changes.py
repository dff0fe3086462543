"""Time changes of a graph: ratings added, replaced and removed, users added and removed.

    python benchmarks/bench_changes.py [--dataset ml-1m] [--times 10] [--calls 200]

Every call changes the graph that the call before returned, each time another user, as in a service. The second graph
has `--times` as many users and ratings: copies of the first. Both take turns, so that they see the same load.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import torch
from _common import console
from rich.table import Table

import gnnrec


def main() -> None:
    parser = argparse.ArgumentParser(description="Time changes of a graph.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200)
    arguments = parser.parse_args()
    dataset = gnnrec.load_dataset(arguments.dataset)
    graphs = [gnnrec.Graph.from_dataset(one) for one in (dataset, repeated(dataset, arguments.times))]
    for graph in graphs:
        _ = graph.users, graph.profiles, graph.titles
        console.print(graph)
    grid = Table(title=f"Median (95th percentile) of {arguments.calls} calls in ms", title_justify="left")
    for heading in (
        "call",
        f"{graphs[0].dataset.num_ratings:,} ratings",
        f"{graphs[1].dataset.num_ratings:,}",
        "ratio",
    ):
        grid.add_column(heading, justify="left" if heading == "call" else "right")
    for name, change in CHANGES.items():
        found = timed(graphs, change, arguments.calls)
        one, other = (median(times) * 1e3 for times in found)
        late = [sorted(times)[int(0.95 * len(times))] * 1e3 for times in found]
        grid.add_row(name, f"{one:.2f} ({late[0]:.2f})", f"{other:.2f} ({late[1]:.2f})", f"{other / one:.2f}")
    console.print(grid)


def repeated(dataset: gnnrec.Dataset, times: int) -> gnnrec.Dataset:
    """Return a dataset with as many copies of all users and their ratings, and the same movies."""
    step = int(dataset.users["user_id"].max()) + 1
    tables = [
        pd.concat([frame.assign(user_id=frame["user_id"] + step * copy) for copy in range(times)], ignore_index=True)
        for frame in (dataset.ratings, dataset.users)
    ]
    return gnnrec.Dataset(tables[0], dataset.movies, tables[1], f"{dataset.name} x {times}")


def timed(
    graphs: list[gnnrec.Graph], change: Callable[..., Callable[[], gnnrec.Graph]], calls: int
) -> list[list[float]]:
    """Return the seconds of each call on each graph."""
    graphs = list(graphs)
    seconds: list[list[float]] = [[] for _ in graphs]
    for call in range(calls + 5):
        for place, graph in enumerate(graphs):
            node = (37 * call + 11) % (graph.num_users - 1)
            run = change(graph, node, call)
            started = time.perf_counter()
            graphs[place] = run()
            if call >= 5:  # the first ones warm up
                seconds[place].append(time.perf_counter() - started)
    return seconds


def of_user(graph: gnnrec.Graph, node: int) -> tuple[int, list[int], int]:
    """Return the id of a user, the movies that they rated, and one that they did not rate."""
    nodes = graph.user_batch(torch.tensor([node])).movie_index.numpy()
    ids = graph.ids["movie"]
    free = int(np.setdiff1d(np.arange(graph.num_movies), nodes)[0])
    return graph.dataset.user_ids.ids[node], ids[nodes].tolist(), ids[free]


def add(graph: gnnrec.Graph, node: int, call: int) -> Callable[[], gnnrec.Graph]:
    """Add one rating."""
    user, _, movie = of_user(graph, node)
    row = pd.DataFrame({"user_id": [user], "movie_id": [movie], "rating": [4.0]})
    return lambda: graph.add_ratings(row)


def update(graph: gnnrec.Graph, node: int, call: int) -> Callable[[], gnnrec.Graph]:
    """Replace one rating."""
    user, rated, movie = of_user(graph, node)
    row = pd.DataFrame({"user_id": [user], "movie_id": [rated[0] if rated else movie], "rating": [2.0]})
    return lambda: graph.add_ratings(row, update=True)


def remove(graph: gnnrec.Graph, node: int, call: int) -> Callable[[], gnnrec.Graph]:
    """Remove the latest rating of a user."""
    user, rated, _ = of_user(graph, node)
    return lambda: graph.remove_ratings(user, rated[-1:])


def remove_user(graph: gnnrec.Graph, node: int, call: int) -> Callable[[], gnnrec.Graph]:
    """Remove a user."""
    user = of_user(graph, node)[0]
    return lambda: graph.remove_user(user)


def add_user(graph: gnnrec.Graph, node: int, call: int) -> Callable[[], gnnrec.Graph]:
    """Add a user with a name and five ratings."""
    movies = graph.ids["movie"][:5].tolist()
    return lambda: graph.add_user(f"new {call}", dict.fromkeys(movies, 4.0), age=30)


CHANGES = {
    "add_ratings, one row": add,
    "add_ratings(update=True), one row": update,
    "remove_ratings, one movie": remove,
    "remove_user": remove_user,
    "add_user, five ratings": add_user,
}


if __name__ == "__main__":
    main()
