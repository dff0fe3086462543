"""Lists of all users: `write_lists` beside `implicit`'s `recommend` on the same embeddings, histories and k.

    pip install implicit
    python benchmarks/recommend_all.py --users 20000 --movies 4000 --k 10

Ratings are drawn at random, with a long tail of movies, and the network is initialized but not trained: neither changes
the work. Both are timed alternately, in processor seconds of one thread. `implicit` returns arrays of row numbers;
`write_lists` also looks up ids and titles and writes a Parquet file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import torch

import gnnrec
from gnnrec.models import RecGraph, write_lists
from gnnrec.models.gnn_training import init_training

RATINGS_PER_USER = 60


def make_model(users: int, movies: int, dim: int) -> RecGraph:
    """Return an initialized network on random ratings."""
    generator = np.random.default_rng(0)
    movie = (generator.random(users * RATINGS_PER_USER) ** 3 * movies).astype(np.int64)
    ratings = pd.DataFrame({"user_id": np.repeat(np.arange(users), RATINGS_PER_USER), "movie_id": movie})
    titles = pd.DataFrame({"movie_id": np.arange(movies), "title": [f"Movie {one} (2000)" for one in range(movies)]})
    graph = gnnrec.Graph.from_dataset(gnnrec.Dataset(ratings.drop_duplicates(ignore_index=True), titles))
    config = gnnrec.Config().override([f"model.embedding_dim={dim}"])
    return RecGraph(graph, config, init_training(graph, config, torch.device("cpu"))[1].encoder.eval())


def measure(users: int, movies: int, k: int, dim: int, rounds: int) -> dict[str, float]:
    """Return the medians of processor seconds, and of the ratios of neighboring rounds."""
    from implicit.cpu.als import AlternatingLeastSquares

    torch.set_num_threads(1)
    model = make_model(users, movies, dim)
    graph = model.graph
    batch = graph.user_batch(torch.arange(graph.num_users))
    other = AlternatingLeastSquares(num_threads=1)  # given our embeddings instead of its own
    other.user_factors = model.embed(batch).detach().numpy()
    other.item_factors = model.movie_embeddings.targets.detach().numpy()
    ones = np.ones(len(batch.user_index), dtype=np.float32)
    shape = (graph.num_users, graph.num_movies)
    seen = scipy.sparse.csr_matrix((ones, (batch.user_index.numpy(), batch.movie_index.numpy())), shape)
    path = Path(tempfile.mkdtemp()) / "lists.parquet"
    everyone = np.arange(graph.num_users)
    calls: dict[str, Callable[[], object]] = {
        "write_lists": lambda: write_lists(model, path, k),
        "implicit": lambda: [
            other.recommend(everyone[i : i + 1000], seen[i : i + 1000], N=k, filter_already_liked_items=True)
            for i in range(0, len(everyone), 1000)
        ],
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            call()
            seconds[name].append(time.process_time() - started)
    ratios = [one / two for one, two in zip(seconds["write_lists"], seconds["implicit"], strict=True)]
    medians = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    return {**medians, "ratio": round(statistics.median(ratios), 3)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--movies", type=int, default=4000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
