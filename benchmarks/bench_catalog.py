"""Compare exact lists with those of an index, for a large catalog of generated embeddings.

    python benchmarks/bench_catalog.py [--movies 1000000] [--users 2000] [--dim 64] [--k 10] [--recall 0.99]

Movies lie in clusters, and a few are much more popular than others, as their norms say; users are means of 20 movies
drawn by popularity. The index chooses its number of lists on half of the users and is measured on the others. Prints
processor seconds to build the index, recall at k, and processor time per list, for both in one run.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from _common import console
from torch import Tensor

from gnnrec._torch import rows_per_chunk, stable_topk
from gnnrec.models.index import MovieIndex


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare exact lists with those of an index.")
    parser.add_argument("--movies", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    movies, users = generate(arguments.movies, arguments.users, arguments.dim, arguments.seed)
    known, asking = users.chunk(2)
    started = time.process_time()
    index = MovieIndex.from_embeddings(movies, known, recall=arguments.recall, seed=arguments.seed)
    console.print(f"{index}; built in {time.process_time() - started:.1f} s of processor time")
    exact, exact_ms = timed(lambda: exact_lists(movies, asking, arguments.k), len(asking))
    found, found_ms = timed(lambda: index.search(asking, arguments.k)[1], len(asking))
    recall = (found.unsqueeze(2) == exact.unsqueeze(1)).any(2).float().mean()
    console.print(
        f"exact {exact_ms:.2f} ms per list, index {found_ms:.2f} ms: {exact_ms / found_ms:.1f} times faster; "
        f"recall@{arguments.k} {recall:.4f} on {len(asking):,} other users",
        highlight=False,
    )


def generate(num_movies: int, num_users: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return embeddings of movies and users, with clusters and a long tail of popularity."""
    generator = torch.Generator().manual_seed(seed)
    popularity = (1 - torch.rand(num_movies, generator=generator)).pow(-1 / 1.2).clamp(max=50)
    centers = torch.randn(500, dim, generator=generator)
    movies = centers[torch.randint(500, (num_movies,), generator=generator)]
    movies += 0.7 * torch.randn(num_movies, dim, generator=generator)
    movies *= (0.3 + popularity.log1p()).unsqueeze(1)
    total = popularity.double().cumsum(0)
    drawn = torch.rand(num_users, 20, generator=generator, dtype=torch.float64) * total[-1]
    histories = torch.searchsorted(total, drawn).clamp(max=num_movies - 1)
    return movies, movies[histories].mean(1)


def exact_lists(movies: Tensor, users: Tensor, k: int) -> Tensor:
    """Return the best movies by all inner products, as `recommend` computes them without an index."""
    step = rows_per_chunk(len(movies), 1024)
    return torch.cat([stable_topk(part @ movies.T, k)[1] for part in users.split(step)])


def timed(function: Any, number: int) -> tuple[Any, float]:
    """Return the result, and milliseconds of processor time per list."""
    function()  # warm
    started = time.process_time()
    result = function()
    return result, (time.process_time() - started) / number * 1e3


if __name__ == "__main__":
    main()
