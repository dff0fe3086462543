"""Callbacks run between the epochs of a fit, to stop it early or to log its metrics.

Pass them to any fit: ``gnnrec.fit(split, callbacks=[TimeLimit(600), TensorBoardLogger("runs/tb")])``. An exception in a
callback ends the fit like Ctrl-C and propagates; a run folder keeps the best epoch so far.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnrec._checks import check_integer, check_number, is_listing, shown
from gnnrec.errors import ConfigError


@dataclass
class FitState:
    """Progress of a fit, as callbacks see it.

    Attributes
    ----------
    model : str
        Name of the model.
    settings : dict
        Its hyperparameters.
    num_epochs : int
        Maximum number of epochs.
    epoch : int
        Number of completed epochs; not 0 at the start of a resumed fit.
    loss : float
        Mean training loss of the last epoch.
    seconds : float
        Duration of the last epoch.
    metrics : dict of str to float
        Validation metrics after the last epoch, such as ``{"ndcg@20": 0.27}``; empty without validation ratings.
    epochs_since_best : int
        Epochs since the validation metric last improved; 0 after an improvement.
    stopped_by : str or None
        Reason given to `stop`.

    Examples
    --------
    >>> state = FitState(epoch=3, loss=0.5, seconds=2.0, metrics={"ndcg@20": 0.27})
    >>> state.record
    {'epoch': 3, 'loss': 0.5, 'seconds': 2.0, 'ndcg@20': 0.27}
    >>> state.stop("good enough")
    >>> state.stopped_by
    'good enough'
    """

    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    num_epochs: int = 0
    epoch: int = 0
    loss: float = math.nan
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    epochs_since_best: int = 0
    stopped_by: str | None = None
    _started: float = field(default_factory=time.perf_counter, repr=False)

    def stop(self, reason: str = "a callback") -> None:
        """End the fit after this epoch; the best epoch so far is kept."""
        self.stopped_by = self.stopped_by or reason

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the fit."""
        return time.perf_counter() - self._started

    @property
    def record(self) -> dict[str, float]:
        """Epoch, loss, seconds and metrics in one dict."""
        return {"epoch": self.epoch, "loss": self.loss, "seconds": self.seconds, **self.metrics}


class Callback:
    """Base class of callbacks; override the methods you need.

    Examples
    --------
    >>> class PrintLoss(Callback):
    ...     def on_epoch_end(self, state):
    ...         print(f"epoch {state.epoch}: loss {state.loss:.2f}")
    >>> PrintLoss().on_epoch_end(FitState(epoch=3, loss=0.25))
    epoch 3: loss 0.25
    """

    def on_fit_start(self, state: FitState) -> None:
        """Run before the first epoch."""

    def on_epoch_end(self, state: FitState) -> None:
        """Run after each epoch and its validation."""

    def on_fit_end(self, state: FitState) -> None:
        """Run after the last epoch, also after an exception, and if `on_fit_start` failed."""


class EarlyStopping(Callback):
    """Stops when the validation metric has not improved for some epochs.

    Models that train in epochs stop early by default; this callback replaces their default patience. Without validation
    ratings it never stops a fit.

    Parameters
    ----------
    patience : int
        Epochs without improvement.

    Examples
    --------
    >>> state = FitState(epoch=7, metrics={"ndcg@20": 0.2}, epochs_since_best=3)
    >>> EarlyStopping(patience=3).on_epoch_end(state)
    >>> state.stopped_by
    'early stopping'
    """

    def __init__(self, patience: int = 5) -> None:
        check_integer(patience=patience)
        self.patience = patience

    def on_fit_start(self, state: FitState) -> None:
        """Stop a resumed fit that had already stopped early."""
        self.on_epoch_end(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Stop if the last improvement was `patience` epochs ago."""
        if state.epochs_since_best >= self.patience:
            state.stop("early stopping")


class TimeLimit(Callback):
    """Starts no further epoch after a time limit. The first epoch always runs.

    Parameters
    ----------
    seconds : float
        Time limit for the fit.

    Examples
    --------
    >>> state = FitState(epoch=1)
    >>> TimeLimit(1e-9).on_epoch_end(state)
    >>> state.stopped_by
    'time limit'
    """

    def __init__(self, seconds: float) -> None:
        check_number(0, exclusive=True, seconds=seconds)
        self.seconds = seconds

    def on_epoch_end(self, state: FitState) -> None:
        """Stop if the time limit has passed."""
        if state.elapsed > self.seconds:
            state.stop("time limit")


class TensorBoardLogger(Callback):
    """Logs loss and validation metrics to TensorBoard (``pip install gnnrec[tensorboard]``).

    Parameters
    ----------
    log_dir : str or Path
        Folder for the event files.

    Examples
    --------
    >>> gnnrec.fit(split, callbacks=[TensorBoardLogger("runs/tb")])  # doctest: +SKIP
    """

    def __init__(self, log_dir: str | Path) -> None:
        self._tensorboard = _import_logger("torch.utils.tensorboard", "tensorboard")
        self.log_dir = Path(log_dir)
        self._writer: Any = None

    def on_fit_start(self, state: FitState) -> None:
        """Open the event file."""
        self._writer = self._tensorboard.SummaryWriter(str(self.log_dir))

    def on_epoch_end(self, state: FitState) -> None:
        """Log the metrics of the epoch."""
        for name, value in _logged(state).items():
            self._writer.add_scalar(name, value, state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


class MLflowLogger(Callback):
    """Logs hyperparameters, loss and validation metrics to MLflow (``pip install gnnrec[mlflow]``).

    Parameters
    ----------
    experiment : str, optional
        Name of the experiment; MLflow's default if not given.
    run_name : str, optional
        Name of the run.

    Examples
    --------
    >>> gnnrec.fit(split, callbacks=[MLflowLogger("movies")])  # doctest: +SKIP
    """

    def __init__(self, experiment: str | None = None, run_name: str | None = None) -> None:
        self._mlflow = _import_logger("mlflow", "mlflow")
        self.experiment, self.run_name = experiment, run_name
        self._run: Any = None

    def on_fit_start(self, state: FitState) -> None:
        """Start the run and log the hyperparameters."""
        if self.experiment is not None:
            self._mlflow.set_experiment(self.experiment)
        self._run = self._mlflow.start_run(run_name=self.run_name)
        self._mlflow.log_params({"model": state.model, **_flatten(state.settings)})

    def on_epoch_end(self, state: FitState) -> None:
        """Log the metrics of the epoch."""
        # MLflow does not allow @ in names.
        values = {name.replace("@", "_at_"): value for name, value in _logged(state).items()}
        self._mlflow.log_metrics(values, step=state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """End the run."""
        if self._run is not None:
            self._mlflow.end_run()


class WandbLogger(Callback):
    """Logs hyperparameters, loss and validation metrics to Weights & Biases (``pip install gnnrec[wandb]``).

    Parameters
    ----------
    project : str
        Name of the project.
    **options
        Further arguments of ``wandb.init``.

    Examples
    --------
    >>> gnnrec.fit(split, callbacks=[WandbLogger("movies", mode="offline")])  # doctest: +SKIP
    """

    def __init__(self, project: str = "gnnrec", **options: Any) -> None:
        self._wandb = _import_logger("wandb", "wandb")
        self.project, self.options = project, options
        self._run: Any = None

    def on_fit_start(self, state: FitState) -> None:
        """Start the run with the hyperparameters."""
        config = {"model": state.model, **_flatten(state.settings)}
        self._run = self._wandb.init(project=self.project, config=config, **self.options)

    def on_epoch_end(self, state: FitState) -> None:
        """Log the metrics of the epoch."""
        self._run.log(_logged(state), step=state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()


class CallbackList(Callback):
    """Several callbacks as one.

    Parameters
    ----------
    callbacks : iterable of Callback
    patience : int, optional
        Adds an `EarlyStopping` with this patience unless there is one among the callbacks.

    Raises
    ------
    ConfigError
        One of them is not a `Callback`.

    Examples
    --------
    >>> callbacks = CallbackList([TimeLimit(60)], patience=5)
    >>> [type(callback).__name__ for callback in callbacks.callbacks]
    ['TimeLimit', 'EarlyStopping']
    >>> with callbacks.running(FitState()):  # starts and ends them
    ...     pass
    """

    def __init__(self, callbacks: Iterable[Callback] = (), patience: int | None = None) -> None:
        is_list = is_listing(callbacks)
        self.callbacks = list(callbacks) if is_list else []
        if not is_list or not all(isinstance(callback, Callback) for callback in self.callbacks):
            raise ConfigError(
                f"callbacks must be a list of Callback objects, such as EarlyStopping(), not {shown(callbacks)}"
            )
        if patience is not None and not any(isinstance(callback, EarlyStopping) for callback in self.callbacks):
            self.callbacks.append(EarlyStopping(patience))
        self._started: list[Callback] = []

    @contextmanager
    def running(self, state: FitState) -> Iterator[None]:
        """Start all callbacks; end those that were started when the block ends, also after an exception."""
        try:
            self.on_fit_start(state)
            yield
        finally:
            self.on_fit_end(state)

    def on_fit_start(self, state: FitState) -> None:
        """Call the callbacks until one fails."""
        for callback in self.callbacks:
            self._started.append(callback)  # before the call, because a callback that fails may have opened resources
            callback.on_fit_start(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Call all callbacks."""
        for callback in self.callbacks:
            callback.on_epoch_end(state)

    def on_fit_end(self, state: FitState) -> None:
        """Call all callbacks that were started, also after an exception in one; then raise the first exception."""
        errors = []
        started, self._started = self._started, []
        for callback in started:
            try:
                callback.on_fit_end(state)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _import_logger(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"this logger needs {package}; install it with: pip install 'gnnrec[{package}]'") from None


def _logged(state: FitState) -> dict[str, float]:
    """Return the metrics of an epoch; its number is the step."""
    return {name: value for name, value in state.record.items() if name != "epoch"}


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as ``{"train.epochs": 30}``."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
