"""Options that several commands share, and what they say about which rows are asked for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrec.benchmarking import FAST, MODELS
from gnnrec.cli.output import console
from gnnrec.config import Config
from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.datasets import NAMES, load_dataset
from gnnrec.errors import ConfigError
from gnnrec.features import load_features, read_vectors
from gnnrec.splitting import PROTOCOLS, Split
from gnnrec.splitting.protocols import SCOPES, get_protocol
from gnnrec.splitting.split import CANDIDATES

DatasetOption = Annotated[
    str, typer.Option("--dataset", help="A name (sample, ml-1m, ml-100k, ...), a folder, or a file of ratings.")
]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Where to look for a named dataset first.")]
SplitOption = Annotated[Path | None, typer.Option("--split", help="Folder with train.csv, valid.csv and test.csv.")]
ProtocolOption = Annotated[
    str | None, typer.Option("--protocol", help=f"Filter, divide and judge as usual: {', '.join(PROTOCOLS)}.")
]
MinRatingOption = Annotated[
    float | None, typer.Option("--min-rating", help="Before dividing, keep ratings of at least this.")
]
CoreOption = Annotated[
    int | None, typer.Option("--core", help="Before dividing, keep users and movies with at least so many ratings.")
]
MaskOption = Annotated[
    str | None,
    typer.Option("--mask", help=f"Rows left out of the lists: {' or '.join(SCOPES)}; else as the protocol says."),
]
HistoryOption = Annotated[
    str | None,
    typer.Option(
        "--history",
        help=f"Rows known at test time, without training: {' or '.join(SCOPES)}; else as the protocol says.",
    ),
]
NegativesOption = Annotated[
    str | None,
    typer.Option("--negatives", help="Rank test movies among so many drawn ones, or among those of a file."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Of what is drawn to divide the ratings, and of drawn --negatives; else 0.")
]
FoldOption = Annotated[
    int | None, typer.Option("--fold", help="Of an unseen-* protocol: which of the five fixed folds, 0 to 4; else 0.")
]
SupportOption = Annotated[
    int | None,
    typer.Option("--support", help="Of a protocol that holds people out: how many first ratings are known; else 5."),
]
CandidatesOption = Annotated[
    str | None,
    typer.Option(
        "--candidates",
        help=f"Of an unseen-* protocol: rank new movies among {' or '.join(CANDIDATES)} ones; else held-out.",
    ),
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        help="Vectors of movies: the folder that `gnnrec features` wrote, or NAME=FILE of your own. May be repeated.",
    ),
]
FAST_MODELS = ",".join(FAST)
ModelsOption = Annotated[
    str,
    typer.Option("--models", help=f"Comma-separated, or all: {', '.join(MODELS)}."),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file, for example configs/ml1m.yaml.")]
ConfigsOption = Annotated[
    list[Path] | None, typer.Option("--config", help="YAML file; may be repeated, then there is a gnn for each.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: `--set model.num_layers=2`. May be repeated.")
]


def read_dataset(name: str, data_dir: Path | None, features: list[str] | None = None) -> Dataset:
    """Return a dataset with the vectors of its movies that are asked for; name the columns that are not read."""
    dataset = load_dataset(name, data_dir=data_dir)
    tell_unused(dataset)
    found: dict[str, ContentEmbeddings] = {}
    for source in features or ():
        modality, equals, file = source.partition("=")
        found |= {modality: read_vectors(file, dataset=dataset)} if equals else load_features(source)
    return dataset.with_features(**found)


def tell_unused(dataset: Dataset) -> None:
    """Name the columns of files of one's own that are not read: a slip in a header would go unseen otherwise."""
    if dataset.unused and dataset.name not in NAMES:
        found = "; ".join(f"{', '.join(map(repr, names))} of {table}" for table, names in dataset.unused.items())
        console.print(f"columns not used: {found}", highlight=False, markup=False)


@dataclass(frozen=True)
class Source:
    """Where the rows come from and how they are judged, as the options say."""

    folder: Path | None
    protocol: str | None
    min_rating: float | None
    core: int | None
    mask: str | None
    history: str | None
    negatives: str | None
    seed: int | None = None
    fold: int | None = None
    support: int | None = None
    candidates: str | None = None

    def __post_init__(self) -> None:
        filters = self.min_rating is not None or self.core is not None
        if self.folder and self.protocol:
            raise ConfigError("give --split or --protocol, not both")
        if self.folder and filters:
            raise ConfigError(
                "--min-rating and --core filter what is then divided; the rows of --split are divided already"
            )
        if not self.folder and not self.protocol and (self.mask or self.history or self.negatives):
            raise ConfigError("--mask, --history and --negatives are about test rows; give --split or --protocol, too")
        steps = get_protocol(self.protocol) if self.protocol else None
        if steps is None and self.choices:
            raise ConfigError(f"{', '.join(f'--{name}' for name in self.choices)}: of a --protocol only; name one")
        drawn = self.negatives.isdecimal() if self.negatives else steps is not None and steps.negatives > 0
        if self.seed is not None and not drawn and not (steps is not None and steps.seeded):
            raise ConfigError("--seed is of what a --protocol or --negatives draw, and nothing is drawn here; drop it")

    @property
    def choices(self) -> dict[str, Any]:
        """What is asked of a protocol that has more than one form."""
        asked = {"fold": self.fold, "support": self.support, "candidates": self.candidates}
        return {name: value for name, value in asked.items() if value is not None}

    def rows(self, dataset: Dataset) -> Dataset | Split:
        """Return the split that is asked for, or, where none is, all ratings."""
        return self.split(dataset) if self.folder or self.protocol else dataset.filtered(self.min_rating, self.core)

    def split(self, dataset: Dataset) -> Split:
        """Return the split that is asked for."""
        if self.folder:
            split = Split.from_folder(self.folder, dataset)
        else:
            whole = dataset.filtered(self.min_rating, self.core)
            split = Split.by_protocol(str(self.protocol), whole, self.seed or 0, **self.choices)
        if self.negatives:
            number = self.negatives.removeprefix("-").isdecimal()
            split = split.with_negatives(int(self.negatives) if number else self.negatives, self.seed or 0)
        mask, history = self.mask or split.mask, self.history or split.history
        return split if (mask, history) == (split.mask, split.history) else replace(split, mask=mask, history=history)


def liked(text: str) -> tuple[str, float]:
    """Read ``title`` or ``title=rating``."""
    title, equals, rating = text.rpartition("=")
    with contextlib.suppress(ValueError):
        if equals:
            return title, float(rating)
    return text, 5.0


def settings(config: Path | None, assignments: list[str] | None) -> Config:
    """Return the settings of a file, or the defaults, with what is set besides."""
    return (Config.from_yaml(config) if config else Config()).override(assignments or [])


def networks(configs: list[Path] | None, assignments: list[str] | None) -> Config | dict[str, Config]:
    """Return the settings of one network, or of several by the names of their files."""
    if not configs or len(configs) == 1:
        return settings(configs[0] if configs else None, assignments)
    named = {path.stem: settings(path, assignments) for path in configs}
    if len(named) < len(configs):
        raise ConfigError(f"two --config files have the same name: {', '.join(map(str, configs))}; rename one")
    return named
