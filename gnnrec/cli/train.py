"""``gnnrec train``."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import (
    ConfigOption,
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    ModelOption,
    ProtocolOption,
    SetOption,
    SplitOption,
    check_source,
    check_test_ratings,
    read_config,
    read_dataset,
    read_hyperparameters,
    select,
    with_reading_options,
)
from gnnrec.cli._output import errors, say, say_protocol, show

if TYPE_CHECKING:
    from gnnrec.data import Dataset
    from gnnrec.models import BaseEstimator
    from gnnrec.splitting import Split


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
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", help="Continue from the model of this run, on data with more ratings, users or movies."
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Stop after this many seconds; the epoch in progress is finished."),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", help="Write training curves for TensorBoard to this folder.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Train a model and save it.

    Without --split or --protocol, the model is trained on all ratings. With either, it is also evaluated on the test
    ratings, which are saved with the run for `gnnrec evaluate`.

    Several processes train together with "torchrun --nproc-per-node 2 -m gnnrec train ...".
    """
    with errors():
        from gnnrec._locks import claim
        from gnnrec._workers import are_several, is_first_worker, was_restarted
        from gnnrec.benchmarking import compare, results_table, timed
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import get_estimator, load
        from gnnrec.splitting import Split
        from gnnrec.training.callbacks import Callback, TensorBoardLogger, TimeLimit

        settings: dict[str, Any]
        if model == "gnn":
            settings = {"config": read_config(config, set_)} if config else {"overrides": tuple(set_ or ())}
        elif config is not None:
            raise ConfigError("--config is for the graph neural network; use --set for other models")
        else:
            settings = read_hyperparameters(set_)
        origin = None
        if start is not None:
            if start.resolve() == out.resolve():
                raise ConfigError(f"{out} is the run to start from; write the new one to another folder with --out")
            origin = load(start)
        estimator = get_estimator(model, origin, **settings)
        check_source(split, protocol)
        callbacks: list[Callback] = [] if time_limit is None else [TimeLimit(time_limit)]
        if tensorboard is not None:
            callbacks.append(TensorBoardLogger(tensorboard))
        if model != "gnn" and are_several():
            raise ConfigError(f"several processes train the graph neural network only; start {model} without torchrun")
        resume = resume or (was_restarted() and (out / "checkpoint.safetensors").exists())
        options: dict[str, Any] = {"run_dir": out, "resume": resume, "start": origin}
        if not is_first_worker():
            _train_along(
                estimator, lambda: select(read_dataset(dataset, data_dir, features_), split, protocol), options
            )
            return
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        say(repr(data))
        if isinstance(data, Split):
            check_test_ratings(data)
        with claim(out):
            try:
                fitted, seconds = timed(lambda: estimator.fit(data, callbacks=callbacks, progress=True, **options))
            except (KeyboardInterrupt, FloatingPointError) as stop:
                _keep_split(data, out)
                if isinstance(stop, FloatingPointError):
                    raise
                if (out / "checkpoint.safetensors").exists():
                    _draw_training(out)
                    say(f"\nstopped; the best epoch so far is in {out}, --resume continues")
                else:
                    say("\nstopped before the first epoch was complete")
                raise typer.Exit(130) from None
            _keep_split(data, out)
            if isinstance(data, Split):
                results = compare({model: fitted}, data, fit_seconds={model: seconds})
                fitted.with_report(test=results).save(out, keep=["checkpoint.safetensors", "split"])
                show(results_table(results), title=f"{data.name}, {data.protocol}")
                say_protocol(results[0]["protocol"])
            _draw_training(out)
            say(f"saved in {out}")


def _train_along(estimator: BaseEstimator, read: Callable[[], Dataset | Split], options: Mapping[str, Any]) -> None:
    """Train as one of several processes that is not the first: nothing is printed or written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()):
            data = read()
        try:
            estimator.fit(data, **options)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _draw_training(run: Path) -> None:
    """Draw the training curve of a model that was trained in epochs, as training.png in its folder."""
    from gnnrec._io import read_json
    from gnnrec.plots import training_curve

    if history := read_json(run / "metrics.json")["history"]:
        training_curve(history, title=read_json(run / "run.json")["dataset"], path=run / "training.png")


def _keep_split(data: Dataset | Split, run: Path) -> None:
    """Save the split atomically in the run folder, replacing that of an earlier run."""
    from gnnrec._io import new_folder
    from gnnrec.splitting import Split
    from gnnrec.splitting.split import SPLIT_FILE

    if not (run / "run.json").exists():  # stopped before anything was saved
        return
    folder = run / "split"
    if not (folder / SPLIT_FILE).exists():  # no split, or an incomplete one
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(data, Split):
        with new_folder(
            folder, header=SPLIT_FILE, owned={entry.name for entry in folder.glob("*")}, kind="split"
        ) as new:
            data.to_folder(new)
    else:
        shutil.rmtree(folder, ignore_errors=True)
