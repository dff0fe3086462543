"""What `Dataset.to_folder` writes is read back: tables, rating scale and the story of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import load_dataset
from gnnrec.errors import DataError


def test_scale_and_provenance(tmp_path: Path) -> None:
    path = tmp_path / "seen.csv"
    path.write_text("who;film;Stars;note\nann;heat;4,5;x\nann;alien;3,5;y\nbob;heat;2;z\nbob;brazil;-1;\n")
    first = load_dataset(path, columns={"who": "user_id"}, rating_scale=(-1, 10))
    again = load_dataset(first.to_folder(tmp_path / "kept"))
    assert again.rating_scale == first.rating_scale == (-1, 10)
    assert again.provenance == first.provenance
    assert "columns not used: 'note' of ratings" in str(again.provenance)
    assert again.ratings.values.tolist() == first.ratings.values.tolist()
    third = load_dataset(again.to_folder(tmp_path / "kept"))
    assert (third.rating_scale, third.provenance) == ((-1, 10), first.provenance)


def test_weights_are_not_taken_for_counts_again(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "weight": [1.0, 300.0, 2.0]})
    again = load_dataset(Dataset(rows).to_folder(tmp_path))
    assert again.ratings["weight"].tolist() == [1, 300, 2]
    (tmp_path / "plays.csv").write_text("user,artist,plays\n1,7,3\n1,8,900\n")
    first = load_dataset(tmp_path / "plays.csv")
    again = load_dataset(first.to_folder(tmp_path / "kept"))
    np.testing.assert_allclose(again.ratings["weight"], np.log1p([3, 900]), rtol=1e-6)
    assert "weight is log(1 + count)" in again.provenance.assumed


def test_ratings_that_look_like_marks_or_counts(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "rating": [-1.0, 1500.0, 2.0]})
    again = load_dataset(Dataset(rows).to_folder(tmp_path))
    assert again.ratings["rating"].tolist() == [-1, 1500, 2]


def test_the_file_may_be_missing_or_damaged(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "rating": [1.0, 5.0, 2.0]})
    folder = Dataset(rows).to_folder(tmp_path)
    (folder / "gnnrec.json").write_text('{"rating_scale": [1]}')
    with pytest.raises(DataError, match=r"gnnrec\.json: it was not written by Dataset\.to_folder"):
        load_dataset(folder)
    (folder / "gnnrec.json").unlink()
    assert load_dataset(folder).rating_scale == (1, 5)


def test_options_read_the_folder_as_any_other(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "rating": [1.0, 5.0, 2.0]})
    folder = Dataset(rows).to_folder(tmp_path)
    assert load_dataset(folder, rating_scale=(0, 10)).rating_scale == (0, 10)
