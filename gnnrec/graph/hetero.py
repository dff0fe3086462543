"""A graph as PyG's `HeteroData`, for whatever speaks that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch_geometric.data import HeteroData

from gnnrec.graph import edges
from gnnrec.graph.followed import followed_by
from gnnrec.graph.sides import MOVIE_SIDES

if TYPE_CHECKING:
    from gnnrec.graph.graph import Graph

USER, MOVIE, OCCUPATION = "user", "movie", "occupation"


def hetero_data(graph: Graph) -> HeteroData:
    """Return every node and both directions of every relation of a graph."""
    data, users = HeteroData(), graph.users
    data[USER].x, data[MOVIE].x = users.x, graph.movie_x
    for column, values in graph.sides.items():
        data[MOVIE_SIDES[column].node_type].num_nodes = len(values)
    data[OCCUPATION].num_nodes = len(graph.occupations)
    edges.add_relation(data, (USER, "rated", MOVIE), (users.row, users.movie), rating=users.rating, time=users.time)
    for column, ends in graph.movie_sides.items():
        side = MOVIE_SIDES[column]
        edges.add_relation(data, (MOVIE, side.relation, side.node_type), ends)
    edges.add_relation(data, (USER, "works_as", OCCUPATION), users.occupation)
    if graph.has_times:
        source, following, count = followed_by(users)
        edges.add_relation(data, (MOVIE, "followed_by", MOVIE), (source, following), count=count)
    return data
