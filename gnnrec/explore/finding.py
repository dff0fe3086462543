"""`Finding`: a fact about a dataset as a sentence, a table and a picture; and the registry of all findings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ParamSpec

import pandas as pd

from gnnrec.plots.style import png_size, styled, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """A fact about a dataset as a sentence, a table and a picture. Notebooks show the picture.

    Attributes
    ----------
    text : str
        What the picture shows, with the numbers that matter.
    alt : str
        Description of the picture for readers who cannot see it.
    table : pandas.DataFrame
        The data of the picture.
    plot : callable
        Draws the picture and returns it as a matplotlib figure.
    numbers : dict
        The numbers of the sentence.
    name, title : str
        Set by the decorator `register_finding`; the name is also that of the image file, such as ``"long-tail"``.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.explore import analyze
    >>> tail = analyze(make_sample(100, 80))["long-tail"]
    >>> tail
    Finding('long-tail': Long tail)
    >>> print(tail.text)
    The most rated 10% of movies hold 17% of all ratings; the most active 10% of users gave 13%.
    """

    text: str
    alt: str
    table: pd.DataFrame
    plot: Callable[[], Figure]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    title: str = ""

    def figure(self) -> Figure:
        """Return the picture as a matplotlib figure, to be changed or saved in another format."""
        with styled():
            figure = self.plot()
            figure.draw_without_rendering()  # so that settings in force later do not change it
        return figure

    def png(self) -> bytes:
        """Return the picture as a PNG, 1040 pixels wide, on a white background."""
        with styled():
            return to_png(self.plot())

    def __repr__(self) -> str:
        return f"Finding({self.name!r}: {self.title})"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture and its display size: half of its pixels, to be sharp on dense screens."""
        png = self.png()
        width, height = png_size(png)
        return png, {"width": width // 2, "height": height // 2}


FINDINGS: dict[str, Callable[..., Finding]] = {}
"""All findings by name, in the order of the report. Each takes a `Dataset`; ``missing`` also takes ``posters``."""


def register_finding(name: str, title: str) -> Callable[[Callable[P, Finding]], Callable[P, Finding]]:
    """Register a function of a `Dataset` that returns a `Finding`, so that `analyze` reports it.

    Parameters
    ----------
    name : str
        Key in the analysis and name of the image file.
    title : str
        Heading in the report.

    Examples
    --------
    >>> from gnnrec.plots.style import canvas
    >>> @register_finding("titles", "Titles")
    ... def titles(dataset):
    ...     table = dataset.movies["title"].str.len().value_counts().rename_axis("length").reset_index(name="movies")
    ...     def plot():
    ...         figure, axes = canvas(3)
    ...         axes.bar(table["length"], table["movies"])
    ...         return figure
    ...     return Finding(f"Longest title: {table['length'].max()} characters.", "Bars: title lengths.", table, plot)
    >>> from gnnrec.datasets import make_sample
    >>> titles(make_sample(100, 80))
    Finding('titles': Titles)
    >>> del FINDINGS["titles"]
    """

    def register(section: Callable[P, Finding]) -> Callable[P, Finding]:
        @functools.wraps(section)
        def named(*args: P.args, **kwargs: P.kwargs) -> Finding:
            return replace(section(*args, **kwargs), name=name, title=title)

        FINDINGS[name] = named
        return named

    return register
