"""``gnnrec tune``: a study of settings, on its own or with other workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gnnrec.cli.options import (
    CandidatesOption,
    CoreOption,
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    FoldOption,
    MinRatingOption,
    ProtocolOption,
    SeedOption,
    SetOption,
    Source,
    SplitOption,
    SupportOption,
    read_dataset,
)
from gnnrec.cli.output import console, errors
from gnnrec.cli.typed import command_line
from gnnrec.errors import ConfigError
from gnnrec.tuning import SearchSpace, StudyResult, read_study
from gnnrec.tuning import tune as run_study

JOURNAL = "study.journal"
"""Where a study is kept in the folder of its results, unless told otherwise."""


def tune(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    min_rating: MinRatingOption = None,
    core: CoreOption = None,
    seed: SeedOption = None,
    fold: FoldOption = None,
    support: SupportOption = None,
    candidates: CandidatesOption = None,
    features_: FeaturesOption = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with a space, for example configs/ml1m-search.yaml.")
    ] = None,
    set_: SetOption = None,
    trials: Annotated[
        int, typer.Option("--trials", help="Finished trials of the whole study, of all workers together.")
    ] = 50,
    study: Annotated[str, typer.Option("--study", help="Name of the study in the storage.")] = "study",
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="A path (for processes on one machine), or sqlite:///, postgresql://, mysql://; "
            f"else {JOURNAL} in the folder of --out.",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option("--objectives", help="metric@k or seconds, several with commas; else what the config watches."),
    ] = None,
    sampler_seed: Annotated[int, typer.Option("--sampler-seed", help="Of the drawing of settings.")] = 0,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="This worker begins no trial after so many seconds.")
    ] = None,
    warm_epochs: Annotated[
        int, typer.Option("--warm-epochs", help="No trial is pruned before it has had so many epochs.")
    ] = 3,
    out: Annotated[Path, typer.Option("--out", help="Folder of best config, table, pictures, report.")] = Path(
        "studies/latest"
    ),
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the results of the study as it is; run nothing.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Search for better settings on the validation rows.

    Test rows are never read. The same command from several terminals or machines works on one study; after Ctrl-C,
    it goes on. The best settings are left as best.yaml, for `gnnrec train --config`.
    """
    with errors():
        where = storage or out / JOURNAL
        command = command_line(context)
        if report_only:
            found = read_study(where, study)
            found.write(out, command=command)
            _tell(found, out)
            return
        if config is None:
            raise ConfigError("--config is missing: a YAML file with a space, for example configs/ml1m-search.yaml")
        space = SearchSpace.from_yaml(config).override(set_ or [])
        source = Source(split, protocol, min_rating, core, None, None, None, seed, fold, support, candidates)
        rows = source.rows(read_dataset(dataset, data_dir, features_))
        console.print(repr(rows), highlight=False, markup=False)
        try:
            found = run_study(
                rows,
                space,
                trials=trials,
                storage=where,
                study=study,
                objectives=objectives,
                seed=sampler_seed,
                timeout=timeout,
                warm_epochs=warm_epochs,
                out=out,
                command=command,
            )
        except KeyboardInterrupt:
            console.print(f"\n[yellow]stopped[/]; what was found is in {escape(str(out))}, the same command goes on")
            raise typer.Exit(130) from None
        _tell(found, out)


def _tell(found: StudyResult, out: Path) -> None:
    console.print(repr(found), highlight=False, markup=False)
    console.print(f"saved in {out}: best.yaml, report.md, trials.csv and pictures", highlight=False, markup=False)
