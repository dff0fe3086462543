"""Ratings, movies and users as validated tables: `Dataset`."""

from gnnrec.data.dataset import Dataset
from gnnrec.data.embeddings import ContentEmbeddings

__all__ = ["ContentEmbeddings", "Dataset"]
