"""The ``gnnrec`` command: download, train, evaluate, recommend, benchmark."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gnnrec.benchmark import MASKS, MODELS, compare, table, timed
from gnnrec.benchmark import benchmark as run_benchmark
from gnnrec.config import Config
from gnnrec.data import Dataset, Split, load_dataset
from gnnrec.data import download as fetch
from gnnrec.errors import ConfigError, GnnrecError
from gnnrec.explain import explain
from gnnrec.files import write_whole
from gnnrec.fit import fit
from gnnrec.graph import NewUser
from gnnrec.recgraph import load
from gnnrec.recommend import recommend as recommend_to

app = typer.Typer(
    help="Inductive graph-neural-network recommendations for movies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
if not console.is_terminal:
    console = Console(width=144)  # in a pipe or a log there is no width to keep to

PROTOCOLS: dict[str, Callable[[Dataset], Split]] = {
    "random": Split.random,
    "chronological": Split.chronological,
    "leave-last-out": Split.leave_last_out,
    "held-out-users": Split.held_out_users,
    "held-out-movies": Split.held_out_movies,
}

DatasetOption = Annotated[
    str, typer.Option("--dataset", help="A name (sample, ml-1m, ml-100k, ...), a folder, or a file of ratings.")
]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where to look for a named dataset first.")]
SplitOption = Annotated[Path | None, typer.Option("--split", help="Folder with train.csv, valid.csv and test.csv.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file, for example configs/ml1m.yaml.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set model.num_layers=2. May be repeated.")
]


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
    protocol: Annotated[
        str | None, typer.Option("--protocol", help=f"Hold out test rows: {', '.join(PROTOCOLS)}.")
    ] = None,
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
        if split and protocol:
            raise ConfigError("give --split or --protocol, not both")
        if protocol and protocol not in PROTOCOLS:
            raise ConfigError(f"there is no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
        settings = _settings(config, set_)
        loaded = load_dataset(dataset, data_dir=data_dir)
        data: Dataset | Split = loaded
        if split:
            data = Split.from_folder(split, loaded)
        elif protocol:
            data = PROTOCOLS[protocol](loaded)
        console.print(repr(data), highlight=False, markup=False)
        if isinstance(data, Split):
            _check_test_rows(data)
        try:
            model, seconds = timed(partial(fit, data, settings, run_dir=out, resume=resume))
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
            console.print(table(results, f"{data.name}, {data.protocol}"))
        console.print(f"saved in {out}", markup=False)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a saved run.")],
    split: SplitOption = None,
    mask: Annotated[str, typer.Option("--mask", help=f"Rows left out of the lists: {' or '.join(MASKS)}.")] = "train",
    out: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
) -> None:
    """Measure a saved run on test rows: those it was trained beside, or another split folder."""
    with errors():
        model = load(run)
        folder = split or run / "split"
        if split is None and not folder.is_dir():
            raise ConfigError(f"{run} was trained on all ratings; give the folder of a split with --split")
        if mask not in MASKS:
            raise ConfigError(f"mask must be one of {', '.join(MASKS)}, not {mask!r}")
        rows = Split.from_folder(folder, model.graph.dataset)
        results = compare({"gnn": model}, rows, mask=mask)
        _write(out, results)
        console.print(table(results, f"{run} on {folder}"))


@app.command()
def recommend(
    run: Annotated[Path, typer.Argument(help="Folder of a saved run.")],
    user: Annotated[str | None, typer.Option("--user", help="Id of a known user.")] = None,
    likes: Annotated[
        list[str] | None, typer.Option("--likes", help='Title or id, "Heat (1995)" or "Heat (1995)=4". Repeatable.')
    ] = None,
    age: Annotated[float | None, typer.Option(help="In years.")] = None,
    gender: Annotated[str | None, typer.Option(help="As the training data spells it.")] = None,
    occupation: Annotated[str | None, typer.Option(help="As the training data spells it.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many movies.")] = 10,
) -> None:
    """Recommend movies to a known user, or to someone new."""
    with errors():
        model = load(run)
        person: Any
        if user is None:
            person = NewUser(age, gender, occupation, ratings=dict(map(_liked, likes or [])))
        elif likes or age is not None or gender or occupation:
            raise ConfigError("--user is a known person; --likes, --age, --gender and --occupation describe a new one")
        else:
            ids = model.graph.ids["user"]
            person = int(user) if ids.dtype.kind == "i" and user.lstrip("-").isdecimal() else user
        frame = recommend_to(model, person, k)
        console.print(recommendations(frame, explain(model, person, frame["movie_id"])))


@app.command()
def benchmark(
    dataset: DatasetOption = "ml-1m",
    split: SplitOption = None,
    models: Annotated[str, typer.Option("--models", help="Comma-separated.")] = ",".join(MODELS),
    seeds: Annotated[int, typer.Option("--seeds", help="How often the network is trained.")] = 3,
    config: ConfigOption = None,
    set_: SetOption = None,
    mask: Annotated[str, typer.Option("--mask", help=f"Rows left out of the lists: {' or '.join(MASKS)}.")] = "train",
    out: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Compare models on the same test rows; without --split, on a random 8:1:1 split."""
    with errors():
        data = load_dataset(dataset, data_dir=data_dir)
        rows = Split.from_folder(split, data) if split else Split.random(data)
        console.print(repr(rows), highlight=False, markup=False)
        _check_test_rows(rows)
        names = [name.strip() for name in models.split(",") if name.strip()]
        results = run_benchmark(rows, _settings(config, set_), models=names, seeds=seeds, mask=mask)
        _write(out, results)
        console.print(table(results, f"{rows.name}, {rows.protocol}, {mask} masked"))


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Turn the library's own errors, and the system's about files, into one line and exit status 1."""
    try:
        yield
    except (GnnrecError, FloatingPointError, OSError) as error:
        text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
        line = "; ".join(part.strip() for part in text.splitlines()).replace(":; ", ": ")
        # A title or a path may hold [brackets], which are no markup.
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(line)}", highlight=False)
        raise typer.Exit(1) from None


def recommendations(frame: pd.DataFrame, reasons: pd.DataFrame) -> Table:
    """Lay out recommendations and why for the terminal."""
    grid = Table(header_style="bold")
    for name in ("#", "movie", "score", "because of"):
        grid.add_column(name, justify="right" if name in ("#", "score") else "left")
    for movie_id, title, score, rank in frame[["movie_id", "title", "score", "rank"]].itertuples(index=False):
        why = reasons.loc[reasons["movie_id"] == movie_id, "because"]
        grid.add_row(str(rank), escape(title), f"{score:.3f}", escape(", ".join(why)) or "—")
    return grid


def _settings(config: Path | None, assignments: list[str] | None) -> Config:
    return (Config.from_yaml(config) if config else Config()).override(assignments or [])


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


def _liked(text: str) -> tuple[str, float]:
    """Read ``title`` or ``title=rating``."""
    title, equals, rating = text.rpartition("=")
    with contextlib.suppress(ValueError):
        if equals:
            return title, float(rating)
    return text, 5.0


def _write(path: Path | None, results: list[dict[str, Any]]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(results, indent=2, allow_nan=False) + "\n").encode())


if __name__ == "__main__":
    app()
