"""What peers that learn in epochs share: one loop and its schedule, batches, unwatched movies to learn against."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph

Model = TypeVar("Model")
Network = TypeVar("Network", bound=torch.nn.Module)


PATIENCE = 5


@dataclass(frozen=True)
class OptimizerConfig:
    """How long, how fast and in what portions a network learns.

    Parameters
    ----------
    epochs : int
        Passes over everything, at the most: a `Watch` may end them early.
    learning_rate : float
        Of AdamW.
    batch_size : int
        Ratings at a time, or people where whole histories are read.
    weight_decay : float
        Of AdamW; without it, it is Adam.

    Examples
    --------
    >>> import dataclasses
    >>> schedule = OptimizerConfig(epochs=60, learning_rate=5e-3, batch_size=4096)
    >>> dataclasses.replace(schedule, epochs=1).epochs
    1
    >>> type(schedule.optimizer(torch.nn.Linear(2, 1))).__name__
    'AdamW'
    """

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        check_at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)

    def optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return what takes the steps of a network."""
        return torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Watch:
    """What is looked at between epochs, and when that ends the training.

    Parameters
    ----------
    quality : callable, optional
        Takes the model as it stands and returns a number, higher is better: a measure on validation rows. The
        epoch with the highest is kept. Without it all epochs are run and the last one is kept.
    patience : int, optional
        Epochs without a new best before training ends; 5, or with `fit_peer` what suits the model.
    limit_seconds : float, optional
        No epoch is started after this time; the first always is.
    report : callable, optional
        Gets ``{"epoch", "loss"[, "quality"]}`` after each epoch.

    Examples
    --------
    >>> losses = iter([0.5, 0.4, 0.3, 0.2])
    >>> qualities = {0.5: 1.0, 0.4: 3.0, 0.3: 2.0, 0.2: 2.5}  # of the model after each epoch
    >>> latest = []
    >>> def run_epoch():
    ...     latest.append(next(losses))
    ...     return latest[-1]
    >>> train(run_epoch, lambda: latest[-1], epochs=4, watch=Watch(qualities.get, patience=1))  # keeps the second
    0.4
    """

    quality: Callable[[Any], float] | None = None
    patience: int | None = None
    limit_seconds: float | None = None
    report: Callable[[dict[str, float]], None] | None = None

    def __post_init__(self) -> None:
        if self.patience is not None:
            check_at_least(1, patience=self.patience)
        if self.limit_seconds is not None and not self.limit_seconds > 0:
            raise ConfigError(f"limit_seconds must be above 0, not {self.limit_seconds}")


def train(run_epoch: Callable[[], float], snapshot: Callable[[], Model], epochs: int, watch: Watch | None) -> Model:
    """Run epochs and return the best model.

    Parameters
    ----------
    run_epoch : callable
        Trains for one epoch and returns its mean loss.
    snapshot : callable
        Returns the model as it stands, which further epochs do not change.
    epochs : int
        At most so many.
    watch : Watch, optional
        Stops early.

    Raises
    ------
    FloatingPointError
        A loss is no finite number.
    """
    watch, started, waited = watch or Watch(), time.perf_counter(), 0
    best: Model | None = None
    highest = -math.inf
    for epoch in range(1, epochs + 1):
        entry: dict[str, float] = {"epoch": epoch, "loss": run_epoch()}
        if not math.isfinite(entry["loss"]):
            raise FloatingPointError(f"the loss is {entry['loss']} in epoch {epoch}; lower the learning rate")
        if watch.quality is not None:
            model = snapshot()
            entry["quality"] = watch.quality(model)
            waited += 1
            if entry["quality"] > highest:
                best, highest, waited = model, entry["quality"], 0
        if watch.report is not None:
            watch.report(entry)
        late = watch.limit_seconds is not None and time.perf_counter() - started > watch.limit_seconds
        if late or waited >= (watch.patience or PATIENCE):
            break
    return snapshot() if best is None else best


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed PyTorch for the block, give the caller's random numbers back after it, and yield a generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def frozen(network: Network) -> Network:
    """Return a copy that further training does not change, ready to be asked."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def batches(size: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return ``0 ... size - 1`` in random order, in batches."""
    return torch.randperm(size, generator=generator).split(batch_size)


def trained_users(graph: Graph) -> Tensor:
    """Return which users of the graph have a rating to learn from, ``[num_users]`` bool."""
    return torch.bincount(graph.users.user_index, minlength=graph.num_users) > 0


def check_at_least(least: float, **settings: float) -> None:
    """Raise a `ConfigError` for the first setting that is below `least`, or no number."""
    for name, value in settings.items():
        if not value >= least:
            raise ConfigError(f"{name} must be at least {least}, not {value}")


class NegativeSampler:
    """Draws movies a person has not watched in the graph, each equally often.

    The `r`-th unwatched movie of a person is found by search instead of by drawing again: of the sorted movies
    they watched, the `k`-th has :math:`h_k - k` unwatched ones before it.
    """

    def __init__(self, graph: Graph) -> None:
        self.num_movies = graph.num_movies
        row, movie = graph.users.user_index, graph.users.movie_index
        keys = (row * self.num_movies + movie).sort().values
        counts = torch.bincount(row, minlength=graph.num_users)
        self._before = counts.cumsum(0) - counts  # [num_users], ratings of earlier users
        self._left = self.num_movies - counts
        row, movie = keys // self.num_movies, keys % self.num_movies
        place = torch.arange(len(keys)) - self._before[row]
        self._keys = row * (self.num_movies + 1) + movie - place

    def draw(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """Return a movie for each of `users` (nodes, any shape); any movie for who has watched them all."""
        chance = torch.rand(users.shape, generator=generator, dtype=torch.float64)
        left = self._left[users]
        rank = (chance * left).long()
        found = torch.searchsorted(self._keys, users * (self.num_movies + 1) + rank, right=True)
        unwatched = rank + found - self._before[users]
        return torch.where(left > 0, unwatched, (chance * self.num_movies).long())
