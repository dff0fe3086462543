"""Named evaluation protocols: which ratings count, how they are split, and how the ranked lists are made.

A protocol is a splitter plus everything else that changes a number. ``docs/reference/protocols.md`` says which
published results belong to which protocol.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gnnrec._checks import did_you_mean
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError
from gnnrec.registry import PROTOCOLS, SPLITTERS
from gnnrec.splitting.split import Split, check_scope


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol, from the whole dataset to the ranked lists.

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
        Then keep the largest part of the data in which every user and movie has this many ratings.
    mask : str
        Which ratings are excluded from the lists, ``"train"`` or ``"train+valid"``.
    history : str
        Which ratings are known at test time, ``"train"`` or ``"train+valid"``.
    negatives : int
        Sampled negatives per user to rank the test movies among; 0 ranks all movies.

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
    negatives: int = 0

    def with_options(self, **options: Any) -> Protocol:
        """Return the protocol with other settings: its own fields, or options of its splitter.

        Raises
        ------
        ConfigError
            The protocol has no such option.
        """
        own = {"min_rating", "k_core", "mask", "history", "negatives"}
        known = [*self.splitter_options, *sorted(own)]
        if unknown := [name for name in options if name not in known]:
            raise ConfigError(
                f"the {self.splitter} protocol has no option {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
                f"its options are {', '.join(known)}"
            )
        fields = {name: value for name, value in options.items() if name in own}
        return dataclasses.replace(
            self,
            **fields,
            options={**self.options, **{name: value for name, value in options.items() if name not in own}},
        )

    @property
    def splitter_options(self) -> tuple[str, ...]:
        """Names of the options that the splitter takes."""
        return tuple(inspect.signature(SPLITTERS.get(self.splitter)).parameters)[1:]


def get_protocol(protocol: str | Protocol) -> Protocol:
    """Return a protocol by name, optionally followed by options.

    Parameters
    ----------
    protocol : str or Protocol
        A registered name such as ``"next-item"``, the name of a splitter, or either with options:
        ``"cold-users:fold=1,n_known=3,k_core=10,mask=train+valid,negatives=99"``. Values are read as YAML.

    Raises
    ------
    ConfigError
        The protocol or one of its options does not exist.
    """
    if isinstance(protocol, Protocol):
        return protocol
    name, _, text = str(protocol).partition(":")
    if name in PROTOCOLS.names():
        found = PROTOCOLS.get(name)
    elif name in SPLITTERS.names():
        found = Protocol(name)
    else:
        PROTOCOLS.get(name)  # raises: the error lists the protocols
        raise AssertionError
    return found.with_options(**_parse_options(text)) if text else found


def split(dataset: Dataset, protocol: str | Protocol = "random", **options: Any) -> Split:
    """Split a dataset by an evaluation protocol.

    The returned split also carries how that protocol makes its ranked lists (`mask`, `history`, `negatives`,
    `candidates`), so `evaluate` and `benchmark` need no further arguments.

    Parameters
    ----------
    dataset : Dataset
        All ratings.
    protocol : str or Protocol
        Name of a protocol or splitter; options may follow the name, as for `get_protocol`.
    **options
        Settings of the protocol: ``seed``, ``fold``, ``n_known``, ``candidates``, ``min_rating``, ``k_core``, ``mask``,
        ``history``, ``negatives`` or any other option of its splitter.

    Returns
    -------
    Split

    Raises
    ------
    ConfigError
        The protocol or an option does not exist.
    DataError
        The dataset lacks ratings or timestamps that the protocol needs.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> split(make_sample(50, 40), "recbole")
    Split('sample', rating >= 3, 10-core, random per user 0.8/0.1/0.1, seed 0: 718 train, 53 valid, 53 test)
    >>> split(make_sample(50, 40), "cold-users", fold=1, n_known=3).protocol
    'cold users, fold 1 of 5, first 3 ratings known'
    """
    chosen = get_protocol(protocol)
    seed = options.get("seed", chosen.options.get("seed", 0)) or 0
    if "seed" in options and "seed" not in chosen.splitter_options:  # for the negatives alone
        options = {name: value for name, value in options.items() if name != "seed"}
        if not (options.get("negatives") or chosen.negatives):
            raise ConfigError(f"the {chosen.splitter} protocol draws nothing at random, so it takes no seed")
    chosen = chosen.with_options(**options)
    for name in ("mask", "history"):
        check_scope(getattr(chosen, name), name)
    whole = dataset.filtered(chosen.min_rating, chosen.k_core)
    made: Split = SPLITTERS.get(chosen.splitter)(whole, **chosen.options)
    made = made.with_scopes(mask=chosen.mask, history=chosen.history)
    return made.with_negatives(chosen.negatives, seed) if chosen.negatives else made


def _parse_options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"cannot read the protocol option {part!r}; write name=value, as in fold=1")
        try:
            options[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"cannot read the value in {part!r}") from None
    return options


_next_item: dict[str, Any] = {"mask": "train+valid", "history": "train+valid"}
for _name, _protocol in {
    "random": Protocol("random", "a random tenth of each user's ratings"),
    "recbole": Protocol(
        "random", "as in RecBole's benchmark: ratings >= 3, 10-core", min_rating=3, k_core=10, mask="train+valid"
    ),
    "temporal": Protocol("temporal", "the newest fifth of each user's ratings"),
    "temporal-10core": Protocol(
        "temporal", "the same with ratings >= 4, 10-core", min_rating=4, k_core=10, mask="train+valid"
    ),
    "temporal-last-10": Protocol(
        "temporal",
        "the newest tenth of each user's ratings >= 4; the fifth before it is for validation",
        {"fractions": (0.7, 0.2, 0.1)},
        min_rating=4,
        k_core=10,
        mask="train+valid",
    ),
    "temporal-next-10": Protocol(
        "temporal",
        "the tenth that directly follows the training ratings; the fifth after it is for validation",
        {"fractions": (0.7, 0.2, 0.1), "test_first": True},
        min_rating=4,
        k_core=10,
    ),
    "global-time": Protocol("global-time", "the newest tenth of all ratings", **_next_item),
    "leave-one-out": Protocol("leave-one-out", "each user's last rating; the one before it is unknown"),
    "next-item": Protocol("leave-one-out", "each user's last rating; all earlier ones are known", **_next_item),
    "next-item-99": Protocol("leave-one-out", "the same, among 99 sampled negatives", negatives=99, **_next_item),
    "random-ratings": Protocol("random-ratings", "a random tenth of all ratings, for rating prediction"),
    "cold-movies": Protocol("cold-movies", "all ratings of a fixed tenth of the movies", mask="train+valid"),
    "cold-movies-by-time": Protocol(
        "cold-movies-by-time", "all ratings of the newest tenth of the movies", mask="train+valid"
    ),
    "cold-users": Protocol("cold-users", "a fixed tenth of the users, all ratings but the first 5"),
    "cold-both": Protocol("cold-both", "ratings of a fixed tenth of the movies by a fixed tenth of the users"),
}.items():
    PROTOCOLS.register(_name)(_protocol)
