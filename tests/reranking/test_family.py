"""Which movies are for families: by certificate, by genre, and where nothing is known."""

from __future__ import annotations

import pandas as pd
import pytest

from gnnrec import ConfigError, Dataset, Graph, recommend
from gnnrec.models import Popularity
from gnnrec.reranking import is_family_friendly


def friendly(**columns: list[str | None]) -> list[bool]:
    ids = list(range(len(next(iter(columns.values())))))
    ratings = pd.DataFrame({"user_id": [1] * len(ids), "movie_id": ids})
    return is_family_friendly(Graph.from_dataset(Dataset(ratings, pd.DataFrame({"movie_id": ids, **columns})))).tolist()


def test_genres() -> None:
    genres = ["Children's|Comedy", "Animation|Comedy", "Animation|Children's", "Children's|Horror", "Drama", None]
    assert friendly(genres=genres) == [True, False, True, False, False, False]
    assert friendly(genres=["Animation|Comedy", "Animation|Thriller", "Drama"]) == [True, False, False]
    assert friendly(genres=["Family|Drama", "Animation"]) == [True, False]


def test_certificates_decide() -> None:
    genres = ["Drama", "Children's", "Children's", "Drama", "Drama|Crime"]
    assert friendly(genres=genres, certificate=["G", "R", "Not Rated", None, "TV-PG"]) == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert friendly(genres=["Drama", "Drama"], Rated=["PG", "PG-13"]) == [True, False]


def test_nothing_is_known() -> None:
    with pytest.raises(ConfigError, match="cannot filter for families"):
        friendly(genres=["Drama", "Horror"])


def test_lists() -> None:
    movies = pd.DataFrame({"movie_id": [1, 2, 3], "genres": ["Horror", "Children's", "Drama"]})
    model = Popularity().fit(Dataset(pd.DataFrame({"user_id": [7, 8, 8], "movie_id": [1, 1, 2]}), movies))
    assert recommend(model, {}, family_friendly=True)["movie_id"].tolist() == [2]
