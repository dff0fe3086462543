"""Ratings, movies and users as validated tables (`Dataset`), and reading one table from one file.

Which files make up a dataset is the business of `gnnrec.datasets`.
"""

from gnnrec.data.dataset import Dataset
from gnnrec.data.embeddings import ContentEmbeddings

__all__ = ["ContentEmbeddings", "Dataset"]
