"""How good the recommendations are: `evaluate`, and the metrics it can report."""

from gnnrec.evaluation.evaluate import METRICS, evaluate, validate
from gnnrec.evaluation.fingerprint import Fingerprint

__all__ = ["METRICS", "Fingerprint", "evaluate", "validate"]
