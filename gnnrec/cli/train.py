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
    ModelOption,
    OutOption,
    ProtocolOption,
    RunArgument,
    SetOption,
    SplitOption,
    check_test_ratings,
    read_config,
    read_configs,
    read_dataset,
    read_hyperparameters,
    select,
)
from gnnrec.cli._output import check_out, command_line, errors, note, say, show
from gnnrec.registry import DATASETS, METRICS, MODELS

if TYPE_CHECKING:
    from gnnrec.data import Dataset
    from gnnrec.splitting import Split

FAST_MODELS = "gnn,ease,itemknn,popularity"


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
        from gnnrec.models.estimator import fit
        from gnnrec.splitting import Split
        from gnnrec.training.callbacks import TensorBoardLogger, TimeLimit

        settings: dict[str, Any]
        if model == "gnn":
            settings = {"config": read_config(config, set_)}
        elif config is not None:
            raise ConfigError("--config is for the graph neural network; use --set for other models")
        else:
            settings = read_hyperparameters(set_)
        callbacks = [TimeLimit(time_limit)] if time_limit is not None else []
        if tensorboard is not None:
            callbacks.append(TensorBoardLogger(tensorboard))
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        say(repr(data))
        if isinstance(data, Split):
            check_test_ratings(data)
        try:
            fitted, seconds = timed(
                lambda: fit(data, model, callbacks=callbacks, run_dir=out, resume=resume, **settings)
            )
        except (KeyboardInterrupt, FloatingPointError) as stop:
            _keep_split(data, out)
            if isinstance(stop, FloatingPointError):
                raise
            begun = (out / "checkpoint.pt").exists()
            say(f"\nstopped; the best epoch so far is in {out}, --resume continues" if begun else "\nstopped")
            raise typer.Exit(130) from None
        _keep_split(data, out)
        if isinstance(data, Split):
            results = compare({model: fitted}, data, fit_seconds={model: seconds})
            fitted.with_report(test=results).save(out, keep=["checkpoint.pt", "split"])
            show(results_table(results), title=f"{data.name}, {data.protocol}")
        if fitted.history:
            from gnnrec.plots import training_curve

            training_curve(fitted.history, title=data.name, path=out / "training.png")
        say(f"saved in {out}")


def evaluate(
    run: RunArgument,
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="What --protocol splits; by default the dataset of the run.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help=f"Metric: {', '.join(METRICS.builtin)}. Can be repeated; all by default."),
    ] = None,
    k: Annotated[list[int] | None, typer.Option("-k", help="Cutoff of the lists. Can be repeated.")] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Evaluate a saved run on its own test ratings, or on those of a split folder or protocol."""
    with errors():
        from gnnrec.datasets import load_dataset
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import load
        from gnnrec.splitting import Split

        check_out(out)
        model = load(run)
        folder = split or (None if protocol else run / "split")
        if folder and not split and not folder.is_dir():
            raise ConfigError(f"{run} was trained on all ratings; give test ratings with --split or --protocol")
        whole = model.dataset
        data = select(load_dataset(dataset or whole.name, data_dir=data_dir) if protocol else whole, folder, protocol)
        assert isinstance(data, Split)
        check_test_ratings(data)
        found = model.evaluate(data, metrics=metric or None, ks=tuple(k or (10, 20)))
        show(found, title=f"{run} on {data.protocol}", as_json=json, as_csv=csv, out=out)


def benchmark(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    models: Annotated[
        str, typer.Option("--models", help=f"Comma-separated, or all: {', '.join(MODELS.builtin)}.")
    ] = FAST_MODELS,
    seeds: Annotated[int, typer.Option("--seeds", help="Seeds per stochastic model.")] = 3,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds per fit after which a model other than gnn starts no epoch."),
    ] = None,
    features_: FeaturesOption = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="Config of the network; if repeated, each one is compared."),
    ] = None,
    set_: SetOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the report to this .json file after every model; or .csv, .parquet."),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Compare models on the same test ratings; by default on a random 8:1:1 split.

    Models that cannot take part are listed with the reason.
    """
    with errors():
        import pandas as pd

        from gnnrec.benchmarking import benchmark as run_benchmark
        from gnnrec.benchmarking import results_table
        from gnnrec.splitting import Split

        check_out(out)
        data = select(read_dataset(dataset, data_dir, features_), split, protocol or (None if split else "random"))
        assert isinstance(data, Split)
        quiet = json or csv
        (note if quiet else say)(repr(data))
        check_test_ratings(data)
        names = [name.strip() for name in models.split(",") if name.strip()]
        report = run_benchmark(
            data,
            config=read_configs(config, set_),
            models=MODELS.names() if names == ["all"] else names,
            seeds=seeds,
            time_limit=time_limit,
            out=out if out is not None and out.suffix.lower() == ".json" else None,
            command=command_line(context),
            log=note if quiet else say,
        )
        results = pd.DataFrame(report.results)
        table = results_table(report.results)
        is_report = out is not None and out.suffix.lower() == ".json"
        if out is not None and not is_report:
            show(results.drop(columns="values"), out=out)
        if quiet:
            show(results, as_json=json, as_csv=csv)
        else:
            show(table, title=f"{data.name}, {data.protocol}, {report.threads} threads")
            for text in report.protocols.values():
                say(text)
            if is_report:
                say(f"saved in {out}")


def download(
    name: Annotated[str, typer.Argument(help=f"Dataset: {', '.join(DATASETS.builtin)}.")] = "ml-1m",
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder that may already hold it.")] = None,
) -> None:
    """Download a dataset into the cache; print its folder."""
    with errors():
        from gnnrec.datasets import locate_dataset

        say(str(locate_dataset(name, data_dir)))


def _keep_split(data: Dataset | Split, run: Path) -> None:
    """Store the split beside the run, in place of that of an earlier run."""
    from gnnrec.splitting import Split

    shutil.rmtree(run / "split", ignore_errors=True)
    if isinstance(data, Split):
        data.to_folder(run / "split")
