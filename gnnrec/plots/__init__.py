"""Charts: training curves and a map of a model's movies."""

from gnnrec.plots.movie_map import METHODS, movie_coordinates, movie_map
from gnnrec.plots.training import training_curve

__all__ = ["METHODS", "movie_coordinates", "movie_map", "training_curve"]
