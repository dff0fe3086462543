"""How good the recommendations are: `evaluate`, and the metrics it can report."""

from gnnrec.evaluate.evaluate import METRICS, evaluate

__all__ = ["METRICS", "evaluate"]
