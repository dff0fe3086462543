"""The tables of `gnnrec.explore`: hand-computed values, and properties of any dataset."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnrec
from gnnrec import Dataset
from gnnrec.errors import ConfigError
from gnnrec.explore import (
    MissingColumnError,
    activity,
    block_density,
    busiest_days,
    decile_histogram,
    demographics,
    genres,
    genres_by_decade,
    genres_over_time,
    gini,
    log2_histogram,
    lorenz,
    missing,
    most_rated,
    overview,
    rating_counts,
    rating_distribution,
    top_share,
)
from gnnrec.explore.time_tables import DAY, periods
from gnnrec.registry import FINDINGS, USER_FEATURES

EXACT = {"rtol": 0, "atol": 1e-12}
COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any).map(np.array)


def seconds(*days: str) -> list[int]:
    return [int(pd.Timestamp(day).timestamp()) for day in days]


@pytest.fixture
def small() -> Dataset:
    """Return three users and four movies, one of them without ratings."""
    ratings = pd.DataFrame(
        {
            "user_id": ["ann", "ann", "ann", "bob", "bob", "cem"],
            "movie_id": ["a", "b", "c", "a", "b", "a"],
            "rating": [5, 3, 1, 4, 2, 4],
            "timestamp": seconds("2001-01-30", "2001-01-30", "2001-03-01", "2001-03-01", "2001-03-02", "2001-03-05"),
        }
    )
    movies = pd.DataFrame(
        {
            "movie_id": ["a", "b", "c", "d"],
            "title": ["A (1994)", "B (1999)", "C (2001)", None],
            "genres": ["Drama|War", "Drama", "", "War"],
        }
    )
    users = pd.DataFrame({"user_id": ["ann", "bob", "cem"], "age": [31, 45, None], "gender": ["F", "M", "M"]})
    return Dataset(ratings, movies, users, name="small")


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Draw ratings of any kind, with and without optional columns."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=40, unique=True))
    frame = pd.DataFrame(pairs, columns=["user_id", "movie_id"])
    if draw(st.booleans()):
        frame = frame.astype(str)
    ids = frame["movie_id"].iloc[:1].tolist() + frame["movie_id"].unique().tolist()
    movies = pd.DataFrame({"movie_id": list(dict.fromkeys(ids))})
    users = pd.DataFrame({"user_id": frame["user_id"].unique()})
    several = {"min_size": len(frame), "max_size": len(frame)}
    if draw(st.booleans()):
        frame["rating"] = draw(st.lists(st.floats(-1e6, 1e6, width=32), **several))
    if draw(st.booleans()):
        frame["timestamp"] = draw(st.lists(st.integers(0, 253_402_300_799), **several))
    names = st.lists(st.sampled_from(["Drama", "War", "$x$", "movies", "period"]), max_size=3).map("|".join)
    if draw(st.booleans()):
        movies["genres"] = draw(st.lists(names, min_size=len(movies), max_size=len(movies)))
        years = st.none() | st.integers(0, 2100)
        movies["year"] = draw(st.lists(years, min_size=len(movies), max_size=len(movies)))
    if draw(st.booleans()):
        ages = st.none() | st.floats(0, 150)
        users["age"] = draw(st.lists(ages, min_size=len(users), max_size=len(users)))
        users["occupation"] = draw(st.lists(st.sampled_from(["a", None]), min_size=len(users), max_size=len(users)))
    return Dataset(frame, movies, users, name="drawn")


def table_or_none(table: Any, *arguments: Any) -> pd.DataFrame | None:
    try:
        return table(*arguments)
    except MissingColumnError as error:
        assert "drawn" in str(error)
        return None


def test_overview(small: Dataset) -> None:
    assert overview(small) == {
        "users": 3, "movies": 4, "ratings": 6, "rated_movies": 3, "active_users": 3, "density": 0.5,
        "ratings_per_user": 2.0, "ratings_per_movie": 1.5, "mean_rating": pytest.approx(19 / 6),
        "first_day": "2001-01-30", "last_day": "2001-03-05",
    }  # fmt: skip


def test_ratings_by_value(small: Dataset) -> None:
    table = rating_distribution(small)
    assert table["low"].tolist() == table["high"].tolist() == [1, 2, 3, 4, 5]
    assert table["ratings"].tolist() == [1, 1, 1, 2, 1]


def test_many_distinct_ratings_are_binned() -> None:
    ratings = pd.DataFrame({"user_id": range(25), "movie_id": 0, "rating": np.arange(25) / 2})
    table = rating_distribution(Dataset(ratings))
    assert table["low"].tolist() == list(range(12))
    assert table["high"].tolist() == list(range(1, 13))
    assert table["ratings"].tolist() == [2] * 11 + [3]  # the last bin includes its upper end


def test_log2_histogram() -> None:
    table = log2_histogram(np.array([0, 0, 1, 3, 4, 7, 8, 1024]))
    assert table.query("number > 0")[["at_least", "at_most", "number"]].values.tolist() == [
        [0, 0, 2], [1, 1, 1], [2, 3, 1], [4, 7, 2], [8, 15, 1], [1024, 2047, 1],
    ]  # fmt: skip
    assert len(table) == 12


def test_long_tail_by_hand(small: Dataset) -> None:
    counts = rating_counts(small, "movie_id")
    assert counts.tolist() == [3, 2, 1, 0]
    # The differences of all pairs of movies, over twice the mean times the pairs: 20 / (2 * 1.5 * 16).
    assert gini(counts) == pytest.approx(20 / 48)
    assert top_share(counts, 0.5) == pytest.approx(5 / 6)
    assert top_share(counts, 0.1) == pytest.approx(3 / 6), "rounded up to one movie"
    assert lorenz(counts)["share_of_ratings"].tolist() == [0, 3 / 6, 5 / 6, 1, 1]


def test_rating_counts_needs_a_column_of_ids(small: Dataset) -> None:
    with pytest.raises(ConfigError, match="by user_id or movie_id, not by 'rating'"):
        rating_counts(small, "rating")


@given(COUNTS)
def test_gini_is_the_mean_difference(counts: np.ndarray) -> None:
    differences = np.abs(np.subtract.outer(counts, counts)).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()), abs=1e-9)
    assert 0 <= gini(counts) < 1
    assert gini(7 * counts) == pytest.approx(gini(counts), abs=1e-9)


@given(COUNTS, st.integers(1, 80))
def test_lorenz_rises_and_bends(counts: np.ndarray, points: int) -> None:
    table = lorenz(counts, points)
    share, ratings = table["share"].to_numpy(), table["share_of_ratings"].to_numpy()
    assert (share[0], ratings[0], share[-1], ratings[-1]) == (0, 0, 1, 1)
    assert (np.diff(share) > 0).all()
    assert (np.diff(ratings) >= 0).all()
    slopes = np.diff(ratings) / np.diff(share)
    assert (np.diff(slopes) <= 1e-9 * slopes.max()).all(), "the most rated come first"


@given(COUNTS)
def test_area_under_the_curve_is_gini(counts: np.ndarray) -> None:
    table = lorenz(counts, points=len(counts))
    area = np.trapezoid(table["share_of_ratings"], table["share"])
    assert gini(counts) == pytest.approx(2 * area - 1, abs=1e-9)


@given(COUNTS)
def test_log2_histogram_equals_counting(counts: np.ndarray) -> None:
    table = log2_histogram(counts)
    for row in table.itertuples():
        assert row.number == ((counts >= row.at_least) & (counts <= row.at_most)).sum()
    assert table["share"].sum() == pytest.approx(1)


def test_block_density_by_hand(small: Dataset) -> None:
    assert block_density(small).values.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    # Two blocks each: ann and bob, cem; movies a and b, c and d.
    assert block_density(small, 2).values.tolist() == [[1, 0.25], [0.5, 0]]


@settings(max_examples=15, deadline=None)
@given(datasets(), st.integers(1, 12))
def test_blocks_contain_all_ratings(dataset: Dataset, blocks: int) -> None:
    table = block_density(dataset, blocks).to_numpy()
    assert ((table >= 0) & (table <= 1)).all()
    sizes = [
        np.bincount(np.arange(number) * parts // number)
        for number, parts in zip((dataset.num_users, dataset.num_movies), table.shape, strict=True)
    ]
    assert (table * np.outer(*sizes)).sum() == pytest.approx(dataset.num_ratings)


def test_most_rated(small: Dataset) -> None:
    assert most_rated(small).values.tolist() == [
        ["A (1994)", 3, pytest.approx(13 / 3)], ["B (1999)", 2, 2.5], ["C (2001)", 1, 1.0],
    ]  # fmt: skip
    assert most_rated(small, k=1)["title"].tolist() == ["A (1994)"]


@pytest.mark.parametrize(
    ("days", "most", "unit", "names"),
    [
        (["2001-01-30", "2001-02-01"], 3, "day", ["2001-01-30", "2001-01-31", "2001-02-01"]),
        (["2001-01-28", "2001-01-29"], 1, "month", ["2001-01"]),
        (["2001-01-29", "2001-02-11"], 2, "week", ["2001-01-29", "2001-02-05"]),  # from a Monday to a Sunday
        (["2000-12-31", "2001-02-01"], 3, "month", ["2000-12", "2001-01", "2001-02"]),
        (["2000-12-31", "2001-06-01"], 3, "quarter", ["2000 Q4", "2001 Q1", "2001 Q2"]),
        (["1999-12-31", "2001-06-01"], 3, "year", ["1999", "2000", "2001"]),
        (["1999-12-31", "2011-06-01"], 3, "decade", ["1990s", "2000s", "2010s"]),
        (["1999-12-31", "2211-06-01"], 2, "century", ["1900s", "2000s", "2100s", "2200s"]),
    ],
)
def test_periods(days: list[str], most: int, unit: str, names: list[str]) -> None:
    found = periods(np.array(seconds(*days)), most)
    assert (found.unit, found.names) == (unit, names)
    assert found.codes.tolist() == [0, len(names) - 1]


@given(st.lists(st.integers(0, 253_402_300_799), min_size=1, max_size=20), st.integers(100, 200))
def test_every_timestamp_is_in_its_period(times: list[int], most: int) -> None:
    found = periods(np.array(times), most)
    assert len(found.names) == len(set(found.names)) <= most
    for time, code in zip(times, found.codes, strict=True):
        day = str(np.datetime64(time, "s"))[:10]
        name = found.names[code]
        digits = {"day": 10, "month": 7, "year": 4, "decade": 3, "century": 2}.get(found.unit)
        if digits:
            assert day[:digits] == name[:digits]
        elif found.unit == "quarter":
            assert (day[:4], (int(day[5:7]) - 1) // 3 + 1) == (name[:4], int(name[-1]))
        else:
            first = np.datetime64(name)
            assert 0 <= (np.datetime64(day) - first).astype(int) < 7
            assert np.is_busday(first, weekmask="1000000")


def test_activity(small: Dataset) -> None:
    assert activity(small, max_periods=3).values.tolist() == [
        ["2001-01", 2, 1, 1],
        ["2001-02", 0, 0, 0],
        ["2001-03", 4, 3, 2],
    ]


def test_busiest_days(small: Dataset) -> None:
    # ann rated two of three on one day, bob one of two, cem once only.
    assert busiest_days(small).tolist() == pytest.approx([2 / 3, 1 / 2])
    table = decile_histogram(np.array([0.1, 0.11, 0.3, 1]))
    assert table["number"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1]


def test_genres(small: Dataset) -> None:
    table = genres(small)
    # Of three movies with genres Drama is half of A and all of B; of their five ratings it has 3 / 2 + 2.
    assert table["genre"].tolist() == ["Drama", "War"]
    assert table[["movies", "ratings"]].values.tolist() == [[2, 5], [2, 3]]
    np.testing.assert_allclose(table["share_of_movies"], [1.5 / 3, 1.5 / 3], **EXACT)
    np.testing.assert_allclose(table["share_of_ratings"], [3.5 / 5, 1.5 / 5], **EXACT)
    np.testing.assert_allclose(table["mean_rating"], [18 / 5, 13 / 3], **EXACT)


def test_genres_by_decade(small: Dataset) -> None:
    # D has no year and C has no genre, so neither counts.
    assert genres_by_decade(small).values.tolist() == [["1990s", 2, "Drama", 0.75], ["1990s", 2, "War", 0.25]]


def test_genres_over_time(small: Dataset) -> None:
    table = genres_over_time(small, max_periods=3)
    assert table[["period", "ratings", "genre"]].values.tolist() == [
        ["2001-01", 2, "Drama"], ["2001-01", 2, "War"], ["2001-03", 3, "Drama"], ["2001-03", 3, "War"],
    ]  # fmt: skip
    np.testing.assert_allclose(table["share"], [0.75, 0.25, 2 / 3, 1 / 3], **EXACT)


def test_demographics(small: Dataset) -> None:
    table = demographics(small, "gender")
    assert table[["group", "users", "ratings"]].values.tolist() == [["M", 2, 3], ["F", 1, 3]]
    assert table["mean_rating"].tolist() == pytest.approx([10 / 3, 3])
    ages = demographics(small, "age")
    assert ages["group"].tolist() == ["31", "45", None]
    assert ages["users"].tolist() == [1, 1, 1]
    with pytest.raises(MissingColumnError, match="occupation is missing for every user of small"):
        demographics(small, "occupation")
    with pytest.raises(ConfigError, match=", ".join(USER_FEATURES.builtin) + ", not by 'zip'"):
        demographics(small, "zip")


def test_many_distinct_ages_are_grouped_by_decade() -> None:
    ratings = pd.DataFrame({"user_id": range(11), "movie_id": 0})
    users = pd.DataFrame({"user_id": range(11), "age": [9, 10, 19.5, 20, 21, 22, 23, 24, 25, 26, 100]})
    assert demographics(Dataset(ratings, users=users), "age")[["group", "users"]].values.tolist() == [
        ["0–9", 1], ["10–19", 2], ["20–29", 7], ["100–109", 1],
    ]  # fmt: skip


def test_missing(small: Dataset) -> None:
    table = missing(small).set_index(["entity", "field"])
    absent = {key: number for key, number in table["missing"].items() if number}
    assert absent == {
        ("movies", "rating"): 1, ("movies", "title"): 1, ("movies", "year"): 1, ("movies", "genres"): 1,
        ("movies", "plot"): 4, ("movies", "directors"): 4, ("movies", "actors"): 4, ("movies", "runtime"): 4,
        ("users", "age"): 1, ("users", "occupation"): 3,
    }  # fmt: skip
    assert (table["known"] + table["missing"]).to_dict() == {
        key: {"movies": 4, "users": 3}[key[0]] for key in table.index
    }


@settings(max_examples=15, deadline=None)
@given(datasets())
def test_shares_sum_to_one(dataset: Dataset) -> None:
    for table, column in (
        (table_or_none(rating_distribution, dataset), "share"),
        (table_or_none(genres, dataset), "share_of_movies"),
        (table_or_none(genres, dataset), "share_of_ratings"),
        (table_or_none(demographics, dataset, "age"), "share_of_users"),
        (table_or_none(demographics, dataset, "occupation"), "share_of_ratings"),
    ):
        if table is not None and not (table[column].isna().all()):
            assert table[column].sum() == pytest.approx(1)
            assert (table[column] >= 0).all()
    for table in (genres_by_decade, genres_over_time):
        found = table_or_none(table, dataset)
        if found is not None:
            np.testing.assert_allclose(found.groupby("period")["share"].sum(), 1)
    over_time = table_or_none(activity, dataset)
    if over_time is not None:
        assert over_time["ratings"].sum() == dataset.num_ratings
        assert over_time["new_users"].sum() == dataset.users["user_id"].isin(dataset.ratings["user_id"]).sum()


@settings(max_examples=15, deadline=None)
@given(datasets())
def test_every_finding_is_reported_or_left_out(dataset: Dataset) -> None:
    found = gnnrec.analyze(dataset)
    assert sorted([*found.findings, *found.left_out]) == sorted(FINDINGS.names())
    always = {"ratings-per-user", "ratings-per-movie", "long-tail", "most-rated", "matrix", "missing"}
    assert always <= set(found.findings)
    assert ("ratings" in found.left_out) == ("rating" not in dataset.ratings)
    assert ("activity" in found.left_out) == ("timestamp" not in dataset.ratings)
    for finding in found:
        assert "nan" not in finding.text.lower().split()


@pytest.mark.real_data
def test_ml_1m() -> None:
    if not os.environ.get("GNNREC_DATA") or gnnrec.datasets.find_dataset("ml-1m") is None:
        pytest.skip("needs real data: set GNNREC_DATA to the folder that holds ml-1m/")
    dataset = gnnrec.load_dataset("ml-1m")
    # What the README of the set says: at least 20 ratings of each user, whole stars; 18 genres, 7 ages, 21 occupations.
    found = gnnrec.analyze(dataset)
    assert not found.left_out
    assert found["ratings-per-user"].numbers["least"] == 20
    assert found["ratings"].table["low"].tolist() == [1, 2, 3, 4, 5]
    assert [len(found[name].table) for name in ("genres", "ages", "occupations")] == [18, 7, 21]
    # And what plain pandas counts.
    ratings = dataset.ratings
    per_movie = ratings["movie_id"].value_counts()
    top = per_movie.head(389).sum() / len(ratings)  # a tenth of 3,883 movies
    assert found["long-tail"].numbers["top_tenth_of_movies"] == pytest.approx(top)
    assert found["most-rated"].table["ratings"].tolist() == per_movie.head(10).tolist()
    days = ratings["timestamp"] // DAY
    alone = days.groupby(ratings["user_id"]).nunique().eq(1).mean()
    assert found["days"].numbers["all_on_one_day"] == pytest.approx(alone)
