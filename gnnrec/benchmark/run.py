"""`benchmark`: models one after the other on the same rows, over several seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from gnnrec.baselines import Watch
from gnnrec.benchmark.compare import compare, over_seeds, timed
from gnnrec.benchmark.models import FAST, MODELS, draws, fit_model
from gnnrec.benchmark.report import Report, left_out_line
from gnnrec.config import Config
from gnnrec.data import Split
from gnnrec.data.protocols import check_scope
from gnnrec.errors import ConfigError, GnnrecError


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
) -> Report:
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
    Report
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
    >>> report = benchmark(Split.random(make_sample(100, 80)), models=["popularity"], ks=[10], progress=False)
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
    report = Report(split.name, [], settings=used, limit_seconds=limit_seconds, command=command)
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
            console.print(left_out_line(row, str(error)))
            if not progress:
                warnings.warn(f"{row} is left out: {error}", stacklevel=2)
        else:
            report = replace(report, results=[*report.results, *over_seeds(runs)])
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
