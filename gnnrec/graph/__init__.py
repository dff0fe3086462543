"""Users, movies, genres and occupations as one heterogeneous graph, and people on their way into it."""

from gnnrec.graph.graph import Graph
from gnnrec.graph.movies import AGE_BINS, DECADES, NewMovie
from gnnrec.graph.new_users import NewUser, encode_users
from gnnrec.graph.transitions import transition_counts
from gnnrec.graph.users import UserBatch

__all__ = ["AGE_BINS", "DECADES", "Graph", "NewMovie", "NewUser", "UserBatch", "encode_users", "transition_counts"]
