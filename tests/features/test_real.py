"""Posters and plots of the real MovieLens-1M."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnrec.datasets import load_dataset
from gnnrec.features import encode_posters, find_plots, load_features


@pytest.mark.real_data("ml-1m/posters", "ml-1m/fullplot.csv")
def test_posters_and_plots(data_home: Path, tmp_path: Path) -> None:
    folder = data_home / "ml-1m"
    data = load_dataset(folder)
    plots = find_plots(data, folder / "fullplot.csv")
    assert len(plots.items) + len(plots.missing) == data.num_movies
    assert len(plots.items) > 3800
    few = data.movies["movie_id"].iloc[:200].tolist()
    vectors = encode_posters(few, folder / "posters", "color", out=tmp_path, progress=False)
    assert len(vectors) > 150
    np.testing.assert_allclose(np.linalg.norm(vectors.values, axis=1), 1, rtol=1e-5)
    again = load_features(tmp_path)["poster"]
    assert again.movie_ids.tolist() == vectors.movie_ids.tolist()
