"""``gnnrec benchmark``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gnnrec.cli._options import (
    CUTOFFS,
    CsvOption,
    CutoffOption,
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    JsonOption,
    MetricOption,
    ProtocolOption,
    ReportOption,
    SetOption,
    SplitOption,
    check_metrics,
    check_source,
    check_test_ratings,
    read_configs,
    read_dataset,
    select,
    with_reading_options,
)
from gnnrec.cli._output import check_out, command_line, errors, note, say, say_protocol, show
from gnnrec.registry import FAST_MODELS, MODELS


@with_reading_options
def benchmark(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    models: Annotated[
        str, typer.Option("--models", help=f"Comma-separated, or all: {', '.join(MODELS.builtin)}.")
    ] = ",".join(FAST_MODELS),
    seeds: Annotated[int, typer.Option("--seeds", help="Number of fits of each model that depends on a seed.")] = 3,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            help="Seconds per fit, except for gnn; the epoch in progress is finished.",
        ),
    ] = None,
    features_: FeaturesOption = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="Config of the graph neural network. Can be repeated to compare several."),
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

    The default is a random 8:1:1 split. Hyperparameters are selected on the validation ratings. Models that cannot take
    part are listed with the reason. --out FILE.json is updated after every model.
    """
    with errors():
        import pandas as pd

        from gnnrec.benchmarking import benchmark as run_benchmark
        from gnnrec.benchmarking import format_skipped, results_table
        from gnnrec.models.estimator import get_estimator
        from gnnrec.splitting import Split

        check_out(out)
        protocol = protocol or (None if split else "random")
        check_source(split, protocol)
        check_metrics(metric)
        names = [name.strip() for name in models.split(",") if name.strip()]
        names = MODELS.names() if names == ["all"] else names
        for name in names:
            MODELS.get(name)
        configs = read_configs(config, set_) if config else None
        compared: list[Any] = list(names)
        if set_ and not config and "gnn" in names:
            compared[names.index("gnn")] = get_estimator("gnn", overrides=tuple(set_))
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        assert isinstance(data, Split)
        log = note if json or csv else say
        log(repr(data))
        check_test_ratings(data)
        is_report = out is not None and out.suffix.lower() == ".json"
        report = run_benchmark(
            data,
            config=configs,
            models=compared,
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
