"""Several models on the same rows: fitted, timed, evaluated over several seeds, and laid out."""

from gnnrec.benchmark.compare import compare, over_seeds, timed
from gnnrec.benchmark.models import FAST, MODELS, draws, fit_baseline, fit_model, valid_quality
from gnnrec.benchmark.report import Report, left_out_line, table
from gnnrec.benchmark.run import benchmark

__all__ = [
    "FAST",
    "MODELS",
    "Report",
    "benchmark",
    "compare",
    "draws",
    "fit_baseline",
    "fit_model",
    "left_out_line",
    "over_seeds",
    "table",
    "timed",
    "valid_quality",
]
