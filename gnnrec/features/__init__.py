"""Posters and plots as embeddings of movies, and files of embeddings.

Features of users (age, gender, occupation and more) are not here but in `gnnrec.user_features`, numeric features of
movies in `gnnrec.graph.movies`.

Optional packages are imported on first use, so importing this package is cheap.
"""

from gnnrec.features.encode import encode, encode_plot, encode_plots, encode_poster, encode_posters
from gnnrec.features.encoders import EncoderError, FeatureEncoder, get_encoder
from gnnrec.features.sources import FeatureSource, find_plots, find_posters, read_embeddings
from gnnrec.features.store import load_features, save_embeddings

__all__ = [
    "EncoderError",
    "FeatureEncoder",
    "FeatureSource",
    "encode",
    "encode_plot",
    "encode_plots",
    "encode_poster",
    "encode_posters",
    "find_plots",
    "find_posters",
    "get_encoder",
    "load_features",
    "read_embeddings",
    "save_embeddings",
]
