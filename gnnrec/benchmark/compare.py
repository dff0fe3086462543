"""`compare`: fitted models on the same test rows, as rows of a report; `over_seeds` joins those of several fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import mean, stdev
from typing import Any, TypeVar

from gnnrec.data import Split
from gnnrec.evaluate import evaluate
from gnnrec.recommend import Recommender

T = TypeVar("T")


def compare(
    models: Mapping[str, Recommender],
    split: Split,
    *,
    ks: Sequence[int] = (10, 20),
    mask: str | None = None,
    history: str | None = None,
    fit_seconds: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate fitted models on the same test rows.

    Parameters
    ----------
    models : mapping of str to Recommender
        By the name they have in the result.
    split : Split
    ks : sequence of int
        List lengths.
    mask, history : str, optional
        As for `benchmark`.
    fit_seconds : mapping of str to float, optional
        How long each model was fitted, if that is known.

    Returns
    -------
    list of dict
        The rows of `benchmark` with one seed; ``fit_seconds`` is None for a model that is not named there.

    Raises
    ------
    DataError
        A model cannot score the people of the test rows.

    Examples
    --------
    >>> from gnnrec.baselines import EASE
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> split = Split.random(make_sample(100, 80))
    >>> rows = compare({"ease": EASE.fit(Graph.from_dataset(split.dataset))}, split, ks=[10])
    >>> rows[0]["model"], rows[0]["metric"], rows[0]["k"], rows[0]["seeds"], rows[0]["fit_seconds"]
    ('ease', 'recall', 10, 1, None)
    """
    rows = []
    for name, model in models.items():
        found, seconds = timed(partial(evaluate, model, split, ks=ks, mask=mask, history=history))
        known = found.dropna(subset="value")
        for metric, k, value in zip(known["metric"], known["k"], known["value"], strict=True):
            rows.append(
                {
                    "model": name,
                    "metric": metric,
                    "k": int(k),
                    "mean": float(value),
                    "std": 0.0,
                    "seeds": 1,
                    "values": [float(value)],
                    "fit_seconds": (fit_seconds or {}).get(name),
                    "evaluate_seconds": seconds,
                    "fingerprint": found.attrs["fingerprint"],
                    "protocol": found.attrs["protocol"],
                }
            )
    return rows


def over_seeds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the rows of one model that was fitted several times.

    Parameters
    ----------
    runs : list of dict
        Of `compare`, the fits one after the other, each with its ``fit_seconds``.

    Returns
    -------
    list of dict
        A row per metric and list length: the mean, the sample standard deviation (0 for one fit), and mean seconds.

    Examples
    --------
    >>> same = {"model": "gnn", "metric": "ndcg", "k": 10, "fit_seconds": 1.0, "evaluate_seconds": 1.0}
    >>> (row,) = over_seeds([{**same, "mean": 0.2}, {**same, "mean": 0.4}])
    >>> round(row["mean"], 4), round(row["std"], 4), row["seeds"], row["values"]
    (0.3, 0.1414, 2, [0.2, 0.4])
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["metric"], run["k"]), []).append(run)
    return [
        {
            **group[0],
            "mean": mean(run["mean"] for run in group),
            "std": stdev(run["mean"] for run in group) if len(group) > 1 else 0.0,
            "seeds": len(group),
            "values": [run["mean"] for run in group],
            "fit_seconds": mean(run["fit_seconds"] for run in group),
            "evaluate_seconds": mean(run["evaluate_seconds"] for run in group),
        }
        for group in groups.values()
    ]


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return what a function returns and the seconds of wall time that it took.

    Examples
    --------
    >>> value, seconds = timed(lambda: 6 * 7)
    >>> value, seconds > 0
    (42, True)
    """
    started = time.perf_counter()
    value = function()
    return value, time.perf_counter() - started
