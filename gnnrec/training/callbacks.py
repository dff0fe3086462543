"""Callbacks: code that runs between the epochs of a fit, to stop it early or to log its metrics.

Pass them to any fit: ``gnnrec.fit(split, callbacks=[TimeLimit(600), TensorBoardLogger("runs/tb")])``. What a callback
raises ends the fit as Ctrl-C does, and reaches the caller.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnrec._checks import check_integer, check_number
from gnnrec.errors import ConfigError


@dataclass
class FitState:
    """State of a fit, as callbacks see it.

    Attributes
    ----------
    model : str
        Name of the model.
    settings : dict
        Its hyperparameters.
    num_epochs : int
        Maximum number of epochs.
    epoch : int
        Epochs completed, from 1.
    loss : float
        Mean training loss of the last epoch.
    seconds : float
        Duration of the last epoch.
    metrics : dict of str to float
        Validation metrics after the last epoch, such as ``{"ndcg@20": 0.27}``; empty without validation ratings.
    epochs_since_best : int
        Epochs since the validation metric last improved; 0 after an improvement.
    stopped_by : str or None
        Why `stop` was called.
    """

    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    num_epochs: int = 0
    epoch: int = 0
    loss: float = float("nan")
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    epochs_since_best: int = 0
    stopped_by: str | None = None

    def stop(self, reason: str = "a callback") -> None:
        """End the fit after this epoch; the best epoch so far is kept."""
        self.stopped_by = self.stopped_by or reason

    @property
    def figures(self) -> dict[str, float]:
        """Epoch, loss, seconds and metrics in one dict."""
        return {"epoch": self.epoch, "loss": self.loss, "seconds": self.seconds, **self.metrics}


class Callback:
    """Base class of callbacks; override the methods you need."""

    def on_fit_start(self, state: FitState) -> None:
        """Run before the first epoch."""

    def on_epoch_end(self, state: FitState) -> None:
        """Run after every epoch, when its validation metrics are known."""

    def on_fit_end(self, state: FitState) -> None:
        """Run after the last epoch, also after an exception."""


class EarlyStopping(Callback):
    """Stop when the validation metric has not improved for some epochs.

    Models that train in epochs have a default patience; this callback replaces it. Without validation ratings it never
    stops a fit.

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
        """Do not go on with a resumed fit that had already been stopped."""
        self.on_epoch_end(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Stop if the last improvement is `patience` epochs ago."""
        if state.epochs_since_best >= self.patience:
            state.stop("early stopping")


class TimeLimit(Callback):
    """Start no further epoch after some time; the first epoch always runs.

    Parameters
    ----------
    seconds : float
        Time limit for the fit.
    """

    def __init__(self, seconds: float) -> None:
        check_number(0, exclusive=True, seconds=seconds)
        self.seconds = seconds
        self._started = time.perf_counter()

    def on_fit_start(self, state: FitState) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, state: FitState) -> None:
        """Stop if the time is over."""
        if time.perf_counter() - self._started > self.seconds:
            state.stop("time limit")


class TensorBoardLogger(Callback):
    """Log loss and validation metrics to TensorBoard (``pip install gnnrec[tensorboard]``).

    Parameters
    ----------
    log_dir : str or Path
        Folder for the event files.
    """

    def __init__(self, log_dir: str | Path) -> None:
        self._writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(log_dir))

    def on_epoch_end(self, state: FitState) -> None:
        """Write the figures of the epoch."""
        for name, value in state.figures.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """Write what is still buffered."""
        self._writer.close()


class MLflowLogger(Callback):
    """Log hyperparameters, loss and validation metrics to MLflow (``pip install gnnrec[mlflow]``).

    Parameters
    ----------
    experiment : str, optional
        Name of the experiment; MLflow's default if not given.
    run_name : str, optional
        Name of the run.
    """

    def __init__(self, experiment: str | None = None, run_name: str | None = None) -> None:
        self._mlflow = _import("mlflow", "mlflow")
        self.experiment, self.run_name = experiment, run_name

    def on_fit_start(self, state: FitState) -> None:
        """Start the run and log the hyperparameters."""
        if self.experiment is not None:
            self._mlflow.set_experiment(self.experiment)
        self._mlflow.start_run(run_name=self.run_name)
        self._mlflow.log_params({"model": state.model, **_flat(state.settings)})

    def on_epoch_end(self, state: FitState) -> None:
        """Log the figures of the epoch."""
        # MLflow allows no @ in names.
        figures = {name.replace("@", "_at_"): value for name, value in state.figures.items() if name != "epoch"}
        self._mlflow.log_metrics(figures, step=state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """End the run."""
        self._mlflow.end_run()


class WandbLogger(Callback):
    """Log hyperparameters, loss and validation metrics to Weights & Biases (``pip install gnnrec[wandb]``).

    Parameters
    ----------
    project : str
        Name of the project.
    **options
        Further arguments of ``wandb.init``.
    """

    def __init__(self, project: str = "gnnrec", **options: Any) -> None:
        self._wandb = _import("wandb", "wandb")
        self.project, self.options = project, options
        self._run: Any = None

    def on_fit_start(self, state: FitState) -> None:
        """Start the run with the hyperparameters."""
        settings = {"model": state.model, **_flat(state.settings)}
        self._run = self._wandb.init(project=self.project, config=settings, **self.options)

    def on_epoch_end(self, state: FitState) -> None:
        """Log the figures of the epoch."""
        self._run.log({name: value for name, value in state.figures.items() if name != "epoch"}, step=state.epoch)

    def on_fit_end(self, state: FitState) -> None:
        """End the run."""
        self._run.finish()


class CallbackList(Callback):
    """Several callbacks as one.

    Parameters
    ----------
    callbacks : iterable of Callback
    patience : int, optional
        Adds an `EarlyStopping` with this patience unless there is one among the callbacks.
    """

    def __init__(self, callbacks: Iterable[Callback] = (), patience: int | None = None) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ConfigError(f"callbacks must be Callback objects, such as EarlyStopping(), not {callback!r}")
        if patience is not None and not any(isinstance(callback, EarlyStopping) for callback in self.callbacks):
            self.callbacks.append(EarlyStopping(patience))

    def on_fit_start(self, state: FitState) -> None:
        """Call all callbacks."""
        for callback in self.callbacks:
            callback.on_fit_start(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Call all callbacks."""
        for callback in self.callbacks:
            callback.on_epoch_end(state)

    def on_fit_end(self, state: FitState) -> None:
        """Call all callbacks."""
        for callback in self.callbacks:
            callback.on_fit_end(state)


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"this logger needs {package}; install it with: pip install 'gnnrec[{package}]'") from None


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
