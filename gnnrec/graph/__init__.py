"""Users, movies and their attributes as one heterogeneous graph; new users and movies."""

from gnnrec.graph.graph import Graph
from gnnrec.graph.histories import History, HistoryReport, read_history
from gnnrec.graph.movies import DECADES, MovieFeatures, NewMovie
from gnnrec.graph.new_user import NewUser
from gnnrec.graph.new_users import encode_users
from gnnrec.graph.title_search import search
from gnnrec.graph.titles import TitleIndex
from gnnrec.graph.transitions import add_transitions, transition_counts
from gnnrec.graph.users import UserBatch, UserProfiles

__all__ = [
    "DECADES",
    "Graph",
    "History",
    "HistoryReport",
    "MovieFeatures",
    "NewMovie",
    "NewUser",
    "TitleIndex",
    "UserBatch",
    "UserProfiles",
    "add_transitions",
    "encode_users",
    "read_history",
    "search",
    "transition_counts",
]
