"""What a person sees while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingBar:
    """One bar over all epochs, with the latest loss and validation metric beside it."""

    def __init__(self, bar: Progress, epochs: int, num_batches: int) -> None:
        self._bar, self._num_batches = bar, num_batches
        self._task = bar.add_task("training", total=epochs * num_batches, figures="")

    def step(self, epoch: int) -> None:
        """Count one batch."""
        self._bar.advance(self._task)

    def epoch(self, entry: dict[str, Any]) -> None:
        """Show the figures of an epoch."""
        shown = [f"{key} {value:.4f}" for key, value in entry.items() if key not in ("epoch", "seconds")]
        done = entry["epoch"] * self._num_batches
        self._bar.update(self._task, completed=done, figures=f"epoch {entry['epoch']}  " + "  ".join(shown))


@contextmanager
def training_bar(epochs: int, num_batches: int, enabled: bool) -> Iterator[TrainingBar]:
    """Show a bar while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, disable=not enabled) as bar:
        yield TrainingBar(bar, epochs, num_batches)
