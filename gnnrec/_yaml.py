"""YAML files: reading them safely, and finding the configs that come with gnnrec by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gnnrec._checks import as_path, did_you_mean
from gnnrec.errors import ConfigError

YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, LookupError, OverflowError, RecursionError)
"""Errors that PyYAML raises for invalid input: also built-in ones, such as ValueError for the date 2001-99-99."""
MAX_YAML = 2_000_000
"""Maximum size of a YAML file in bytes."""
MAX_NODES = 100_000
"""Maximum number of values in a YAML file, including repetitions by aliases."""


def shipped_configs() -> dict[str, Path]:
    """Return the paths of the configs that come with gnnrec, by name.

    Examples
    --------
    >>> sorted(shipped_configs())[:3]
    ['ml1m', 'ml1m-chronological', 'ml1m-cold-users']
    """
    package = Path(__file__).parent
    folder = package / "configs"  # in an installed wheel
    if not folder.is_dir():
        folder = package.parent / "configs"  # in a checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(name: str | Path) -> Path:
    """Return the path of a config that comes with gnnrec, given its name; any other path is returned unchanged.

    A file in the working directory takes precedence over a name.

    Examples
    --------
    >>> find_config("ml1m").name
    'ml1m.yaml'
    """
    path, shipped = as_path(name, "a config file"), shipped_configs()
    if path.is_file() or str(name) not in shipped:
        return path
    return shipped[str(name)]


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, given by path or by the name of a config that comes with gnnrec.

    Raises
    ------
    ConfigError
        The file does not exist or does not contain a mapping.

    Examples
    --------
    >>> read_yaml("ml1m-fast")["model"]
    {'encoder': 'lightgcn', 'embedding_dim': 64}
    """
    path = find_config(path)
    try:
        if path.exists() and not path.is_file():  # reading from a pipe could block forever
            raise ConfigError(f"the config file {path} is not a file")
        if path.exists() and path.stat().st_size > MAX_YAML:
            raise ConfigError(f"the config file {path} has more than {MAX_YAML:,} bytes")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(_no_config(path)) from None
    except OSError as error:
        raise ConfigError(f"the config file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: str | Path) -> dict[str, Any]:
    """Parse YAML that contains a mapping; `path` is for errors.

    Raises
    ------
    ConfigError
        The text is not YAML, or not a mapping.

    Examples
    --------
    >>> parse_yaml("model: {embedding_dim: 64}", "mine.yaml")
    {'model': {'embedding_dim': 64}}
    """
    try:
        values = load_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"{path} is not YAML: {error.problem} in line {line}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    except YAML_ERRORS as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(values).__name__}")
    return _with_text_keys(values or {})


def _with_text_keys(values: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): _with_text_keys(one) if isinstance(one, dict) else one for key, one in values.items()}


def load_yaml(text: str) -> Any:
    """Parse YAML to plain values, with a limit on their number.

    Raises one of `YAML_ERRORS` if the text is invalid.

    Examples
    --------
    >>> load_yaml("[1, null, {a: 2001-03-09}]")
    [1, None, {'a': datetime.date(2001, 3, 9)}]
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """Reports the line of a value that cannot be converted, such as 2001-99-99, and limits the number of values.

    Nested aliases could expand a few lines to billions of values, or make a value contain itself.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias and id(node) not in self._sizes:
            raise yaml.composer.ComposerError(None, None, "a value holds itself", mark)
        if not is_alias:
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            inner = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
            self._sizes[id(node)] = 1 + sum(self._sizes[id(one)] for one in inner)
        if self._sizes[id(node)] > MAX_NODES:
            raise yaml.composer.ComposerError(None, None, f"there are more than {MAX_NODES:,} values", mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


def _no_config(path: Path) -> str:
    if path.suffix or len(path.parts) > 1:
        return f"there is no config file {path}"
    names = list(shipped_configs())
    hint = did_you_mean(str(path), names)
    return f"there is no config {str(path)!r}; give a YAML file, or one of {', '.join(names)}{hint}"
