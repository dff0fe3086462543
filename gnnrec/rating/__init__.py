"""How many stars: a rating head on the vectors of a trained model, its errors, and what it must beat."""

from gnnrec.rating.base import RatingPredictor
from gnnrec.rating.config import RatingConfig
from gnnrec.rating.evaluate import evaluate_ratings
from gnnrec.rating.fit import fit_ratings
from gnnrec.rating.head import RatingHead
from gnnrec.rating.model import RatingModel, load_ratings
from gnnrec.rating.predict import predict_rating
from gnnrec.rating.split import split_ratings

__all__ = [
    "RatingConfig",
    "RatingHead",
    "RatingModel",
    "RatingPredictor",
    "evaluate_ratings",
    "fit_ratings",
    "load_ratings",
    "predict_rating",
    "split_ratings",
]
