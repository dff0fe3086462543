"""Progress bars on standard error: one look for epochs, trials, downloads and plain loops.

`rich` is loaded when one is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

Step = TypeVar("Step")


class TrainingBar:
    """One bar over all epochs, with the latest loss and validation metric next to it."""

    def __init__(self, bar: Progress | None, epochs: int, num_batches: int) -> None:
        self._bar, self._num_batches = bar, num_batches
        if bar is not None:
            self._task = bar.add_task("training", total=epochs * num_batches, figures="")

    def step(self) -> None:
        """Count one batch."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def epoch(self, figures: dict[str, Any]) -> None:
        """Show the metrics of an epoch."""
        if self._bar is None:
            return
        shown = [f"{key} {value:.4f}" for key, value in figures.items() if key not in ("epoch", "seconds")]
        done = figures["epoch"] * self._num_batches
        self._bar.update(self._task, completed=done, figures=f"epoch {figures['epoch']}  " + "  ".join(shown))


@contextmanager
def training_bar(epochs: int, num_batches: int, enabled: bool, note: str = "") -> Iterator[TrainingBar]:
    """Show a bar over epochs while the block runs, below a line of text."""
    with _bar(enabled, remaining=True) as bar:
        if bar is not None and note:
            bar.console.print(note, highlight=False, markup=False)
        yield TrainingBar(bar, epochs, num_batches)


class TrialBar:
    """One bar over the trials of a study, with the best trial next to it."""

    def __init__(self, bar: Progress | None, num_trials: int) -> None:
        self._bar = bar
        if bar is not None:
            self._task = bar.add_task("tuning", total=num_trials, figures="")

    def update(self, finished: int, text: str) -> None:
        """Show the number of finished trials and a message."""
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, figures=text)


@contextmanager
def trial_bar(num_trials: int, enabled: bool) -> Iterator[TrialBar]:
    """Show a bar over trials while the block runs."""
    with _bar(enabled) as bar:
        yield TrialBar(bar, num_trials)


class DownloadBar:
    """Progress of one file in bytes, with the attributes that `pooch` expects of a progress bar."""

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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        yield DownloadBar(bar, label)


@contextmanager
def progress_bar(description: str, total: int, enabled: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; the block receives a function that advances it."""
    with _bar(enabled, remaining=True) as bar:
        if bar is None:
            yield lambda steps: None
        else:
            task = bar.add_task(description, total=total, figures="")
            yield lambda steps: bar.advance(task, steps)


def track(steps: Sequence[Step], description: str, *, enabled: bool) -> Iterable[Step]:
    """Iterate over `steps` behind a progress bar."""
    if not enabled:
        return steps
    import rich.console
    import rich.progress

    return rich.progress.track(steps, description, console=rich.console.Console(stderr=True))


@contextmanager
def _bar(enabled: bool, *, remaining: bool = False) -> Iterator[Progress | None]:
    if not enabled:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn()]
    if remaining:
        columns.append(TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True)) as bar:
        yield bar
