"""A map of movies: dots by genre, the titles of the best known ones."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from gnnrec._io import write_atomic
from gnnrec.errors import ConfigError
from gnnrec.models.base import Recommender
from gnnrec.plots.coordinates import most_rated, movie_coordinates, ratings_of

COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Of genres, the most frequent first: P. Tol's "bright" scheme, which colour-blind people can tell apart, too."""
OTHER = "#BBBBBB"
SMALLEST, LARGEST = 8, 100
"""Area of a dot in square points: of a movie without ratings, and of the most rated one."""
LONGEST = 30
"""Letters of a title that are shown."""
TRIES = 5
"""So many movies are tried for each title that is wanted; behind these come movies that few people know."""
HALO = withStroke(linewidth=2.5, foreground="white", alpha=0.85)
OUTERMOST = 0.01
"""Share of the movies, on each side, that do not stretch the map."""
HALF = 4
"""Pixels around a movie that other titles leave free."""
PLACES = ((5, 0, "left", "center"), (-5, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top"))
"""Where a title may stand: points to the right and up from its movie, and how it is aligned there."""


def movie_map(
    model: Recommender,
    path: str | Path,
    *,
    method: str = "pca",
    num_movies: int = 500,
    num_titles: int = 40,
    title: str | None = None,
) -> list[str]:
    """Draw the best known movies of a model in the plane, alike ones near each other.

    A movie has the colour of its first genre; those with more ratings are larger, and the most rated have their titles
    beside them, as far as there is room. The few that lie far from all others are drawn at the edge.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    path : str or Path
        Where the PNG goes; its folder is made.
    method : str
        As for `movie_coordinates`, which gives the numbers.
    num_movies : int
        So many of the most rated movies are drawn. With all of a large catalogue, "pca" mostly shows which movies
        nobody knows.
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
        There is no such method, its package is not installed, or a number is negative.
    DataError
        There are too few movies.

    Examples
    --------
    >>> movie_map(graph, "map.png")  # doctest: +SKIP
    """
    if num_titles < 0 or num_movies < 0:
        raise ConfigError(f"a map can have no {num_titles if num_titles < 0 else num_movies} titles or movies")
    graph = model.graph
    points = movie_coordinates(model, method, num_movies=num_movies)
    points = points.assign(x=_within(points["x"]), y=_within(points["y"]))
    nodes = most_rated(graph, num_movies).sort().values.numpy()
    counts = ratings_of(graph).numpy()[nodes]  # [num_movies]
    figure = Figure(figsize=(9, 6.6), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0.02, 0.02, 0.78, 0.92))
    heading = title or f"The {len(points):,} most rated movies of {graph.dataset.name}"
    axes.set_title(heading, loc="left", parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.04)
    _draw_dots(axes, points, graph.dataset.movies["genres"].iloc[nodes], counts)
    canvas.draw()
    best_known = np.argsort(-counts, kind="stable")[: TRIES * num_titles]
    shown = _write_titles(axes, points.iloc[best_known], num_titles)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, data.getvalue())
    return shown


def _within(values: pd.Series) -> pd.Series:
    """Return coordinates of which the outermost, which would squeeze all others, are moved to an edge."""
    low, high = values.quantile([OUTERMOST, 1 - OUTERMOST])
    return values.clip(low - 0.1 * (high - low), high + 0.1 * (high - low))


def _short(title: str) -> str:
    """Return a title that is not too long; of one that is the year goes first."""
    if len(title) <= LONGEST:
        return title
    name = re.sub(r" \(\d{4}\)$", "", title)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1].rstrip()}…"


def _draw_dots(axes: Axes, points: pd.DataFrame, genres: pd.Series, counts: np.ndarray) -> None:
    """Draw a dot for each movie, and say which colour is which."""
    first = genres.fillna("").str.split("|").str[0].reset_index(drop=True)
    frequent = first[first != ""].value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    colours = dict(zip(frequent, COLOURS, strict=False))
    sizes = SMALLEST + (LARGEST - SMALLEST) * counts / max(1, counts.max())
    # In mixed order: drawn genre by genre, the last one would hide the others.
    order = np.random.default_rng(0).permutation(len(points))
    mixed = points.iloc[order]
    shades = [colours.get(genre, OTHER) for genre in first.iloc[order]]
    axes.scatter(mixed["x"], mixed["y"], sizes[order], c=shades, alpha=0.8, linewidths=0)
    legend = {f"{name} ({(first == name).sum():,})": colour for name, colour in colours.items()}
    if others := int((~first.isin(list(colours))).sum()):
        legend[f"others ({others:,})"] = OTHER
    dots = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in legend.values()]
    drawn = axes.legend(dots, list(legend), title="first genre", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def _write_titles(axes: Axes, points: pd.DataFrame, num_titles: int) -> list[str]:
    """Write titles beside their dots, those of the first movies first, each where it covers no other."""
    inside = axes.get_window_extent()
    taken: list[Bbox] = []
    shown: list[str] = []
    for title, x, y in points[["title", "x", "y"]].itertuples(index=False):
        if len(shown) >= num_titles:
            break
        spot = axes.transData.transform((x, y))
        if any(box.contains(*spot) for box in taken):
            continue  # its dot lies under a title, which would seem to be its own
        for dx, dy, beside, level in PLACES:
            text = axes.annotate(_short(title), (x, y), (dx, dy), textcoords="offset points", ha=beside, va=level)
            text.set(fontsize=8, parse_math=False, path_effects=[HALO])
            box = text.get_window_extent()
            if (
                inside.contains(box.x0, box.y0)
                and inside.contains(box.x1, box.y1)
                and not any(map(box.overlaps, taken))
            ):
                taken += [box, Bbox([spot - HALF, spot + HALF])]
                shown.append(title)
                break
            text.remove()
    return shown
