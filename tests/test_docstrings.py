"""Every public name explains its parameters and has an example; doctest runs the examples."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum

import pytest

import gnnrec
from gnnrec.config import Settings

MODULES = (
    "gnnrec",
    "gnnrec.benchmarking",
    "gnnrec.config",
    "gnnrec.data",
    "gnnrec.datasets",
    "gnnrec.errors",
    "gnnrec.evaluation",
    "gnnrec.evaluation.metrics",
    "gnnrec.explanations",
    "gnnrec.explore",
    "gnnrec.export",
    "gnnrec.features",
    "gnnrec.graph",
    "gnnrec.metadata",
    "gnnrec.models",
    "gnnrec.nn",
    "gnnrec.nn.losses",
    "gnnrec.plots",
    "gnnrec.ratings",
    "gnnrec.registry",
    "gnnrec.reranking",
    "gnnrec.sparse",
    "gnnrec.splitting",
    "gnnrec.training",
    "gnnrec.user_features",
    "gnnrec.tuning",
    "gnnrec.typing",
)
NO_API = {
    "cli": "its reference is made from the commands",
    "service": "an application; its reference is the description that it serves",
}
WITHOUT_EXAMPLES = {
    "gnnrec.errors.DownloadError": "only a failing network raises it",
    "gnnrec.metadata.client.FetchError": "only a failing network raises it",
    "gnnrec.metadata.client.NotFoundError": "only a response of a service raises it",
    "gnnrec.metadata.client.ServiceUnavailableError": "only a failing network raises it",
    "gnnrec.metadata.client.RateLimitError": "only a response of a service raises it",
    "gnnrec.metadata.client.AuthenticationError": "only a response of a service raises it",
}
NOT_RUN = {
    "gnnrec.datasets._download.download": "it needs a network",
    "gnnrec.export.export_onnx": "it needs optional packages",
    "gnnrec.export.run_onnx": "it needs an optional package",
    "gnnrec.metadata.fetch.fetch_metadata": "it needs a network and an API key",
    "gnnrec.metadata.providers.Omdb": "it needs a network and an API key",
    "gnnrec.metadata.providers.Tmdb": "it needs a network and an API key",
    "gnnrec.training.callbacks.MLflowLogger": "it needs an optional package",
    "gnnrec.training.callbacks.TensorBoardLogger": "it needs an optional package",
    "gnnrec.training.callbacks.WandbLogger": "it needs an optional package",
}
OWN_FORMULAS = {
    "gnnrec.graph.transitions.transition_counts",
    "gnnrec.nn.init.init_from_transitions",
    "gnnrec.nn.content_ridge.ContentRidge",
    "gnnrec.nn.features.NodeEncoder",
    "gnnrec.nn.temporal.TemporalPooling",
    "gnnrec.ratings.head.RatingHead",
}
"""Formulas that are this library's own; all others name a publication."""


def public(module_name: str) -> Iterator[object]:
    """Yield the functions and classes of a module: those in ``__all__``, or else its own without an underscore."""
    module = importlib.import_module(module_name)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module_name]
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield value


# By the place of the definition: many names are exported by several modules.
NAMES = {f"{value.__module__}.{value.__name__}": value for module in MODULES for value in public(module)}  # type: ignore[attr-defined]
FUNCTIONS = [name for name, value in NAMES.items() if inspect.isfunction(value)]
CLASSES = [name for name, value in NAMES.items() if inspect.isclass(value)]


def sections(documented: object) -> dict[str, str]:
    """Return the numpydoc sections of a docstring by heading; the text before the first heading is under ''."""
    own = vars(documented).get("__doc__") if inspect.isclass(documented) else documented.__doc__
    parts = re.split(r"^([A-Z]\w+)\n-+\n", inspect.cleandoc(own or ""), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(documented: object) -> list[str]:
    """Return the names of the parameters, without private ones and ``**options``."""
    found = inspect.signature(documented).parameters.items()  # type: ignore[arg-type]
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [name for name, parameter in found if not re.match("_|self$|cls$", name) and parameter.kind not in several]


def explained(section: str) -> set[str]:
    """Return the names that a section explains; one entry may be for several."""
    heads = re.findall(r"^(\**\w[^\n]*?)(?: :|$)", section, re.MULTILINE)
    return {word.lstrip("*") for head in heads for word in re.split(r",\s*", head)}


def test_every_module_is_covered() -> None:
    """Every package is on the list, and every module beside the packages."""
    found = {module.name for module in pkgutil.iter_modules(gnnrec.__path__) if not module.name.startswith("_")}
    assert {f"gnnrec.{name}" for name in found - set(NO_API)} <= set(MODULES)
    assert len(NAMES) > 150
    assert not any(issubclass(NAMES[name], Enum) for name in CLASSES)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    shown = sections(NAMES[name]).get("Examples", "")
    lines = [line for line in shown.splitlines() if line.startswith(">>>")]
    if name in WITHOUT_EXAMPLES:
        assert not lines, "it has an example now: remove it from WITHOUT_EXAMPLES"
    else:
        assert lines, f"{name} has no Examples"
        skipped = all("+SKIP" in line for line in lines if not re.match(">>> (import|from) ", line))
        assert skipped == (name in NOT_RUN), "an example that is not run proves nothing; or remove it from NOT_RUN"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_explain_their_parameters(name: str) -> None:
    """In a section, all of them; a function of few parameters may do without one."""
    found, names = sections(NAMES[name]), parameters(NAMES[name])
    if "Parameters" in found:
        everything = inspect.signature(NAMES[name]).parameters  # type: ignore[arg-type]
        assert set(names) <= explained(found["Parameters"]) <= set(everything)
    else:
        assert re.search(r"[Pp]arameters are those of", found[""]) or len(names) <= 3, names


@pytest.mark.parametrize("name", CLASSES)
def test_classes_explain_their_parameters(name: str) -> None:
    """In a section; settings next to each of them."""
    documented = NAMES[name]
    assert inspect.isclass(documented)
    if issubclass(documented, Settings):
        assert all(field.description for field in documented.model_fields.values())
    elif "__init__" in vars(documented) and not getattr(documented, "_is_protocol", False):
        found = sections(documented)
        told = explained(found.get("Parameters", "")) | explained(found.get("Attributes", ""))
        assert set(parameters(documented)) <= told, set(parameters(documented)) - told


@pytest.mark.parametrize("name", CLASSES)
def test_methods_explain_their_parameters(name: str) -> None:
    """Those of more than three parameters, unless they point to another method."""
    for method, value in vars(NAMES[name]).items():
        function = getattr(value, "__func__", value)
        if method.startswith("_") or not inspect.isfunction(function) or len(parameters(function)) <= 3:
            continue
        found = sections(function)
        if not re.search(r"See `|see `|those of `|as in `", found[""]):
            assert set(parameters(function)) <= explained(found.get("Parameters", "")), method


def test_formulas_name_their_source() -> None:
    """A displayed formula comes from a publication, which is named with its year, or is listed as our own."""
    text = {name: inspect.getdoc(value) or "" for name, value in NAMES.items()}
    lacking = {name for name in text if ".. math::" in text[name] and not re.search(r"\b(19|20)\d\d\b", text[name])}
    assert lacking == OWN_FORMULAS
