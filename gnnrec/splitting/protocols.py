"""Named evaluation protocols: filters, splitter, and rules for ranked lists.

A protocol fixes everything besides the model that changes a metric. The documentation (Reference,
Protocols) lists published results by protocol. A registered protocol can be used by name in commands and `split`::

    register_protocol("mine")(Protocol("temporal", options={"fractions": (0.8, 0.1, 0.1)}, k_core=5))
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gnnrec._checks import check_integer, choose_from, shown
from gnnrec._yaml import YAML_ERRORS, load_yaml
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import PROTOCOLS, SPLITTERS, register_protocol
from gnnrec.splitting.split import Split, check_mask_or_history

OWN_OPTIONS = ("seed", "min_rating", "k_core", "mask", "history", "negatives", "request_times")
"""Options of every protocol; all others are options of its splitter."""


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol, from the dataset to the ranked lists.

    Attributes
    ----------
    splitter : str
        Registered name of the splitter.
    description : str
        What is tested, in a few words.
    options : mapping
        Options of the splitter.
    min_rating : float, optional
        Drop lower ratings first.
    k_core : int, optional
        Then keep the largest part of the data in which every user and every movie has this many ratings.
    mask : str
        Ratings excluded from the ranked lists: ``"train"`` or ``"train+valid"``.
    history : str
        Ratings known at test time: ``"train"`` or ``"train+valid"``.
    negatives : int or str
        Rank the test movies among this many sampled negatives per user, or among those of a file, see
        `Split.with_negatives`; 0 ranks all candidates.
    seed : int, optional
        Random seed of the splitter and of sampled negatives; by default the splitter's own, and 0.
    request_times : bool
        Whether models are given the time of each request; see `Split`.

    Raises
    ------
    ConfigError
        Invalid `mask` or `history`.

    Examples
    --------
    >>> protocol = get_protocol("next-item-99")
    >>> protocol.splitter, protocol.mask, protocol.negatives
    ('leave-one-out', 'train+valid', 99)
    >>> get_protocol("cold-users:fold=1,n_known=3").options
    {'fold': 1, 'n_known': 3}
    """

    splitter: str
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    min_rating: float | None = None
    k_core: int | None = None
    mask: str = "train"
    history: str = "train"
    negatives: int | str = 0
    seed: int | None = None
    request_times: bool = False

    def __post_init__(self) -> None:
        check_mask_or_history(self.mask, "mask")
        check_mask_or_history(self.history, "history")
        if self.seed is not None:
            check_integer(0, seed=self.seed)

    def with_options(self, **options: Any) -> Protocol:
        """Return the protocol with other options: its own (`OWN_OPTIONS`) or those of its splitter.

        Raises
        ------
        ConfigError
            Unknown option, or an invalid value.
        """
        splitter_options = [name for name in self.splitter_options if name not in OWN_OPTIONS]
        if unknown := [name for name in options if name not in (*splitter_options, *OWN_OPTIONS)]:
            known = [*splitter_options, *OWN_OPTIONS]
            raise ConfigError(
                f"unknown protocol option {unknown[0]!r}"
                f"{choose_from(unknown[0], known, f'options with the {self.splitter} splitter are')}"
            )
        own = {name: value for name, value in options.items() if name in OWN_OPTIONS}
        others = {name: value for name, value in options.items() if name not in OWN_OPTIONS}
        return dataclasses.replace(self, **own, options={**self.options, **others})

    @property
    def splitter_options(self) -> tuple[str, ...]:
        """Names of the options that the splitter takes."""
        return tuple(inspect.signature(SPLITTERS.get(self.splitter)).parameters)[1:]

    def split(self, dataset: Dataset) -> Split:
        """Filter and split a dataset, see `gnnrec.split`."""
        if not isinstance(dataset, Dataset):
            raise DataError(f"split takes a Dataset, not {type(dataset).__name__}; load_dataset returns one")
        options, seed = dict(self.options), self.seed
        if seed is None:
            seed = options.get("seed")
        elif "seed" in self.splitter_options:
            options["seed"] = seed
        elif not isinstance(self.negatives, int) or not self.negatives:
            raise ConfigError(f"the {self.splitter} splitter is deterministic; remove the seed")
        filtered = dataset.filtered(self.min_rating, self.k_core)
        made = SPLITTERS.get(self.splitter)(filtered, **options)
        if not isinstance(made, Split):
            raise ConfigError(f"the splitter {self.splitter!r} must return a Split, not {type(made).__name__}")
        made = made.with_mask_and_history(mask=self.mask, history=self.history)
        made = made.with_request_times(self.request_times)
        return made if self.negatives == 0 else made.with_negatives(self.negatives, seed or 0)


def get_protocol(protocol: str | Protocol) -> Protocol:
    """Return a protocol by name, optionally with options.

    Parameters
    ----------
    protocol : str or Protocol
        Registered name of a protocol such as ``"next-item"`` or of a splitter. Options may follow:
        ``"cold-users:fold=1,n_known=3,k_core=10,mask=train+valid,negatives=99"``. Values are read as YAML;
        lists are written ``fractions=[0.8,0.1,0.1]``.

    Raises
    ------
    ConfigError
        Unknown protocol or option, or an invalid value.

    Examples
    --------
    >>> get_protocol("temporal:fractions=[0.8,0.1,0.1]").options
    {'fractions': [0.8, 0.1, 0.1]}
    """
    if isinstance(protocol, Protocol):
        return protocol
    if not isinstance(protocol, str):
        raise ConfigError(f"a protocol is a name or a Protocol, not {shown(protocol)}")
    name, _, text = protocol.partition(":")
    if name in PROTOCOLS:
        found: Protocol = PROTOCOLS.get(name)
    elif name in SPLITTERS:
        found = Protocol(name)
    else:
        names = list(dict.fromkeys([*PROTOCOLS.names(), *SPLITTERS.names()]))
        raise ConfigError(f"unknown protocol {shown(name)}{choose_from(name, names)}")
    return found.with_options(**_parse_options(text)) if text else found


def split(dataset: Dataset, protocol: str | Protocol = "random", **options: Any) -> Split:
    """Split a dataset by an evaluation protocol.

    The returned split also stores the rules for ranked lists (`mask`, `history`, `negatives`, `candidates`),
    so `evaluate` and `benchmark` need no further arguments.

    Parameters
    ----------
    dataset : Dataset
        All ratings.
    protocol : str or Protocol
        A protocol, or its name with or without options, see `get_protocol`.
    **options
        Options of the protocol: ``seed``, ``min_rating``, ``k_core``, ``mask``, ``history``, ``negatives``, or of its
        splitter: ``fold``, ``n_known``, ``candidates``, ``fractions``, ...

    Returns
    -------
    Split

    Raises
    ------
    ConfigError
        Unknown protocol or option, an invalid value, or a seed for a protocol without randomness.
    DataError
        The dataset lacks ratings or timestamps that the protocol needs, or is too small for it.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split(make_sample(50, 40), "recbole")
    Split('sample', rating >= 3, 10-core, random per user 0.8/0.1/0.1, seed 0: 718 train, 53 valid, 53 test)
    >>> split(make_sample(50, 40), "cold-users", fold=1, n_known=3).protocol
    'cold users, fold 1 of 5, first 3 ratings known'
    """
    return get_protocol(protocol).with_options(**options).split(dataset)


def _parse_options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in re.split(r",(?![^\[]*\])", text):  # commas outside of lists
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"cannot read the protocol option {part!r}; write name=value, as in fold=1")
        if name.strip() in options:
            raise ConfigError(f"the protocol option {name.strip()!r} is given twice; remove one")
        try:
            options[name.strip()] = load_yaml(value)
        except YAML_ERRORS:
            raise ConfigError(f"cannot read the value of the protocol option {part!r}; it is not YAML") from None
    return options


_next_item: dict[str, Any] = {"mask": "train+valid", "history": "train+valid"}
register_protocol("random")(Protocol("random", "a random tenth of each user's ratings"))
register_protocol("recbole")(
    Protocol("random", "as in RecBole's benchmark: ratings >= 3, 10-core", min_rating=3, k_core=10, mask="train+valid")
)
register_protocol("temporal")(Protocol("temporal", "the newest fifth of each user's ratings"))
register_protocol("temporal-10core")(
    Protocol("temporal", "the same with ratings >= 4, 10-core", min_rating=4, k_core=10, mask="train+valid")
)
register_protocol("temporal-last-10")(
    Protocol(
        "temporal",
        "the newest tenth of each user's ratings >= 4; the fifth before it is for validation",
        {"fractions": (0.7, 0.2, 0.1)},
        min_rating=4,
        k_core=10,
        mask="train+valid",
    )
)
register_protocol("temporal-next-10")(
    Protocol(
        "temporal",
        "the tenth that directly follows the training ratings; the fifth after it is for validation",
        {"fractions": (0.7, 0.2, 0.1), "test_first": True},
        min_rating=4,
        k_core=10,
    )
)
register_protocol("global-time")(Protocol("global-time", "the newest tenth of all ratings", **_next_item))
register_protocol("leave-one-out")(
    Protocol("leave-one-out", "test: last rating; validation: the one before, not added to the history at test time")
)
register_protocol("next-item")(
    Protocol("leave-one-out", "each user's last rating; all earlier ones are known", **_next_item)
)
register_protocol("next-item-timed")(
    Protocol("leave-one-out", "the same, and the time of the request is known", **_next_item, request_times=True)
)
register_protocol("next-item-99")(
    Protocol("leave-one-out", "each user's last rating, among 99 sampled negatives", negatives=99, **_next_item)
)
register_protocol("random-ratings")(Protocol("random-ratings", "a random tenth of all ratings, for rating prediction"))
register_protocol("cold-movies")(
    Protocol("cold-movies", "all ratings of a fixed tenth of the movies", mask="train+valid")
)
register_protocol("cold-movies-by-time")(
    Protocol("cold-movies-by-time", "all ratings of the newest tenth of the movies", mask="train+valid")
)
register_protocol("cold-users")(Protocol("cold-users", "a fixed tenth of the users, all ratings but the first 5"))
register_protocol("cold-both")(
    Protocol("cold-both", "ratings of a fixed tenth of the movies by a fixed tenth of the users")
)
register_protocol("strong-generalization")(
    Protocol(
        "strong-generalization",
        "ratings >= 4 of a random tenth of the users, 80% of each folded in, as in the Mult-VAE paper",
        min_rating=4,
    )
)
