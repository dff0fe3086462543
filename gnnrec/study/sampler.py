"""`NumberedTPE`: TPE whose random numbers depend on the trial, not on the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class NumberedTPE(BaseSampler):
    """The tree-structured Parzen estimator, seeded anew for every trial with the trial's number.

    The storage gives each number once, so no two workers draw the same, however many there are and whenever they
    start; and a study that was stopped goes on as it would have. Trials that are running count as bad ones meanwhile
    ("constant liar"), which keeps workers apart.

    Source: Bergstra, Bardenet, Bengio & Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011; drawn
    jointly over all settings as in Falkner, Klein & Hutter, "BOHB", ICML 2018.

    Parameters
    ----------
    seed : int
    startup : int
        Trials that are drawn evenly before the estimator takes over.

    Examples
    --------
    >>> import optuna
    >>> def numbers(seed):
    ...     study = optuna.create_study(sampler=NumberedTPE(seed))
    ...     return [study.ask().suggest_int("width", 1, 1000) for _ in range(3)]
    >>> numbers(0) == numbers(0), numbers(0) == numbers(1)
    (True, False)
    """

    def __init__(self, seed: int, startup: int = 10) -> None:
        self._seed, self._startup = seed, startup
        self._of: tuple[int, TPESampler] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return what is drawn jointly."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw it."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        """Draw one setting by itself."""
        return self._sampler(trial).sample_independent(study, trial, name, distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Let TPE take notes of a finished trial."""
        self._sampler(trial).after_trial(study, trial, state, values)

    def _sampler(self, trial: FrozenTrial) -> TPESampler:
        if self._of is None or self._of[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            made = TPESampler(seed=seed, n_startup_trials=self._startup, multivariate=True, constant_liar=True)
            self._of = trial.number, made
        return self._of[1]
