"""Posters and plots -> one vector per movie, kept in files; or vectors that somebody has already.

What is optional to install is imported where it is used, so importing this is cheap.
"""

from gnnrec.features.build import encode_plots, encode_posters
from gnnrec.features.encoders.base import Encoder, EncoderError
from gnnrec.features.encoders.pick import pick
from gnnrec.features.encoding import encode
from gnnrec.features.one import encode_plot, encode_poster
from gnnrec.features.ready import read_vectors, save_vectors
from gnnrec.features.sources import Source, find_plots, find_posters
from gnnrec.features.store import load_features

__all__ = [
    "Encoder",
    "EncoderError",
    "Source",
    "encode",
    "encode_plot",
    "encode_plots",
    "encode_poster",
    "encode_posters",
    "find_plots",
    "find_posters",
    "load_features",
    "pick",
    "read_vectors",
    "save_vectors",
]
