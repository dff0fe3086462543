"""Ratings, movies and users as validated tables (`Dataset`), and reading one table from one file.

`gnnrec.datasets` determines which files make up a dataset.
"""

from gnnrec.data.dataset import Dataset
from gnnrec.data.embeddings import ContentEmbeddings

__all__ = ["ContentEmbeddings", "Dataset"]
