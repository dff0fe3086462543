"""`tune`: look for better settings, alone or with other workers on the same study."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner, NopPruner
from optuna.trial import TrialState
from rich.console import Console

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.splitting import Split
from gnnrec.study.joining import FACTS, join
from gnnrec.study.objectives import Objective, read_objectives
from gnnrec.study.result import StudyResult, result_of
from gnnrec.study.rows import facts_of, study_rows
from gnnrec.study.sampler import NumberedTPE
from gnnrec.study.space import SearchSpace
from gnnrec.study.storage import Storage, open_storage, quiet
from gnnrec.study.trial import TrialEndedError, TrialRun, counts

HOPELESS = 5
"""If so many first trials all fail, the next one would, too."""
POLL = 1.0
"""Seconds between two looks at what the others do."""


def tune(
    data: Dataset | Split,
    space: SearchSpace | Mapping[str, Any] | str | Path,
    *,
    trials: int = 50,
    storage: str | Path | None = None,
    study: str = "study",
    objectives: str | Sequence[str] | None = None,
    seed: int = 0,
    timeout: float | None = None,
    warm_epochs: int = 3,
    out: str | Path | None = None,
    command: str = "",
    progress: bool = True,
) -> StudyResult:
    """Search for the settings that are best on the validation rows.

    Settings are drawn by TPE (`gnnrec.study.sampler.NumberedTPE`); the first trial is the config as it is, if the space holds
    it. A trial whose validation metric falls behind the median of the earlier ones is pruned; with several objectives
    nothing is. The test rows of a split are never read. What fails for its settings (not enough memory, a loss that is
    no number, values that do not go together) is noted, and the study goes on.

    The same call from several processes or machines works on one study; started again, it goes on.

    Parameters
    ----------
    data : Dataset or Split
        Of a split, the train and valid rows are used. Of a dataset, a tenth of each person's ratings is held back as by
        `fit`, the same for all trials.
    space : SearchSpace, mapping, str or Path
        What to vary; a path is a YAML file. See `SearchSpace`.
    trials : int
        How many finished trials the study shall have, of all workers and starts together. Pruned and failed ones
        count; interrupted ones, and those whose worker died, do not.
    storage : str or Path, optional
        A path (an Optuna journal, for processes on one machine), or the URL of a database (``sqlite:///``,
        ``postgresql://``, ``mysql://``). In memory when not given.
    study : str
        Name of the study in the storage.
    objectives : str or sequence of str, optional
        ``metric@k`` or ``seconds``, with commas or as a list. The first is what early stopping watches, whatever the
        config says. When not given, what the config says.
    seed : int
        Of the drawing of settings. Models keep the seed of the config.
    timeout : float, optional
        No trial is begun after so many seconds.
    warm_epochs : int
        No trial is pruned before it has had so many epochs.
    out : str or Path, optional
        Folder for the best config, table, pictures and report, also after Ctrl-C.
    command : str
        Noted in the report.
    progress : bool
        Print a line for each finished trial.

    Returns
    -------
    StudyResult

    Raises
    ------
    ConfigError
        The space, an objective or the storage cannot be used; the study is about something else; the first five trials
        all failed; or none was completed.
    DataError
        The data have no valid rows, or cannot be used with the config.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> result = tune(
    ...     load_dataset("sample", n_users=60, n_movies=40),
    ...     {"train": {"epochs": 2}, "space": {"model.embedding_dim": {"choices": [8, 16]}}},
    ...     trials=2,
    ...     progress=False,
    ... )
    >>> result.objectives, len(result.trials), result.best.model.embedding_dim in (8, 16)
    (('ndcg@20',), 2, True)
    """
    space, wanted = _checked(space, objectives, trials, warm_epochs, timeout)
    rows = study_rows(data, space.base)
    facts = {
        "data": facts_of(rows),
        "space": json.loads(json.dumps(space.as_mapping())),
        "objectives": [str(objective) for objective in wanted],
    }
    pruner = MedianPruner(n_startup_trials=5, n_warmup_steps=warm_epochs) if len(wanted) == 1 else NopPruner()
    opened = open_storage(storage)
    with quiet(), opened.worker() as worker:
        joined = join(opened, study, facts, wanted, space, NumberedTPE(seed), pruner)
        try:
            run = TrialRun(rows, space, wanted, trials, worker)
            _work(joined, opened, run, timeout, Console(quiet=not progress, soft_wrap=True, highlight=False))
        finally:
            if out is not None and any(one.state is TrialState.COMPLETE for one in joined.get_trials(deepcopy=False)):
                result_of(joined, opened).write(out, command=command)
        return result_of(joined, opened)


def _checked(
    space: SearchSpace | Mapping[str, Any] | str | Path,
    objectives: str | Sequence[str] | None,
    trials: int,
    warm_epochs: int,
    timeout: float | None,
) -> tuple[SearchSpace, tuple[Objective, ...]]:
    if isinstance(space, str | Path):
        space = SearchSpace.from_yaml(space)
    elif not isinstance(space, SearchSpace):
        space = SearchSpace.from_mapping(space)
    if trials < 1:
        raise ConfigError(f"at least one trial is needed, not {trials}")
    if warm_epochs < 0:
        raise ConfigError(f"warm_epochs cannot be {warm_epochs}")
    if timeout is not None and not timeout > 0:
        raise ConfigError(f"timeout must be above 0 seconds, not {timeout}")
    wanted = read_objectives(objectives, space.base)
    watched = [f"train.metric={wanted[0].metric}", f"train.k={wanted[0].k}"]
    return replace(space, base=space.base.override(watched)), wanted


def _work(study: optuna.Study, opened: Storage, run: TrialRun, timeout: float | None, console: Console) -> None:
    """Run trials until the study has enough; wait for the others' last ones, and take over those that are lost."""
    started, mine, waiting = time.monotonic(), 0, False
    while True:
        opened.release_lost(study, run.worker)
        every = study.get_trials(deepcopy=False)
        done = sum(map(counts, every))
        if done >= run.trials or (timeout is not None and time.monotonic() - started > timeout):
            return
        if done + sum(one.state is TrialState.RUNNING for one in every) >= run.trials:
            if not waiting:
                console.print("the last trials are running elsewhere; waiting for them")
            waiting = True
            time.sleep(POLL)
            continue
        waiting = False
        number = _one_trial(study, run)
        if number is None or not counts(study.get_trials(deepcopy=False)[number]):
            continue
        mine += 1
        console.print(_line_of(study, number, run.trials), markup=False)
        _stop_if_hopeless(study, mine, run.trials)


def _one_trial(study: optuna.Study, run: Callable[[optuna.Trial], tuple[float, ...]]) -> int | None:
    """Run a trial and return its number; None where somebody declared it lost while it ran."""
    numbers: list[int] = []
    ended: list[int] = []

    def noted(trial: optuna.Trial) -> tuple[float, ...]:
        numbers.append(trial.number)
        try:
            values = run(trial)
        except (TrialEndedError, optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
            ended.append(trial.number)
            raise
        ended.append(trial.number)
        return values

    try:
        study.optimize(noted, n_trials=1, catch=(TrialEndedError,))
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        # Optuna refuses figures for a trial that is over, with a ValueError for its values. All else is an error.
        if not ended or study.get_trials(deepcopy=False)[ended[0]].state is TrialState.RUNNING:
            raise
        return None
    return numbers[0]


def _stop_if_hopeless(study: optuna.Study, mine: int, trials: int) -> None:
    finished = [one for one in study.get_trials(deepcopy=False) if counts(one)]
    if mine < min(HOPELESS, trials) or any(one.state is not TrialState.FAIL for one in finished):
        return
    reasons = list(dict.fromkeys(one.user_attrs["failed"] for one in finished))
    raise ConfigError(f"the first {len(finished)} trials all failed: {'; '.join(reasons[:3])}")


def _line_of(study: optuna.Study, number: int, trials: int) -> str:
    """Return a line about a finished trial, and the best so far."""
    objectives, every = study.user_attrs[FACTS]["objectives"], study.get_trials(deepcopy=False)
    one = every[number]
    noted = one.user_attrs
    spent = f"{noted['epochs']} epochs, {noted['seconds']:.1f} s" if "epochs" in noted else "before its first epoch"
    if one.state is TrialState.COMPLETE:
        values = ", ".join(f"{name} {value:.4f}" for name, value in zip(objectives, one.values, strict=True))
        text = f"{values} at epoch {noted['best_epoch']} of {spent}"
    elif one.state is TrialState.PRUNED:
        text = f"pruned after {spent}"
    else:
        text = f"failed: {noted['failed']}"
    complete = [other for other in every if other.state is TrialState.COMPLETE]
    better = max(complete, key=lambda other: other.values[0], default=None)  # the first objective is a metric
    best = f"; best {better.values[0]:.4f} in trial {better.number}" if better else ""
    done = sum(map(counts, every))
    return f"[{done}/{trials}] trial {number}: {text}{best}"
