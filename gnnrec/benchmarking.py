"""`benchmark`: several models on the same split, fitted with several seeds, timed and evaluated.

Hyperparameters are selected from each model's grid on the validation ratings; the test ratings are used for the results
only.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self, TypeVar

import pandas as pd
import torch

from gnnrec._checks import check_integer, check_number
from gnnrec._io import write_atomic
from gnnrec.config import Config
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.evaluation import evaluate
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator, get_estimator, validation_of
from gnnrec.registry import FAST_MODELS, METRICS, MODELS
from gnnrec.splitting import Split
from gnnrec.splitting.split import check_mask_or_history
from gnnrec.training.callbacks import Callback, TimeLimit

logger = logging.getLogger(__name__)

TABLE_METRICS = (("recall", 10), ("ndcg", 10), ("recall", 20), ("ndcg", 20), ("hit_rate", 10), ("coverage", 10))
"""Columns of a results table, as far as they were measured."""
PACKAGES = ("gnnrec", "torch", "torch_geometric", "implicit")

T = TypeVar("T")


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
        Config of each network, hyperparameters of each estimator that was given.
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
        """Read a report; a `DataError` for any other file."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
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


def is_seeded(model: str | BaseEstimator) -> bool:
    """Return whether the fit of a model depends on a random seed.

    Examples
    --------
    >>> is_seeded("gnn"), is_seeded("ease"), is_seeded("mf")
    (True, False, True)
    """
    return get_estimator(model).random_seed is not None


def fit_best(
    model: str | BaseEstimator,
    split: Split,
    *,
    config: Config | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> Recommender:
    """Fit a model with the hyperparameters of its grid that are best on the validation ratings (NDCG@20).

    Without validation ratings the default hyperparameters are used. An estimator is fitted as it is, apart from its
    seed.

    Parameters
    ----------
    model : str or estimator
        Registered name, or an estimator.
    split : Split
    config : Config, optional
        For the graph neural network, if it is given by name.
    seed : int, optional
        Random seed, for models that have one; that of the config or estimator by default.
    time_limit : float, optional
        Seconds for the whole grid: afterwards no epoch is started and no further hyperparameters are tried. The graph
        neural network ignores it.
    callbacks : sequence of Callback
    progress : bool
        Show a progress bar.

    Raises
    ------
    GnnrecError
        The model does not suit the data, or a package that it needs is missing.
    FloatingPointError
        The loss is not finite.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import random_split
    >>> fit_best("ease", random_split(make_sample(60, 40))).name
    'ease'
    """
    validation, started = validation_of(split), time.perf_counter()
    grid = _grid(model, config, select=validation is not None)
    if seed is not None:
        grid = [estimator.with_seed(seed) for estimator in grid]
    if grid[0].name == "gnn":
        time_limit = None
    best: Recommender | None = None
    best_score = -math.inf
    for estimator in grid:
        left = None if time_limit is None else time_limit - (time.perf_counter() - started)
        if left is not None and left <= 0 and best is not None:
            break
        limits = [TimeLimit(max(left, 1e-9))] if left is not None and estimator.trains_in_epochs else []
        fitted = estimator.fit(split, callbacks=[*callbacks, *limits], progress=progress)
        score = validation(fitted) if validation is not None and len(grid) > 1 else 0.0
        if best is None or score > best_score:
            best, best_score = fitted, score
    assert best is not None
    return best


def _grid(model: str | BaseEstimator, config: Config | None, select: bool) -> list[BaseEstimator]:
    """Return the estimators to choose from; one with the defaults if there is nothing to `select` by."""
    if not isinstance(model, str):
        return [get_estimator(model)]
    if model == "gnn":
        return [get_estimator("gnn", config=config)]
    if not select:
        return [get_estimator(model)]
    return [get_estimator(model, **hyperparameters) for hyperparameters in MODELS.metadata(model).get("grid", [{}])]


def compare(
    models: Mapping[str, Recommender],
    split: Split,
    *,
    ks: Sequence[int] = (10, 20),
    metrics: Sequence[str | Callable[..., Any]] | None = None,
    mask: str | None = None,
    history: str | None = None,
    fit_seconds: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate fitted models on the same test ratings.

    Parameters
    ----------
    models : mapping of str to Recommender
        By the name that they have in the result.
    split : Split
    ks : sequence of int
        Cutoffs of the lists.
    metrics : sequence of str or callables, optional
        As for `evaluate`; all built-in metrics by default.
    mask, history : str, optional
        As for `benchmark`.
    fit_seconds : mapping of str to float, optional
        Fit time of each model, if known.

    Returns
    -------
    list of dict
        As the results of `benchmark` with one seed; ``fit_seconds`` is None where unknown.

    Raises
    ------
    DataError
        A model cannot score the test users.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models import EASE
    >>> from gnnrec.splitting import random_split
    >>> split = random_split(make_sample(100, 80))
    >>> rows = compare({"ease": EASE().fit(split)}, split, ks=[10])
    >>> rows[0]["model"], rows[0]["metric"], rows[0]["k"], rows[0]["seeds"], rows[0]["fit_seconds"]
    ('ease', 'recall', 10, 1, None)
    """
    rows = []
    for name, model in models.items():
        found, seconds = timed(partial(evaluate, model, split, ks=ks, metrics=metrics, mask=mask, history=history))
        rows += result_rows(name, found, fit_seconds=(fit_seconds or {}).get(name), evaluate_seconds=seconds)
    return rows


def result_rows(
    name: str, found: pd.DataFrame, *, fit_seconds: float | None = None, evaluate_seconds: float | None = None
) -> list[dict[str, Any]]:
    """Return the frame of `evaluate` as results of a `BenchmarkReport` with one seed; undefined metrics have no row.

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
        Results of `compare` for each seed, with their ``fit_seconds``.

    Returns
    -------
    list of dict
        One per metric and cutoff: mean, sample standard deviation (0 for one seed), and mean seconds.

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
    """Call a function; return its value and the seconds it took.

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
    *,
    config: Config | Mapping[str, Config] | None = None,
    models: str | BaseEstimator | Iterable[str | BaseEstimator] = FAST_MODELS,
    seeds: int = 3,
    ks: Sequence[int] = (10, 20),
    metrics: Sequence[str | Callable[..., Any]] | None = None,
    mask: str | None = None,
    history: str | None = None,
    time_limit: float | None = None,
    out: str | Path | None = None,
    command: str = "",
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> BenchmarkReport:
    """Fit and evaluate models on one split.

    Every model is fitted on the training ratings; hyperparameters and the best epoch are selected on the validation
    ratings, and the test ratings are used for the results only. Seeded models are fitted once per seed, others once. A
    model that cannot take part (a package is missing, it cannot score new users, its loss diverges) is skipped with a
    warning.

    Parameters
    ----------
    split : Split
    config : Config or mapping of str to Config, optional
        Of the graph neural network. Several by name give several rows, ``gnn (name)``. The seed of the first config is
        the first seed of all models.
    models : iterable of str or estimators
        Registered names, or estimators, which are fitted as they are. The first seed of an estimator is its own.
    seeds : int
        Number of seeds.
    ks : sequence of int
        Cutoffs of the lists.
    metrics : sequence of str or callables, optional
        As for `evaluate`; all built-in metrics by default.
    mask, history : str, optional
        ``"train"`` or ``"train+valid"``: ratings excluded from the lists, and ratings known at test time; as the split
        says by default.
    time_limit : float, optional
        Seconds per fit after which a model starts no epoch and tries no further hyperparameters. The graph neural
        network ignores it.
    out : str or Path, optional
        The report is written there after every model.
    command : str
        Recorded in the report.
    callbacks : sequence of Callback
        Called between the epochs of every fit.
    progress : bool
        Show progress bars.
    log : callable, optional
        Gets a line of text after every fit and for every skipped model; the module's logger by default.

    Returns
    -------
    BenchmarkReport
        Its ``results`` are dicts of ``model, metric, k, mean, std, seeds, values, fit_seconds, evaluate_seconds,
        fingerprint, protocol``: values has one number per seed, std is their sample standard deviation (0 for one
        seed), seconds are means over seeds. Undefined metrics (diversity without genres) have no row.

    Raises
    ------
    ConfigError
        An unknown model, mask or history, no model, no seeds, or a wrong time limit.
    GnnrecError, FloatingPointError
        No model could take part; the error is that of the first.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import random_split
    >>> report = benchmark(random_split(make_sample(100, 80)), models=["popularity"], ks=[10], progress=False)
    >>> [(row["model"], row["metric"]) for row in report.results][:2], len(report.protocols)
    ([('popularity', 'recall'), ('popularity', 'ndcg')], 1)
    """
    configs = config if isinstance(config, Mapping) else {"": config}
    chosen = _check_models(models, configs)
    check_integer(seeds=seeds)
    check_mask_or_history(split.mask if mask is None else mask, "mask")
    check_mask_or_history(split.history if history is None else history, "history")
    if time_limit is not None:
        check_number(0, exclusive=True, time_limit=time_limit)
    if out is not None and Path(out).is_dir():
        raise ConfigError(f"{out} is a folder; name a file")
    entries = [
        (f"{name} ({variant})" if model == "gnn" and variant else name, model, settings)
        for name, model in chosen.items()
        for variant, settings in list(configs.items())[: None if model == "gnn" else 1]
    ]
    used: dict[str, Any] = {}
    report = BenchmarkReport(split.name, [], settings=used, time_limit=time_limit, command=command)
    say = log or logger.info
    first_error: Exception | None = None
    for row, model, settings in entries:
        runs: list[dict[str, Any]] = []
        own_seed = None if isinstance(model, str) else model.random_seed
        first_seed = own_seed if own_seed is not None else settings.train.seed if settings else 0
        seeded = is_seeded(model)
        options: dict[str, Any] = {"time_limit": time_limit, "callbacks": callbacks, "progress": progress}
        try:
            for seed in range(first_seed, first_seed + (seeds if seeded else 1)):
                fitted, seconds = timed(partial(fit_best, model, split, config=settings, seed=seed, **options))
                found = compare(
                    {row: fitted}, split, ks=ks, metrics=metrics, mask=mask, history=history, fit_seconds={row: seconds}
                )
                if row not in used and (fitted.name == "gnn" or isinstance(model, BaseEstimator)):
                    used[row] = fitted.hyperparameters
                if not found:
                    raise DataError("none of the metrics is defined on these test ratings")
                first = next((one for one in found if one["metric"] == "ndcg"), found[0])
                title = f"{row}, seed {seed}" if seeded else row
                say(f"{title}: {first['metric']}@{first['k']} {first['mean']:.4f}, fitted in {seconds:.1f} s")
                runs += found
        except (GnnrecError, FloatingPointError) as error:
            first_error = first_error or error
            report = replace(report, skipped={**report.skipped, row: str(error)})
            say(format_skipped(row, str(error)))
            if log is None:
                warnings.warn(f"{row} is skipped: {error}", stacklevel=2)
        else:
            report = replace(report, results=[*report.results, *aggregate_seeds(runs)])
        if out is not None and report.results:
            report.write(out)
    if first_error is not None and not report.results:
        raise first_error
    return report


def _check_models(models: Any, configs: Mapping[str, Config | None]) -> dict[str, str | BaseEstimator]:
    """Return models by the name of their row; further estimators of the same name are numbered."""
    found: dict[str, str | BaseEstimator] = {}
    for given in [models] if isinstance(models, (str, BaseEstimator)) else models:
        if isinstance(given, str):
            MODELS.get(given)
            if given in found.values():
                continue
        model = given if isinstance(given, str) else get_estimator(given)
        name = first = model if isinstance(model, str) else model.name
        number = 2
        while name in found:
            name, number = f"{first} {number}", number + 1
        found[name] = model
    if not found:
        raise ConfigError(f"no model is given; choose from {', '.join(MODELS.names())}")
    if not configs:
        raise ConfigError("config is empty; give at least one, or leave it out")
    return found
