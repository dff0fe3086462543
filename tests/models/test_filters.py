"""Filters of `recommend` leave the best of the remaining movies, and pages of a list fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnrec import ConfigError, DataError, Dataset, Recommender, fit, recommend
from gnnrec.datasets import make_sample
from gnnrec.models import Popularity
from gnnrec.models.filters import movie_mask, parse_years

RATINGS = pd.DataFrame({"user_id": [1, 1, 1, 2, 2, 3], "movie_id": [10, 20, 30, 10, 20, 10]})
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40, 50],
        "title": ["Heat (1995)", "Alien (1979)", "Brazil (1985)", "Ronin (1998)", "No Year"],
        "genres": ["Crime|Drama", "Horror|Sci-Fi", "Comedy|Sci-Fi", "Crime", ""],
    }
)


@pytest.fixture(scope="module")
def model() -> Recommender:
    """Scores are counts: 10 -> 3, 20 -> 2, 30 -> 1, 40 and 50 -> 0."""
    return Popularity().fit(Dataset(RATINGS, MOVIES))


def ids(model: Recommender, **options: Any) -> list[int]:
    return recommend(model, {}, **options)["movie_id"].tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [10, 20, 30, 40, 50]),
        ({"exclude": [10, "alien"]}, [30, 40, 50]),
        ({"exclude": []}, [10, 20, 30, 40, 50]),
        ({"genres": "crime"}, [10, 40]),
        ({"genres": "Crime|Comedy"}, [10, 30, 40]),
        ({"genres": "Crime, comedy; "}, [10, 30, 40]),
        ({"genres": ["Sci-Fi"]}, [20, 30]),
        ({"years": 1985}, [30]),
        ({"years": (1980.0, 1995.0)}, [10, 30]),
        ({"years": (1980, 1995)}, [10, 30]),
        ({"years": (1990, None)}, [10, 40]),
        ({"years": [None, 1985]}, [20, 30]),
        ({"years": range(1979, 1986)}, [20, 30]),
        ({"years": "1990-"}, [10, 40]),
        ({"years": "-1985"}, [20, 30]),
        ({"years": "1979 - 1985"}, [20, 30]),
        ({"years": np.int64(1998)}, [40]),
        ({"min_ratings": 2}, [10, 20]),
        ({"min_ratings": 4}, []),
        ({"genres": "Crime", "years": (1996, None)}, [40]),
        ({"candidates": [10, 20, 40], "exclude": [20], "min_ratings": 1}, [10]),
        ({"offset": 2}, [30, 40, 50]),
        ({"offset": 1, "k": 2}, [20, 30]),
        ({"offset": 5}, []),
        ({"offset": 1, "genres": "Crime"}, [40]),
    ],
)
def test_filters(model: Recommender, options: dict[str, Any], expected: list[int]) -> None:
    assert ids(model, **options) == expected


def test_pages_fit_together() -> None:
    model = fit(make_sample(60, 40), "ease")
    whole = recommend(model, [1, 2, 3], k=12, min_ratings=2)
    pages = [recommend(model, [1, 2, 3], k=5, offset=offset, min_ratings=2) for offset in (0, 5, 10)]
    joined = pd.concat(pages).sort_values(["user_id", "rank"]).query("rank <= 12").reset_index(drop=True)
    pd.testing.assert_frame_equal(joined, whole)


def test_only_filters_make_a_mask(model: Recommender) -> None:
    assert movie_mask(model.graph) is None
    assert movie_mask(model.graph, years=(1990, None)).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genres": "Crme"}, "unknown genre 'Crme'; did you mean 'Crime'[?] Choose one of Comedy, Crime"),
        ({"genres": []}, "genres is an empty list"),
        ({"genres": " "}, "genres is an empty list"),
        ({"genres": 7}, "genres must be a genre or a list of them, not 7"),
        ({"years": "nineties"}, "years must be a year, .* not 'nineties'"),
        ({"years": "-"}, "years must be a year"),
        ({"years": 1995.5}, "years must be a year"),
        ({"years": True}, "years must be a year"),
        ({"years": (1995, 1990)}, "the first year must not be after the last"),
        ({"years": range(0)}, "the first year must not be after the last"),
        ({"min_ratings": -1}, "min_ratings must be an integer of at least 0, not -1"),
        ({"offset": -1}, "offset must be an integer of at least 0, not -1"),
        ({"offset": 1.5}, "offset must be an integer of at least 0"),
    ],
)
def test_wrong_filters(model: Recommender, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recommend(model, 1, **options)


def test_movies_that_are_unknown(model: Recommender) -> None:
    with pytest.raises(DataError, match="movie 99 is not in the graph"):
        recommend(model, 1, exclude=[99])
    with pytest.raises(DataError, match="exclude must be a list of movies, not 'Heat'"):
        recommend(model, 1, exclude="Heat")
    assert ids(model, exclude=[99, 10], unknown="skip") == [20, 30, 40, 50]


def test_years() -> None:
    assert parse_years("1990–1999") == (1990, 1999)
    assert parse_years((None, None)) == (-np.inf, np.inf)
