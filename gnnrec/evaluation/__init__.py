"""Evaluation of fitted models: `evaluate`, its metrics, and the fingerprint of the protocol."""

from gnnrec.evaluation.beyond_accuracy import ListUsers
from gnnrec.evaluation.evaluate import METRIC_NAMES, evaluate, validate
from gnnrec.evaluation.fingerprint import Fingerprint
from gnnrec.evaluation.metrics import CatalogStatistics

__all__ = ["METRIC_NAMES", "CatalogStatistics", "Fingerprint", "ListUsers", "evaluate", "validate"]
