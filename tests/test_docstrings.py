"""Every public name says what its arguments are and shows itself at work; doctest runs what it shows."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator

import pytest

ROOMS = (
    "gnnrec",
    "gnnrec.analysis",
    "gnnrec.models",
    "gnnrec.models.registry",
    "gnnrec.benchmark",
    "gnnrec.data",
    "gnnrec.evaluation",
    "gnnrec.evaluation.metrics",
    "gnnrec.evaluation.metrics",
    "gnnrec.features",
    "gnnrec.graph",
    "gnnrec.nn",
    "gnnrec.nn.losses",
    "gnnrec.plots",
    "gnnrec.rating",
    "gnnrec.study",
)
WITHOUT_EXAMPLES = {
    "gnnrec.DownloadError": "only a network that fails raises it",
}
NOT_RUN = {
    "gnnrec.datasets.movielens": "it needs a network",
    "gnnrec.plots.moviemap.movie_map": "it draws what docs/make_map.py draws, which a test runs",
}

OURS = {
    "gnnrec.graph.transitions.transition_counts",
    "gnnrec.nn.content_ridge.ContentRidge",
    "gnnrec.nn.temporal.TemporalPooling",
    "gnnrec.nn.features.NodeEncoder",
    "gnnrec.rating.head.RatingHead",
}
"""Formulas of this library's own."""


def public(room: str) -> dict[str, object]:
    """Return the functions and classes of a room: what it names in ``__all__``, or else has itself and shows."""
    module = importlib.import_module(room)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == room]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    found = {f"{room}.{name}": getattr(module, name) for name in names}
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}


NAMES = {name: value for room in ROOMS for name, value in public(room).items()}


def sections(documented: object) -> dict[str, str]:
    """Return the numpydoc sections of a docstring by heading; what comes first is under ''."""
    parts = re.split(r"^([A-Z]\w+)\n-+\n", inspect.getdoc(documented) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(documented: object) -> Iterator[str]:
    """Yield the names of the arguments that are somebody's to give."""
    for name, parameter in inspect.signature(documented).parameters.items():  # type: ignore[arg-type]
        if name not in ("self", "cls") and parameter.kind is not parameter.VAR_KEYWORD:
            yield name


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    shown = sections(NAMES[name]).get("Examples", "")
    lines = [line for line in shown.splitlines() if line.startswith(">>>")]
    if name in WITHOUT_EXAMPLES:
        assert not lines, "it has an example now: take it off the list"
    else:
        assert lines, f"{name} has no Examples"
        skipped = all("+SKIP" in line for line in lines)
        assert skipped == (name in NOT_RUN), "an example that is not run shows nothing, or it is run now"


@pytest.mark.parametrize("name", [name for name, value in NAMES.items() if inspect.isfunction(value)])
def test_functions_explain_their_arguments(name: str) -> None:
    """Those with a section for them, all; a short one in its sentences."""
    told = sections(NAMES[name])
    for argument in parameters(NAMES[name]):
        if "Parameters" in told:
            heads = re.findall(r"^(\w[^\n]*?)(?: :|$)", told["Parameters"], re.MULTILINE)
            assert argument in {word for head in heads for word in re.split(r",\s*", head)}, argument
        else:
            assert "Parameters are those of" in told[""] or len(list(parameters(NAMES[name]))) <= 3, argument


def test_formulas_name_their_source() -> None:
    """A formula that stands by itself comes from somewhere, or is told here as our own."""
    text = {name: inspect.getdoc(value) or "" for name, value in NAMES.items()}
    lacking = {name for name in text if ".. math::" in text[name] and not re.search(r"\b(19|20)\d\d\b", text[name])}
    assert lacking == OURS
