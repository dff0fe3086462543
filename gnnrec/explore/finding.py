"""`Finding`: a fact about a dataset as a sentence, a table and a figure. Findings are registered in `findings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from gnnrec.plots.style import png_size, styled, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """A fact about a dataset as a sentence, a table and a figure. Notebooks show the figure.

    `analyze` calls registered functions of a `Dataset`, which raise `MissingColumnError` if the dataset lacks the data.
    They may take ``posters``, the folder given to `analyze`. To add one::

        @register_finding("titles", title="Title lengths")
        def titles(dataset):
            table = pd.DataFrame({"length": dataset.movies["title"].str.len()})

            def plot():
                figure = Figure()
                figure.subplots().hist(table["length"])
                return figure

            return Finding("...", "Histogram of title lengths.", table, plot)

    Attributes
    ----------
    text : str
        What the figure shows, with the main numbers.
    alt : str
        Description of the figure for readers who cannot see it.
    table : pandas.DataFrame
        The data of the figure.
    plot : callable
        Draws the matplotlib figure and returns it.
    numbers : dict
        The numbers of the sentence.
    name, title : str
        Set by `analyze` to those registered; the name is also that of the image file, such as ``"long-tail"``.

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
        """Return the matplotlib figure, to be changed or saved in another format."""
        with styled():
            figure = self.plot()
            figure.draw_without_rendering()  # so that later changes of matplotlib's settings have no effect
        return figure

    def png(self) -> bytes:
        """Return the figure as a PNG, 1040 pixels wide, on a white background."""
        with styled():
            return to_png(self.plot())

    def __repr__(self) -> str:
        return f"Finding({self.name!r}: {self.title})"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the figure as a PNG and its display size: half of its pixels, to be sharp on dense screens."""
        png = self.png()
        width, height = png_size(png)
        return png, {"width": width // 2, "height": height // 2}
