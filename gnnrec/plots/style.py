"""How pictures look: few colours that everybody can tell apart, readable on a telephone, and nothing for show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from gnnrec.analysis.words import percent, short

# From M. Okabe and K. Ito, "Color Universal Design", 2008.
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"
SHADES = LinearSegmentedColormap.from_list("shades", ["#F7FBFF", "#9ECAE1", BLUE, "#08306B"])

WIDTH = 5.2
"""Inches; at this width letters stay readable where a page is as narrow as a telephone."""
DPI = 200
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,  # a genre may have a $ in its name
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with these settings, whatever the caller's are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def canvas(height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of the usual width, `height` inches high, and its axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def columns(axes: Axes, labels: Sequence[str], shares: Sequence[float], colour: str = BLUE) -> None:
    """Draw upright bars with their values above them, which makes a scale needless."""
    places = range(len(labels))
    axes.bar(places, shares, width=0.8, color=colour)
    top = max(shares)
    for place, share in zip(places, shares, strict=True):
        if share > 0:
            axes.text(place, share + 0.015 * top, percent(share), ha="center", va="bottom", fontsize=8.5)
    axes.set_xticks(list(places), labels)
    axes.set_xlim(-0.6, max(len(labels), 3) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def rows(axes: Axes, labels: Sequence[Any]) -> np.ndarray:
    """Prepare a line for each label, the first at the top, and return their heights."""
    places = np.arange(len(labels))[::-1]
    axes.set_yticks(places, [short(label) for label in labels])
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return places


def in_percent(axis: Any) -> None:
    """Write the numbers of an axis as percents, none below 0."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%" if value >= 0 else "")


def thinned(names: Sequence[str], most: int) -> tuple[list[int], list[str]]:
    """Return places and names of at most so many labels, evenly spaced from the first."""
    step = -(-len(names) // most)
    places = list(range(0, len(names), step))
    return places, [names[place] for place in places]
