"""`benchmark`: models one after the other on the same rows, over several seeds."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self, TypeVar

import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gnnrec._io import write_atomic
from gnnrec.config import Config
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.evaluation import evaluate
from gnnrec.fit import fit
from gnnrec.graph import Graph
from gnnrec.models import BASELINES, GRIDS, PEERS, Watch, fit_peer
from gnnrec.models.base import Recommender
from gnnrec.splitting import Split
from gnnrec.splitting.protocols import check_scope

SHOWN = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""The columns of a printed results_table, as far as they were measured."""
PACKAGES = ("gnnrec", "torch", "torch_geometric", "implicit")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number or its seconds, as far as they are installed."""
    installed = {found.metadata["Name"].replace("-", "_") for found in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in PACKAGES if name in installed}


@dataclass(frozen=True)
class BenchmarkReport:
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
    >>> report = BenchmarkReport("ml-1m", [row])
    >>> path = Path(tempfile.mkdtemp()) / "report.json"
    >>> report.write(path)
    >>> BenchmarkReport.read(path) == report, report.protocols
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
        write_atomic(Path(path), f'{head},\n "results": [\n{lines}\n ]\n}}\n'.encode())

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


def results_table(results: list[dict[str, Any]], title: str) -> Table:
    """Lay out results for the terminal: a row per model, the usual metrics, mean and spread; below, the protocol.

    Raises
    ------
    ConfigError
        The results are of different protocols, so that their numbers say nothing about each other.

    Examples
    --------
    >>> row = {"model": "ease", "metric": "ndcg", "k": 10, "mean": 0.2, "std": 0.0, "seeds": 1}
    >>> row |= {"fit_seconds": 1.5, "evaluate_seconds": 0.1, "fingerprint": "1a2b", "protocol": "by hand"}
    >>> [column.header for column in results_table([row], "ml-1m").columns]
    ['model', 'ndcg@10', 'fit s', 'eval s']
    """
    protocols = {row.get("fingerprint"): row.get("protocol") for row in results}
    if len(protocols) > 1:
        named = "; ".join(str(text or "a protocol that was not recorded") for text in protocols.values())
        raise ConfigError(f"results of different protocols cannot stand in one results_table: {named}")
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


def format_skipped(name: str, reason: str) -> str:
    """Return a line for the terminal that cannot be overlooked.

    Examples
    --------
    >>> format_skipped("als", "implicit is not installed")
    '[bold yellow]LEFT OUT als:[/] implicit is not installed'
    """
    return f"[bold yellow]LEFT OUT {escape(name)}:[/] {escape(reason)}"


MODELS = ("gnn", *reversed(BASELINES), *PEERS)
"""What `benchmark` can run."""
FAST = ("gnn", "ease", "itemknn", "popularity")
"""What it runs when not told: the network and baselines that need seconds."""


def fit_model(
    name: str,
    split: Split,
    config: Config,
    *,
    limit_seconds: float | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
    progress: bool = False,
) -> Recommender:
    """Fit any model of `MODELS`.

    Parameters
    ----------
    name : str
    split : Split
    config : Config
        Of the network. All others take only the seed from it.
    limit_seconds : float, optional
        A peer starts no epoch, and tries no other settings, after this.
    report : callable, optional
        Gets the figures of each epoch of a peer.
    progress : bool
        Show the network's progress bar.

    Raises
    ------
    GnnrecError
        The model does not suit the data, or the package that it needs is missing.
    FloatingPointError
        Its loss is no finite number.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import random_split
    >>> fit_model("itemknn", random_split(make_sample(60, 40)), Config()).name
    'itemknn'
    """
    if name == "gnn":
        return fit(split, config, progress=progress)
    if name in BASELINES:
        return fit_baseline(name, split, config.train.seed)
    watch = Watch(valid_quality(split), limit_seconds=limit_seconds, report=report)
    return fit_peer(name, Graph.from_dataset(split.dataset), seed=config.train.seed, watch=watch)


def fit_baseline(name: str, split: Split, seed: int = 0) -> Recommender:
    """Fit a baseline on the train rows, with the settings of its grid that do best on the valid rows (NDCG@20).

    Without valid rows it keeps its defaults. One that draws nothing has no use for the seed.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> fit_baseline("ease", random_split(make_sample(60, 40))).name
    'ease'
    """
    graph = Graph.from_dataset(split.dataset)
    grid, quality = GRIDS.get(name, [{}]), valid_quality(split)
    fit_it = partial(BASELINES[name], seed=seed) if draws(name) else BASELINES[name]
    if quality is None or len(grid) == 1:
        return fit_it(graph)
    return max((fit_it(graph, **settings) for settings in grid), key=quality)


def valid_quality(split: Split) -> Callable[[Recommender], float] | None:
    """Return what models are chosen by: a function of the model, its NDCG@20 on the valid rows.

    None where there are no valid rows to choose by.

    Examples
    --------
    >>> from gnnrec.models import Popularity
    >>> from gnnrec.datasets import make_sample
    >>> split = random_split(make_sample(60, 40))
    >>> quality = valid_quality(split)
    >>> 0 < quality(Popularity.fit(Graph.from_dataset(split.dataset))) < 1
    True
    """
    if split.valid.empty:
        return None

    def quality(model: Recommender) -> float:
        found = evaluate(
            model,
            split.valid,
            ks=[20],
            metrics=["ndcg"],
            candidates=split.candidates_for("valid"),
            history=split.support,
            per_user=True,
        )
        return float(found["ndcg@20"].mean())

    return quality


def draws(name: str) -> bool:
    """Tell whether a model comes out differently for another seed.

    Examples
    --------
    >>> draws("gnn"), draws("ease"), draws("mf")
    (True, False, True)
    """
    if name in PEERS:
        return PEERS[name].seeded
    return name == "gnn" or "seed" in inspect.signature(BASELINES[name]).parameters


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
    >>> from gnnrec.models import EASE
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.graph import Graph
    >>> split = random_split(make_sample(100, 80))
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


def aggregate_seeds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def benchmark(
    split: Split,
    config: Config | Mapping[str, Config] | None = None,
    *,
    models: Iterable[str] = FAST,
    seeds: int = 3,
    ks: Sequence[int] = (10, 20),
    mask: str | None = None,
    history: str | None = None,
    limit_seconds: float | None = None,
    out: str | Path | None = None,
    command: str = "",
    progress: bool = True,
) -> BenchmarkReport:
    """Fit and evaluate models on one split.

    Every model is fitted on the train rows; settings, and the epoch to stop at, are chosen on the valid rows. The test
    rows are used for the result only. What draws at random is fitted once for each seed, everything else once. A model
    that cannot take part (its package is missing, it has nothing to say about new people, its loss explodes) is left
    out, which is printed, or a warning without `progress`.

    Parameters
    ----------
    split : Split
    config : Config or mapping of str to Config, optional
        Of the network. Several by name are several rows, ``gnn (name)``. The seed of the (first) config is the first of
        the seeds of all models.
    models : iterable of str
        Some of `MODELS`.
    seeds : int
        How often what draws at random is fitted.
    ks : sequence of int
        List lengths.
    mask : str, optional
        What is left out of the lists: ``"train"`` or ``"train+valid"`` rows; as the split says when not given.
    history : str, optional
        What is known of people at test time: ``"train"`` or ``"train+valid"`` rows, the latter without training on the
        valid ones; as the split says when not given.
    limit_seconds : float, optional
        For each fit of a peer: it starts no epoch after this. The network and the baselines take their time.
    out : str or Path, optional
        The report is written there after every model, so that a run that dies keeps what it has.
    command : str
        Noted in the report.
    progress : bool
        Show how it goes.

    Returns
    -------
    BenchmarkReport
        Its ``results`` are dicts of ``model, metric, k, mean, std, seeds, values, fit_seconds, evaluate_seconds,
        fingerprint, protocol``; values has one number per seed, std is their sample standard deviation (0 for one
        seed), seconds are means over seeds. A metric without a value (diversity where no genre is known) has no row.
        The last two are the digest and the text of the `Fingerprint` of the protocol.

    Raises
    ------
    ConfigError
        An unknown model, mask or history, no model or no seeds, or a limit that is none.
    GnnrecError, FloatingPointError
        No model at all could take part; it is what stopped the first.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> report = benchmark(random_split(make_sample(100, 80)), models=["popularity"], ks=[10], progress=False)
    >>> [(row["model"], row["metric"]) for row in report.results][:2], len(report.protocols)
    ([('popularity', 'recall'), ('popularity', 'ndcg')], 1)
    """
    networks = config if isinstance(config, Mapping) else {"": config or Config()}
    names = _checked(models, networks, seeds)
    check_scope(split.mask if mask is None else mask, "mask")
    check_scope(split.history if history is None else history, "history")
    Watch(limit_seconds=limit_seconds)  # complains now and not once for each model
    if out is not None and Path(out).is_dir():
        raise ConfigError(f"{out} is a folder; name a file")
    entries = [
        (f"{name} ({which})" if name == "gnn" and which else name, name, settings)
        for name in names
        for which, settings in list(networks.items())[: None if name == "gnn" else 1]
    ]
    used = {row: settings.model_dump(mode="json") for row, name, settings in entries if name == "gnn"}
    report = BenchmarkReport(split.name, [], settings=used, limit_seconds=limit_seconds, command=command)
    stopped_by: Exception | None = None
    console = Console(quiet=not progress, soft_wrap=True, highlight=False)
    for row, name, settings in entries:
        runs: list[dict[str, Any]] = []
        try:
            for i in range(seeds if draws(name) else 1):
                seeded = settings.override([f"train.seed={settings.train.seed + i}"])
                title = f"{row}, seed {seeded.train.seed}" if draws(name) else row
                with _status(console, title, shown=name != "gnn") as show:
                    model, seconds = timed(
                        partial(
                            fit_model, name, split, seeded, limit_seconds=limit_seconds, report=show, progress=progress
                        )
                    )
                    found = compare({row: model}, split, ks=ks, mask=mask, history=history, fit_seconds={row: seconds})
                console.print(f"{title}: {_figures(found)}, fitted in {seconds:.1f} s", markup=False)
                runs += found
        except (GnnrecError, FloatingPointError) as error:
            stopped_by = stopped_by or error
            report = replace(report, left_out={**report.left_out, row: str(error)})
            console.print(format_skipped(row, str(error)))
            if not progress:
                warnings.warn(f"{row} is left out: {error}", stacklevel=2)
        else:
            report = replace(report, results=[*report.results, *aggregate_seeds(runs)])
        if out is not None and report.results:
            report.write(out)
    if stopped_by is not None and not report.results:
        raise stopped_by
    return report


def _checked(models: Iterable[str], networks: Mapping[str, Config], seeds: int) -> list[str]:
    names = list(dict.fromkeys(models))
    if unknown := [name for name in names if name not in MODELS]:
        raise ConfigError(f"unknown model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    if not names:
        raise ConfigError(f"no model is named; there are {', '.join(MODELS)}")
    if not networks:
        raise ConfigError("config is empty; name at least one, or leave it out")
    if seeds < 1:
        raise ConfigError(f"at least one seed is needed, not {seeds}")
    return names


def _figures(rows: list[dict[str, Any]]) -> str:
    row = next(row for row in rows if row["metric"] == "ndcg")
    return f"NDCG@{row['k']} {row['mean']:.4f}"


@contextmanager
def _status(console: Console, title: str, shown: bool) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show what is fitted, and the figures of its latest epoch, on a line that goes away."""
    if not shown:  # the network has a bar of its own
        yield lambda entry: None
        return
    with console.status(title) as status:

        def show(entry: dict[str, float]) -> None:
            status.update(f"{title}: " + "  ".join(f"{key} {value:.4g}" for key, value in entry.items()))

        yield show
