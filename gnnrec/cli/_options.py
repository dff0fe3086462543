"""Options that several commands share, and the data they select.

Choices in the help texts come from the registries, which import nothing heavy.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrec.cli._output import say
from gnnrec.registry import DATASETS, MODELS, PROTOCOLS

if TYPE_CHECKING:
    from gnnrec.config import Config
    from gnnrec.data import Dataset
    from gnnrec.splitting import Split

PROTOCOL_HELP = (
    f"Evaluation protocol: {', '.join(PROTOCOLS.builtin)}. Options may follow: "
    "cold-users:fold=1,n_known=3,k_core=10,mask=train+valid,negatives=99."
)

RunArgument = Annotated[Path, typer.Argument(help="Folder of a saved run.")]
DatasetOption = Annotated[
    str,
    typer.Option("--dataset", help=f"A name ({', '.join(list(DATASETS.builtin)[:3])}, ...), a folder, or a file."),
]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder that holds a named dataset.")]
SplitOption = Annotated[Path | None, typer.Option("--split", help="Folder with train.csv, valid.csv and test.csv.")]
ProtocolOption = Annotated[str | None, typer.Option("--protocol", help=PROTOCOL_HELP)]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features", help="Content embeddings: a folder from `gnnrec features`, or NAME=FILE. Can be repeated."
    ),
]
ModelOption = Annotated[str, typer.Option("--model", help=f"Model: {', '.join(MODELS.builtin)}.")]
ConfigOption = Annotated[
    str | None, typer.Option("--config", help="Config of the network: a YAML file, or a name such as ml1m.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: `--set model.num_layers=2`, or `--set reg=500`. Can be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write to this .json, .csv or .parquet file.")]
KOption = Annotated[int, typer.Option("-k", help="Number of movies.")]


def read_dataset(name: str, data_dir: Path | None, features: list[str] | None = None) -> Dataset:
    """Load a dataset with its content embeddings; print which columns are not used."""
    from gnnrec.datasets import load_dataset
    from gnnrec.features import load_features, read_embeddings

    dataset = load_dataset(name, data_dir=data_dir)
    if dataset.unused and name not in DATASETS:
        found = "; ".join(f"{', '.join(map(repr, names))} of {table}" for table, names in dataset.unused.items())
        say(f"columns not used: {found}")
    embeddings: dict[str, Any] = {}
    for source in features or ():
        modality, equals, file = source.partition("=")
        embeddings |= {modality: read_embeddings(file, dataset=dataset)} if equals else load_features(source)
    return dataset.with_features(**embeddings)


def select(dataset: Dataset, folder: Path | None, protocol: str | None) -> Dataset | Split:
    """Return the split of a folder or a protocol, or the whole dataset."""
    from gnnrec.errors import ConfigError
    from gnnrec.splitting import Split, split

    if folder and protocol:
        raise ConfigError("give --split or --protocol, not both")
    if folder:
        return Split.from_folder(folder, dataset)
    return split(dataset, protocol) if protocol else dataset


def check_test_ratings(split: Split) -> None:
    """Raise a `ConfigError` if there is nothing to test on."""
    from gnnrec.errors import ConfigError

    if split.test.empty:
        raise ConfigError(
            f"{split.protocol} leaves no test ratings: users with few ratings are used for training only; "
            "choose another --protocol, or give a --split"
        )


def parse_rating(text: str) -> tuple[str, float]:
    """Read ``title`` or ``title=rating``; a title may contain ``=``.

    >>> parse_rating("Heat (1995)=4"), parse_rating("1+1=2 (2009)")
    (('Heat (1995)', 4.0), ('1+1=2 (2009)', 5.0))
    """
    title, equals, rating = text.rpartition("=")
    with contextlib.suppress(ValueError):
        if equals and title.strip():
            return title.strip(), float(rating)
    return text.strip(), 5.0


def read_config(config: str | None, assignments: list[str] | None) -> Config:
    """Return the config of a file or name, or the defaults, with changes applied."""
    from gnnrec.config import Config

    return (Config.from_yaml(config) if config else Config()).override(assignments or [])


def read_configs(configs: list[str] | None, assignments: list[str] | None) -> Config | dict[str, Config]:
    """Return one config, or several by the names of their files."""
    from gnnrec.errors import ConfigError

    if not configs or len(configs) == 1:
        return read_config(configs[0] if configs else None, assignments)
    named = {Path(name).stem: read_config(name, assignments) for name in configs}
    if len(named) < len(configs):
        raise ConfigError(f"two --config files have the same name: {', '.join(configs)}; rename one")
    return named


def read_hyperparameters(assignments: list[str] | None) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are YAML."""
    import yaml

    from gnnrec.errors import ConfigError

    found: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {assignment!r}; write name=value, as in reg=500")
        try:
            found[name.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"cannot read the value in {assignment!r}; it is not YAML") from None
    return found
