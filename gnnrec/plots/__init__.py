"""Pictures: how training went, and a map of a model's movies."""

from gnnrec.plots.coordinates import METHODS, movie_coordinates
from gnnrec.plots.moviemap import movie_map
from gnnrec.plots.training import training_curve

__all__ = ["METHODS", "movie_coordinates", "movie_map", "training_curve"]
