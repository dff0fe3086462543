"""Registries: the names that configs, commands and functions accept, and the decorators that add more.

To extend gnnrec, decorate a class or function in a module of your own and name that module with ``--plugin``, with
`load_plugins`, or as an entry point in the group ``gnnrec.plugins``::

    from gnnrec import register_metric

    @register_metric("first_hit")
    def first_hit(hits, num_relevant):
        return hits[:, 0].float()

Built-in names work the same way: a decorated definition in the registry's package, such as ``gnnrec/nn`` for encoders,
is found in the source files, without importing them. So names are cheap to list, and PyTorch is imported on first use.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from gnnrec._checks import choose_from, shown
from gnnrec.errors import ConfigError

T = TypeVar("T")
ENTRY_POINT_GROUP = "gnnrec.plugins"


class Registry:
    """Objects of one kind by name.

    Parameters
    ----------
    kind : str
        What is registered, for error messages. The decorator of an "encoder" is ``register_encoder``.
    package : str, optional
        Package inside gnnrec whose modules register the built-in names, each in a line of its own that begins with
        ``@register_...("name"`` or ``register_...("name"``: the source is read, not run.
    first : iterable of str
        Names, or modules with all their names, that come first and in this order.
    set_name : bool
        Whether to set the attribute ``name`` of registered objects.

    Examples
    --------
    >>> colors = Registry("color")
    >>> @colors.register("red", wavelength=700)
    ... def red(): ...
    >>> colors.names(), colors.get("red") is red, colors.metadata("red")["wavelength"]
    (['red'], True, 700)
    >>> colors.get("rde")
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: unknown color 'rde'; did you mean 'red'? Choose one of red
    """

    def __init__(
        self,
        kind: str,
        *,
        package: str | None = None,
        first: Iterable[str] = (),
        set_name: bool = False,
    ) -> None:
        self.kind = kind
        self.set_name = set_name
        self.package = package
        self.first = tuple(first)
        self._objects: dict[str, Any] = {}
        self._metadata: dict[str, dict[str, Any]] = {}
        self._definitions: dict[str, tuple[str | None, str | None]] = {}  # module and qualified name

    @cached_property
    def builtin(self) -> dict[str, str]:
        """Built-in names and the modules that register them; nothing is imported."""
        found = self._names_in_source(self.package) if self.package else {}
        place = {name: index for index, name in enumerate(self.first)}

        def order(entry: tuple[str, str]) -> int:
            name, module = entry
            return place.get(name, place.get(module.rpartition(".")[2], len(place)))

        return dict(sorted(found.items(), key=order))

    def _names_in_source(self, package: str) -> dict[str, str]:
        """Return the names in decorators at the beginning of a line, and their modules, by file and line."""
        call = rf"^@?(?:\w+\.)*{self.decorator}\(\s*[\"']([^\"']+)[\"']"
        found: dict[str, str] = {}
        for path in sorted(_folder(package).glob("*.py")):
            module = package if path.stem == "__init__" else f"{package}.{path.stem}"
            for name in re.findall(call, path.read_text(encoding="utf-8"), re.MULTILINE):
                found.setdefault(name, module)
        return found

    @property
    def decorator(self) -> str:
        """Name of the decorator.

        >>> METRICS.decorator
        'register_metric'
        """
        return f"register_{self.kind.replace(' ', '_')}"

    def register(self, name: str, **metadata: Any) -> Callable[[T], T]:
        """Return a decorator that registers a class, function or other object.

        Running the same definition again, as in a notebook, replaces the object.

        Parameters
        ----------
        name : str
            Name for configs and commands.
        **metadata
            Properties that `metadata` returns.

        Raises
        ------
        ConfigError
            The name is already registered, or a module of the package registers it in a way that is not visible in its
            source.
        """
        caller = sys._getframe(1)
        module, path = caller.f_globals.get("__name__"), Path(caller.f_code.co_filename)

        def decorator(registered: T) -> T:
            definition = (module, getattr(registered, "__qualname__", None))
            if name in self._objects:
                is_taken = definition != self._definitions[name]
            else:  # built-in names are reserved even before their modules are imported
                is_taken = self.builtin.get(name, module) != module
                if self.package and name not in self.builtin and path.parent == _folder(self.package):
                    raise ConfigError(
                        f"{module} registers the {self.kind} {name!r} in a loop or a function, where it would not be "
                        f'listed; write {self.decorator}("{name}", ...) at the beginning of a line'
                    )
            if is_taken:
                raise ConfigError(f"the {self.kind} {name!r} is already registered; choose another name")
            self._objects[name], self._metadata[name], self._definitions[name] = registered, metadata, definition
            if self.set_name:
                registered.name = name  # type: ignore[attr-defined]
            return registered

        return decorator

    def names(self) -> list[str]:
        """Return all registered names, built-in ones first."""
        load_entry_points()
        return list(dict.fromkeys([*self.builtin, *self._objects]))

    def get(self, name: str) -> Any:
        """Return a registered object.

        Raises
        ------
        ConfigError
            The name is unknown; the message proposes a similar one and lists all.
        """
        if not isinstance(name, str):
            raise ConfigError(f"the name of a {self.kind} must be a string, not {shown(name)}")
        if name not in self._objects and name in self.builtin:
            importlib.import_module(self.builtin[name])
        if name not in self._objects:
            names = self.names()  # loads entry points
            if name not in self._objects:
                raise ConfigError(f"unknown {self.kind} {shown(name)}{choose_from(name, names)}")
        return self._objects[name]

    def metadata(self, name: str) -> Mapping[str, Any]:
        """Return the metadata given at registration."""
        self.get(name)
        return MappingProxyType(self._metadata[name])

    def items(self) -> list[tuple[str, Any]]:
        """Return all names and objects; this imports all of them."""
        return [(name, self.get(name)) for name in self.names()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.names()

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self.names())})"


def _folder(package: str) -> Path:
    return Path(__file__).parent.joinpath(*package.split(".")[1:])


_entry_points_loaded = False


def load_entry_points() -> None:
    """Import the plugins of installed packages, once; warn about those that cannot be imported.

    Examples
    --------
    >>> load_entry_points()
    >>> load_entry_points()  # nothing happens
    """
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()
        except Exception as error:
            problem = f"cannot be imported: {type(error).__name__}: {error}"
            warnings.warn(f"the plugin {entry_point.name!r} ({entry_point.value}) {problem}", stacklevel=2)


def load_plugins(modules: str | Path | Iterable[str | Path]) -> None:
    """Import modules that register extensions. Loading a module again does nothing.

    Parameters
    ----------
    modules : str, Path, or iterable of these
        Module names, also of modules in the working directory; or paths of Python files.

    Raises
    ------
    ConfigError
        A module cannot be imported, or it registers a name that is taken.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "hello_example.py"
    >>> _ = path.write_text("print('here a decorator would register something')")
    >>> load_plugins(path)
    here a decorator would register something
    >>> load_plugins(path)  # nothing happens
    """
    for module in [modules] if isinstance(modules, (str, Path)) else modules:
        try:
            if Path(module).suffix == ".py":
                _import_file(Path(module).resolve())
            else:
                _import_module(str(module))
        except ConfigError as error:
            raise ConfigError(f"the plugin {str(module)!r} cannot be loaded: {error}") from error
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise ConfigError(f"the plugin {str(module)!r} cannot be imported: {problem}") from error


def _import_module(name: str) -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last, so that files in the working directory cannot shadow installed packages
        importlib.invalidate_caches()
    importlib.import_module(name)


def _import_file(path: Path) -> None:
    if any(getattr(loaded, "__file__", None) == str(path) for loaded in list(sys.modules.values())):
        return
    # A file such as random.py must not replace another module of that name.
    name = path.stem if path.stem.isidentifier() and not _is_module(path.stem) else f"gnnrec_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError("there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _is_module(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


ENCODERS = Registry("encoder", package="gnnrec.nn", first=("lightgcn", "graphsage"))
LOSSES = Registry("loss", package="gnnrec.nn", first=("losses",))
METRICS = Registry(
    "metric",
    package="gnnrec.evaluation",
    first=("recall", "ndcg", "hit_rate", "mrr", "map", "precision", "coverage", "novelty", "diversity", "dislikes"),
)
MODELS = Registry(
    "model",
    package="gnnrec.models",
    first=(
        "gnn",
        "popularity",
        "neighbors",
        "content",
        "implicit_models",
        "factorization",
        "lightgcn",
        "lightfm",
        "average",
        "sequential",
    ),
    set_name=True,
)
FAST_MODELS = ("gnn", "ease", "itemknn", "popularity")
"""Models that `benchmark` runs by default: the network and baselines that take seconds."""
DATASETS = Registry("dataset", package="gnnrec.datasets", first=("sample", "movielens"))
SPLITTERS = Registry("splitter", package="gnnrec.splitting", first=("splitters", "cold_splits"))
PROTOCOLS = Registry("protocol", package="gnnrec.splitting", first=("protocols",))
FEATURE_ENCODERS = Registry(
    "feature encoder", package="gnnrec.features.encoders", first=("clip", "clip-text", "sentence", "tfidf", "color")
)
FINDINGS = Registry("finding", package="gnnrec.explore", first=("findings", "content_findings"))
METADATA_PROVIDERS = Registry("metadata provider", package="gnnrec.metadata", first=("tmdb", "omdb"))
HISTORY_FORMATS = Registry(
    "history format",
    package="gnnrec.datasets.histories",
    first=("Letterboxd", "IMDb", "Netflix", "Trakt", "MovieLens", "TMDB"),
)
USER_FEATURES = Registry(
    "user feature", package="gnnrec.user_features", first=("age", "gender", "occupation"), set_name=True
)

register_encoder = ENCODERS.register
register_loss = LOSSES.register
register_metric = METRICS.register
register_model = MODELS.register
register_dataset = DATASETS.register
register_splitter = SPLITTERS.register
register_protocol = PROTOCOLS.register
register_feature_encoder = FEATURE_ENCODERS.register
register_finding = FINDINGS.register
register_metadata_provider = METADATA_PROVIDERS.register
register_history_format = HISTORY_FORMATS.register
register_user_feature = USER_FEATURES.register


def history_sites() -> list[str]:
    """Return the sites whose exports `gnnrec.read_history` supports: registered names without a colon.

    Examples
    --------
    >>> history_sites()[:3]
    ['Letterboxd', 'IMDb', 'Netflix']
    """
    return [name for name in HISTORY_FORMATS.names() if ":" not in name]


def listed_sites(word: str) -> str:
    """Return `history_sites` formatted as a list in a sentence.

    Examples
    --------
    >>> listed_sites("or").startswith("Letterboxd, IMDb, Netflix, ")
    True
    """
    *first, last = history_sites()
    return f"{', '.join(first)} {word} {last}"
