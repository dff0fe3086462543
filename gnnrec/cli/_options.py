"""Options that several commands share, and the data they select.

Choices in the help texts come from the registries, which import nothing heavy.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Container, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from gnnrec.cli._output import note
from gnnrec.registry import DATASETS, METRICS, MODELS, PROTOCOLS, Registry

if TYPE_CHECKING:
    from gnnrec.config import Config
    from gnnrec.data import Dataset
    from gnnrec.splitting import Split


def complete_names(registry: Registry) -> Callable[[str], list[str]]:
    """Return the function that completes registered names in the shell."""
    return lambda incomplete: [name for name in registry.builtin if name.startswith(incomplete)]


def _config_names(incomplete: str) -> list[str]:
    from gnnrec._yaml import shipped_configs

    return [name for name in shipped_configs() if name.startswith(incomplete)]


RunArgument = Annotated[Path, typer.Argument(help="Folder of a saved run.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        help=f"A name ({', '.join(list(DATASETS.builtin)[:3])}, ...), a folder, or a file of ratings, optionally with "
        "filters: ml-1m:min_rating=4,k_core=10.",
        autocompletion=complete_names(DATASETS),
    ),
]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder to search first for a named dataset.")]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="Folder with train.csv, valid.csv and test.csv, optionally with options: "
        "my-split:mask=train+valid,negatives=99.",
    ),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help=f"Evaluation protocol: {', '.join(PROTOCOLS.builtin)}. Add options as in cold-users:fold=1,n_known=3; "
        "every protocol has min_rating, k_core, mask, history, negatives and seed.",
        autocompletion=complete_names(PROTOCOLS),
    ),
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features", help="Content embeddings: a folder from `gnnrec features`, or NAME=FILE. Can be repeated."
    ),
]
ModelOption = Annotated[
    str,
    typer.Option("--model", help=f"Model: {', '.join(MODELS.builtin)}.", autocompletion=complete_names(MODELS)),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help=f"Metric: {', '.join(METRICS.builtin)}. Can be repeated; some are reported only where they are named.",
        autocompletion=complete_names(METRICS),
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        help="Config of the graph neural network: a YAML file, or the name of a shipped config such as ml1m. By "
        "default, settings are chosen from the data.",
        autocompletion=_config_names,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, such as model.num_layers=2 or reg=500. Can be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Output file: .json, .csv or .parquet.")]
KOption = Annotated[int, typer.Option("-k", help="Number of movies.")]
CUTOFFS = (10, 20)
CutoffOption = Annotated[
    list[int] | None, typer.Option("-k", help="Length of the lists. Can be repeated; 10 and 20 by default.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--out", help="Output file: .json is a report with settings and protocol, .csv and .parquet a table."),
]


def parse_options(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``name`` or ``name:key=value,key=value``; values are YAML.

    A colon without a following ``key=`` is part of the name, as in a Windows path.

    >>> parse_options("cold-users:fold=1,mask=train+valid")
    ('cold-users', {'fold': 1, 'mask': 'train+valid'})
    >>> parse_options("random:fractions=[0.7,0.1,0.2]"), parse_options("C:/ratings")
    (('random', {'fractions': [0.7, 0.1, 0.2]}), ('C:/ratings', {}))
    """
    found = re.fullmatch(r"(.+?):([a-z_]+\s*=.*)", text, re.DOTALL)
    if found is None:
        return text, {}
    return found[1], read_hyperparameters(re.split(r",(?![^\[]*\])", found[2]))


READING_OPTIONS: dict[str, tuple[Any, str, str]] = {
    "columns": (
        list[str] | None,
        "--columns",
        "Rename a column of the file: asin=movie_id, or 0=user_id for the first column. Can be repeated.",
    ),
    "sep": (str | None, "--sep", "Field separator, such as ';' or tab."),
    "encoding": (str | None, "--encoding", "File encoding, such as cp1252."),
    "decimal": (str | None, "--decimal", "Decimal mark: . or ,"),
    "header": (bool | None, "--header/--no-header", "Whether the first line contains column names."),
    "date_format": (str | None, "--date-format", "Date format, such as %d.%m.%Y."),
    "day_first": (bool | None, "--day-first/--month-first", "Read 03/04/2001 as 3 April or as March 4."),
    "duplicates": (
        str | None,
        "--duplicates",
        "Several ratings of a movie by one user: error (default), first, last, mean, max or sum.",
    ),
    "errors": (str | None, "--errors", "Rows that cannot be read: raise (default) or skip."),
    "rejected": (Path | None, "--rejected", "With --errors skip: CSV file for the skipped rows."),
    "rating_scale": (
        str | None,
        "--rating-scale",
        "Lowest and highest rating, such as 1,5; ratings outside are errors.",
    ),
}
"""Options for dataset files, by their names in `load_dataset`: type, flag and help."""
_given: ContextVar[dict[str, Any]] = ContextVar("reading_options", default={})  # noqa: B039 - never changed in place


def with_options(
    command: Callable[..., None],
    options: Mapping[str, Any],
    call: Callable[[dict[str, Any], dict[str, Any]], None],
    hidden: str = "",
) -> Callable[..., None]:
    """Return a command with more options.

    Parameters
    ----------
    command : callable
    options : mapping of str to annotation
        Annotations for typer, by parameter; defaults are None, 0 or false, depending on the type.
    call : callable
        Takes the values of the options, and those of the other parameters.
    hidden : str
        Parameter of the command that `call` fills.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != hidden]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(kind), annotation=kind)
        for name, kind in options.items()
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        call({name: values.pop(name) for name in options}, values)

    wrapper.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {**{one.name: one.annotation for one in (*own, *added)}, "return": None}
    return wrapper


def _default(kind: Any) -> Any:
    """Return the default of an option, depending on its annotated type."""
    plain = get_args(kind)[0]
    return plain() if plain in (float, int, bool) else None


def with_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the `READING_OPTIONS` to a command that calls `read_dataset`."""

    def call(given: dict[str, Any], values: dict[str, Any]) -> None:
        token = _given.set({name: value for name, value in given.items() if value is not None})
        try:
            command(**values)
        finally:
            _given.reset(token)

    options = {
        name: Annotated[kind, typer.Option(flag, help=help_, rich_help_panel="Files of the dataset")]
        for name, (kind, flag, help_) in READING_OPTIONS.items()
    }
    return with_options(command, options, call)


def reading_options() -> dict[str, Any]:
    """Return the file options of the running command, as arguments of `load_dataset`."""
    from gnnrec.errors import ConfigError

    given = dict(_given.get())
    if columns := given.pop("columns", None):
        pairs = [text.partition("=") for text in columns]
        if wrong := [old for old, equals, _ in pairs if not equals]:
            raise ConfigError(f"cannot read --columns {wrong[0]!r}; write FILE_COLUMN=NAME, as in asin=movie_id")
        given["columns"] = {old: new for old, _, new in pairs}
    if scale := given.pop("rating_scale", None):
        given["rating_scale"] = tuple(scale.split(","))
    return given


def read_dataset(name: str, data_dir: Path | None, features: list[str] | None = None) -> Dataset:
    """Load a dataset with its content embeddings, and apply its filters.

    For files, guesses and renamed or ignored columns are reported. The options of `with_reading_options` are taken from
    the running command.
    """
    from gnnrec.datasets import load_dataset
    from gnnrec.features import load_features, read_embeddings

    name, options = parse_options(name)
    filters = {key: options.pop(key) for key in ("min_rating", "k_core") if key in options}
    dataset = load_dataset(name, data_dir=data_dir, **reading_options(), **options)
    if name not in DATASETS and (remarks := dataset.provenance.remarks):
        note(remarks)
    embeddings: dict[str, Any] = {}
    for source in features or ():
        modality, equals, file = source.partition("=")
        embeddings |= {modality: read_embeddings(file, dataset=dataset)} if equals else load_features(source)
    return dataset.with_features(**embeddings).filtered(**filters)


SPLIT_OPTIONS = ("mask", "history", "negatives", "seed")
"""Options after the name of a split folder."""


def check_source(split: str | None, protocol: str | None) -> None:
    """Reject both options together, unknown protocols and unknown options, before the dataset is loaded."""
    from gnnrec.errors import ConfigError
    from gnnrec.splitting import get_protocol

    if split and protocol:
        raise ConfigError("use either --split or --protocol, not both")
    if protocol:
        name, options = parse_options(protocol)
        get_protocol(name).with_options(**{key: value for key, value in options.items() if key != "seed"})
    if split:
        _, options = parse_options(split)
        if unknown := [key for key in options if key not in SPLIT_OPTIONS]:
            raise ConfigError(
                f"a split folder has no option {unknown[0]!r}; its options are {', '.join(SPLIT_OPTIONS)}"
            )


def select(dataset: Dataset, folder: str | None, protocol: str | None) -> Dataset | Split:
    """Return the split of a folder or a protocol, or the whole dataset."""
    from gnnrec.splitting import split

    if folder:
        return read_split(folder, dataset)
    if protocol:
        name, options = parse_options(protocol)
        return split(dataset, name, **options)
    return dataset


def read_split(folder: str, dataset: Dataset) -> Split:
    """Read a split from a folder, with the options after its name (checked by `check_source`)."""
    from gnnrec.errors import ConfigError
    from gnnrec.splitting import Split

    name, options = parse_options(folder)
    found = Split.from_folder(name, dataset)
    found = found.with_mask_and_history(mask=options.get("mask"), history=options.get("history"))
    negatives = options.get("negatives")
    if negatives is None:
        if "seed" in options:
            raise ConfigError("seed is for sampled negatives; add negatives=NUMBER")
        return found
    return found.with_negatives(negatives, options.get("seed", 0))


def check_test_ratings(split: Split) -> None:
    """Raise a `ConfigError` if there is nothing to test on."""
    from gnnrec.errors import ConfigError

    if split.test.empty:
        raise ConfigError(
            f"{split.protocol} leaves no test ratings: users with few ratings are used for training only; "
            "choose another --protocol, or use --split"
        )


def parse_rating(text: str, titles: Container[str] = ()) -> tuple[str, float]:
    """Read ``title=rating``, or a movie that the user likes.

    Titles may contain ``=``. Text that is an element of `titles` is not split.

    >>> parse_rating("Heat (1995)=4"), parse_rating("E=mc2")
    (('Heat (1995)', 4.0), ('E=mc2', 5.0))
    >>> parse_rating("1+1=2"), parse_rating("1+1=2", ["1+1=2"])
    (('1+1', 2.0), ('1+1=2', 5.0))
    """
    from gnnrec.data.schema import DEFAULT_RATING

    if text not in titles:
        title, _, rating = text.rpartition("=")
        with contextlib.suppress(ValueError):
            if title.strip():
                return title.strip(), float(rating)
    return text.strip(), DEFAULT_RATING


def check_metrics(names: list[str] | None) -> None:
    """Reject unknown metrics before the work is done."""
    for name in names or ():
        METRICS.get(name)


def read_config(config: str, assignments: list[str] | None) -> Config:
    """Return the config of a file or name, with changes applied."""
    from gnnrec.config import Config

    return Config.from_yaml(config).override(assignments or [])


def read_configs(configs: list[str], assignments: list[str] | None) -> Config | dict[str, Config]:
    """Return one config, or several by the names of their files."""
    from gnnrec.errors import ConfigError

    if len(configs) == 1:
        return read_config(configs[0], assignments)
    named = {Path(name).stem: read_config(name, assignments) for name in configs}
    if len(named) < len(configs):
        raise ConfigError(f"two --config files have the same name: {', '.join(configs)}; rename one")
    return named


def read_hyperparameters(assignments: list[str] | None) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are YAML."""
    from gnnrec._yaml import YAML_ERRORS, load_yaml
    from gnnrec.errors import ConfigError

    found: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {assignment!r}; write name=value, as in reg=500")
        try:
            found[name.strip()] = load_yaml(text)
        except YAML_ERRORS:
            raise ConfigError(f"cannot read the value in {assignment!r}; it is not YAML") from None
    return found
