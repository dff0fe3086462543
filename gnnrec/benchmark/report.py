"""`Report`: the numbers of a benchmark with all that is needed to judge them, as a file and as a table."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from rich.markup import escape
from rich.table import Table

from gnnrec.errors import ConfigError, DataError
from gnnrec.files import write_whole

SHOWN = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""The columns of a printed table, as far as they were measured."""
PACKAGES = ("gnnrec", "torch", "torch_geometric", "implicit")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number or its seconds, as far as they are installed."""
    installed = {found.metadata["Name"].replace("-", "_") for found in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in PACKAGES if name in installed}


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes
    ----------
    dataset : str
        Its name.
    results : list of dict
        A row for each model, metric and list length; see `benchmark`.
    left_out : dict of str to str
        Models that could not take part, and why.
    settings : dict of str to dict
        The config of each network.
    limit_seconds : float, optional
        After which peers started no epoch.
    command : str
        The command that made it; empty when made from Python.
    threads : int
        Of PyTorch.
    packages : dict of str to str
        Versions.

    Examples
    --------
    >>> import tempfile
    >>> row = {"model": "ease", "metric": "ndcg", "k": 10, "mean": 0.2, "fingerprint": "1a2b", "protocol": "by hand"}
    >>> report = Report("ml-1m", [row])
    >>> path = Path(tempfile.mkdtemp()) / "report.json"
    >>> report.write(path)
    >>> Report.read(path) == report, report.protocols
    (True, {'1a2b': 'by hand'})
    """

    dataset: str
    results: list[dict[str, Any]]
    left_out: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    limit_seconds: float | None = None
    command: str = ""
    threads: int = field(default_factory=torch.get_num_threads)
    packages: dict[str, str] = field(default_factory=versions)

    @property
    def protocols(self) -> dict[str, str]:
        """Digest and text of each protocol among the results, of which there should be one."""
        return {row["fingerprint"]: row["protocol"] for row in self.results}

    def write(self, path: str | Path) -> None:
        """Write it as JSON, a line per row; the file appears whole or not at all."""
        rows = [{key: value for key, value in row.items() if key != "protocol"} for row in self.results]
        facts = {**asdict(self), "protocols": self.protocols}
        del facts["results"]
        head = json.dumps(facts, indent=1, allow_nan=False).removesuffix("\n}")
        lines = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in rows)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), f'{head},\n "results": [\n{lines}\n ]\n}}\n'.encode())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote; a `DataError` when it is something else."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            protocols = found.pop("protocols")
            rows = [{**row, "protocol": protocols[row["fingerprint"]]} for row in found.pop("results")]
            return cls(results=rows, **found)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"this is no report of a benchmark ({error!r})", at=str(path)) from None


def table(results: list[dict[str, Any]], title: str) -> Table:
    """Lay out results for the terminal: a row per model, the usual metrics, mean and spread; below, the protocol.

    Raises
    ------
    ConfigError
        The results are of different protocols, so that their numbers say nothing about each other.

    Examples
    --------
    >>> row = {"model": "ease", "metric": "ndcg", "k": 10, "mean": 0.2, "std": 0.0, "seeds": 1}
    >>> row |= {"fit_seconds": 1.5, "evaluate_seconds": 0.1, "fingerprint": "1a2b", "protocol": "by hand"}
    >>> [column.header for column in table([row], "ml-1m").columns]
    ['model', 'ndcg@10', 'fit s', 'eval s']
    """
    protocols = {row.get("fingerprint"): row.get("protocol") for row in results}
    if len(protocols) > 1:
        named = "; ".join(str(text or "a protocol that was not recorded") for text in protocols.values())
        raise ConfigError(f"results of different protocols cannot stand in one table: {named}")
    frame = pd.DataFrame(results)
    shown = [key for key in SHOWN if ((frame["metric"] == key[0]) & (frame["k"] == key[1])).any()]
    grid = Table(title=escape(title), title_justify="left", header_style="bold", caption_justify="left")
    grid.caption = "\n".join(escape(text).replace("; ", "\n") for text in protocols.values() if text)
    grid.add_column("model")
    for metric, k in shown:
        grid.add_column(f"{metric.replace('_', ' ')}@{k}", justify="right")
    grid.add_column("fit s", justify="right")
    grid.add_column("eval s", justify="right")
    for name, rows in frame.groupby("model", sort=False):
        cells = []
        for metric, k in shown:
            row = rows[(rows["metric"] == metric) & (rows["k"] == k)].iloc[0]
            spread = f" ± {row['std']:.4f}" if row["seeds"] > 1 else ""
            cells.append(f"{row['mean']:.4f}{spread}")
        first = rows[["fit_seconds", "evaluate_seconds"]].iloc[0].astype("float64")
        seconds = ["" if pd.isna(value) else f"{value:.1f}" for value in first]
        grid.add_row(escape(str(name)), *cells, *seconds)
    return grid


def left_out_line(name: str, reason: str) -> str:
    """Return a line for the terminal that cannot be overlooked.

    Examples
    --------
    >>> left_out_line("als", "implicit is not installed")
    '[bold yellow]LEFT OUT als:[/] implicit is not installed'
    """
    return f"[bold yellow]LEFT OUT {escape(name)}:[/] {escape(reason)}"
