"""`Finding`: one thing to know about a dataset, as a sentence, a table and a picture."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """One thing to know about a dataset. In a notebook it shows its picture.

    Attributes
    ----------
    name : str
        Of its file, such as ``"long-tail"``.
    title : str
    text : str
        What is to be seen, with the numbers that matter.
    alt : str
        The picture in words, for those who do not see it.
    table : pandas.DataFrame
        All that the picture shows.
    numbers : dict
        What the sentences say, as numbers.

    Examples
    --------
    >>> from gnnrec.analysis import analyze
    >>> from gnnrec.datasets import make_sample
    >>> tail = analyze(make_sample(100, 80))["long-tail"]
    >>> tail
    Finding('long-tail': The long tail)
    >>> print(tail.text)
    The most rated tenth of the movies has 17% of the ratings, the most active tenth of the people gave 13%.
    """

    name: str
    title: str
    text: str
    alt: str
    table: pd.DataFrame
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def figure(self) -> Figure:
        """Return the picture as a matplotlib figure, to change it or to save it elsewhere."""
        from gnnrec.analysis.draw import figure_of

        return figure_of(self)

    def png(self) -> bytes:
        """Return the picture as a PNG, 1040 pixels wide."""
        from gnnrec.analysis.draw import png_of

        return png_of(self)

    def __repr__(self) -> str:
        return f"Finding({self.name!r}: {self.title})"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture and the size to show it at: at half of it, it is sharp on any screen."""
        png = self.png()
        width, height = size_of(png)
        return png, {"width": width // 2, "height": height // 2}


def row_with_most(table: pd.DataFrame, column: str) -> Any:
    """Return the first row that has the largest value in a column; missing values do not count."""
    return table.iloc[int(np.nanargmax(table[column].to_numpy("float64", na_value=np.nan)))]


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height in pixels, which stand at the start of every PNG."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
