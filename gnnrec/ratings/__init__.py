"""Rating prediction: Bayesian matrix factorization on graph embeddings, its evaluation and its baselines."""

from gnnrec.ratings.base import RatingPredictor
from gnnrec.ratings.baselines import BiasedMF, Biases, HistoryAttention
from gnnrec.ratings.estimator import RatingEstimator
from gnnrec.ratings.fit import fit_rating_model
from gnnrec.ratings.head import RatingHead
from gnnrec.ratings.model import RatingModel, load_rating_model
from gnnrec.ratings.predict import evaluate_ratings, predict_ratings

__all__ = [
    "BiasedMF",
    "Biases",
    "HistoryAttention",
    "RatingEstimator",
    "RatingHead",
    "RatingModel",
    "RatingPredictor",
    "evaluate_ratings",
    "fit_rating_model",
    "load_rating_model",
    "predict_ratings",
]
