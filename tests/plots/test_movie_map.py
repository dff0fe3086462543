"""The map of movies: coordinates by value, pictures by their contents."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from gnnrec import ConfigError, DataError, Dataset, Graph, Recommender
from gnnrec.datasets import make_sample
from gnnrec.graph import UserBatch
from gnnrec.plots import movie_coordinates, movie_map
from gnnrec.plots.movie_map import _short_title


@dataclass(frozen=True, eq=False)
class Placed(Recommender):
    """A model with given embeddings."""

    graph: Graph
    vectors: torch.Tensor
    name: str = "placed"

    def score(self, users: UserBatch) -> torch.Tensor:
        return torch.zeros(users.num_users, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Self:
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> torch.Tensor:
        return self.vectors

    def state(self) -> dict[str, torch.Tensor]:
        return {"vectors": self.vectors}

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {}


def placed(vectors: torch.Tensor, titles: list[str] | None = None, genres: list[str] | None = None) -> Placed:
    """Return a model in which movie 1 has the fewest ratings, one, and the last the most."""
    ids = list(range(1, len(vectors) + 1))
    pairs = [(user, movie) for movie in ids for user in range(movie)]
    movies = pd.DataFrame({"movie_id": ids, "title": titles or [f"M{i}" for i in ids], "genres": genres or "Drama"})
    return Placed(Graph.from_dataset(Dataset(pd.DataFrame(pairs, columns=["user_id", "movie_id"]), movies)), vectors)


def grid(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


def test_coordinates_worked_out_by_hand() -> None:
    # Of length 1 they are (0.6, 0.8), (0.6, -0.8), (1, 0), (1, 0); their mean is (0.8, 0).
    vectors = torch.tensor([[3.0, 4.0], [6.0, -8.0], [1.0, 0.0], [5.0, 0.0]])
    found = movie_coordinates(placed(vectors, ["a", "b", "c", "d"]))
    assert found.columns.tolist() == ["movie_id", "title", "x", "y"]
    assert found["movie_id"].tolist() == [1, 2, 3, 4] and found["title"].tolist() == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found["x"], [0.8, -0.8, 0, 0], atol=1e-6)  # up and down differ most
    np.testing.assert_allclose(found["y"], [-0.2, -0.2, 0.2, 0.2], atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(3, 12), seed=st.integers(0, 99), flips=st.lists(st.booleans(), min_size=6, max_size=6))
def test_properties_of_the_plane(n: int, seed: int, flips: list[bool]) -> None:
    vectors = grid(n, seed)
    model = placed(vectors)
    found = movie_coordinates(model)[["x", "y"]].to_numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    spreads = torch.linalg.eigvalsh(torch.cov(unit.T)).flip(0)[:2].numpy()
    np.testing.assert_allclose(np.cov(found.T), np.diag(spreads), atol=1e-9)  # the most that two axes can show
    # Lengths do not count, and an axis that is turned round turns the map round at most.
    longer = movie_coordinates(replace(model, vectors=vectors * torch.arange(1, n + 1)[:, None]))[["x", "y"]].to_numpy()
    np.testing.assert_allclose(longer, found, atol=1e-5)
    turned = movie_coordinates(
        replace(model, vectors=vectors * torch.tensor([-1.0 if flip else 1.0 for flip in flips]))
    )
    np.testing.assert_allclose(turned[["x", "y"]].abs(), np.abs(found), atol=1e-6)


def test_only_the_most_rated() -> None:
    model = placed(grid(8))
    found = movie_coordinates(model, num_movies=3)
    assert found["movie_id"].tolist() == [6, 7, 8]
    alone = placed(model.vectors[5:])
    np.testing.assert_allclose(found[["x", "y"]], movie_coordinates(alone)[["x", "y"]], atol=1e-9)


def test_embeddings_of_dimension_one_lie_on_a_line() -> None:
    found = movie_coordinates(placed(torch.tensor([[2.0], [-1.0], [5.0], [-7.0]])))
    np.testing.assert_allclose(found["x"], [1, -1, 1, -1])
    assert (found["y"] == 0).all()


def test_equal_embeddings_share_one_place() -> None:
    found = movie_coordinates(placed(torch.ones(3, 4)))
    np.testing.assert_allclose(found[["x", "y"]], 0, atol=1e-12)


def test_invalid_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = placed(grid(4))
    with pytest.raises(ConfigError, match="unknown map method 'tsne'; choose one of pca, umap"):
        movie_coordinates(model, "tsne")
    with pytest.raises(DataError, match="pca needs at least 2 movies, not 1"):
        movie_map(model, tmp_path / "map.png", num_movies=1)
    with pytest.raises(DataError, match="umap needs at least 5 movies, not 4"):
        movie_coordinates(model, "umap")
    with pytest.raises(ConfigError, match="num_titles must not be negative, got -1"):
        movie_map(model, tmp_path / "map.png", num_titles=-1)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"pip install 'gnnrec\[map\]'"):
        movie_map(placed(grid(6)), tmp_path / "map.png", method="umap")
    assert not list(tmp_path.iterdir())


def test_umap_receives_unit_vectors_and_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package compiles for minutes on first use, so a stub takes its place."""
    options_seen: dict[str, object] = {}

    class UMAP:
        def __init__(self, **options: object) -> None:
            options_seen.update(options)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return np.asarray(vectors[:, :2] * 10, dtype=np.float32)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    model = placed(grid(8))
    found = movie_coordinates(model, "umap", num_movies=6, seed=3)
    unit = torch.nn.functional.normalize(model.vectors, dim=1)[2:, :2].numpy()
    np.testing.assert_allclose(found[["x", "y"]], 10 * unit, rtol=1e-5)
    assert found["movie_id"].tolist() == [3, 4, 5, 6, 7, 8]
    assert options_seen == {"n_neighbors": 5, "metric": "cosine", "random_state": 3, "n_jobs": 1}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that a test draws."""
    kept: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            kept.append(self)

    monkeypatch.setattr("matplotlib.figure.Figure", Kept)
    return kept


def test_titles_do_not_cover_each_other(tmp_path: Path, drawn: list[Figure]) -> None:
    titles = [f"A movie with a $tory_{i}$ of its own" for i in range(60)]
    genres = [("Drama|Crime", "Comedy", "Western", "")[i % 4] for i in range(60)]
    model = placed(grid(60), titles, genres)
    shown = movie_map(model, tmp_path / "new" / "map.png", num_titles=12)
    assert shown[0] == titles[-1] and len(shown) == len(set(shown)) == 12
    assert [titles.index(title) for title in shown] == sorted(map(titles.index, shown), reverse=True)
    (figure,) = drawn
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 12
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(text.get_text() == f"{title[:29].rstrip()}…" for text, title in zip(axes.texts, shown, strict=True))
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["Drama (15)", "Comedy (15)", "Western (15)", "others (15)"]
    with Image.open(tmp_path / "new" / "map.png") as picture:
        assert picture.size == (900, 660)
        assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 100


def test_outliers_do_not_squeeze_the_others(tmp_path: Path, drawn: list[Figure]) -> None:
    around = torch.tensor([[100.0, 0.0]]) + torch.stack([torch.linspace(-1, 1, 400), torch.linspace(1, -1, 400)], dim=1)
    movie_map(placed(torch.cat([torch.tensor([[-1.0, 0.0]]), around])), tmp_path / "map.png", num_titles=0)
    places = np.asarray(drawn[0].axes[0].collections[0].get_offsets())
    assert len(places) == 401
    assert np.ptp(places[:, 0]) < 0.05  # the vectors of the one and the others are 2 apart


def test_long_titles() -> None:
    assert _short_title("Heat (1995)") == "Heat (1995)"
    assert _short_title("Raiders of the Lost Ark, The (1981)") == "Raiders of the Lost Ark, The"
    assert _short_title("Star Wars: Episode IV - A New Hope (1977)") == "Star Wars: Episode IV - A New…"


def test_the_script_of_the_docs_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(__file__).resolve().parents[2] / "docs"
    place = next(path for path in home.rglob("make_map.py") if "_build" not in path.parts)
    spec = importlib.util.spec_from_file_location("make_map", place)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script.gnnrec, "load_dataset", lambda name: make_sample(100, 80))
    shown = script.main(tmp_path / "map.png")
    assert 10 <= len(shown) <= 30
    with Image.open(tmp_path / "map.png") as picture, Image.open(script.PICTURE) as kept:
        assert picture.size == kept.size
    assert script.PICTURE.stat().st_size < 150_000
