"""`RatingModel` on disk: round trip, damaged and mismatched folders, prediction from a saved run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import gnnrec
from gnnrec import Config, Dataset, RatingConfig, RatingModel, fit_rating_model, load_rating_model, predict_ratings
from gnnrec.errors import DataError
from gnnrec.ratings.model import has_rating_head

TINY = Config().override(["model.embedding_dim=8", "train.epochs=1"])
RATING_CONFIG = RatingConfig(embedding_dim=4, num_samples=4, burn_in=4)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return gnnrec.load_dataset("sample", num_users=120, num_movies=60)


@pytest.fixture(scope="module")
def model(dataset: Dataset) -> RatingModel:
    return fit_rating_model(dataset, TINY, RATING_CONFIG, progress=False)


def test_round_trip(model: RatingModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    loaded = load_rating_model(folder)
    assert (loaded.rating_config, loaded.report) == (model.rating_config, model.report)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(predict_ratings(loaded, [1, {2: 5}]), predict_ratings(model, [1, {2: 5}]))
    assert gnnrec.recommend(gnnrec.load(folder), 1).equals(gnnrec.recommend(model.recommender, 1))


def test_round_trip_of_a_larger_graph(model: RatingModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    rows = pd.DataFrame({"user_id": [777], "movie_id": [1], "rating": [2.0]})
    larger = model.add_movies(pd.DataFrame({"movie_id": [901]})).add_ratings(rows)
    larger.save(folder)
    pd.testing.assert_frame_equal(predict_ratings(load_rating_model(folder), 777), predict_ratings(larger, 777))


def test_run_without_a_rating_head(model: RatingModel, tmp_path: Path) -> None:
    folder = model.recommender.save(tmp_path / "run")
    assert not has_rating_head(folder)
    with pytest.raises(DataError, match="has no rating head; fit one with fit_rating_model"):
        load_rating_model(folder)
    with pytest.raises(DataError, match="not a saved run"):
        load_rating_model(tmp_path)


def test_rating_head_of_another_run(model: RatingModel, dataset: Dataset, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    header = (folder / "rating.json").read_text(encoding="utf-8")
    gnnrec.fit(dataset, config=TINY.override(["train.seed=5"]), progress=False).save(folder)
    (folder / "rating.json").write_text(header, encoding="utf-8")
    with pytest.raises(DataError, match="belongs to another run"):
        load_rating_model(folder)


def test_rating_head_of_another_layout(model: RatingModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    header = json.loads((folder / "rating.json").read_text(encoding="utf-8"))
    (folder / "rating.json").write_text(json.dumps({**header, "format": 1, "gnnrec": "0.1.5"}), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"layout 1, which gnnrec 0\.1\.5 reads; .* layout 3; use gnnrec 0\.1\.5, or fit it"
    ):
        load_rating_model(folder)


def test_damaged_rating_head(model: RatingModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "run")
    (folder / "rating.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is damaged"):
        load_rating_model(folder)
