"""Training, validation and test sets: `Split`, splitters, and named evaluation protocols.

Every splitter and protocol with its decorator is found in any file here.
"""

from gnnrec.splitting.cold_splits import (
    cold_both_split,
    cold_movies_by_time_split,
    cold_movies_split,
    cold_users_split,
)
from gnnrec.splitting.protocols import Protocol, get_protocol, split
from gnnrec.splitting.split import Split
from gnnrec.splitting.splitters import (
    global_time_split,
    leave_one_out,
    random_ratings_split,
    random_split,
    temporal_split,
)
from gnnrec.splitting.strong_generalization import strong_generalization_split

__all__ = [
    "Protocol",
    "Split",
    "cold_both_split",
    "cold_movies_by_time_split",
    "cold_movies_split",
    "cold_users_split",
    "get_protocol",
    "global_time_split",
    "leave_one_out",
    "random_ratings_split",
    "random_split",
    "split",
    "strong_generalization_split",
    "temporal_split",
]
