"""Accuracy metrics in plain Python."""

from __future__ import annotations

import math

ACCURACY = ("recall", "ndcg", "hit_rate", "mrr", "map", "precision")


def reference(metric: str, hits: list[bool], num_relevant: int) -> float:
    """Return a metric of one list by its textbook definition."""
    k = len(hits)
    ideal = min(k, num_relevant)
    if metric == "recall":
        return sum(hits) / num_relevant
    if metric == "precision":
        return sum(hits) / k
    if metric == "hit_rate":
        return float(any(hits))
    if metric == "mrr":
        return next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)
    if metric == "ndcg":
        gain = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits, start=1) if hit)
        return gain / sum(1 / math.log2(rank + 1) for rank in range(1, ideal + 1))
    assert metric == "map"
    return sum(sum(hits[:rank]) / rank for rank in range(1, k + 1) if hits[rank - 1]) / ideal
