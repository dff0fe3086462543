"""Posters for the movies of the dataset "sample", which reflect theme, genres and era with some noise.

The theme sets the hue, each genre a shape, the era saturation and grain. Some posters have the hue of another theme or
an additional shape of another genre, so that images are informative but not sufficient.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gnnrec._io import write_atomic
from gnnrec.data import Dataset
from gnnrec.data.convert import format_id
from gnnrec.datasets.synthetic import THEMES
from gnnrec.errors import ConfigError, DataError

WIDTH, HEIGHT = 96, 144
OTHER_HUE_CHANCE, OTHER_SHAPE_CHANCE = 0.12, 0.2

Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]

# The part of its square that a shape covers; x and y are within [-1, 1] and y points down.
SHAPES: Mapping[str, Mask] = {
    "Action": lambda x, y: np.abs(y) < (x + 1) / 2,  # wedge
    "Adventure": lambda x, y: y > 2 * np.abs(x) - 1,  # mountain
    "Animation": lambda x, y: x**2 + y**2 < 1,  # disc
    "Comedy": lambda x, y: (np.abs(x**2 + y**2 - 0.7) < 0.3) & (y > 0),  # smile
    "Crime": lambda x, y: np.sin(9 * x) > 0,  # bars
    "Documentary": lambda x, y: np.maximum(np.abs(x), np.abs(y)) > 0.7,  # frame
    "Drama": lambda x, y: np.abs(x**2 + y**2 - 0.75) < 0.25,  # ring
    "Horror": lambda x, y: y > 1 - 2 * np.abs((1.5 * x) % 1 - 0.5) * 1.8,  # teeth
    "Musical": lambda x, y: np.abs((y * 2 + 0.6 * np.sin(5 * x)) % 1 - 0.5) < 0.2,  # waves
    "Romance": lambda x, y: (1.3 * x) ** 2 + (-1.2 * y - 0.6 * np.abs(1.3 * x) ** 0.6 + 0.2) ** 2 < 0.8,  # heart
    "Sci-Fi": lambda x, y: np.abs(x * y) < 0.06,  # star
    "Thriller": lambda x, y: (1.5 * (x + y)) % 1 < 0.5,  # stripes
}


def sample_posters(dataset: Dataset, folder: str | Path, seed: int = 0) -> Path:
    """Draw a poster for every movie of the dataset "sample".

    Parameters
    ----------
    dataset : Dataset
        Returned by `make_sample`, or a subset of its movies.
    folder : str or Path
        Output folder, created if missing. Files are named ``<movie_id>.jpg``, are 96 pixels wide and 144 high, and
        replace existing ones.
    seed : int
        Random seed, not negative. The pixels of a poster depend on the seed and on the id, theme, genres and year of
        its movie alone; the bytes of its file also on the version of Pillow.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        The movies do not come from `make_sample`.
    ConfigError
        Pillow is not installed, or `seed` is negative.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from gnnrec.datasets import make_sample
    >>> with TemporaryDirectory() as folder:
    ...     len(list(sample_posters(make_sample(10, 20), folder).glob("*.jpg")))
    20
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("drawing posters needs Pillow; install it with: pip install pillow") from error
    if seed < 0:
        raise ConfigError(f"seed must not be negative, got {seed}")
    _check_movies(dataset)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    movies = dataset.movies
    columns = zip(movies["movie_id"], movies["theme"], movies["genres"].str.split("|"), movies["year"], strict=True)
    for movie_id, theme, genres, year in columns:
        pixels = draw_poster(theme, genres, int(year), np.random.default_rng([seed, movie_id]))
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=85)
        write_atomic(target / f"{movie_id}.jpg", data.getvalue())
    return target


def draw_poster(theme: str, genres: list[str], year: int, rng: np.random.Generator) -> np.ndarray:
    """Return the pixels of a poster, ``[HEIGHT, WIDTH, 3]`` uint8."""
    age = np.clip((2000 - year) / 60, 0, 1)
    hue = THEMES.index(theme) / len(THEMES) + 0.02 * rng.standard_normal()
    if rng.random() < OTHER_HUE_CHANCE:
        hue = rng.random()
    saturation = 0.85 - 0.6 * age + 0.08 * rng.standard_normal()
    bright, dark = rng.uniform(0.45, 0.9), rng.uniform(0.15, 0.4)
    sky, ground = _color(hue, saturation, bright), _color(hue + 0.03, saturation, dark)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fade = (y / HEIGHT)[:, :, None]
    image = (1 - fade) * sky + fade * ground  # [HEIGHT, WIDTH, 3], 0 to 1
    shapes = [*genres] if rng.random() >= OTHER_SHAPE_CHANCE else [*genres, list(SHAPES)[rng.integers(len(SHAPES))]]
    for genre in shapes:
        ink = _color(hue + rng.choice([0, 0.5]), 0.5 * saturation, rng.choice([0.1, 1.0]))
        for _ in range(rng.integers(1, 3)):
            half = rng.uniform(0.2, 0.4) * WIDTH
            local_x = (x - rng.uniform(0.2, 0.8) * WIDTH) / half
            local_y = (y - rng.uniform(0.15, 0.7) * HEIGHT) / half
            inside = (np.maximum(np.abs(local_x), np.abs(local_y)) <= 1) & SHAPES[genre](local_x, local_y)
            image[inside] = 0.2 * image[inside] + 0.8 * ink
    image[y > 0.87 * HEIGHT] *= 0.3  # the title area
    image += (0.02 + 0.06 * age) * rng.standard_normal((HEIGHT, WIDTH, 1))
    pixels: np.ndarray = (255 * image.clip(0, 1)).round().astype(np.uint8)
    return pixels


def _color(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), value))


def _check_movies(dataset: Dataset) -> None:
    """Raise a `DataError` for movies that `make_sample` cannot have generated."""
    movies = dataset.movies
    remedy = "; posters can be drawn only for the movies of make_sample"
    if "theme" not in movies:
        raise DataError(f"the movies of {dataset.name!r} have no column theme{remedy}")
    ids = movies["movie_id"]
    invalid = {
        "movie_id": ids < 0 if ids.dtype == "int64" else ids.notna(),
        "theme": ~movies["theme"].isin(THEMES),
        "genres": ~movies["genres"].map(lambda text: set(text.split("|")) <= set(SHAPES)),
        "year": movies["year"].isna(),
    }
    for column, rows in invalid.items():
        if rows.any():
            row = int(np.argmax(rows))
            value = format_id(movies[column].iloc[row])
            raise DataError(f"{column} {value} does not occur in the dataset 'sample'{remedy}", at=("movies", row))
