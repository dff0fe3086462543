"""Results of benchmarks: rows, tables, means over seeds, and the report that is written to a file."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self

import pandas as pd
import torch

from gnnrec._io import read_json, write_atomic
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import METRICS

TABLE_METRICS = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""Columns of a results table, if they were measured."""
SECONDS = ("fit_seconds", "fit_cpu_seconds", "evaluate_seconds")
EPOCHS = ("epochs", "best_epochs")
PACKAGES = ("gnnrec", "torch", "torch_geometric", "implicit")


def versions() -> dict[str, str]:
    """Return the versions of installed packages that can change a result or its time.

    Examples
    --------
    >>> "torch" in versions()
    True
    """
    installed = {found.metadata["Name"].replace("-", "_") for found in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in PACKAGES if name in installed}


@dataclass(frozen=True)
class BenchmarkReport:
    """Results of a benchmark.

    Attributes
    ----------
    dataset : str
        Name of the dataset.
    results : list of dict
        One per model, metric and cutoff; see `benchmark`.
    skipped : dict of str to str
        Models that could not take part, and why.
    settings : dict of str to dict
        Config of each network, and hyperparameters of estimators passed as objects.
    time_limit : float, optional
        Time limit per fit in seconds, not for the graph neural network; a running epoch is finished.
    command : str
        Command that made the report; empty when made from Python.
    threads : int
        Threads of PyTorch.
    packages : dict of str to str
        Versions.

    Examples
    --------
    >>> import tempfile
    >>> row = {"model": "ease", "metric": "ndcg", "k": 10, "mean": 0.2, "fingerprint": "1a2b", "protocol": "by hand"}
    >>> report = BenchmarkReport("ml-1m", [row])
    >>> path = Path(tempfile.mkdtemp()) / "report.json"
    >>> report.write(path)
    >>> BenchmarkReport.read(path) == report, report.protocols
    (True, {'1a2b': 'by hand'})
    """

    dataset: str
    results: list[dict[str, Any]]
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    time_limit: float | None = None
    command: str = ""
    threads: int = field(default_factory=torch.get_num_threads)
    packages: dict[str, str] = field(default_factory=versions)

    @property
    def protocols(self) -> dict[str, str]:
        """Fingerprint and description of each protocol among the results; there should be one."""
        return {row["fingerprint"]: row["protocol"] for row in self.results}

    def write(self, path: str | Path) -> None:
        """Write the report as JSON, one result per line, atomically."""
        rows = [{key: value for key, value in row.items() if key != "protocol"} for row in self.results]
        header = {**asdict(self), "protocols": self.protocols}
        del header["results"]
        head = json.dumps(header, indent=1, allow_nan=False).removesuffix("\n}")
        lines = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in rows)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(Path(path), f'{head},\n "results": [\n{lines}\n ]\n}}\n'.encode())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a report; raise `DataError` for any other file."""
        try:
            found = read_json(Path(path))
            protocols = found.pop("protocols")
            rows = [{**row, "protocol": protocols[row["fingerprint"]]} for row in found.pop("results")]
            return cls(results=rows, **found)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"not a benchmark report ({error!r})", at=str(path)) from None


def results_table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Return results as a table of text: a row per model, mean and spread of the usual metrics, seconds.

    The columns are those of `TABLE_METRICS` that were measured, then registered metrics that are not built in.

    Raises
    ------
    ConfigError
        The results are of different protocols and cannot be compared.

    Examples
    --------
    >>> row = {"model": "ease", "metric": "ndcg", "k": 10, "mean": 0.2, "std": 0.0, "seeds": 1}
    >>> row |= {"fit_seconds": 1.5, "evaluate_seconds": 0.1, "fingerprint": "1a2b", "protocol": "by hand"}
    >>> results_table([row]).to_dict("records")
    [{'model': 'ease', 'ndcg@10': '0.2000', 'fit s': '1.5', 'eval s': '0.1'}]
    """
    protocols = {row.get("fingerprint"): row.get("protocol") for row in results}
    if len(protocols) > 1:
        named = "; ".join(str(text or "a protocol that was not recorded") for text in protocols.values())
        raise ConfigError(f"results of different protocols cannot be compared in one table: {named}")
    frame = pd.DataFrame(results)
    measured = list(dict.fromkeys((str(row["metric"]), int(row["k"])) for row in results))
    shown = [key for key in TABLE_METRICS if key in measured]
    shown += [key for key in measured if key[0] not in METRICS.builtin]
    shown = shown or measured
    table = []
    for name, rows in frame.groupby("model", sort=False):
        cells = {"model": str(name)}
        for metric, k in shown:
            row = rows[(rows["metric"] == metric) & (rows["k"] == k)].iloc[0]
            spread = f" ± {row['std']:.4f}" if row["seeds"] > 1 else ""
            cells[f"{metric.replace('_', ' ')}@{k}"] = f"{row['mean']:.4f}{spread}"
        for column, heading in (("fit_seconds", "fit s"), ("evaluate_seconds", "eval s")):
            seconds = rows[column].astype("float64").iloc[0]
            cells[heading] = "" if pd.isna(seconds) else f"{seconds:.1f}"
        table.append(cells)
    return pd.DataFrame(table)


def format_skipped(name: str, reason: str) -> str:
    """Return a line that says why a model was skipped.

    Examples
    --------
    >>> format_skipped("als", "implicit is not installed")
    'SKIPPED als: implicit is not installed'
    """
    return f"SKIPPED {name}: {reason}"


def result_rows(
    name: str, found: pd.DataFrame, *, fit_seconds: float | None = None, evaluate_seconds: float | None = None
) -> list[dict[str, Any]]:
    """Convert the frame of `evaluate` to results of a `BenchmarkReport` with one seed; undefined metrics have no row.

    Parameters
    ----------
    name : str
        Name of the model.
    found : pandas.DataFrame
        What `evaluate` returned for a `Split`.
    fit_seconds, evaluate_seconds : float, optional
        How long it took.

    Returns
    -------
    list of dict
        See `BenchmarkReport`.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> from gnnrec.evaluation import evaluate
    >>> found = evaluate(Popularity().fit(split), split, ks=[10], metrics=["ndcg"])
    >>> [(row["model"], row["metric"], row["k"]) for row in result_rows("mine", found)]
    [('mine', 'ndcg', 10)]
    """
    known = found.dropna(subset="value")
    return [
        {
            "model": name,
            "metric": metric,
            "k": int(k),
            "mean": float(value),
            "std": 0.0,
            "seeds": 1,
            "values": [float(value)],
            "fit_seconds": fit_seconds,
            "evaluate_seconds": evaluate_seconds,
            "fingerprint": found.attrs["fingerprint"],
            "protocol": found.attrs["protocol"],
        }
        for metric, k, value in zip(known["metric"], known["k"], known["value"], strict=True)
    ]


def aggregate_seeds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Aggregate the results of one model over several seeds.

    Parameters
    ----------
    runs : list of dict
        Results of `compare` for each seed, with their seconds.

    Returns
    -------
    list of dict
        One per metric and cutoff: mean, sample standard deviation (0 for one seed), mean seconds, and the epochs of
        each seed.

    Examples
    --------
    >>> same = {"model": "gnn", "metric": "ndcg", "k": 10, "fit_seconds": 1.0, "evaluate_seconds": 1.0}
    >>> (row,) = aggregate_seeds([{**same, "mean": 0.2}, {**same, "mean": 0.4}])
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
            **{key: mean(run[key] for run in group) for key in SECONDS if key in group[0]},
            **{key: [run[key][0] for run in group] for key in EPOCHS if key in group[0]},
        }
        for group in groups.values()
    ]
