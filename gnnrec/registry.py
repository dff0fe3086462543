"""Registries: every name that a config, a command or a function accepts, and the decorators that add one.

Registering is all an extension needs. Put the decorated class or function in a module of your own and name that module
with ``--plugin``, with `load_plugins`, or as an entry point in the group ``gnnrec.plugins``::

    from gnnrec import register_metric

    @register_metric("first_hit")
    def first_hit(relevant, num_relevant):
        return relevant[:, 0].float()

This module imports neither PyTorch nor any other part of the package, so names are cheap to list. Built-in names are
imported on first use.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from gnnrec._checks import did_you_mean
from gnnrec.errors import ConfigError

T = TypeVar("T")
ENTRY_POINT_GROUP = "gnnrec.plugins"


class Registry:
    """Objects of one kind by name.

    Parameters
    ----------
    kind : str
        What is registered, for error messages.
    builtin : mapping of str to str
        Built-in names and the modules that register them.
    set_name : bool
        Whether the attribute ``name`` of registered objects is set to their name.

    Examples
    --------
    >>> colors = Registry("color", {})
    >>> @colors.register("red", wavelength=700)
    ... def red(): ...
    >>> colors.names(), colors.get("red") is red, colors.metadata("red")["wavelength"]
    (['red'], True, 700)
    """

    def __init__(self, kind: str, builtin: Mapping[str, str] | None = None, *, set_name: bool = False) -> None:
        self.kind = kind
        self.set_name = set_name
        self.builtin = dict(builtin or {})
        self._objects: dict[str, Any] = {}
        self._metadata: dict[str, dict[str, Any]] = {}

    def register(self, name: str, **metadata: Any) -> Callable[[T], T]:
        """Return a decorator that registers a class, function or object under a name.

        Parameters
        ----------
        name : str
            Name for configs and commands; it must be free.
        **metadata
            Facts about it that can be looked up with `metadata`.

        Raises
        ------
        ConfigError
            The name is taken.
        """
        caller = sys._getframe(1).f_globals.get("__name__")

        def decorator(registered: T) -> T:
            taken = name in self._objects and not _same_definition(self._objects[name], registered)
            # A built-in name that has not been imported yet is taken, too.
            if taken or (name in self.builtin and name not in self._objects and caller != self.builtin[name]):
                raise ConfigError(f"the {self.kind} {name!r} is already registered; choose another name")
            self._objects[name] = registered
            self._metadata[name] = metadata
            if self.set_name:
                registered.name = name  # type: ignore[attr-defined]
            return registered

        return decorator

    def names(self) -> list[str]:
        """Return all registered names, built-in ones first."""
        load_entry_points()
        return list(dict.fromkeys([*self.builtin, *self._objects]))

    def get(self, name: str) -> Any:
        """Return what is registered under a name.

        Raises
        ------
        ConfigError
            The name is unknown; the message proposes a similar one and lists all.
        """
        if name not in self._objects and name in self.builtin:
            importlib.import_module(self.builtin[name])
        if name not in self._objects:
            names = self.names()  # loads entry points
            if name not in self._objects:
                raise ConfigError(
                    f"unknown {self.kind} {name!r}{did_you_mean(str(name), names)}; choose one of {', '.join(names)}"
                )
        return self._objects[name]

    def metadata(self, name: str) -> Mapping[str, Any]:
        """Return the metadata given at registration."""
        self.get(name)
        return MappingProxyType(self._metadata[name])

    def items(self) -> list[tuple[str, Any]]:
        """Return names and objects, importing all of them."""
        return [(name, self.get(name)) for name in self.names()]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self.names())})"


def _same_definition(old: Any, new: Any) -> bool:
    """Tell whether two objects are the same definition, as when a notebook cell or a module is run again."""
    keys = [(getattr(one, "__module__", None), getattr(one, "__qualname__", None)) for one in (old, new)]
    return old is new or (None not in keys[0] and keys[0] == keys[1])


_entry_points_loaded = False


def load_entry_points() -> None:
    """Import the plugins of installed packages, once."""
    global _entry_points_loaded
    if not _entry_points_loaded:
        _entry_points_loaded = True
        for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            try:
                entry_point.load()
            except Exception as error:
                raise ConfigError(f"the plugin {entry_point.name!r} ({entry_point.value}) failed: {error}") from error


def load_plugins(modules: Iterable[str]) -> None:
    """Import modules that register extensions.

    Parameters
    ----------
    modules : iterable of str
        Module names, or paths of Python files.

    Raises
    ------
    ConfigError
        A module cannot be imported.
    """
    for module in modules:
        path = Path(module)
        try:
            if path.suffix == ".py":
                spec = importlib.util.spec_from_file_location(path.stem, path)
                if spec is None or spec.loader is None or not path.is_file():
                    raise ImportError(f"there is no file {path}")
                loaded = importlib.util.module_from_spec(spec)
                sys.modules[path.stem] = loaded
                spec.loader.exec_module(loaded)
            else:
                if "" not in sys.path:
                    sys.path.insert(0, str(Path.cwd()))
                importlib.import_module(module)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"the plugin {module!r} cannot be imported: {error}") from error


ENCODERS = Registry("encoder", {"lightgcn": "gnnrec.nn.lightgcn", "graphsage": "gnnrec.nn.graphsage"})
LOSSES = Registry("loss", dict.fromkeys(("weighted_mse", "softmax", "bpr"), "gnnrec.nn.losses"))
METRICS = Registry(
    "metric",
    dict.fromkeys(
        ("recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity"),
        "gnnrec.evaluation.metrics",
    ),
)
MODELS = Registry(
    "model",
    {
        "gnn": "gnnrec.models.gnn_training",
        "popularity": "gnnrec.models.popularity",
        **dict.fromkeys(("itemknn", "ease", "slim"), "gnnrec.models.neighbors"),
        **dict.fromkeys(("contentknn", "ridge"), "gnnrec.models.content"),
        **dict.fromkeys(("als", "bpr"), "gnnrec.models.implicit_models"),
        **dict.fromkeys(("mf", "neumf"), "gnnrec.models.factorization"),
        "lightgcn": "gnnrec.models.pyg_lightgcn",
        "lightfm": "gnnrec.models.lightfm",
        **dict.fromkeys(("average", "sasrec", "sasrec-binary"), "gnnrec.models.sequential"),
    },
    set_name=True,
)
DATASETS = Registry(
    "dataset",
    {
        "sample": "gnnrec.datasets.synthetic",
        **dict.fromkeys(
            ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest"),
            "gnnrec.datasets.movielens",
        ),
    },
)
SPLITTERS = Registry(
    "splitter",
    dict.fromkeys(
        (
            "random",
            "random-ratings",
            "temporal",
            "leave-one-out",
            "global-time",
            "cold-movies",
            "cold-movies-by-time",
            "cold-users",
            "cold-both",
        ),
        "gnnrec.splitting.splitters",
    ),
)
PROTOCOLS = Registry(
    "protocol",
    dict.fromkeys(
        (
            "random",
            "recbole",
            "temporal",
            "temporal-10core",
            "temporal-last-10",
            "temporal-next-10",
            "global-time",
            "leave-one-out",
            "next-item",
            "next-item-99",
            "random-ratings",
            "cold-movies",
            "cold-movies-by-time",
            "cold-users",
            "cold-both",
        ),
        "gnnrec.splitting.protocols",
    ),
)
FEATURE_ENCODERS = Registry(
    "feature encoder",
    {
        "clip": "gnnrec.features.encoders.clip",
        "clip-text": "gnnrec.features.encoders.clip",
        "sentence": "gnnrec.features.encoders.sentence",
        "tfidf": "gnnrec.features.encoders.tfidf",
        "color": "gnnrec.features.encoders.color",
    },
)

register_encoder = ENCODERS.register
register_loss = LOSSES.register
register_metric = METRICS.register
register_model = MODELS.register
register_dataset = DATASETS.register
register_splitter = SPLITTERS.register
register_protocol = PROTOCOLS.register
register_feature_encoder = FEATURE_ENCODERS.register
