"""Exploring a dataset before training: tables, figures, and a report of both.

The tables are functions of a `Dataset`. `analyze` turns them into findings: a sentence, a table and a figure each.
Every function with `register_finding` is found in any file here.
"""

from gnnrec.explore.content_tables import demographics, genres, genres_by_decade, genres_over_time, missing
from gnnrec.explore.finding import Finding
from gnnrec.explore.report import Analysis, analyze
from gnnrec.explore.tables import (
    MissingColumnError,
    block_density,
    decile_histogram,
    gini,
    log2_histogram,
    lorenz,
    most_rated,
    overview,
    rating_counts,
    rating_distribution,
    top_share,
)
from gnnrec.explore.time_tables import activity, busiest_days
from gnnrec.registry import register_finding

__all__ = [
    "Analysis",
    "Finding",
    "MissingColumnError",
    "activity",
    "analyze",
    "block_density",
    "busiest_days",
    "decile_histogram",
    "demographics",
    "genres",
    "genres_by_decade",
    "genres_over_time",
    "gini",
    "log2_histogram",
    "lorenz",
    "missing",
    "most_rated",
    "overview",
    "rating_counts",
    "rating_distribution",
    "register_finding",
    "top_share",
]
