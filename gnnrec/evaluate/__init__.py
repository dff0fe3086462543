"""How good the recommendations are: `evaluate`, and the metrics it can report."""

from gnnrec.evaluate.evaluate import METRICS, evaluate
from gnnrec.evaluate.fingerprint import Fingerprint

__all__ = ["METRICS", "Fingerprint", "evaluate"]
