"""A map of a model's movies: similar movies lie close to each other, colored by genre."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gnnrec._io import write_atomic
from gnnrec.errors import ConfigError, DataError
from gnnrec.plots.style import ON_WHITE, styled, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    from gnnrec.graph import Graph
    from gnnrec.models.base import Recommender

METHODS = {"pca": 2, "umap": 5}
"""Methods of projection, and the minimum number of movies of each."""
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Colors of the most frequent genres, in order: P. Tol's "bright" scheme, which is safe for color blindness."""
OTHER = "#BBBBBB"
MIN_AREA, MAX_AREA = 8, 100
"""Smallest and largest area of a dot in square points: no ratings, and the most ratings."""
MAX_TITLE = 30
"""Maximum length of a title."""
CANDIDATES_PER_TITLE = 5
"""Movies tried for each title to be placed; less rated ones stay without a title even if there is room."""
CLIPPED = 0.01
"""Share of the movies, on each side of the map, that are clipped to its edge."""
CLEARANCE = 4
"""Pixels around a dot that are kept free of other titles."""
PLACEMENTS = (
    (5, 0, "left", "center"),
    (-5, 0, "right", "center"),
    (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
)
"""Positions of a title, in the order tried: offset from the dot in points, and alignment."""


def movie_coordinates(
    model: Recommender, method: str = "pca", *, num_movies: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Project the embeddings of a model's movies onto a plane, so that similar movies lie close to each other.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph` or any other model.
    method : str
        "pca": the first two principal components of the embeddings, scaled to unit length. "umap" preserves
        neighborhoods and distorts distances; it needs the package umap-learn, and takes minutes for thousands of
        movies.
    num_movies : int, optional
        Only the most rated movies (default: all).
    seed : int
        Random seed of "umap"; "pca" is deterministic.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, x, y``, in the order of the graph. With "pca", both columns have mean 0, `x` has the larger
        variance, and the largest loading of each component is positive.

    Raises
    ------
    ConfigError
        The method is unknown, or its package is not installed.
    DataError
        There are too few movies: "pca" needs 2, "umap" 5.

    Notes
    -----
    UMAP: L. McInnes et al., "UMAP: uniform manifold approximation and projection", JOSS 3(29), 2018.

    Examples
    --------
    >>> from gnnrec import load_dataset
    >>> from gnnrec.models import EASE
    >>> model = EASE().fit(load_dataset("sample", num_users=60, num_movies=40))
    >>> movie_coordinates(model, num_movies=3).columns.tolist()
    ['movie_id', 'title', 'x', 'y']
    """
    if method not in METHODS:
        raise ConfigError(f"unknown map method {method!r}; choose one of {', '.join(METHODS)}")
    movies = _most_rated(model.graph, num_movies)
    if len(movies) < METHODS[method]:
        raise DataError(f"a map by {method} needs at least {METHODS[method]} movies, not {len(movies)}")
    embeddings = model.similarity_embeddings().detach().cpu().double().numpy()[movies]  # [n, dim]
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    plane = _pca(embeddings) if method == "pca" else _umap(embeddings, seed)
    table = model.graph.dataset.movies[["movie_id", "title"]].iloc[movies].reset_index(drop=True)
    return table.assign(x=plane[:, 0], y=plane[:, 1])


def _rating_counts(graph: Graph) -> np.ndarray:
    """Return the number of ratings of each movie, ``[num_movies]``."""
    return np.bincount(graph.users.movie_index.cpu().numpy(), minlength=graph.num_movies)


def _most_rated(graph: Graph, num_movies: int | None) -> np.ndarray:
    """Return the nodes of the movies with the most ratings, in the order of the graph."""
    return np.sort(np.argsort(-_rating_counts(graph), kind="stable")[:num_movies])


def _pca(embeddings: np.ndarray) -> np.ndarray:
    """Return ``[n, 2]``; the second column is 0 for embeddings of dimension 1."""
    from sklearn.decomposition import PCA

    components = min(2, embeddings.shape[1])
    with np.errstate(invalid="ignore"):  # the variance ratio of equal embeddings is undefined
        plane = PCA(components, svd_solver="full").fit_transform(embeddings)
    return np.pad(plane, ((0, 0), (0, 2 - components)))


def _umap(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Return ``[n, 2]``."""
    try:
        from umap import UMAP
    except ImportError:
        problem = "the map method umap needs the package umap-learn; run pip install 'gnnrec[map]', or choose pca"
        raise ConfigError(problem) from None
    reducer = UMAP(n_neighbors=min(15, len(embeddings) - 1), metric="cosine", random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # UMAP warns about its numerics
        return np.asarray(reducer.fit_transform(embeddings), dtype=np.float64)


def movie_map(
    model: Recommender,
    path: str | Path,
    *,
    method: str = "pca",
    num_movies: int = 500,
    num_titles: int = 40,
    title: str | None = None,
) -> list[str]:
    """Draw a map of the most rated movies, as a PNG.

    Color stands for a movie's first genre, area for its number of ratings. Titles are placed from the most rated movie
    on, as long as there is room. Outliers are clipped to the edge of the map.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph` or any other model.
    path : str or Path
        The PNG file; missing parent folders are created.
    method : str
        "pca" or "umap", see `movie_coordinates`.
    num_movies : int
        Number of movies, most rated first. With all movies of a large catalog, "pca" mainly separates movies with few
        ratings from the others.
    num_titles : int
        Maximum number of titles.
    title : str, optional
        Heading (default: names the dataset).

    Returns
    -------
    list of str
        The titles in the picture, most rated first.

    Raises
    ------
    ConfigError
        The method is unknown, its package is not installed, or a number is negative.
    DataError
        There are too few movies.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import load_dataset
    >>> from gnnrec.models import EASE
    >>> model = EASE().fit(load_dataset("sample", num_users=60, num_movies=40))
    >>> path = Path(tempfile.mkdtemp()) / "map.png"
    >>> shown = movie_map(model, path, num_titles=3)
    >>> path.stat().st_size > 10_000, len(shown) <= 3
    (True, True)
    """
    for name, number in (("num_movies", num_movies), ("num_titles", num_titles)):
        if number < 0:
            raise ConfigError(f"{name} must not be negative, got {number}")
    graph = model.graph
    points = movie_coordinates(model, method, num_movies=num_movies)
    points = points.assign(x=_clip(points["x"]), y=_clip(points["y"]))
    movies = _most_rated(graph, num_movies)
    counts = _rating_counts(graph)[movies]  # [num_movies]
    heading = title or f"The {len(points):,} most rated movies of {graph.dataset.name}"
    with styled(ON_WHITE):
        figure, axes = _empty_map(heading)
        _draw_dots(axes, points, graph.dataset.movies["genres"].iloc[movies], counts)
        figure.draw_without_rendering()  # fixes the layout before titles are placed
        top = np.argsort(-counts, kind="stable")[: CANDIDATES_PER_TITLE * num_titles]
        shown = _place_titles(axes, points.iloc[top], num_titles)
        png = to_png(figure, dpi=100)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, png)
    return shown


def _clip(values: pd.Series) -> pd.Series:
    """Clip coordinates to just beyond the outer quantiles: a few outliers would squeeze all other movies together."""
    low, high = values.quantile([CLIPPED, 1 - CLIPPED])
    return values.clip(low - 0.1 * (high - low), high + 0.1 * (high - low))


def _short_title(title: str) -> str:
    """Return a title of at most `MAX_TITLE` characters, without its year if it is longer."""
    if len(title) <= MAX_TITLE:
        return title
    name = re.sub(r" \(\d{4}\)$", "", title)
    return name if len(name) <= MAX_TITLE else f"{name[: MAX_TITLE - 1].rstrip()}…"


def _empty_map(heading: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.6), dpi=100)
    FigureCanvasAgg(figure)  # needed to measure titles
    axes = figure.add_axes((0.02, 0.02, 0.78, 0.92))
    axes.set_title(heading, loc="left", parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.04)
    return figure, axes


def _draw_dots(axes: Axes, points: pd.DataFrame, genres: pd.Series, counts: np.ndarray) -> None:
    """Draw a dot for each movie, and a legend of the genres."""
    from matplotlib.lines import Line2D

    first = genres.fillna("").str.split("|").str[0].reset_index(drop=True)
    frequent = first[first != ""].value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    colors = dict(zip(frequent, COLORS, strict=False))
    areas = MIN_AREA + (MAX_AREA - MIN_AREA) * counts / max(1, counts.max())
    # In random order: drawn genre by genre, the last genre would cover the others.
    order = np.random.default_rng(0).permutation(len(points))
    mixed = points.iloc[order]
    mixed_colors = [colors.get(genre, OTHER) for genre in first.iloc[order]]
    axes.scatter(mixed["x"], mixed["y"], areas[order], c=mixed_colors, alpha=0.8, linewidths=0)
    legend = {f"{name} ({(first == name).sum():,})": color for name, color in colors.items()}
    if others := int((~first.isin(list(colors))).sum()):
        legend[f"others ({others:,})"] = OTHER
    dots = [Line2D([], [], marker="o", linestyle="", color=color) for color in legend.values()]
    drawn = axes.legend(dots, list(legend), title="first genre", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def _place_titles(axes: Axes, points: pd.DataFrame, num_titles: int) -> list[str]:
    """Write titles next to their dots, in the order of `points`, skipping those that would overlap another title."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    halo = withStroke(linewidth=2.5, foreground="white", alpha=0.85)
    inside = axes.get_window_extent()
    taken: list[Bbox] = []
    shown: list[str] = []
    for title, x, y in points[["title", "x", "y"]].itertuples(index=False):
        if len(shown) >= num_titles:
            break
        dot = axes.transData.transform((x, y))
        if any(box.contains(*dot) for box in taken):
            continue  # a title that covers another movie's dot would be read as that movie's
        for dx, dy, horizontal, vertical in PLACEMENTS:
            text = axes.annotate(
                _short_title(title), (x, y), (dx, dy), textcoords="offset points", ha=horizontal, va=vertical
            )
            text.set(fontsize=8, parse_math=False, path_effects=[halo])
            box = text.get_window_extent()
            within = inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
            if within and not any(map(box.overlaps, taken)):
                taken += [box, Bbox([dot - CLEARANCE, dot + CLEARANCE])]
                shown.append(title)
                break
            text.remove()
    return shown
