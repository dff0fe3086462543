"""Edges as tensors: from rating rows, into PyG's `HeteroData`, and by ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from gnnrec.data import Dataset


def of_ratings(dataset: Dataset) -> dict[str, Tensor]:
    """Return the edges sorted by user, then by time; equal times stay in the order of the file."""
    ratings = dataset.ratings
    row = pd.Index(dataset.users["user_id"]).get_indexer(pd.Index(ratings["user_id"]))
    movie = pd.Index(dataset.movies["movie_id"]).get_indexer(pd.Index(ratings["movie_id"]))
    time = ratings["timestamp"].to_numpy() if "timestamp" in ratings else np.zeros(len(row), np.int64)
    rating = ratings["rating"].to_numpy() if "rating" in ratings else np.ones(len(row), np.float32)
    order = np.lexsort((time, row))
    columns = {
        "row": (row, np.int64),
        "movie": (movie, np.int64),
        "rating": (rating, np.float32),
        "time": (time, np.int64),
    }
    return {name: torch.from_numpy(values[order].astype(dtype)) for name, (values, dtype) in columns.items()}


def add_relation(
    data: HeteroData, name: tuple[str, str, str], edges: tuple[Tensor, Tensor], **attributes: Tensor
) -> None:
    """Add a relation and its reverse, ``rev_...``, with the same attributes on both."""
    source, relation, target = name
    data[name].edge_index = torch.stack(edges)
    data[target, f"rev_{relation}", source].edge_index = torch.stack(edges[::-1])
    for key, values in attributes.items():
        data[name][key] = values
        data[target, f"rev_{relation}", source][key] = values


def ranges(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return every integer of the ranges ``[start, end)`` in turn, and the range each is from."""
    length = end - start
    row = torch.repeat_interleave(torch.arange(len(start)), length)
    offset = torch.arange(int(length.sum())) - torch.repeat_interleave(length.cumsum(0) - length, length)
    return start[row] + offset, row
