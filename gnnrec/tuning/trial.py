"""One trial: sample a configuration, fit it, prune it or measure it."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass
from typing import Any

import optuna
import torch
from optuna.trial import TrialState

from gnnrec._torch import is_out_of_memory
from gnnrec.errors import ConfigError
from gnnrec.evaluation import evaluate, validate
from gnnrec.models.base import Recommender
from gnnrec.splitting import Split
from gnnrec.training.callbacks import Callback, FitState
from gnnrec.tuning.space import Objective, SearchSpace
from gnnrec.tuning.storage import is_counted

FAILURES = (
    FloatingPointError,
    ConfigError,
    MemoryError,
    torch.cuda.OutOfMemoryError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
"""Errors caused by a configuration: the trial fails and the study continues. Other errors end the study."""


class TrialEndedError(Exception):
    """The trial has ended without a value; the study continues."""


class PruningCallback(Callback):
    """Report the validation metric of every epoch to Optuna, and end the fit of a trial that is pruned.

    Parameters
    ----------
    trial : optuna.Trial
    metric : str
        The validation metric to report, such as ``ndcg@20``. Fits that select epochs by another metric are not pruned.
    prune : bool
        False only records the epochs, as Optuna does not prune trials of several objectives.

    Attributes
    ----------
    num_epochs : int
        Epochs of the fit.
    history : list of (int, float)
        Epoch and metric.

    Examples
    --------
    >>> trial = optuna.create_study(direction="maximize").ask()
    >>> callback = PruningCallback(trial, "ndcg@20")
    >>> for epoch, value in [(1, 0.1), (2, 0.3), (3, 0.2)]:
    ...     callback.on_epoch_end(FitState(epoch=epoch, metrics={"ndcg@20": value}))
    >>> callback.best
    (2, 0.3)
    """

    def __init__(self, trial: optuna.Trial, metric: str, *, prune: bool = True) -> None:
        self.trial, self.metric, self.prune = trial, metric, prune
        self.num_epochs = 0
        self.history: list[tuple[int, float]] = []

    def on_epoch_end(self, state: FitState) -> None:
        """Report an epoch; raises `optuna.TrialPruned` if the trial is behind the others."""
        self.num_epochs = state.epoch
        if self.metric not in state.metrics:
            return
        value = state.metrics[self.metric]
        self.history.append((state.epoch, value))
        if self.prune:
            self.trial.report(value, state.epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    @property
    def best(self) -> tuple[int, float]:
        """The best epoch, the first of equals, and its metric."""
        return max(self.history, key=lambda entry: entry[1])


@dataclass(frozen=True)
class TrialRunner:
    """The function that Optuna calls for every trial of a worker.

    Attributes
    ----------
    data : Split
        Training and validation ratings, as `tuning_split` returns them.
    space : SearchSpace
    objectives : tuple of Objective
    num_trials : int
        Finished trials of the whole study.
    worker : str
        Name of the worker, stored with the trial.
    """

    data: Split
    space: SearchSpace
    objectives: tuple[Objective, ...]
    num_trials: int
    worker: str

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Return a value per objective."""
        trial.set_user_attr("worker", self.worker)
        self._withdraw_surplus(trial)
        try:
            return self._fit_and_score(trial)
        except FAILURES as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = f"out of memory: {' '.join(str(error).split())}"
        # Outside the except block, because the traceback keeps the tensors of the fit alive.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        trial.set_user_attr("failed", reason[:400])
        raise TrialEndedError(reason)

    def _withdraw_surplus(self, trial: optuna.Trial) -> None:
        """End this trial if several workers started the last one at the same time: lower numbers win."""
        before = [one for one in trial.study.get_trials(deepcopy=False) if one.number < trial.number]
        if sum(is_counted(one) or one.state is TrialState.RUNNING for one in before) >= self.num_trials:
            raise TrialEndedError("withdrawn")

    def _fit_and_score(self, trial: optuna.Trial) -> tuple[float, ...]:
        config = self.space.config(self.space.suggest(trial))
        callback = PruningCallback(trial, str(self.objectives[0]), prune=len(self.objectives) == 1)
        scores: dict[str, float] = {}
        started = time.perf_counter()
        try:
            model = self.space.tunable.fit(self.data, config, [callback])
        finally:
            scores["seconds"] = time.perf_counter() - started
            if callback.num_epochs:
                trial.set_user_attr("seconds", scores["seconds"])
                trial.set_user_attr("epochs", callback.num_epochs)
            if callback.history:
                epoch, scores[callback.metric] = callback.best
                trial.set_user_attr("best_epoch", epoch)
        if not callback.num_epochs:  # a model without epochs
            trial.set_user_attr("seconds", scores["seconds"])
        first = self.objectives[0]
        if str(first) not in scores:
            scores[str(first)] = validate(model, self.data, first.metric, first.k)
        coverage = Objective("coverage", first.k)
        missing = {one for one in (*self.objectives, coverage) if str(one) not in scores}
        scores |= self._evaluate(model, missing)
        trial.set_user_attr(str(coverage), scores[str(coverage)])
        values = tuple(scores[str(objective)] for objective in self.objectives)
        if not all(map(math.isfinite, values)):
            raise FloatingPointError(f"{', '.join(map(str, self.objectives))} evaluated to {values}")
        return values

    def _evaluate(self, model: Recommender, objectives: set[Objective]) -> dict[str, float]:
        """Evaluate on the validation ratings."""
        scores: dict[str, Any] = {}
        for k in sorted({objective.k for objective in objectives}):
            frame = evaluate(
                model,
                self.data.valid,
                ks=(k,),
                metrics=sorted(objective.metric for objective in objectives if objective.k == k),
                candidates=self.data.candidates_for("valid"),
                history=self.data.support,
            )
            for metric, value in zip(frame["metric"], frame["value"], strict=True):
                scores[f"{metric}@{k}"] = float(value)
        return scores
