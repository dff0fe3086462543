"""Fits models on one split, with several seeds and hyperparameters chosen on validation ratings, and evaluates them."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gnnrec._checks import check_integer, check_number
from gnnrec.benchmarking.report import BenchmarkReport, aggregate_seeds, format_skipped, result_rows
from gnnrec.config import Config
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.evaluation import evaluate
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import BaseEstimator, get_estimator, validation_of
from gnnrec.models.sharing import shared_inputs
from gnnrec.registry import FAST_MODELS, MODELS
from gnnrec.splitting import Split
from gnnrec.splitting.split import check_mask_or_history
from gnnrec.training.callbacks import Callback, TimeLimit

logger = logging.getLogger(__name__)

T = TypeVar("T")


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

    Without validation ratings the default hyperparameters are used. An estimator keeps its hyperparameters except for
    the seed.

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
    with shared_inputs():
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
    """Return the candidate estimators; only the one with the defaults unless `select`."""
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
        Registered names, or estimators, which keep their hyperparameters. The first seed of an estimator is its own.
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
        Receives a line of text after every fit and for every skipped model; the module's logger by default.

    Returns
    -------
    BenchmarkReport
        Its ``results`` are dicts of ``model, metric, k, mean, std, seeds, values, fit_seconds, fit_cpu_seconds,
        evaluate_seconds, fingerprint, protocol``, and for models trained in epochs ``epochs, best_epochs``. values,
        epochs (how many were run) and best_epochs have one number per seed; std is the sample standard deviation over
        seeds (0 for one seed), seconds are means. CPU seconds are those of all threads together; other programs on the
        same machine hardly change them. Undefined metrics (diversity without genres) have no row.

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
        raise ConfigError(f"{out} is a folder; pass the path of a file")
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
                cpu_seconds = time.process_time()
                fitted, seconds = timed(partial(fit_best, model, split, config=settings, seed=seed, **options))
                cpu_seconds = time.process_time() - cpu_seconds
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
                extra = {"fit_cpu_seconds": cpu_seconds, **_epochs(fitted.history)}
                runs += [{**one, **extra} for one in found]
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


def _epochs(history: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Return the numbers of epochs and of the best epoch; nothing for models without epochs or validation."""
    metrics = [key for key in (history[0] if history else {}) if key not in ("epoch", "loss", "seconds")]
    if not metrics:
        return {}
    best = max(history, key=lambda record: record[metrics[0]])
    return {"epochs": [history[-1]["epoch"]], "best_epochs": [best["epoch"]]}


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
