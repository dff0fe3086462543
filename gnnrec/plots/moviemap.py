"""A map of movies: dots by genre, the titles of the best known ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from gnnrec.errors import ConfigError
from gnnrec.files import write_whole
from gnnrec.plots.coordinates import movie_coordinates
from gnnrec.recommend import Recommender

COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Of genres, the most frequent first: P. Tol's "bright" scheme, which colour-blind people can tell apart, too."""
OTHER = "#BBBBBB"
SMALLEST, LARGEST = 8, 100
"""Area of a dot in square points: of a movie without ratings, and of the most rated one."""
LONGEST = 30
"""Letters of a title that are shown."""
TRIES = 5
"""So many movies are tried for each title that is wanted; behind these come movies that few people know."""
PLACES = ((5, 0, "left", "center"), (-5, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top"))
"""Where a title may stand: points to the right and up from its movie, and how it is aligned there."""


def movie_map(
    model: Recommender, path: str | Path, *, method: str = "pca", num_titles: int = 40, title: str | None = None
) -> list[str]:
    """Draw all movies of a model in the plane, alike ones near each other.

    A movie has the colour of its first genre; those with more ratings are larger, and the most rated have their titles
    beside them, as far as there is room.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    path : str or Path
        Where the PNG goes; its folder is made.
    method : str
        As for `movie_coordinates`, which gives the numbers.
    num_titles : int
        At most so many titles.
    title : str, optional
        Above the picture; by default the name of the dataset.

    Returns
    -------
    list of str
        The titles that are shown, the most rated first.

    Raises
    ------
    ConfigError
        There is no such method, its package is not installed, or `num_titles` is negative.
    DataError
        There are too few movies.

    Examples
    --------
    >>> movie_map(graph, "map.png")  # doctest: +SKIP
    """
    if num_titles < 0:
        raise ConfigError(f"num_titles must not be negative, but is {num_titles}")
    graph, points = model.graph, movie_coordinates(model, method)
    counts = torch.bincount(graph.users.movie, minlength=graph.num_movies).numpy()  # [num_movies]
    figure = Figure(figsize=(10, 7.5), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0.02, 0.02, 0.82, 0.92))
    axes.set(title=title or f"Movies of {graph.dataset.name}", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.04)
    _draw_dots(axes, points, graph.dataset.movies["genres"], counts)
    canvas.draw()
    most_rated = np.argsort(-counts, kind="stable")[: TRIES * num_titles]
    shown = _write_titles(axes, points.iloc[most_rated[counts[most_rated] > 0]], num_titles)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, data.getvalue())
    return shown


def _draw_dots(axes: Axes, points: pd.DataFrame, genres: pd.Series, counts: np.ndarray) -> None:
    """Draw a dot for each movie, those of frequent genres over the others, and say which colour is which."""
    first = genres.fillna("").str.split("|").str[0]
    frequent = first[first != ""].value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    colours = dict(zip(frequent, COLOURS, strict=False))
    sizes = SMALLEST + (LARGEST - SMALLEST) * counts / max(1, counts.max())
    groups = {name: (first == name).to_numpy() for name in colours}
    rest = ~first.isin(list(colours)).to_numpy()
    axes.scatter(points["x"][rest], points["y"][rest], sizes[rest], c=OTHER, alpha=0.6, linewidths=0)
    # In one call and in mixed order: drawn group by group, the last genre would hide the others.
    coloured = np.random.default_rng(0).permutation(np.flatnonzero(~rest))
    shades = first.iloc[coloured].map(colours).tolist()
    axes.scatter(
        points["x"].iloc[coloured], points["y"].iloc[coloured], sizes[coloured], c=shades, alpha=0.75, linewidths=0
    )
    legend = {f"{name} ({of.sum():,})": colours[name] for name, of in groups.items()}
    if rest.any():
        legend[f"others ({rest.sum():,})"] = OTHER
    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in legend.values()]
    axes.legend(dots, legend, title="first genre", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _write_titles(axes: Axes, points: pd.DataFrame, num_titles: int) -> list[str]:
    """Write titles beside their dots, the first ones first, each only where it covers no other and no other's dot."""
    canvas, inside = axes.figure.canvas, axes.get_window_extent()
    taken: list[Bbox] = []
    shown: list[str] = []
    for title, x, y in points[["title", "x", "y"]].itertuples(index=False):
        if len(shown) >= num_titles:
            break
        short = title if len(title) <= LONGEST else f"{title[: LONGEST - 1].rstrip()}…"
        spot = axes.transData.transform((x, y))
        dot = Bbox([spot - 3, spot + 3])
        for dx, dy, beside, level in PLACES:
            text = axes.annotate(
                short, (x, y), (dx, dy), textcoords="offset points", ha=beside, va=level, fontsize=8, parse_math=False,
                path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
            )  # fmt: skip
            box = text.get_window_extent(canvas.get_renderer())
            if (
                inside.fully_containsx(box.x0)
                and inside.fully_containsx(box.x1)
                and inside.fully_containsy(box.y0)
                and inside.fully_containsy(box.y1)
                and not any(map(box.overlaps, taken))
            ):
                taken += [box, dot]
                shown.append(title)
                break
            text.remove()
    return shown
