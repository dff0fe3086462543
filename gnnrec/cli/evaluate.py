"""``gnnrec evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from gnnrec.cli._options import (
    CUTOFFS,
    CsvOption,
    CutoffOption,
    DataDirOption,
    JsonOption,
    MetricOption,
    ProtocolOption,
    ReportOption,
    RunArgument,
    SplitOption,
    check_metrics,
    check_source,
    check_test_ratings,
    read_dataset,
    select,
    with_reading_options,
)
from gnnrec.cli._output import check_out, command_line, errors, note, say, say_protocol, show


@with_reading_options
def evaluate(
    context: typer.Context,
    run: RunArgument,
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Dataset to split with --protocol; by default that of the run.")
    ] = None,
    metric: MetricOption = None,
    k: CutoffOption = None,
    relevant: Annotated[
        float | None,
        typer.Option("--relevant", help="Relevance threshold: only test ratings of at least this value are relevant."),
    ] = None,
    rmse: Annotated[
        bool,
        typer.Option(
            "--rmse",
            help="Also RMSE and MAE of predicted ratings. A run without a rating head gets one first, as for `gnnrec "
            "predict`.",
        ),
    ] = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: ReportOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Evaluate a saved run on test ratings.

    The default is the test ratings saved with the run; --split or --protocol selects others, with their mask and
    candidates.
    """
    with errors():
        from gnnrec.benchmarking import BenchmarkReport, result_rows, timed
        from gnnrec.cli._rating_head import network_of, rating_model
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import load
        from gnnrec.ratings.predict import evaluate_ratings
        from gnnrec.splitting import Split

        check_out(out)
        if rmse and out is not None and out.suffix.lower() == ".json":
            raise ConfigError("a .json report has ranking metrics only; write --rmse to a .csv or .parquet file")
        check_source(split, protocol)
        check_metrics(metric)
        model = load(run)
        if rmse:
            network_of(model)
        whole = model.dataset
        if protocol:
            whole = read_dataset(dataset or whole.name, data_dir)
        elif split is None and not (run / "split").is_dir():
            raise ConfigError(f"{run} was trained on all ratings; give test ratings with --split or --protocol")
        data = select(whole, None if protocol else split or str(run / "split"), protocol)
        assert isinstance(data, Split)
        check_test_ratings(data)
        found, seconds = timed(
            lambda: model.evaluate(data, metrics=metric or None, ks=tuple(k or CUTOFFS), relevant=relevant)
        )
        ratings = evaluate_ratings(rating_model(run, model), data) if rmse else None
        written = found.assign(**found.attrs)
        if ratings is not None:
            import pandas as pd

            errors_ = ratings.drop(columns="num_ratings").assign(k=None, num_users=data.test["user_id"].nunique())
            written = pd.concat([written.astype({"k": object}), errors_.astype({"k": object})], ignore_index=True)
        if out is not None and out.suffix.lower() == ".json":
            rows = result_rows(model.name, found, evaluate_seconds=seconds)
            settings = {model.name: model.hyperparameters}
            BenchmarkReport(data.name, rows, settings=settings, command=command_line(context)).write(out)
            (note if json or csv else say)(f"saved in {out}")
        elif out is not None:
            show(written, as_json=json, as_csv=csv, out=out)
            return
        if json or csv or out is None:
            show(
                written if json or csv else found,
                title=f"{run} on {data.name}, {data.protocol}",
                as_json=json,
                as_csv=csv,
            )
            if ratings is not None and not (json or csv):
                show(ratings, title="Predicted ratings")
            if not (json or csv):
                say_protocol(found.attrs["protocol"])
