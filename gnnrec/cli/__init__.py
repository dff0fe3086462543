"""The ``gnnrec`` command: from data to models, and what may be asked of them; one function for each command."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gnnrec.benchmarking import MODELS, BenchmarkReport, compare, format_skipped, results_table, timed
from gnnrec.benchmarking import benchmark as run_benchmark
from gnnrec.cli.analyzing import analyze
from gnnrec.cli.asking import rate, recommend
from gnnrec.cli.features import features
from gnnrec.cli.fetching import fetch as fetch_content
from gnnrec.cli.movies import draw_map, similar
from gnnrec.cli.options import (
    FAST_MODELS,
    CandidatesOption,
    ConfigOption,
    ConfigsOption,
    CoreOption,
    DataDirOption,
    DatasetOption,
    FeaturesOption,
    FoldOption,
    HistoryOption,
    MaskOption,
    MinRatingOption,
    ModelsOption,
    NegativesOption,
    ProtocolOption,
    SeedOption,
    SetOption,
    Source,
    SplitOption,
    SupportOption,
    networks,
    read_dataset,
    settings,
)
from gnnrec.cli.output import console, errors
from gnnrec.cli.tuning import tune
from gnnrec.cli.typed import command_line
from gnnrec.data import Dataset
from gnnrec.datasets import download as fetch
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError
from gnnrec.models.gnn import load
from gnnrec.models.gnn_training import fit
from gnnrec.splitting import Split

__all__ = ["app", "console"]

app = typer.Typer(
    help="Inductive graph-neural-network recommendations for movies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="ml-1m, ml-100k, ml-latest-small, ml-25m, ml-32m, ...")],
    to: Annotated[Path, typer.Option("--to", help="Folder in which NAME/ is made.")] = Path("data"),
) -> None:
    """Fetch a MovieLens dataset from GroupLens."""
    with errors():
        console.print(f"{name} is in {fetch(name, to)}", markup=False)


@app.command()
def train(
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    min_rating: MinRatingOption = None,
    core: CoreOption = None,
    mask: MaskOption = None,
    history: HistoryOption = None,
    negatives: NegativesOption = None,
    seed: SeedOption = None,
    fold: FoldOption = None,
    support: SupportOption = None,
    candidates: CandidatesOption = None,
    features_: FeaturesOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("runs/latest"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Train a model and save it.

    Without --split or --protocol it learns from all ratings. With either, test rows are held out and measured at the
    end, and kept in the run for `gnnrec evaluate`.
    """
    with errors():
        chosen = settings(config, set_)
        source = Source(split, protocol, min_rating, core, mask, history, negatives, seed, fold, support, candidates)
        data = source.rows(read_dataset(dataset, data_dir, features_))
        console.print(repr(data), highlight=False, markup=False)
        if isinstance(data, Split):
            _check_test_rows(data)
        try:
            model, seconds = timed(partial(fit, data, chosen, run_dir=out, resume=resume))
        except (KeyboardInterrupt, FloatingPointError) as stop:
            _keep_split(data, out)
            if isinstance(stop, FloatingPointError):
                raise
            begun = (out / "checkpoint.pt").exists()
            where = (
                f"the best epoch so far is in {escape(str(out))}, --resume goes on" if begun else "nothing was learned"
            )
            console.print(f"\n[yellow]stopped[/]; {where}")
            raise typer.Exit(130) from None
        _keep_split(data, out)
        if isinstance(data, Split):
            results = compare({"gnn": model}, data, fit_seconds={"gnn": seconds})
            model.with_report(test=results).save(out, keep=["checkpoint.pt", "split"])
            console.print(results_table(results, f"{data.name}, {data.protocol}"))
        console.print(f"saved in {out}", markup=False)


@app.command()
def evaluate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a saved run.")],
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    min_rating: MinRatingOption = None,
    core: CoreOption = None,
    mask: MaskOption = None,
    history: HistoryOption = None,
    negatives: NegativesOption = None,
    seed: SeedOption = None,
    fold: FoldOption = None,
    support: SupportOption = None,
    candidates: CandidatesOption = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="What --protocol divides; the run's own dataset by its name.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Measure a saved run on test rows: those it was trained beside, or of another split folder or protocol.

    How the lists are made is as the run was trained for, unless options say otherwise.
    """
    with errors():
        model = load(run)
        folder = None if protocol and not split else split or run / "split"
        if folder and not split and not folder.is_dir():
            raise ConfigError(
                f"{run} was trained on all ratings; give the folder of a split with --split, or a --protocol"
            )
        source = Source(folder, protocol, min_rating, core, mask, history, negatives, seed, fold, support, candidates)
        whole = model.graph.dataset
        rows = source.split(load_dataset(dataset or whole.name, data_dir=data_dir) if protocol else whole)
        _check_test_rows(rows)
        results = compare({"gnn": model}, rows)
        if out is not None:
            settings = {"gnn": model.config.model_dump(mode="json")}
            BenchmarkReport(rows.name, results, settings=settings, command=command_line(context)).write(out)
        console.print(results_table(results, f"{run} on {rows.protocol if protocol else folder}"))


app.command()(analyze)
app.command("fetch")(fetch_content)
app.command()(features)
app.command()(recommend)
app.command()(rate)
app.command()(tune)
app.command()(similar)
app.command("map")(draw_map)


@app.command()
def benchmark(
    context: typer.Context,
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    min_rating: MinRatingOption = None,
    core: CoreOption = None,
    mask: MaskOption = None,
    history: HistoryOption = None,
    negatives: NegativesOption = None,
    seed: SeedOption = None,
    fold: FoldOption = None,
    support: SupportOption = None,
    candidates: CandidatesOption = None,
    models: ModelsOption = FAST_MODELS,
    seeds: Annotated[int, typer.Option("--seeds", help="How often a model that draws at random is trained.")] = 3,
    limit_seconds: Annotated[
        float | None,
        typer.Option("--limit-seconds", help="No peer starts another epoch after this; for each of its fits."),
    ] = None,
    features_: FeaturesOption = None,
    config: ConfigsOption = None,
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the results to this file, again after every model.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Compare models on the same test rows; without --split or --protocol, on a random 8:1:1 split.

    A model that cannot take part is named as left out.
    """
    with errors():
        source = Source(
            split,
            protocol or (None if split else "random"),
            min_rating,
            core,
            mask,
            history,
            negatives,
            seed,
            fold,
            support,
            candidates,
        )
        rows = source.split(read_dataset(dataset, data_dir, features_))
        console.print(repr(rows), highlight=False, markup=False)
        _check_test_rows(rows)
        names = [name.strip() for name in models.split(",") if name.strip()]
        report = run_benchmark(
            rows,
            networks(config, set_),
            models=MODELS if names == ["all"] else names,
            seeds=seeds,
            limit_seconds=limit_seconds,
            out=out,
            command=command_line(context),
        )
        console.print(results_table(report.results, f"{rows.name}, {rows.protocol}, {report.threads} threads"))
        for name, reason in report.left_out.items():
            console.print(format_skipped(name, reason), highlight=False)


def _check_test_rows(split: Split) -> None:
    if split.test.empty:
        raise ConfigError(
            f"{split.protocol} leaves no test rows: people with few ratings are for training only; "
            "choose another --protocol, or give a --split of your own"
        )


def _keep_split(data: Dataset | Split, run: Path) -> None:
    """Keep the rows a run is tested on beside it, in place of those of an earlier run in that folder."""
    shutil.rmtree(run / "split", ignore_errors=True)
    if isinstance(data, Split):
        data.to_folder(run / "split")
