"""Style of the figures: colors, settings, bars and rows.

Matplotlib is slow to import, so it is imported only where something is drawn.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnrec.plots.formatting import percent, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# From M. Okabe and K. Ito, "Color Universal Design", 2008: distinguishable with any color vision.
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GRAY, PALE, FAINT = "#222222", "#767676", "#D9D9D9", "#EFEFEF"

WIDTH = 5.2
"""Inches; narrow enough for text to stay readable on a phone."""
DPI = 200
ON_WHITE: dict[Any, Any] = {"figure.facecolor": "white", "savefig.facecolor": "white"}
"""An opaque background, because dark text is unreadable on a dark page."""
STYLE: dict[Any, Any] = {
    **ON_WHITE,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,  # a genre may have a $ in its name
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "xtick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.color": GRAY,
    "ytick.labelcolor": INK,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


@contextlib.contextmanager
def styled(settings: dict[Any, Any] = STYLE) -> Iterator[None]:
    """Draw with these settings on top of matplotlib's defaults, regardless of the caller's settings."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def canvas(height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of the usual width, `height` inches high, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def to_png(figure: Figure, dpi: float = DPI) -> bytes:
    """Return a figure as a PNG, the same bytes each time."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": None})
    return data.getvalue()


def png_size(png: bytes) -> tuple[int, int]:
    """Return the width and height of a PNG in pixels, which are in its header."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def shades() -> Colormap:
    """Return the color map of heat maps, from nearly white to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ["#F7FBFF", "#9ECAE1", BLUE, "#08306B"])


def columns(axes: Axes, labels: Sequence[str], shares: Sequence[float], color: str = BLUE) -> None:
    """Draw vertical bars labeled with their shares, which makes a y axis unnecessary."""
    at = range(len(labels))
    axes.bar(at, shares, width=0.8, color=color)
    top = max(shares)
    for x, share in zip(at, shares, strict=True):
        if share > 0:
            axes.text(x, share + 0.015 * top, percent(share), ha="center", va="bottom", fontsize=8.5)
    axes.set_xticks(list(at), labels)
    axes.set_xlim(-0.6, max(len(labels), 3) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def rows(axes: Axes, labels: Sequence[Any]) -> np.ndarray:
    """Prepare one row per label, the first at the top, and return their y coordinates."""
    at = np.arange(len(labels))[::-1]
    axes.set_yticks(at, [shorten(label) for label in labels])
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.tick_params(axis="both", length=0)
    axes.grid(axis="x")
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return at


def in_percent(axis: Any) -> None:
    """Format the ticks of an axis as percentages, without negative ones."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%" if value >= 0 else "")


def thinned(labels: Sequence[str], most: int) -> tuple[list[int], list[str]]:
    """Return the positions and labels of at most `most` evenly spaced labels, starting with the first."""
    step = -(-len(labels) // most)
    at = list(range(0, len(labels), step))
    return at, [labels[x] for x in at]
