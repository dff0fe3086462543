"""The epoch loop that all models trained in epochs share, apart from the graph neural network.

`gnnrec.models.gnn_training` has a loop of its own, which also writes checkpoints.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from gnnrec._progress import training_bar
from gnnrec._seeded import Seeded
from gnnrec.config import Settings
from gnnrec.graph import Graph
from gnnrec.training.callbacks import Callback, CallbackList, FitState
from gnnrec.training.optimizer import AdamW

Model = TypeVar("Model")
Network = TypeVar("Network", bound=torch.nn.Module)

DEFAULT_PATIENCE = 5


class OptimizerConfig(Settings):
    """Settings of models that are trained in epochs with AdamW.

    Examples
    --------
    >>> optimizer = OptimizerConfig(learning_rate=5e-3, weight_decay=0.01).optimizer(torch.nn.Linear(2, 1))
    >>> type(optimizer).__name__, optimizer.defaults["lr"]
    ('AdamW', 0.005)
    """

    epochs: int = Field(100, ge=1)
    """Maximum number of epochs."""
    learning_rate: float = Field(1e-3, gt=0, le=1e30)
    """Learning rate of AdamW."""
    batch_size: int = Field(4096, ge=1)
    """Ratings per step; users per step where whole histories are read."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of AdamW."""

    def optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return an optimizer for a network."""
        return AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class FitRun:
    """Everything that a fit needs besides hyperparameters: validation, callbacks, progress bar.

    Parameters
    ----------
    validate : callable, optional
        Returns the validation metric of a fitted model, higher is better. Without it all epochs run and the last one is
        kept.
    metric : str
        Name of the validation metric.
    callbacks : sequence of Callback
    progress : bool
        Show a progress bar.
    model, settings : str and dict
        Name and hyperparameters of the model, for callbacks.
    history : list of dict
        Loss and metrics of each epoch, filled by `run_epochs`.

    Examples
    --------
    >>> scores = {0.5: 1.0, 0.4: 3.0, 0.3: 2.0, 0.2: 2.5}  # validation metric by loss
    >>> losses, latest = iter(scores), []
    >>> def run_epoch():
    ...     latest.append(next(losses))
    ...     return latest[-1]
    >>> FitRun(validate=scores.get).run_epochs(run_epoch, lambda: latest[-1], epochs=4, patience=1)  # keeps the second
    0.4
    """

    validate: Callable[[Any], float] | None = None
    metric: str = "ndcg@20"
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def run_epochs(
        self,
        run_epoch: Callable[[], float],
        snapshot: Callable[[], Model],
        epochs: int,
        patience: int = DEFAULT_PATIENCE,
    ) -> Model:
        """Run epochs and return the best model.

        Parameters
        ----------
        run_epoch : callable
            Trains for one epoch and returns the mean loss.
        snapshot : callable
            Returns the current model, unaffected by further epochs.
        epochs : int
            Maximum number of epochs.
        patience : int
            Early stopping, unless there is an `EarlyStopping` among the callbacks.

        Raises
        ------
        FloatingPointError
            The loss is not finite.
        """
        callbacks = CallbackList(self.callbacks, patience)
        state = FitState(model=self.model, settings=self.settings, num_epochs=epochs)
        best: Model | None = None
        best_score = -math.inf
        with callbacks.running(state), training_bar(epochs, 1, enabled=self.progress) as bar:
            while state.epoch < epochs and state.stopped_by is None:
                started = time.perf_counter()
                state.loss = run_epoch()
                state.epoch += 1
                state.seconds = time.perf_counter() - started
                if not math.isfinite(state.loss):
                    raise FloatingPointError(
                        f"the loss is {state.loss} in epoch {state.epoch}; lower the learning rate"
                    )
                if self.validate is not None:
                    model = snapshot()
                    score = self.validate(model)
                    state.metrics = {self.metric: score}
                    state.epochs_since_best += 1
                    if score > best_score:
                        best, best_score, state.epochs_since_best = model, score, 0
                self.history.append(state.record)
                bar.epoch(state.record)
                callbacks.on_epoch_end(state)
        return snapshot() if best is None else best


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed PyTorch's random numbers in this thread while the block runs; yield another generator with the same seed.

    Examples
    --------
    >>> with seeded(7) as generator:
    ...     first = torch.rand(2), torch.rand(2, generator=generator)
    >>> with seeded(7) as generator:
    ...     second = torch.rand(2), torch.rand(2, generator=generator)
    >>> all(torch.equal(*both) for both in zip(first, second))
    True
    """
    with Seeded(seed):
        yield torch.Generator().manual_seed(seed)


def frozen(network: Network) -> Network:
    """Return a copy in evaluation mode that is unaffected by further training.

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 1)
    >>> copied = frozen(layer)
    >>> copied.training, copied.weight.requires_grad, layer.weight.requires_grad
    (False, False, True)
    """
    return copy.deepcopy(network).eval().requires_grad_(False)


def batches(size: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return a random permutation of ``range(size)`` in batches.

    Examples
    --------
    >>> [len(part) for part in batches(10, 4, torch.Generator().manual_seed(0))]
    [4, 4, 2]
    """
    shuffled: tuple[Tensor, ...] = torch.randperm(size, generator=generator).split(batch_size)
    return shuffled


def trained_users(graph: Graph) -> Tensor:
    """Return which users have a training rating, ``[num_users]`` bool.

    Examples
    --------
    >>> trained_users(graph).all().item()
    True
    """
    return torch.bincount(graph.users.user_index, minlength=graph.num_users) > 0


class NegativeSampler:
    """Samples unobserved movies of each user uniformly.

    The `r`-th unobserved movie of a user is found by binary search rather than by rejection: of the user's sorted
    movies, the `k`-th has :math:`h_k - k` unobserved movies before it.

    Parameters
    ----------
    graph : Graph
        Graph of the training ratings.

    Examples
    --------
    >>> users, movies = graph.users.user_index, graph.users.movie_index
    >>> negatives = NegativeSampler(graph).sample(users, torch.Generator().manual_seed(0))
    >>> observed = set(zip(users.tolist(), movies.tolist()))
    >>> any(pair in observed for pair in zip(users.tolist(), negatives.tolist()))
    False
    """

    def __init__(self, graph: Graph) -> None:
        self.num_movies = graph.num_movies
        row, movie = graph.users.user_index, graph.users.movie_index
        keys = (row * self.num_movies + movie).sort().values
        counts = torch.bincount(row, minlength=graph.num_users)
        self._before = counts.cumsum(0) - counts  # [num_users], ratings of earlier users
        self._left = self.num_movies - counts
        row, movie = keys // self.num_movies, keys % self.num_movies
        position = torch.arange(len(keys)) - self._before[row]  # position of the movie among the user's
        self._keys = row * (self.num_movies + 1) + movie - position

    def sample(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """Return a movie for each of `users` (node ids, any shape); any movie for users who rated all of them."""
        chance = torch.rand(users.shape, generator=generator, dtype=torch.float64)
        left = self._left[users]
        rank = (chance * left).long()
        found = torch.searchsorted(self._keys, users * (self.num_movies + 1) + rank, right=True)
        unobserved = rank + found - self._before[users]
        return torch.where(left > 0, unobserved, (chance * self.num_movies).long())
