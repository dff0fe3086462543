"""The nodes and edges of a graph as PyG's `HeteroData`."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from gnnrec._pyg import HeteroData
from gnnrec.graph.movies import MOVIE, MOVIE_ATTRIBUTES, OCCUPATION, USER, MovieFeatures
from gnnrec.graph.users import UserBatch


def to_hetero_data(
    users: UserBatch, movies: MovieFeatures, attributes: Mapping[str, pd.Index], num_occupations: int
) -> HeteroData:
    """Return users, movies and their attributes as one heterogeneous graph, every relation in both directions."""
    data = HeteroData()
    data[USER].x, data[MOVIE].x = users.x, movies.x
    for column, values in attributes.items():
        data[MOVIE_ATTRIBUTES[column].node_type].num_nodes = len(values)
    data[OCCUPATION].num_nodes = num_occupations
    ratings = {"rating": users.rating, "time": users.timestamp}
    if users.weight is not None:
        ratings["weight"] = users.weight
    _add_relation(data, (USER, "rated", MOVIE), (users.user_index, users.movie_index), **ratings)
    for column, ends in movies.attribute_edges.items():
        attribute = MOVIE_ATTRIBUTES[column]
        _add_relation(data, (MOVIE, attribute.relation, attribute.node_type), ends)
    _add_relation(data, (USER, "works_as", OCCUPATION), users.occupation)
    return data


def _add_relation(
    data: HeteroData, name: tuple[str, str, str], edges: tuple[Tensor, Tensor], **attributes: Tensor
) -> None:
    """Add a relation and its reverse, ``rev_...``, with the same attributes on both."""
    source, relation, target = name
    data[name].edge_index = torch.stack(edges)
    data[target, f"rev_{relation}", source].edge_index = torch.stack(edges[::-1])
    for key, values in attributes.items():
        data[name][key] = values
        data[target, f"rev_{relation}", source][key] = values
