"""Training by several processes: those that torchrun starts divide the users of every step among them.

Every process holds the graph and the network, draws the same random numbers, and computes the part of a batch that is
its own. Gradients are summed, so that all of them make the same step as a single process would. Only the first process
prints and writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def is_first_worker() -> bool:
    """Whether this process is the only one, or the first of those that torchrun started.

    Examples
    --------
    >>> is_first_worker()
    True
    """
    return not are_several() or int(os.environ["RANK"]) == 0


def was_restarted() -> bool:
    """Whether torchrun has started this process again because one of them had failed."""
    return are_several() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def are_several() -> bool:
    """Whether torchrun started several processes."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1


@dataclass(frozen=True)
class Workers:
    """The processes that train together.

    Parameters
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    device : torch.device
        Device of the network in this process.

    Examples
    --------
    >>> Workers().part(10), Workers(rank=1, size=3).part(10)
    ((0, 10), (3, 6))
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls, device: torch.device) -> Workers:
        """Join the processes that torchrun started; alone if it did not. On GPUs, each process takes one."""
        if not are_several():
            return cls(device=device)
        import torch.distributed as dist

        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        if not dist.is_initialized():
            with _lost_workers():
                store, _, _ = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
                # After a restart on one machine, torchrun's store still has the addresses of the processes before.
                attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] if os.environ["GROUP_WORLD_SIZE"] == "1" else ""
                backend = "nccl" if device.type == "cuda" else "gloo"
                store = dist.PrefixStore(f"gnnrec/{attempt}", store)  # type: ignore[attr-defined]
                dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        return cls(rank, size, device)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def part(self, number: int) -> tuple[int, int]:
        """Return start and end of the own part of `number` things."""
        return number * self.rank // self.size, number * (self.rank + 1) // self.size

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            import torch.distributed as dist

            values = values.clone()
            with _lost_workers():
                dist.all_reduce(values)
        return values

    def sum_gradients(self, network: torch.nn.Module) -> None:
        """Replace the gradients of a network by their sums over all processes."""
        if self.size == 1:
            return
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        has = torch.tensor([float(weight.grad is not None) for weight in weights], device=self.device)
        flat = [(torch.zeros_like(weight) if weight.grad is None else weight.grad).reshape(-1) for weight in weights]
        *summed, has = self.sum(torch.cat([*flat, has])).split([*map(torch.numel, weights), len(weights)])
        for weight, gradient, number in zip(weights, summed, has.tolist(), strict=True):
            weight.grad = gradient.view_as(weight) if number else None

    def share(self, value: T) -> T:
        """Return the value of the first process."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        values: list[Any] = [value]
        with _lost_workers():
            dist.broadcast_object_list(values, device=self.device)
        shared: T = values[0]
        return shared

    def gather(self, values: list[T]) -> list[T]:
        """Return the lists of all processes, joined in their order."""
        if self.size == 1:
            return values
        import torch.distributed as dist

        parts: list[Any] = [None] * self.size
        with _lost_workers():
            dist.all_gather_object(parts, values)
        return [value for part in parts for value in part]

    def share_weights(self, network: torch.nn.Module) -> None:
        """Give the network the weights of the first process, which may differ in the last digits between machines."""
        if self.size > 1:
            import torch.distributed as dist

            with _lost_workers():
                for values in (*network.parameters(), *network.buffers()):
                    dist.broadcast(values.data, 0)

    def share_generator(self, generator: torch.Generator) -> None:
        """Set a generator to the state of the first process."""
        if self.size > 1:
            import torch.distributed as dist

            state = generator.get_state().to(self.device)
            with _lost_workers():
                dist.broadcast(state, 0)
            generator.set_state(state.cpu())


@contextlib.contextmanager
def _lost_workers() -> Iterator[None]:
    """Raise a `ConnectionError` that says what happened if another process has ended."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(f"another process of this training has ended or cannot be reached: {reason}") from error


ALONE = Workers()
"""Training by one process."""
