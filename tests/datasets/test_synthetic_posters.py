"""Generated posters are reproducible, depend on their movie alone, and reflect it with some noise."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gnnrec.data import Dataset
from gnnrec.datasets import load_dataset, make_sample
from gnnrec.datasets.synthetic import GENRES, THEMES
from gnnrec.datasets.synthetic_posters import HEIGHT, SHAPES, WIDTH, draw_poster, sample_posters
from gnnrec.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return make_sample(20, 240)


@pytest.fixture(scope="module")
def folder(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_posters(sample, tmp_path_factory.mktemp("posters") / "new" / "folder")


@pytest.fixture(scope="module")
def pixels(sample: Dataset, folder: Path) -> np.ndarray:
    """Return ``[num_movies, HEIGHT, WIDTH, 3]``, in the order of the movies."""
    return np.stack([np.asarray(Image.open(folder / f"{movie}.jpg")) for movie in sample.movies["movie_id"]])


def subset(dataset: Dataset, movies: pd.DataFrame) -> Dataset:
    ratings = pd.DataFrame({"user_id": [1], "movie_id": movies["movie_id"].iloc[[0]].tolist()})
    return Dataset(ratings, movies, name=dataset.name)


def test_one_poster_per_movie(sample: Dataset, folder: Path, pixels: np.ndarray) -> None:
    assert {path.name for path in folder.iterdir()} == {f"{movie}.jpg" for movie in range(1, 241)}
    assert pixels.shape == (240, HEIGHT, WIDTH, 3)
    assert {Image.open(path).format for path in folder.iterdir()} == {"JPEG"}
    assert max(path.stat().st_size for path in folder.iterdir()) < 20_000
    assert pixels.reshape(240, -1).std(axis=1).min() > 10  # none is blank


def test_bytes_depend_on_the_movie_alone(sample: Dataset, folder: Path, tmp_path: Path) -> None:
    few = subset(sample, sample.movies.iloc[[30, 7]])
    saved = load_dataset(few.to_folder(tmp_path / "saved"))
    for dataset in (few, saved):
        again = sample_posters(dataset, tmp_path / "again")
        assert {path.name for path in again.iterdir()} == {"31.jpg", "8.jpg"}
        for path in again.iterdir():
            assert path.read_bytes() == (folder / path.name).read_bytes()
    other = sample_posters(few, tmp_path / "again", seed=1)
    assert all(path.read_bytes() != (folder / path.name).read_bytes() for path in other.iterdir())


def test_color_reflects_the_theme_with_noise(sample: Dataset, pixels: np.ndarray) -> None:
    color = pixels[:, : int(0.8 * HEIGHT)].mean(axis=(1, 2))
    color -= color.mean(axis=1, keepdims=True)
    color /= np.linalg.norm(color, axis=1, keepdims=True)
    like = color @ color.T
    np.fill_diagonal(like, -np.inf)
    theme = sample.movies["theme"].to_numpy()
    right = (theme[like.argmax(axis=1)] == theme).mean()
    chance = (theme[:, None] == theme).mean()
    assert 5 * chance < right < 0.9


def test_grain_and_saturation_reflect_the_era(sample: Dataset, pixels: np.ndarray) -> None:
    saturation = pixels.max(axis=3).astype(float) - pixels.min(axis=3)
    grain = np.abs(np.diff(pixels[:, int(0.9 * HEIGHT) :].mean(axis=3), axis=2)).mean(axis=(1, 2))
    year = sample.movies["year"].astype(float)
    assert year.corr(pd.Series(saturation[:, : HEIGHT // 2].mean(axis=(1, 2))), method="spearman") > 0.3
    assert year.corr(pd.Series(grain), method="spearman") < -0.8


def test_every_genre_has_a_distinct_shape() -> None:
    assert set(SHAPES) == set(GENRES)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    masks = np.stack([shape(x, y).ravel() for shape in SHAPES.values()]).astype(float)
    assert (masks.mean(axis=1) > 0.1).all()
    assert (masks.mean(axis=1) < 0.9).all()
    overlap = masks @ masks.T / np.maximum(masks.sum(axis=1)[:, None], masks.sum(axis=1))
    assert overlap[~np.eye(len(masks), dtype=bool)].max() < 0.8


def test_shapes_belong_to_the_genres() -> None:
    def ink(genres: list[str], seed: int) -> float:
        image = draw_poster("sea", genres, 2000, np.random.default_rng(seed)).astype(float)
        return float(np.abs(np.diff(image[: int(0.85 * HEIGHT)].mean(axis=2), axis=1)).mean())

    # Bars have many edges; a poster without genres has almost none.
    bars, nothing = (np.mean([ink(genres, seed) for seed in range(12)]) for genres in (["Crime"], []))
    assert bars > 1.3 * nothing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"theme": ["sea", "opera"]},
            "movies row 1: theme 'opera' does not occur in the dataset 'sample'; posters can be drawn only for",
        ),
        (
            {"genres": ["Drama", "Drama|Opera"]},
            "movies row 1: genres 'Drama|Opera' does not occur in the dataset 'sample'",
        ),
        ({"year": [None, 1990], "title": ["A", "B"]}, "movies row 0: year <NA> does not occur in the dataset 'sample'"),
        ({"movie_id": [3, -1]}, "movies row 1: movie_id -1 does not occur in the dataset 'sample'"),
        ({"movie_id": ["../3", "b"]}, "movies row 0: movie_id '../3' does not occur in the dataset 'sample'"),
    ],
)
def test_movies_of_other_datasets(sample: Dataset, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    movies = sample.movies.head(2).assign(**change)
    with pytest.raises(DataError) as caught:
        sample_posters(subset(sample, movies), tmp_path / "none")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "none").exists()


def test_movies_without_themes(tmp_path: Path) -> None:
    dataset = Dataset(pd.DataFrame({"user_id": [1], "movie_id": [2]}), name="mine")
    with pytest.raises(
        DataError,
        match=r"^the movies of 'mine' have no column theme; posters can be drawn only for the movies of make_",
    ):
        sample_posters(dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_arguments(sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="seed must not be negative, got -1"):
        sample_posters(sample, tmp_path, seed=-1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match="needs Pillow; install it with: pip install pillow"):
        sample_posters(sample, tmp_path)


def test_every_theme_can_be_drawn() -> None:
    hues = {draw_poster(theme, ["Drama"], 1999, np.random.default_rng(3)).tobytes() for theme in THEMES}
    assert len(hues) == len(THEMES)
