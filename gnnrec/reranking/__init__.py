"""Re-ranking of recommended movies for one request, lists for groups, and which movies are family-friendly."""

from gnnrec.reranking.family import is_family_friendly
from gnnrec.reranking.groups import STRATEGIES, combine_scores, standardize, suitability
from gnnrec.reranking.rerank import Reranker, Reranking, RerankingOptions

__all__ = [
    "STRATEGIES",
    "Reranker",
    "Reranking",
    "RerankingOptions",
    "combine_scores",
    "is_family_friendly",
    "standardize",
    "suitability",
]
