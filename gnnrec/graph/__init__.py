"""Users, movies, genres and occupations as one heterogeneous graph, and people on their way into it."""

from gnnrec.graph.features import AGE_BINS, DECADES
from gnnrec.graph.followed import followed_by
from gnnrec.graph.graph import Graph
from gnnrec.graph.movies import NewMovie
from gnnrec.graph.people import NewUser, batch_of
from gnnrec.graph.users import UserBatch

__all__ = ["AGE_BINS", "DECADES", "Graph", "NewMovie", "NewUser", "UserBatch", "batch_of", "followed_by"]
