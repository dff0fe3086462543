"""A look at a dataset before anything is trained: tables, pictures, and a report of both.

The tables are functions of a `Dataset`; `analyze` makes findings of them, and a folder of these.
"""

from gnnrec.analysis.analyze import Analysis, analyze
from gnnrec.analysis.finding import Finding
from gnnrec.analysis.genres import genres, genres_by_decade, genres_over_time
from gnnrec.analysis.people import groups, missing
from gnnrec.analysis.ratings import LackingError, counts_of, matrix, most_rated, overview, rating_distribution
from gnnrec.analysis.tail import by_doubling, gini, lorenz, top_share
from gnnrec.analysis.times import activity, busiest_days

__all__ = [
    "Analysis",
    "Finding",
    "LackingError",
    "activity",
    "analyze",
    "busiest_days",
    "by_doubling",
    "counts_of",
    "genres",
    "genres_by_decade",
    "genres_over_time",
    "gini",
    "groups",
    "lorenz",
    "matrix",
    "missing",
    "most_rated",
    "overview",
    "rating_distribution",
    "top_share",
]
