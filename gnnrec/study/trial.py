"""One trial: draw settings, fit, tell the study after every epoch, measure."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from gnnrec.config import Config
from gnnrec.errors import ConfigError
from gnnrec.evaluation import evaluate
from gnnrec.fit import fit
from gnnrec.models.gnn import RecGraph
from gnnrec.splitting import Split
from gnnrec.study.objectives import Objective
from gnnrec.study.space import SearchSpace

FAILURES = (
    FloatingPointError,
    ConfigError,
    MemoryError,
    torch.cuda.OutOfMemoryError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
"""What settings can be to blame for; all else ends the study."""
NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""How PyTorch says so where it raises nothing more special than a RuntimeError."""


class TrialEndedError(Exception):
    """The trial is over without a value, and the study goes on."""


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is finished and one of those that were asked for.

    What was interrupted, withdrawn, or lost with its worker is not: it is marked as failed, but has no reason noted.
    """
    if trial.state is TrialState.FAIL:
        return "failed" in trial.user_attrs
    return trial.state.is_finished()


@dataclass(frozen=True)
class TrialRun:
    """What a worker does with every trial; Optuna calls it.

    Attributes
    ----------
    rows : Split
        As of `study_rows`.
    space : SearchSpace
    objectives : tuple of Objective
    trials : int
        How many the whole study may have.
    worker : str
        Noted in the trial.
    """

    rows: Split
    space: SearchSpace
    objectives: tuple[Objective, ...]
    trials: int
    worker: str

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Return a value for each objective."""
        trial.set_user_attr("worker", self.worker)
        self._withdraw_surplus(trial)
        try:
            return self._measured(trial)
        except FAILURES as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        except RuntimeError as error:
            if not any(words in str(error).lower() for words in NO_MEMORY):
                raise
            reason = f"out of memory: {' '.join(str(error).split())}"
        # Only here is the traceback gone, and with it what the fit had on the device.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        trial.set_user_attr("failed", reason[:400])
        raise TrialEndedError(reason)

    def _withdraw_surplus(self, trial: optuna.Trial) -> None:
        """Give way where another began the last trial at the same time: numbers are given once, lower ones win."""
        before = [one for one in trial.study.get_trials(deepcopy=False) if one.number < trial.number]
        if sum(counts(one) or one.state is TrialState.RUNNING for one in before) >= self.trials:
            raise TrialEndedError("withdrawn")

    def _measured(self, trial: optuna.Trial) -> tuple[float, ...]:
        config = self.space.config(self.space.draw(trial))
        entries: list[dict[str, Any]] = []
        started = time.perf_counter()
        try:
            model = fit(self.rows, config, progress=False, on_epoch=self._watch(trial, entries))
        finally:
            seconds = time.perf_counter() - started
            if entries:
                best = max(entries, key=lambda entry: entry[str(self.objectives[0])])
                noted = {"seconds": seconds, "epochs": len(entries), "best_epoch": best["epoch"]}
                for name, figure in noted.items():
                    trial.set_user_attr(name, figure)
        found = {str(self.objectives[0]): best[str(self.objectives[0])], "seconds": seconds}
        found |= self._at_the_end(model, config)
        trial.set_user_attr(coverage_of(self.objectives), found[coverage_of(self.objectives)])
        values = tuple(found[str(objective)] for objective in self.objectives)
        if not all(map(math.isfinite, values)):
            raise FloatingPointError(f"{', '.join(map(str, self.objectives))} came out as {values}")
        return values

    def _watch(self, trial: optuna.Trial, entries: list[dict[str, Any]]) -> Callable[[dict[str, Any]], None]:
        def watch(entry: dict[str, Any]) -> None:
            entries.append(entry)
            if len(self.objectives) == 1:  # Optuna does not prune by several
                trial.report(entry[str(self.objectives[0])], entry["epoch"])
                if trial.should_prune():
                    raise optuna.TrialPruned

        return watch

    def _at_the_end(self, model: RecGraph, config: Config) -> dict[str, float]:
        """Measure, on the valid rows, what training does not watch."""
        first, *others = (objective for objective in self.objectives if objective.k)
        wanted = {(one.metric, one.k) for one in others} | {("coverage", first.k)}
        found: dict[str, float] = {}
        for k in sorted({k for _, k in wanted}):
            frame = evaluate(
                model,
                self.rows.valid,
                ks=(k,),
                metrics=[metric for metric, at in wanted if at == k],
                candidates=self.rows.candidates_for("valid"),
                history=self.rows.support,
            )
            found |= {
                f"{metric}@{k}": float(value) for metric, value in zip(frame["metric"], frame["value"], strict=True)
            }
        return found


def coverage_of(objectives: tuple[Objective, ...]) -> str:
    """Return the name of the coverage that is noted of every trial."""
    return f"coverage@{objectives[0].k}"
