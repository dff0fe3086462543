"""Registries: names, lazy imports, errors; and plugins that cannot be loaded."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnnrec
from gnnrec import ConfigError, registry
from gnnrec.registry import Registry, load_entry_points, load_plugins
from tests.helpers.registries import restored_registries

PACKAGE = Path(gnnrec.__file__).parent
ALL = [value for value in vars(registry).values() if isinstance(value, Registry)]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with restored_registries():
        yield


def registered_by(module: str, one: Registry, name: str, value: object) -> None:
    """Register a value as if by the code of a module."""
    exec("one.register(name)(value)", {"__name__": module, "one": one, "name": name, "value": value})


# Registries


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.kind)
def test_every_builtin_name_can_be_imported(one: Registry) -> None:
    assert one.builtin
    assert one.names()[: len(one.builtin)] == list(one.builtin)
    for name in one.builtin:
        assert one.get(name) is not None
        assert name in one


def names_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the decorator and the name of everything that is registered by a literal name in a module."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        calls = getattr(node, "decorator_list", [])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):  # register_protocol("name")(...)
            calls = [node.value.func]
        for call in calls:
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                function = ast.unparse(call.func).rpartition(".")[2]
                if function.startswith("register_"):
                    yield function, call.args[0].value


def test_every_decorated_definition_is_found() -> None:
    """Names are read from the source by a pattern; the syntax tree of every file says the same."""
    decorated: dict[str, dict[str, str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for function, name in names_in(path):
            known = decorated.setdefault(function, {})
            assert name not in known, f"{function}({name!r}) in {known[name]} and {module}"
            known[name] = module
    for one in ALL:
        expected = decorated.pop(one.decorator, {})
        assert one.builtin == expected
        assert not set(one.first) - set(expected) - {m.rpartition(".")[2] for m in expected.values()}
    assert not decorated


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.kind)
def test_built_in_names_are_registered_by_their_modules(one: Registry) -> None:
    """Also those that are registered in a loop: no module of the package registers a name that is not listed."""
    for module in pkgutil.walk_packages(gnnrec.__path__, "gnnrec."):
        if not module.name.endswith(("__main__", "migrations.env")):  # Alembic runs the latter
            importlib.import_module(module.name)
    found = {name: module for name, (module, _) in one._definitions.items() if str(module).startswith("gnnrec.")}
    assert found == one.builtin


def test_a_built_in_name_that_would_not_be_listed() -> None:
    """It would work by name, but be missing from help, completion and errors."""
    code = compile("one.register('weekly')(object())", PACKAGE / "splitting" / "protocols.py", "exec")
    with pytest.raises(ConfigError) as caught:
        exec(code, {"__name__": "gnnrec.splitting.protocols", "one": registry.PROTOCOLS})
    assert str(caught.value) == (
        "gnnrec.splitting.protocols registers the protocol 'weekly' in a loop or a function, where it would not be "
        'listed; write register_protocol("weekly", ...) at the beginning of a line'
    )
    assert "weekly" not in registry.PROTOCOLS
    registered_by("gnnrec_weekly", registry.PROTOCOLS, "weekly", object())  # a plugin may
    assert "weekly" in registry.PROTOCOLS


def test_unknown_names() -> None:
    colors = Registry("color")
    for name in ("red", "green"):
        colors.register(name)(object())
    with pytest.raises(ConfigError) as caught:
        colors.get("gren")
    assert str(caught.value) == "unknown color 'gren'; did you mean 'green'? Choose one of red, green"
    with pytest.raises(ConfigError) as caught:
        colors.metadata("xyz")
    assert str(caught.value) == "unknown color 'xyz'; choose one of red, green"
    assert "xyz" not in colors and "red" in colors
    assert repr(colors) == "Registry(color: red, green)"


def test_metadata_is_read_only() -> None:
    colors = Registry("color")
    colors.register("red", wavelength=700)(object())
    assert dict(colors.metadata("red")) == {"wavelength": 700}
    with pytest.raises(TypeError):
        colors.metadata("red")["wavelength"] = 1  # type: ignore[index]


def test_a_name_is_taken_once() -> None:
    colors = Registry("color")

    @colors.register("red")
    def red() -> None: ...

    with pytest.raises(ConfigError) as caught:

        @colors.register("red")
        def crimson() -> None: ...

    assert str(caught.value) == "the color 'red' is already registered; choose another name"
    assert colors.get("red") is red
    with pytest.raises(ConfigError, match="already registered"):
        registered_by("elsewhere", colors, "red", object())


def test_the_same_definition_may_run_again() -> None:
    """As in a notebook cell, or when a module is reloaded."""
    colors = Registry("color")
    for version in (1, 2):

        @colors.register("red", version=version)
        def red() -> None: ...

        colors.register("green")(object())
    assert colors.get("red") is red
    assert colors.metadata("red")["version"] == 2


@pytest.mark.parametrize("is_imported", [True, False])
def test_builtin_names_are_taken_before_their_import_too(is_imported: bool) -> None:
    shapes = Registry("shape")
    shapes.builtin = {"Fraction": "fractions"}
    if is_imported:
        registered_by("fractions", shapes, "Fraction", 1)
    with pytest.raises(ConfigError, match="the shape 'Fraction' is already registered"):
        registered_by("plugin", shapes, "Fraction", 2)
    registered_by("fractions", shapes, "Fraction", 3)
    assert shapes.get("Fraction") == 3


def test_registering_does_not_import_torch() -> None:
    code = """
import sys
from gnnrec.registry import DATASETS, ENCODERS, MODELS, register_model
register_model("mine")(type("Mine", (), {}))
assert MODELS.names()[-1] == "mine" and "lightgcn" in ENCODERS and "sample" in DATASETS.names()
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Plugins


def test_a_file_is_executed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "counting_plugin.py"
    path.write_text("import gnnrec\ngnnrec.register_metric('counted')(lambda hits, n: hits)\n")
    load_plugins([str(path)])
    first = registry.METRICS.get("counted")
    load_plugins(str(path))
    load_plugins(path)
    monkeypatch.chdir(tmp_path)
    load_plugins(["counting_plugin.py", "counting_plugin"])
    assert registry.METRICS.get("counted") is first


def test_a_file_does_not_replace_another_module(tmp_path: Path) -> None:
    path = tmp_path / "fractions.py"
    path.write_text("VALUE = 1\n")
    before = importlib.import_module("fractions")
    load_plugins([path])
    assert sys.modules["fractions"] is before
    assert sys.modules["gnnrec_plugin_fractions"].VALUE == 1


def test_a_module_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local_plugin.py").write_text("VALUE = 2\n")
    (tmp_path / "fractions.py").write_text("raise AssertionError('not this one')\n")
    monkeypatch.chdir(tmp_path)
    load_plugins(["local_plugin", "fractions"])
    assert sys.modules["local_plugin"].VALUE == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "plugin '{path}' cannot be imported: ImportError: there is no such file"),
        (
            "import nothing_of_that_name",
            "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        ("def f(:", "cannot be imported: SyntaxError: "),
        ("{}['key']", "cannot be imported: KeyError: 'key'"),
        (
            "import gnnrec\n@gnnrec.register_loss('bpr')\ndef mine(): ...",
            "plugin '{path}' cannot be loaded: the loss 'bpr' is already registered; choose another name",
        ),
    ],
)
def test_plugins_that_cannot_be_loaded(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "broken_plugin.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_plugins([path])
    assert message.format(path=path) in str(caught.value)
    path.write_text("VALUE = 3\n")  # mended, it can be loaded
    load_plugins([path])
    assert sys.modules["broken_plugin"].VALUE == 3


def test_a_module_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="the plugin 'no_such_module' cannot be imported: ModuleNotFoundError"):
        load_plugins(["no_such_module"])


def test_a_broken_entry_point_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError("gone")

    entry_point = types.SimpleNamespace(name="shop", value="shop.plugin", load=fail)
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [entry_point])
    monkeypatch.setattr(registry, "_entry_points_loaded", False)
    with pytest.warns(UserWarning, match=r"the plugin 'shop' \(shop\.plugin\) cannot be imported: ImportError: gone"):
        load_entry_points()
    assert gnnrec.Config().model.encoder == "lightgcn"
