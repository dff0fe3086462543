"""What a person sees while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


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


class DownloadBar:
    """Progress of one file in bytes; has the attributes that `pooch` expects of a progress bar."""

    def __init__(self, bar: Progress, label: str) -> None:
        self._bar = bar
        self._task = bar.add_task(label, total=None)

    @property
    def total(self) -> float | None:
        """Size of the file in bytes, None while unknown."""
        return self._bar.tasks[0].total

    @total.setter
    def total(self, total: float) -> None:
        self._bar.update(self._task, total=total)

    def update(self, num_bytes: int) -> None:
        """Add bytes."""
        self._bar.advance(self._task, num_bytes)

    def reset(self) -> None:
        """Start again at 0 bytes."""
        self._bar.update(self._task, completed=0)

    def close(self) -> None:
        """Stop drawing."""
        self._bar.stop()


@contextmanager
def download_bar(label: str) -> Iterator[DownloadBar]:
    """Show a bar on standard error while a file is downloaded."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        yield DownloadBar(bar, label)
