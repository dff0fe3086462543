"""``gnnrec train``, ``evaluate``, ``benchmark`` and ``download``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import (
    ConfigOption,
    CsvOption,
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    JsonOption,
    MetricOption,
    ModelOption,
    ProtocolOption,
    RunArgument,
    SetOption,
    SplitOption,
    check_source,
    check_test_ratings,
    read_config,
    read_configs,
    read_dataset,
    read_hyperparameters,
    select,
    with_reading_options,
)
from gnnrec.cli._output import check_out, command_line, errors, note, say, say_protocol, show
from gnnrec.registry import DATASETS, METRICS, MODELS

if TYPE_CHECKING:
    from gnnrec.data import Dataset
    from gnnrec.splitting import Split

FAST_MODELS = "gnn,ease,itemknn,popularity"
CUTOFFS = (10, 20)

CutoffOption = Annotated[
    list[int] | None, typer.Option("-k", help="Cutoff of the lists. Can be repeated; 10 and 20 by default.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write a report with settings and protocol to this .json file, or a .csv or .parquet."),
]


@with_reading_options
def train(
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    features_: FeaturesOption = None,
    model: ModelOption = "gnn",
    config: ConfigOption = None,
    set_: SetOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("runs/latest"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds after which no epoch is started.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", help="Write training curves for TensorBoard to this folder.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Train a model and save it.

    Without --split or --protocol all ratings are used. With either, the model is evaluated on the test ratings, which
    are kept in the run for `gnnrec evaluate`.
    """
    with errors():
        from gnnrec.benchmarking import compare, results_table, timed
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import get_estimator
        from gnnrec.splitting import Split
        from gnnrec.training.callbacks import Callback, TensorBoardLogger, TimeLimit

        settings: dict[str, Any]
        if model == "gnn":
            settings = {"config": read_config(config, set_)}
        elif config is not None:
            raise ConfigError("--config is for the graph neural network; use --set for other models")
        else:
            settings = read_hyperparameters(set_)
        estimator = get_estimator(model, **settings)
        check_source(split, protocol)
        callbacks: list[Callback] = [] if time_limit is None else [TimeLimit(time_limit)]
        if tensorboard is not None:
            callbacks.append(TensorBoardLogger(tensorboard))
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        say(repr(data))
        if isinstance(data, Split):
            check_test_ratings(data)
        try:
            fitted, seconds = timed(
                lambda: estimator.fit(data, callbacks=callbacks, progress=True, run_dir=out, resume=resume)
            )
        except (KeyboardInterrupt, FloatingPointError) as stop:
            _keep_split(data, out)
            if isinstance(stop, FloatingPointError):
                raise
            if (out / "checkpoint.pt").exists():
                _draw_training(out)
                say(f"\nstopped; the best epoch so far is in {out}, --resume continues")
            else:
                say("\nstopped before the first epoch was complete")
            raise typer.Exit(130) from None
        _keep_split(data, out)
        if isinstance(data, Split):
            results = compare({model: fitted}, data, fit_seconds={model: seconds})
            fitted.with_report(test=results).save(out, keep=["checkpoint.pt", "split"])
            show(results_table(results), title=f"{data.name}, {data.protocol}")
            say_protocol(results[0]["protocol"])
        _draw_training(out)
        say(f"saved in {out}")


@with_reading_options
def evaluate(
    context: typer.Context,
    run: RunArgument,
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="What --protocol splits; by default the dataset of the run.")
    ] = None,
    metric: MetricOption = None,
    k: CutoffOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: ReportOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Evaluate a saved run on test ratings.

    These are the ones it was trained with, or those of another split folder or protocol, which also says how the lists
    are made.
    """
    with errors():
        from gnnrec.benchmarking import BenchmarkReport, result_rows, timed
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import load
        from gnnrec.splitting import Split

        check_out(out)
        check_source(split, protocol)
        _check_metrics(metric)
        model = load(run)
        whole = model.dataset
        if protocol:
            whole = read_dataset(dataset or whole.name, data_dir)
        elif split is None and not (run / "split").is_dir():
            raise ConfigError(f"{run} was trained on all ratings; give test ratings with --split or --protocol")
        data = select(whole, None if protocol else split or str(run / "split"), protocol)
        assert isinstance(data, Split)
        check_test_ratings(data)
        found, seconds = timed(lambda: model.evaluate(data, metrics=metric or None, ks=tuple(k or CUTOFFS)))
        if out is not None and out.suffix.lower() == ".json":
            rows = result_rows(model.name, found, evaluate_seconds=seconds)
            settings = {model.name: model.hyperparameters}
            BenchmarkReport(data.name, rows, settings=settings, command=command_line(context)).write(out)
            (note if json or csv else say)(f"saved in {out}")
        elif out is not None:
            show(found.assign(**found.attrs), as_json=json, as_csv=csv, out=out)
            return
        if json or csv or out is None:
            show(
                found.assign(**found.attrs) if json or csv else found,
                title=f"{run} on {data.name}, {data.protocol}",
                as_json=json,
                as_csv=csv,
            )
            if not (json or csv):
                say_protocol(found.attrs["protocol"])


@with_reading_options
def benchmark(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    models: Annotated[
        str, typer.Option("--models", help=f"Comma-separated, or all: {', '.join(MODELS.builtin)}.")
    ] = FAST_MODELS,
    seeds: Annotated[int, typer.Option("--seeds", help="Number of fits of a model that depends on a seed.")] = 3,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds per fit after which a model other than gnn starts no epoch."),
    ] = None,
    features_: FeaturesOption = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="Config of the graph neural network; if repeated, each one is compared."),
    ] = None,
    set_: SetOption = None,
    metric: MetricOption = None,
    k: CutoffOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: ReportOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Compare models on the same test ratings.

    Without --split or --protocol on a random 8:1:1 split. Hyperparameters are selected on the validation ratings.
    Models that cannot take part are listed with the reason. A report in JSON is written after every model.
    """
    with errors():
        import pandas as pd

        from gnnrec.benchmarking import benchmark as run_benchmark
        from gnnrec.benchmarking import format_skipped, results_table
        from gnnrec.splitting import Split

        check_out(out)
        protocol = protocol or (None if split else "random")
        check_source(split, protocol)
        _check_metrics(metric)
        names = [name.strip() for name in models.split(",") if name.strip()]
        names = MODELS.names() if names == ["all"] else names
        for name in names:
            MODELS.get(name)
        configs = read_configs(config, set_)
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        assert isinstance(data, Split)
        log = note if json or csv else say
        log(repr(data))
        check_test_ratings(data)
        is_report = out is not None and out.suffix.lower() == ".json"
        report = run_benchmark(
            data,
            config=configs,
            models=names,
            seeds=seeds,
            ks=tuple(k or CUTOFFS),
            metrics=metric or None,
            time_limit=time_limit,
            out=out if is_report else None,
            command=command_line(context),
            log=log,
        )
        results = pd.DataFrame(report.results)
        if out is not None and not is_report:
            show(results.drop(columns="values"), as_json=json, as_csv=csv, out=out)
        elif json or csv:
            show(results if json else results.drop(columns="values"), as_json=json, as_csv=csv)
        if not (json or csv):
            show(results_table(report.results), title=f"{data.name}, {data.protocol}, {report.threads} threads")
            for text in report.protocols.values():
                say_protocol(text)
        for name, reason in report.skipped.items():
            log(format_skipped(name, reason))
        if is_report:
            log(f"saved in {out}")


def download(
    name: Annotated[
        str, typer.Argument(help=f"Dataset: {', '.join(name for name in DATASETS.builtin if name != 'sample')}.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder in which NAME/ is made.")] = Path("data"),
) -> None:
    """Download a dataset."""
    with errors():
        from gnnrec.datasets import download as download_dataset

        say(f"{name} is in {download_dataset(name, out)}")


def _check_metrics(names: list[str] | None) -> None:
    """Refuse unknown metrics before the work is done."""
    for name in names or ():
        METRICS.get(name)


def _draw_training(run: Path) -> None:
    """Draw the training curve of a model that was trained in epochs, as training.png in its folder."""
    from gnnrec._io import read_json
    from gnnrec.plots import training_curve

    if history := read_json(run / "metrics.json")["history"]:
        training_curve(history, title=read_json(run / "run.json")["dataset"], path=run / "training.png")


def _keep_split(data: Dataset | Split, run: Path) -> None:
    """Store the split in the folder of the run, in place of that of an earlier run."""
    from gnnrec.splitting import Split

    if not (run / "run.json").exists():  # stopped before anything was saved
        return
    shutil.rmtree(run / "split", ignore_errors=True)
    if isinstance(data, Split):
        data.to_folder(run / "split")
