"""Hyperparameter tuning: search spaces, Optuna studies shared by several workers, and reports."""

from gnnrec.tuning.parameters import Choices, Range
from gnnrec.tuning.report import write_report
from gnnrec.tuning.result import StudyResult, TrialResult, read_study
from gnnrec.tuning.space import Objective, SearchSpace
from gnnrec.tuning.trial import PruningCallback
from gnnrec.tuning.tunable import KnownKey, Tunable, TunableGNN, TunableModel, get_tunable, known_keys
from gnnrec.tuning.tune import PerTrialTPE, tune

__all__ = [
    "Choices",
    "KnownKey",
    "Objective",
    "PerTrialTPE",
    "PruningCallback",
    "Range",
    "SearchSpace",
    "StudyResult",
    "TrialResult",
    "Tunable",
    "TunableGNN",
    "TunableModel",
    "get_tunable",
    "known_keys",
    "read_study",
    "tune",
    "write_report",
]
