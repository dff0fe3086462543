"""`benchmark`: several models on the same split, fitted with several seeds, timed and evaluated.

Hyperparameters are selected from each model's grid on the validation ratings; the test ratings are used for the results
only.
"""

from gnnrec.benchmarking.report import (
    BenchmarkReport,
    aggregate_seeds,
    format_skipped,
    result_rows,
    results_table,
    versions,
)
from gnnrec.benchmarking.run import benchmark, compare, fit_best, is_seeded, timed

__all__ = [
    "BenchmarkReport",
    "aggregate_seeds",
    "benchmark",
    "compare",
    "fit_best",
    "format_skipped",
    "is_seeded",
    "result_rows",
    "results_table",
    "timed",
    "versions",
]
