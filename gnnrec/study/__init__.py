"""Looking for better settings: a search space, Optuna's studies, many workers, and a report."""

from gnnrec.study.objectives import Objective
from gnnrec.study.result import Candidate, StudyResult, read_study
from gnnrec.study.sampler import NumberedTPE
from gnnrec.study.search import tune
from gnnrec.study.settings import Choices, Range
from gnnrec.study.space import SearchSpace

__all__ = [
    "Candidate",
    "Choices",
    "NumberedTPE",
    "Objective",
    "Range",
    "SearchSpace",
    "StudyResult",
    "read_study",
    "tune",
]
