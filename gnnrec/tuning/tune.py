"""`tune`: search for better hyperparameters, alone or with other workers on the same study."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from gnnrec._checks import check_integer, check_number
from gnnrec._progress import TrialBar, trial_bar
from gnnrec._torch import memory_errors
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.models.estimator import BaseEstimator
from gnnrec.splitting import Split
from gnnrec.tuning.parameters import Choices, Range
from gnnrec.tuning.report import write_report
from gnnrec.tuning.result import StudyResult, result_from_study
from gnnrec.tuning.space import SearchSpace, parse_objectives
from gnnrec.tuning.storage import METADATA, Storage, create_or_load_study, is_counted, open_storage, quiet_optuna
from gnnrec.tuning.trial import TrialEndedError, TrialRunner
from gnnrec.tuning.tunable import Tunable, get_tunable

MAX_INITIAL_FAILURES = 5
"""The study stops if this many trials fail before any other result."""
POLL_INTERVAL = 1.0
"""Seconds between checks of the trials of other workers."""


def tune(
    data: Dataset | Split,
    space: SearchSpace | Mapping[str, Any] | str | Path,
    *,
    trials: int = 50,
    storage: str | Path | None = None,
    study: str = "study",
    objectives: str | Sequence[str] | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    pruner_warmup: int = 3,
    out: str | Path | None = None,
    command: str = "",
    progress: bool = True,
    log: Callable[[str], None] | None = None,
    model: str | type[BaseEstimator] | BaseEstimator | Tunable | None = None,
) -> StudyResult:
    """Search for the hyperparameters that are best on the validation ratings.

    Configurations are sampled by TPE (`PerTrialTPE`). The first trial is the base config, if the space contains
    it. A trial whose validation metric is below the median of earlier trials is pruned, unless there are several
    objectives. The test ratings of a split are never read. A trial that fails because of its configuration (out of
    memory, a loss that is not finite, values that are not allowed together) is recorded, and the study continues.

    The same call from several processes or machines works on one study. Called again, it continues the study.

    Parameters
    ----------
    data : Dataset or Split
        With a split, its training and validation ratings are used. With a dataset, a tenth of every user's ratings is
        held out for validation, the same for all trials.
    space : SearchSpace, mapping, str or Path
        What to vary; a path is a YAML file. See `SearchSpace`.
    trials : int
        Number of finished trials of the whole study, over all workers and calls. Pruned and failed trials count;
        interrupted ones and those of dead workers do not. Fewer if the space has fewer settings: none is tried twice.
    storage : str or Path, optional
        A path (an Optuna journal, for processes on one machine), or the URL of a database (``sqlite:///``,
        ``postgresql://``, ``mysql://``). In memory by default.
    study : str
        Name of the study in the storage.
    objectives : str or sequence of str, optional
        ``metric@k`` or ``seconds``, separated by commas or as a list. The first one also decides when a fit stops early
        and overrides the configuration. By default the metric of the configuration.
    seed : int
        Seed of the sampler. Models keep the seed of their configuration.
    time_limit : float, optional
        Seconds after which this call starts no further trial. The first trial of a study always runs.
    pruner_warmup : int
        Epochs that every trial runs before it can be pruned.
    out : str or Path, optional
        Folder for the report, also written after Ctrl-C; see `write_report`.
    command : str
        Command to quote in the report.
    progress : bool
        Show a progress bar.
    log : callable, optional
        Called with a line of text for every finished trial.
    model : str, Estimator, Estimator class or Tunable, optional
        As for `gnnrec.fit`: the graph neural network by default, or any registered model, such as ``"ease"``. Keys of
        the space are then the names of its hyperparameters; those that the space does not mention keep the values of
        the estimator. Not needed with a `SearchSpace`.

    Returns
    -------
    StudyResult

    Raises
    ------
    ConfigError
        The space, an objective or the storage cannot be used; the study exists with other settings; the first five
        trials all failed; or no trial was completed.
    DataError
        There are no validation ratings, or the configuration cannot use the data.
    StorageError
        The storage or the folder of the report cannot be written.
    OutOfMemoryError
        There is not enough memory, even for a trial that fails for this reason.

    References
    ----------
    Akiba, Sano, Yanase, Ohta & Koyama, "Optuna: A next-generation hyperparameter optimization framework", KDD 2019.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> result = tune(
    ...     load_dataset("sample", num_users=60, num_movies=40),
    ...     {"train": {"epochs": 2}, "space": {"model.embedding_dim": {"choices": [8, 16]}}},
    ...     trials=2,
    ...     progress=False,
    ... )
    >>> result.objectives, len(result.trials), result.best.model.embedding_dim in (8, 16)
    (('ndcg@20',), 2, True)
    >>> space = {"space": {"reg": {"low": 10, "high": 1000, "log": True}}}
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> tune(dataset, space, model="ease", trials=2, progress=False).best
    EASE(reg=...)
    """
    check_integer(trials=trials)
    check_integer(0, pruner_warmup=pruner_warmup)
    check_integer(0, seed=seed)
    if time_limit is not None:
        check_number(0, exclusive=True, time_limit=time_limit)
    if isinstance(space, SearchSpace):
        if model is not None and get_tunable(model) != space.tunable:
            raise ConfigError(f"the search space is for {space.tunable.name}; leave model out, or pass it a mapping")
    elif isinstance(space, str | Path):
        space = SearchSpace.from_yaml(space, model="gnn" if model is None else model)
    else:
        space = SearchSpace.from_mapping(space, model="gnn" if model is None else model)
    parsed = parse_objectives(objectives, space)
    space = replace(space, base=space.tunable.with_validation_metric(space.base, parsed[0].metric, parsed[0].k))
    split = tuning_split(data, space)
    metadata = {
        "model": space.tunable.name,
        "data": describe_data(split),
        "space": space.to_mapping(),
        "objectives": [str(objective) for objective in parsed],
    }
    sampler = PerTrialTPE(seed, space=space)
    pruner = MedianPruner(n_startup_trials=5, n_warmup_steps=pruner_warmup) if len(parsed) == 1 else NopPruner()
    with memory_errors("tuning"), quiet_optuna():
        opened = open_storage(storage)
        with opened.writing(), opened.worker() as worker, trial_bar(trials, enabled=progress) as bar:
            shared = create_or_load_study(opened, study, metadata, parsed, sampler, pruner)
            try:
                _work(shared, opened, TrialRunner(split, space, parsed, trials, worker), time_limit, bar, log)
            finally:
                complete = shared.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
                if out is not None and complete:
                    write_report(result_from_study(shared, opened, space.tunable), out, command=command)
            return result_from_study(shared, opened, space.tunable)


class PerTrialTPE(BaseSampler):
    """The tree-structured Parzen estimator (TPE), seeded for every trial with the number of the trial.

    A storage assigns every number once, so no two workers sample the same, and an interrupted study continues as if it
    had not been interrupted. Running trials are treated as bad ones ("constant liar"), so that parallel workers explore
    different settings.

    With a `space`, trial 0 is its base config, if the space contains it, and no setting is tried twice while
    there are others: a sample that was tried before is replaced by a random one that was not.

    Parameters
    ----------
    seed : int
    num_startup : int
        Trials that are sampled uniformly before the estimator is used.
    space : SearchSpace, optional
        What the trials sample.

    References
    ----------
    Bergstra, Bardenet, Bengio & Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011; with the joint
    sampling of Falkner, Klein & Hutter, "BOHB: Robust and efficient hyperparameter optimization at scale", ICML 2018.

    Examples
    --------
    >>> import optuna
    >>> def sample(seed):
    ...     study = optuna.create_study(sampler=PerTrialTPE(seed))
    ...     return [study.ask().suggest_int("width", 1, 1000) for _ in range(3)]
    >>> sample(0) == sample(0), sample(0) == sample(1)
    (True, False)
    """

    def __init__(self, seed: int, num_startup: int = 10, *, space: SearchSpace | None = None) -> None:
        self._seed, self._num_startup, self._space = seed, num_startup, space
        self._current: tuple[int, TPESampler] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions that are sampled jointly."""
        if self._is_base(trial) or (self._space is not None and self._space.settings is not None):
            assert self._space is not None
            return {key: one.distribution for key, one in self._space.parameters.items()}
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample jointly."""
        if self._is_base(trial):
            assert self._space is not None
            return dict(self._space.base_params or {})
        if self._space is not None and self._space.settings is not None:
            return self._sample_new(study, trial, self._space)
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def _is_base(self, trial: FrozenTrial) -> bool:
        return trial.number == 0 and self._space is not None and self._space.base_params is not None

    def _sample_new(self, study: optuna.Study, trial: FrozenTrial, space: SearchSpace) -> dict[str, Any]:
        """Return a complete setting, a new one if possible."""
        tpe = self._sampler(trial)
        joint = tpe.sample_relative(study, trial, tpe.infer_relative_search_space(study, trial))

        def draw(key: str, parameter: Range | Choices) -> Any:
            if key in joint:
                return joint[key]
            return tpe.sample_independent(study, trial, key, parameter.distribution)

        sampled = space.sample(draw)
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number and is_tried(one)]
        left = space.untried(others) or []
        if not left or space.identify(sampled) in map(space.identify, left):
            return sampled
        return left[int(np.random.default_rng([self._seed, trial.number]).integers(len(left)))]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Sample one parameter on its own; see `optuna.samplers.BaseSampler`."""
        return self._sampler(trial).sample_independent(study, trial, name, distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Pass a finished trial to TPE; see `optuna.samplers.BaseSampler`."""
        self._sampler(trial).after_trial(study, trial, state, values)

    def _sampler(self, trial: FrozenTrial) -> TPESampler:
        if self._current is None or self._current[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            sampler = TPESampler(
                seed=seed,
                n_startup_trials=self._num_startup,
                multivariate=True,
                group=self._space is not None and self._space.is_conditional,
                constant_liar=True,
            )
            self._current = trial.number, sampler
        return self._current[1]


def tuning_split(data: Dataset | Split, space: SearchSpace) -> Split:
    """Return the training and validation ratings for tuning, without test ratings.

    Movies that are rated in test ratings only are not candidates; the tables of movies and users stay complete.

    Raises
    ------
    DataError
        There are no validation ratings.
    """
    if not isinstance(data, Dataset | Split):
        raise DataError(f"tune takes a Dataset or a Split, not {type(data).__name__}; load_dataset returns a Dataset")
    split = data if isinstance(data, Split) else space.tunable.holdout(data, space.base)
    if split.valid.empty:
        raise DataError(f"{split.name}, {split.protocol}: there are no validation ratings to compare trials on")
    candidates = split.candidates
    return Split(
        split.train,
        split.valid,
        split.test[:0],
        split.movies,
        split.users,
        name=split.name,
        protocol=split.protocol,
        support=split.support,
        candidates=None if candidates is None else candidates[candidates["part"] == "valid"],
        features=split.features,
    )


def describe_data(split: Split) -> dict[str, Any]:
    """Return name, protocol and size of the data of a study, and a digest of everything that a trial reads."""
    digest = hashlib.sha256()
    frames = {name: getattr(split, name) for name in ("train", "valid", "support", "movies", "users")}
    for name, frame in frames.items():
        if frame is not None:
            digest.update(f"{name} {list(frame.columns)}".encode())
            digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    digest.update("\n".join(map(str, split.candidates_for("valid"))).encode())
    for name, embeddings in sorted(split.features.items()):
        digest.update(f"{name} {list(embeddings.movie_ids)}".encode())
        digest.update(np.ascontiguousarray(embeddings.values).tobytes())
    return {
        "name": split.name,
        "protocol": split.protocol,
        "train": len(split.train),
        "valid": len(split.valid),
        "digest": digest.hexdigest()[:16],
    }


def _work(
    study: optuna.Study,
    storage: Storage,
    runner: TrialRunner,
    time_limit: float | None,
    bar: TrialBar,
    log: Callable[[str], None] | None,
) -> None:
    """Run trials until the study has enough; wait for the last ones of other workers, and replace lost ones."""
    started, own_finished, waiting = time.monotonic(), 0, False
    while True:
        storage.fail_lost_trials(study, runner.worker)
        all_trials = study.get_trials(deepcopy=False)
        finished = sum(map(is_counted, all_trials))
        bar.update(finished, _best_so_far(all_trials))
        out_of_time = time_limit is not None and time.monotonic() - started > time_limit
        if finished >= runner.num_trials or (out_of_time and finished > 0):
            return
        running = sum(one.state is TrialState.RUNNING for one in all_trials)
        exhausted = runner.space.untried(filter(is_tried, all_trials)) == []
        if exhausted and not running:
            if log is not None:
                log(f"all {len(runner.space.settings or ())} settings of the search space were tried")
            return
        if exhausted or finished + running >= runner.num_trials:
            if not waiting and log is not None:
                log("waiting for the last trials of other workers")
            waiting = True
            time.sleep(POLL_INTERVAL)
            continue
        waiting = False
        number = _run_trial(study, runner)
        if number is None or not is_counted(study.get_trials(deepcopy=False)[number]):
            continue
        own_finished += 1
        if log is not None:
            log(_describe_trial(study, number, runner.num_trials))
        _stop_if_all_failed(study, own_finished, runner.num_trials)


def is_tried(trial: FrozenTrial) -> bool:
    """Whether the setting of a trial is done: it has finished or is running."""
    return is_counted(trial) or trial.state is TrialState.RUNNING


def _run_trial(study: optuna.Study, run: Callable[[optuna.Trial], tuple[float, ...]]) -> int | None:
    """Run a trial and return its number; None if another worker has marked it as lost."""
    started: list[int] = []
    ended: list[int] = []

    def recorded(trial: optuna.Trial) -> tuple[float, ...]:
        started.append(trial.number)
        try:
            values = run(trial)
        except (TrialEndedError, optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
            ended.append(trial.number)
            raise
        ended.append(trial.number)
        return values

    try:
        study.optimize(recorded, n_trials=1, catch=(TrialEndedError,))
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        # Optuna raises a ValueError if the trial was finished elsewhere. All others are genuine errors.
        if not ended or study.get_trials(deepcopy=False)[ended[0]].state is TrialState.RUNNING:
            raise
        return None
    except (AssertionError, UnboundLocalError) as error:
        raise _cause_of(error) from None
    return started[0]


def _cause_of(error: BaseException) -> BaseException:
    """Return what kept Optuna from recording the end of a trial: a full disk, or another Ctrl-C.

    Its clean-up then fails on a variable that has no value, or on an assertion, and the cause is in the context.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    in_clean_up = bool(frames) and frames[-1].f_globals.get("__name__") == "optuna.study._optimize"
    return error.__context__ if in_clean_up and error.__context__ is not None else error


def _stop_if_all_failed(study: optuna.Study, own_finished: int, num_trials: int) -> None:
    finished = [one for one in study.get_trials(deepcopy=False) if is_counted(one)]
    if own_finished < min(MAX_INITIAL_FAILURES, num_trials):
        return
    if all(one.state is TrialState.FAIL for one in finished):
        reasons = list(dict.fromkeys(one.user_attrs["failed"] for one in finished))
        raise ConfigError(f"the first {len(finished)} trials all failed: {'; '.join(reasons[:3])}")


def _describe_trial(study: optuna.Study, number: int, num_trials: int) -> str:
    """Return a line about a finished trial and the best trial so far."""
    objectives, all_trials = study.user_attrs[METADATA]["objectives"], study.get_trials(deepcopy=False)
    trial = all_trials[number]
    attrs = trial.user_attrs
    duration = f"{attrs['seconds']:.1f} s" if "seconds" in attrs else "before its first epoch"
    if "epochs" in attrs:
        duration = f"{attrs['epochs']} epochs, {duration}"
    if trial.state is TrialState.COMPLETE:
        values = ", ".join(f"{name} {value:.4f}" for name, value in zip(objectives, trial.values, strict=True))
        text = (
            f"{values} at epoch {attrs['best_epoch']} of {duration}"
            if "best_epoch" in attrs
            else f"{values} after {duration}"
        )
    elif trial.state is TrialState.PRUNED:
        text = f"pruned after {duration}"
    else:
        text = f"failed: {attrs['failed']}"
    best = _best_so_far(all_trials)
    finished = sum(map(is_counted, all_trials))
    return f"[{finished}/{num_trials}] trial {number}: {text}{f'; {best}' if best else ''}"


def _best_so_far(trials: Sequence[FrozenTrial]) -> str:
    complete = [one for one in trials if one.state is TrialState.COMPLETE]
    best = max(complete, key=lambda one: one.values[0], default=None)  # the first objective is a metric
    return f"best {best.values[0]:.4f} in trial {best.number}" if best else ""
