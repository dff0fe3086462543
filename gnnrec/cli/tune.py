"""``gnnrec tune``: a hyperparameter study, alone or with other workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._options import (
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    ModelOption,
    ProtocolOption,
    SetOption,
    SplitOption,
    check_source,
    read_dataset,
    select,
    with_reading_options,
)
from gnnrec.cli._output import command_line, errors, say

if TYPE_CHECKING:
    from gnnrec.tuning import StudyResult

JOURNAL = "study.journal"
"""Default file name of a study in the folder of its results."""


@with_reading_options
def tune(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    features_: FeaturesOption = None,
    model: ModelOption = "gnn",
    config: Annotated[
        str | None,
        typer.Option("--config", help="Config with a search space: a YAML file, or a name such as ml1m-search."),
    ] = None,
    set_: SetOption = None,
    trials: Annotated[int, typer.Option("--trials", help="Total number of finished trials, across all workers.")] = 50,
    study: Annotated[str, typer.Option("--study", help="Name of the study in the storage.")] = "study",
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="Storage of the study: a path (for processes on one machine), or sqlite:///, postgresql://, mysql://. "
            f"By default {JOURNAL} in the folder --out.",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option("--objectives", help="metric@k or seconds, comma-separated; by default the validation metric."),
    ] = None,
    sampler_seed: Annotated[int, typer.Option("--sampler-seed", help="Random seed of the sampler.")] = 0,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", help="Stop this worker after this many seconds; the trial in progress is finished."
        ),
    ] = None,
    pruner_warmup: Annotated[int, typer.Option("--pruner-warmup", help="Epochs before a trial can be pruned.")] = 3,
    out: Annotated[Path, typer.Option("--out", help="Folder for the best config, table, charts and report.")] = Path(
        "studies/latest"
    ),
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report of the existing study; run no trials.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Search for better hyperparameters on the validation ratings.

    Test ratings are never used. Run the same command in several terminals or on several machines to work on one study,
    and again after Ctrl-C to continue. The best config is saved as best.yaml, for `gnnrec train --config`.
    """
    with errors():
        from gnnrec.errors import ConfigError
        from gnnrec.tuning import SearchSpace, read_study, write_report
        from gnnrec.tuning import tune as run_study

        where = storage or out / JOURNAL
        command = command_line(context)
        if report_only:
            found = read_study(where, study)
            write_report(found, out, command=command)
            _summarize(found, out)
            return
        if config is None:
            raise ConfigError("--config is missing: a YAML file with a search space, such as ml1m-search")
        others: dict[str, Any] = {} if model == "gnn" else {"model": model}
        space = SearchSpace.from_yaml(config, **others).override(set_ or [])
        check_source(split, protocol)
        data = select(read_dataset(dataset, data_dir, features_), split, protocol)
        say(repr(data))
        try:
            found = run_study(
                data,
                space,
                trials=trials,
                storage=where,
                study=study,
                objectives=objectives,
                seed=sampler_seed,
                time_limit=time_limit,
                pruner_warmup=pruner_warmup,
                out=out,
                command=command,
                log=say,
            )
        except KeyboardInterrupt:
            say(f"\nstopped; the results so far are in {out}, the same command continues")
            raise typer.Exit(130) from None
        _summarize(found, out)


def _summarize(found: StudyResult, out: Path) -> None:
    say(repr(found))
    say(f"saved in {out}: best.yaml, report.md, trials.csv and plots")
