"""`StudyResult`: what a study has found so far, read from its storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState

from gnnrec.config import Config
from gnnrec.errors import ConfigError
from gnnrec.study.joining import FACTS, load_study
from gnnrec.study.objectives import Objective
from gnnrec.study.space import SearchSpace
from gnnrec.study.storage import Storage, open_storage, quiet
from gnnrec.study.trial import counts

FIGURES = ("seconds", "epochs", "best_epoch")


@dataclass(frozen=True)
class Candidate:
    """A trial that no other beats in all objectives.

    Attributes
    ----------
    trial : int
        Its number.
    values : dict of str to float
        By objective.
    config : Config

    Examples
    --------
    >>> Candidate(7, {"ndcg@20": 0.25, "seconds": 12.0}, Config()).values["seconds"]
    12.0
    """

    trial: int
    values: Mapping[str, float]
    config: Config


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study has found.

    Attributes
    ----------
    name : str
    objectives : tuple of str
        Such as ``ndcg@20``, measured on the valid rows.
    space : SearchSpace
        What was varied, and the config that it was varied from.
    data : dict
        ``name``, ``protocol``, number of ``train`` and ``valid`` rows, and their ``digest``.
    frozen : tuple of optuna.trial.FrozenTrial
        All trials as Optuna knows them.
    storage : str
        What kind of storage it came from.

    Examples
    --------
    >>> from gnnrec import load_dataset, tune
    >>> result = tune(
    ...     load_dataset("sample", n_users=60, n_movies=40),
    ...     {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [8, 16]}}},
    ...     trials=2,
    ...     progress=False,
    ... )
    >>> [one.trial for one in result.front] == [result.trials["ndcg@20"].idxmax()]
    True
    >>> result.best.model.embedding_dim in (8, 16)
    True
    """

    name: str
    objectives: tuple[str, ...]
    space: SearchSpace
    data: Mapping[str, Any]
    frozen: tuple[FrozenTrial, ...]
    storage: str = "in memory"

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The Pareto front, best in the first objective first; with one objective, the best trial alone."""
        found = self.as_study().best_trials
        found = sorted(found, key=lambda one: (self._rank(one), one.number))
        if len(self.objectives) == 1:
            found = found[:1]
        return tuple(self._candidate(one) for one in found)

    @property
    def best(self) -> Config:
        """The config of the trial that is best in the first objective."""
        return self.front[0].config

    @property
    def best_value(self) -> float:
        """What it reached in the first objective."""
        return self.front[0].values[self.objectives[0]]

    @property
    def start(self) -> Candidate | None:
        """The config that was varied, if it was tried and completed."""
        for one in self.frozen:
            if one.state is TrialState.COMPLETE and self.space.config(one.params) == self.space.base:
                return self._candidate(one)
        return None

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial: number, state, objectives, seconds, epochs, best epoch, coverage, reason, settings.

        States are complete, pruned (the objective is then the best of its epochs), failed (with a reason), lost
        (interrupted, or its worker died) and running. ``epochs`` counts all, ``best_epoch`` is the one that is kept.
        """
        coverage = f"coverage@{self.objectives[0].partition('@')[2]}"
        noted = [*FIGURES, *([] if coverage in self.objectives else [coverage])]
        rows = []
        for one in self.frozen:
            if one.state is TrialState.WAITING:
                continue
            values = dict(zip(self.objectives, one.values or [None] * len(self.objectives), strict=True))
            if one.state is not TrialState.COMPLETE and one.intermediate_values and len(self.objectives) == 1:
                values = {self.objectives[0]: max(one.intermediate_values.values())}
            figures = {name: one.user_attrs.get(name) for name in noted if name not in self.objectives}
            settings = {key: _cell(value) for key, value in self.space.decoded(one.params).items()}
            head = {"trial": one.number, "state": state_of(one)}
            rows.append({**head, **values, **figures, "reason": one.user_attrs.get("failed"), **settings})
        names = [name for name in noted if name not in self.objectives]
        columns = ["trial", "state", *self.objectives, *names, "reason", *self.space.settings]
        return pd.DataFrame(rows, columns=columns)

    def as_study(self) -> optuna.Study:
        """Return the trials as a study of Optuna's in memory, for its pictures."""
        with quiet():
            study = optuna.create_study(
                study_name=self.name, directions=[Objective.read(o).direction for o in self.objectives]
            )
            study.add_trials(one for one in self.frozen if one.state.is_finished())
        return study

    def write(self, folder: str | Path, *, command: str = "") -> Path:
        """Write ``best.yaml``, ``before.yaml``, ``trials.csv``, pictures, ``report.md``; ``pareto/`` if there is one.

        Parameters
        ----------
        folder : str or Path
            Made when missing; what an earlier report left there is replaced.
        command : str
            Noted in the report.

        Returns
        -------
        Path
            The folder.
        """
        from gnnrec.study.report import write_report

        return write_report(self, Path(folder), command)

    def __repr__(self) -> str:
        best = self.front[0]
        found = ", ".join(f"{name} {value:.4f}" for name, value in best.values.items())
        return f"StudyResult({self.name!r}, {len(self.frozen)} trials, best {found} in trial {best.trial})"

    def _rank(self, one: FrozenTrial) -> float:
        return -float(one.values[0])  # the first objective is a metric

    def _candidate(self, one: FrozenTrial) -> Candidate:
        return Candidate(one.number, dict(zip(self.objectives, one.values, strict=True)), self.space.config(one.params))


def read_study(storage: str | Path, study: str = "study") -> StudyResult:
    """Read a study without running anything.

    Parameters
    ----------
    storage : str or Path
        As for `tune`.
    study : str
        Its name.

    Raises
    ------
    ConfigError
        There is no such study, it was not made by `tune`, or none of its trials is complete.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import load_dataset, tune
    >>> storage = Path(tempfile.mkdtemp()) / "study.journal"
    >>> space = {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [8, 16]}}}
    >>> dataset = load_dataset("sample", n_users=60, n_movies=40)
    >>> result = tune(dataset, space, trials=1, storage=storage, progress=False)
    >>> read_study(storage).best == result.best
    True
    """
    if "://" not in str(storage) and not Path(storage).expanduser().is_file():
        raise ConfigError(f"there is no storage {storage}")
    opened = open_storage(storage)
    with quiet():
        return result_of(load_study(opened, study), opened)


def result_of(study: optuna.Study, opened: Storage) -> StudyResult:
    """Return what is found so far; a `ConfigError` if that is nothing."""
    facts = study.user_attrs[FACTS]
    found = StudyResult(
        name=study.study_name,
        objectives=tuple(facts["objectives"]),
        space=SearchSpace.from_mapping(facts["space"], f"study {study.study_name!r}"),
        data=facts["data"],
        frozen=tuple(study.get_trials()),
        storage=opened.about,
    )
    if not any(one.state is TrialState.COMPLETE for one in found.frozen):
        failed = [one.user_attrs["failed"] for one in found.frozen if "failed" in one.user_attrs]
        why = f"; {len(failed)} failed: {failed[0]}" if failed else ""
        raise ConfigError(f"study {study.study_name!r} has no completed trial yet{why}")
    return found


def state_of(one: FrozenTrial) -> str:
    """Return complete, pruned, failed, lost or running."""
    if one.state is TrialState.FAIL and not counts(one):
        return "lost"
    return {TrialState.FAIL: "failed"}.get(one.state, one.state.name.lower())


def _cell(value: Any) -> Any:
    return yaml.safe_dump(list(value), default_flow_style=True).strip() if isinstance(value, list | tuple) else value
