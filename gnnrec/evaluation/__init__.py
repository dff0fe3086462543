"""Evaluation of fitted models: `evaluate`, its metrics, and the fingerprint of the protocol.

Every function with `register_metric` is found in any file here.
"""

from gnnrec.evaluation.beyond_accuracy import ListUsers
from gnnrec.evaluation.evaluate import default_metrics, evaluate
from gnnrec.evaluation.fingerprint import Fingerprint
from gnnrec.evaluation.metrics import CatalogStatistics
from gnnrec.evaluation.validation import Validation, validate

__all__ = ["CatalogStatistics", "Fingerprint", "ListUsers", "Validation", "default_metrics", "evaluate", "validate"]
