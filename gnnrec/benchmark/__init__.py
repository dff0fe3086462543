"""Several models on the same rows: fitted, timed, evaluated over several seeds, and laid out."""

__all__ = [
    "FAST",
    "MODELS",
    "BenchmarkReport",
    "benchmark",
    "compare",
    "draws",
    "fit_baseline",
    "fit_model",
    "format_skipped",
    "aggregate_seeds",
    "results_table",
    "timed",
    "valid_quality",
]
