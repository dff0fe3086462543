"""A table of movie embeddings that is divided by rows among processes: the bytes that travel in a training step.

    python benchmarks/sharded_table.py --movies 5000000 --dim 64 --processes 2 [--users 256] [--history 50] [--steps 5]

Each process holds the rows of its own movies and trains on its own users: it asks the others for the rows of the movies
in their histories, averages them, scores these users' next movies against candidates, and sends the gradients of the
rows back to their owners. Only rows that were asked for get a gradient, and a row has one number of optimizer state
(row-wise Adagrad). Bytes are counted as they are handed to the process group, and compared with the formula of
docs/explanation/sharding.md. With ``--check`` the losses are compared with those of one process that holds all rows.
"""

from __future__ import annotations

import argparse
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing

LEARNING_RATE = 0.1


@dataclass
class Shard:
    """The rows of a table that one of several processes holds: numbers `rank`, ``rank + size``, and so on.

    Neighboring numbers have different owners, because popular movies may be neighbors.

    Attributes
    ----------
    rows : Tensor
        ``[num_own, dim]``.
    state : Tensor
        ``[num_own]``, sum of the mean squared gradients of each row.
    sent : int
        Bytes that this process has sent to others.
    """

    rank: int
    size: int
    rows: Tensor
    state: Tensor = field(init=False)
    sent: int = 0

    def __post_init__(self) -> None:
        self.state = torch.zeros(len(self.rows))

    def look_up(self, ids: Tensor) -> tuple[Tensor, Any]:
        """Return the rows of distinct ids, ``[n, dim]``, and what `send_back` needs."""
        owner, order = (ids % self.size).sort(stable=True)
        wanted = torch.bincount(owner, minlength=self.size)
        asked = self._exchange(wanted, [1] * self.size, [1] * self.size)
        to, back = wanted.tolist(), asked.tolist()
        requests = self._exchange(ids[order], to, back) // self.size
        found = self._exchange(self.rows[requests], back, to)
        return torch.empty_like(found).index_copy_(0, order, found), (order, requests, to, back)

    def send_back(self, gradient: Tensor, place: Any) -> None:
        """Send the gradients of looked-up rows to their owners, who make a step of row-wise Adagrad."""
        order, requests, to, back = place
        received = self._exchange(gradient[order], to, back)
        ids, place = requests.unique(return_inverse=True)  # several processes may have asked for a row
        total = torch.zeros(len(ids), received.size(1)).index_add_(0, place, received)
        self.state[ids] += total.square().mean(1)
        self.rows[ids] -= LEARNING_RATE * total / (self.state[ids].sqrt() + 1e-8).unsqueeze(1)

    def _exchange(self, values: Tensor, to: list[int], back: list[int]) -> Tensor:
        """Send ``to[r]`` rows to process r and return the ``back[r]`` rows from each."""
        row = values.element_size() * values[:1].numel() if len(values) else 0
        self.sent += (sum(to) - to[self.rank]) * row
        if self.size == 1:
            return values.clone()
        found = values.new_empty(sum(back), *values.shape[1:])
        dist.all_to_all_single(found, values.contiguous(), back, to)
        return found


def batch(arguments: argparse.Namespace, step: int, part: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return histories ``[users, history]``, next movies ``[users]`` and candidates ``[negatives]`` of one part."""
    generator = torch.Generator().manual_seed(1000 * step + part)
    shapes = (arguments.users, arguments.history), (arguments.users,), (arguments.negatives,)
    # A long tail: the density of a popularity rank is proportional to rank^(-2/3).
    histories, following, candidates = (
        (torch.rand(shape, generator=generator).pow(3) * arguments.movies).long() for shape in shapes
    )
    return histories, following, candidates


def train_step(shard: Shard, batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, int]:
    """Make a step on the batches of this process; return the sum of their losses and the number of rows asked for."""
    ids, place = torch.cat([torch.cat([one.flatten() for one in parts]) for parts in batches]).unique(
        return_inverse=True
    )
    rows, back = shard.look_up(ids)
    rows = rows.requires_grad_()
    loss, start = rows.new_zeros(()), 0
    for parts in batches:
        histories, following, candidates = (
            place[start + low : start + high].view(one.shape)
            for one, (low, high) in zip(parts, spans(parts), strict=True)
        )
        start += sum(one.numel() for one in parts)
        users = rows[histories].mean(1)  # [users, dim]
        positive = (users * rows[following]).sum(1, keepdim=True)
        scores = torch.cat([positive, users @ rows[candidates].T], dim=1)
        loss = loss + torch.nn.functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long))
    loss.backward()
    assert rows.grad is not None
    shard.send_back(rows.grad, back)
    return loss.detach(), len(ids)


def spans(parts: tuple[Tensor, ...]) -> list[tuple[int, int]]:
    ends = torch.tensor([one.numel() for one in parts]).cumsum(0).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def initial_rows(rank: int, size: int, movies: int, dim: int) -> Tensor:
    """Return rows that depend on their numbers only, so that every division gives the same table."""
    number = torch.arange(rank, movies, size).remainder_(997).float().unsqueeze(1)
    return (number * 0.7 + torch.arange(dim) * 1.3).sin_().mul_(0.3)


def formula(rows: int, dim: int, processes: int) -> float:
    """Return the bytes that a process sends in a step in which it asks for `rows` rows, all processes alike.

    Of these rows, the share ``(P - 1) / P`` is elsewhere: an id of 8 bytes goes out and a gradient of ``4 dim`` bytes,
    and as many rows of ``4 dim`` bytes are sent to the others. Counts are 8 bytes for each other process.
    """
    return rows * (processes - 1) / processes * (8 + 8 * dim) + 8 * (processes - 1)


def work(rank: int, arguments: argparse.Namespace, address: str) -> None:
    torch.set_num_threads(1)
    size = arguments.processes
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size)
    rows = initial_rows(rank, size, arguments.movies, arguments.dim)
    shard = Shard(rank, size, rows)
    losses, asked, seconds = [], 0, time.perf_counter()
    for number in range(arguments.steps):
        loss, rows_asked = train_step(shard, [batch(arguments, number, rank)])
        dist.all_reduce(loss)
        losses.append(loss.item())
        asked += rows_asked
    seconds = (time.perf_counter() - seconds) / arguments.steps
    totals = torch.tensor([shard.sent, asked], dtype=torch.float64)
    dist.all_reduce(totals)
    if rank == 0:
        sent, asked_by_each = (totals / size / arguments.steps).tolist()
        expected = formula(round(asked_by_each), arguments.dim, size)
        whole = 2 * (size - 1) / size * 4 * arguments.dim * arguments.movies
        held = rows.numel() * 4 + shard.state.numel() * 4
        print(f"{held / 1e6:,.0f} MB of rows and optimizer state in each of {size} processes")
        print(f"{asked_by_each:,.0f} rows asked for by a process in a step, {seconds:.2f} s a step")
        print(f"{sent:,.0f} bytes sent by a process in a step; formula {expected:,.0f}, ratio {sent / expected:.4f}")
        print(f"{whole:,.0f} bytes if the gradients of the whole table were summed instead (ring all-reduce)")
        print("losses", *(f"{loss:.6f}" for loss in losses))
        if arguments.check:
            alone = Shard(0, 1, initial_rows(0, 1, arguments.movies, arguments.dim))
            for number, loss in enumerate(losses):
                single, _ = train_step(alone, [batch(arguments, number, part) for part in range(size)])
                assert abs(single.item() - loss) < 1e-4 * abs(loss), (number, single.item(), loss)
            print("one process has the same losses")
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movies", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--users", type=int, default=256, help="users of a process in a step")
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--negatives", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare with one process; takes the whole table again")
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    multiprocessing.start_processes(work, (arguments, address), nprocs=arguments.processes, start_method="fork")


if __name__ == "__main__":
    main()
