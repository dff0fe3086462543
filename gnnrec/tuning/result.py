"""`StudyResult`: the results of a study so far, read from its storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from gnnrec._checks import as_path
from gnnrec.errors import ConfigError
from gnnrec.models.estimator import BaseEstimator
from gnnrec.tuning.space import Objective, SearchSpace
from gnnrec.tuning.storage import DAMAGE, METADATA, Storage, is_counted, load_study, open_storage, quiet_optuna
from gnnrec.tuning.tunable import Tunable

STATISTICS = ("seconds", "epochs", "best_epoch")


@dataclass(frozen=True)
class TrialResult:
    """A completed trial; on the Pareto front, no other trial is better in all objectives.

    Attributes
    ----------
    trial : int
        Number of the trial.
    values : dict of str to float
        Values by objective.
    config : Config or Estimator
        The configuration: ``gnnrec.fit(data, config=config)`` fits the graph neural network, ``gnnrec.fit(data,
        config)`` another model.

    Examples
    --------
    >>> from gnnrec import Config
    >>> TrialResult(7, {"ndcg@20": 0.25, "seconds": 12.0}, Config()).values["seconds"]
    12.0
    """

    trial: int
    values: Mapping[str, float]
    config: Any


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The trials of a study and the best of them.

    Attributes
    ----------
    name : str
    objectives : tuple of str
        Such as ``ndcg@20``, measured on the validation ratings.
    space : SearchSpace
        What was varied, and the base config.
    data : dict
        ``name``, ``protocol``, number of ``train`` and ``valid`` rows, and their ``digest``.
    optuna_trials : tuple of optuna.trial.FrozenTrial
        All trials as Optuna stores them.
    storage : str
        Kind of storage.

    Examples
    --------
    >>> from gnnrec import load_dataset, tune
    >>> result = tune(
    ...     load_dataset("sample", num_users=60, num_movies=40),
    ...     {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [8, 16]}}},
    ...     trials=2,
    ...     progress=False,
    ... )
    >>> [one.trial for one in result.pareto_front] == [result.trials["ndcg@20"].idxmax()]
    True
    >>> result.best.model.embedding_dim in (8, 16)
    True
    """

    name: str
    objectives: tuple[str, ...]
    space: SearchSpace
    data: Mapping[str, Any]
    optuna_trials: tuple[FrozenTrial, ...]
    storage: str = "in memory"

    @property
    def pareto_front(self) -> tuple[TrialResult, ...]:
        """The Pareto front, the best in the first objective first; with one objective, the best trial alone."""
        front = self.to_optuna().best_trials
        front = sorted(front, key=lambda one: (-float(one.values[0]), one.number))  # the first objective is a metric
        if len(self.objectives) == 1:
            front = front[:1]
        return tuple(self._trial_result(one) for one in front)

    @property
    def best(self) -> Any:
        """The configuration of the trial that is best in the first objective."""
        return self.pareto_front[0].config

    @property
    def best_value(self) -> float:
        """The best value of the first objective."""
        return self.pareto_front[0].values[self.objectives[0]]

    @property
    def base_trial(self) -> TrialResult | None:
        """The trial of the base config; None if there is no such completed trial."""
        for one in self.optuna_trials:
            if one.state is TrialState.COMPLETE and self.space.config(one.params) == self.space.base:
                return self._trial_result(one)
        return None

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial: number, state, objectives, seconds, epochs, best epoch, coverage, reason, parameters.

        States are complete, pruned (the objective is then the best of its epochs), failed (with a reason), lost
        (interrupted, or its worker died) and running. ``epochs`` counts all epochs; the model is that of
        ``best_epoch``. Parameters that do not apply to a trial are missing values.
        """
        coverage = f"coverage@{self.objectives[0].partition('@')[2]}"
        statistics = [name for name in (*STATISTICS, coverage) if name not in self.objectives]
        rows = []
        for one in self.optuna_trials:
            if one.state is TrialState.WAITING:
                continue
            values = dict(zip(self.objectives, one.values or [None] * len(self.objectives), strict=True))
            if one.state is not TrialState.COMPLETE and one.intermediate_values and len(self.objectives) == 1:
                values = {self.objectives[0]: max(one.intermediate_values.values())}
            measured = {name: one.user_attrs.get(name) for name in statistics}
            parameters = {key: _cell(value) for key, value in self.space.decode(one.params).items()}
            head = {"trial": one.number, "state": trial_state(one)}
            rows.append({**head, **values, **measured, "reason": one.user_attrs.get("failed"), **parameters})
        columns = ["trial", "state", *self.objectives, *statistics, "reason", *self.space.parameters]
        return pd.DataFrame(rows, columns=columns)

    def to_optuna(self) -> optuna.Study:
        """Return the finished trials as an Optuna study in memory, for its plots and analyses."""
        with quiet_optuna():
            study = optuna.create_study(
                study_name=self.name,
                directions=[Objective.from_string(objective).direction for objective in self.objectives],
            )
            study.add_trials(one for one in self.optuna_trials if one.state.is_finished())
        return study

    def __repr__(self) -> str:
        best = self.pareto_front[0]
        values = ", ".join(f"{name} {value:.4f}" for name, value in best.values.items())
        return f"StudyResult({self.name!r}, {len(self.optuna_trials)} trials, best {values} in trial {best.trial})"

    def _trial_result(self, one: FrozenTrial) -> TrialResult:
        values = dict(zip(self.objectives, one.values, strict=True))
        return TrialResult(one.number, values, self.space.config(one.params))


def read_study(
    storage: str | Path,
    study: str = "study",
    *,
    model: str | type[BaseEstimator] | BaseEstimator | Tunable | None = None,
) -> StudyResult:
    """Read a study without running trials.

    Parameters
    ----------
    storage : str or Path
        As for `tune`.
    study : str
        Name of the study.
    model : str, Estimator, Estimator class or Tunable, optional
        The model that was tuned, if it is not registered; by default the registered one of that name.

    Returns
    -------
    StudyResult

    Raises
    ------
    ConfigError
        There is no such study, `tune` did not make it, or none of its trials is complete.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import load_dataset, tune
    >>> storage = Path(tempfile.mkdtemp()) / "study.journal"
    >>> space = {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [8, 16]}}}
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> result = tune(dataset, space, trials=1, storage=storage, progress=False)
    >>> read_study(storage).best == result.best
    True
    """
    if "://" not in str(storage) and not as_path(storage, "a storage").is_file():
        raise ConfigError(f"storage {storage} does not exist")
    opened = open_storage(storage)
    try:
        with quiet_optuna():
            result = result_from_study(load_study(opened, study), opened, model)
            result.trials, result.pareto_front  # noqa: B018 - what is wrong with them is said here
            return result
    except ConfigError:
        raise
    except (*DAMAGE, SQLAlchemyError) as error:
        problem = f"study {study!r} in {opened.description} is damaged"
        raise ConfigError(f"{problem}: {type(error).__name__}: {error}") from None


def result_from_study(
    study: optuna.Study,
    storage: Storage,
    model: str | type[BaseEstimator] | BaseEstimator | Tunable | None = None,
) -> StudyResult:
    """Return the results of a study so far; raise `ConfigError` if no trial is complete."""
    metadata = study.user_attrs[METADATA]
    model = metadata["model"] if model is None else model
    result = StudyResult(
        name=study.study_name,
        objectives=tuple(metadata["objectives"]),
        space=SearchSpace.from_mapping(metadata["space"], f"study {study.study_name!r}", model=model),
        data=metadata["data"],
        optuna_trials=tuple(study.get_trials()),
        storage=storage.description,
    )
    if not any(one.state is TrialState.COMPLETE for one in result.optuna_trials):
        failed = [one.user_attrs["failed"] for one in result.optuna_trials if "failed" in one.user_attrs]
        reason = f"; {len(failed)} failed: {failed[0]}" if failed else ""
        raise ConfigError(f"study {study.study_name!r} has no completed trial yet{reason}")
    return result


def trial_state(one: FrozenTrial) -> str:
    """Return complete, pruned, failed, lost or running."""
    if one.state is TrialState.FAIL and not is_counted(one):
        return "lost"
    return {TrialState.FAIL: "failed"}.get(one.state, one.state.name.lower())


def _cell(value: Any) -> Any:
    return yaml.safe_dump(list(value), default_flow_style=True).strip() if isinstance(value, list | tuple) else value
