"""Titles of MovieLens are parsed, and only the right movie is a match."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gnnrec.data.titles import parse_title
from gnnrec.metadata.matching import (
    MIN_SCORE,
    Match,
    MovieQuery,
    NoMatch,
    SearchResult,
    best_match,
    match_score,
)

TITLES = {
    "Toy Story (1995)": (("Toy Story",), 1995),
    "American President, The (1995)": (("The American President",), 1995),
    "Bug's Life, A (1998)": (("A Bug's Life",), 1998),
    "Avventura, L' (1960)": (("L'Avventura",), 1960),
    "Seven (a.k.a. Se7en) (1995)": (("Seven", "Se7en"), 1995),
    "Hard 8 (a.k.a. Sydney, a.k.a. Hard Eight) (1996)": (("Hard 8", "Sydney", "Hard Eight"), 1996),
    "Star Wars: Episode IV - A New Hope (a.k.a. Star Wars) (1977)": (
        ("Star Wars: Episode IV - A New Hope", "Star Wars"),
        1977,
    ),
    "City of Lost Children, The (Cité des enfants perdus, La) (1995)": (
        ("The City of Lost Children", "La Cité des enfants perdus"),
        1995,
    ),
    "Postman, The (Il Postino) (1994)": (("The Postman", "Il Postino"), 1994),
    "Matrix, The: Part Two (2003)": (("The Matrix: Part Two",), 2003),
    "(500) Days of Summer (2009)": (("(500) Days of Summer", "Days of Summer", "500"), 2009),
    "2001: A Space Odyssey (1968)": (("2001: A Space Odyssey",), 1968),
    "Cry, the Beloved Country (1995)": (("Cry, the Beloved Country",), 1995),
    "Land, the Sea, The (1999)": (("The Land, the Sea",), 1999),
    "Babylon 5: In the Beginning (1998) (V)": (("Babylon 5: In the Beginning",), 1998),
    "Heat": (("Heat",), None),
    "1984": (("1984",), None),
    "The (1999)": (("The",), 1999),
    "(1999)": (("(1999)",), 1999),
    "": (("",), None),
}


@pytest.mark.parametrize(("title", "expected"), TITLES.items(), ids=list(TITLES))
def test_titles(title: str, expected: tuple[tuple[str, ...], int | None]) -> None:
    assert parse_title(title) == expected


def query(title: str) -> MovieQuery:
    names, year = parse_title(title)
    return MovieQuery(1, title, names, year)


def result(*names: str, year: int | None = None, provider_id: str = "7", votes: int = 0) -> SearchResult:
    return SearchResult(provider_id, names, year, votes)


@pytest.mark.parametrize(
    ("title", "candidate", "expected"),
    [
        ("Matrix, The (1999)", result("The Matrix", year=1999), 1.0),
        ("Matrix, The (1999)", result("THE MATRIX", year=1998), 0.95),
        ("Matrix, The (1999)", result("The Matrix", year=2001), 0.0),
        ("Matrix, The (1999)", result("The Matrix"), 0.9),
        ("Seven (a.k.a. Se7en) (1995)", result("Se7en", year=1995), 1.0),
        ("Postman, The (Il Postino) (1994)", result("Il Postino", year=1994), 1.0),
        ("Shall We Dance? (1996)", result("Shall we ダンス?", "Shall We Dance", year=1996), 1.0),
        ("Cité des enfants perdus, La (1995)", result("La cite des enfants perdus", year=1995), 1.0),
        ("Romeo & Juliet (1996)", result("Romeo and Juliet", year=1996), 1.0),
        ("Rocky II (1979)", result("Rocky 2", year=1979), 1.0),
        ("Rocky II (1979)", result("Rocky III", year=1979), 0.0),
        ("Autumn Tale, An (1998)", result("Autumn Tale", year=1998), 1.0),
        ("The (1999)", result("The", year=1999), 1.0),
        ("Toy Story (1995)", result("Toy Story 2", year=1995), 0.0),
        ("2001: A Space Odyssey (1968)", result("2010: A Space Odyssey", year=1968), 0.0),
        ("???? (1999)", result("!!!!", year=1999), 0.0),
        ("Heat (1995)", result(year=1995), 0.0),
    ],
)
def test_scores(title: str, candidate: SearchResult, expected: float) -> None:
    assert match_score(query(title), candidate) == pytest.approx(expected)


def test_similarity_by_hand() -> None:
    # "dead man" and "dead men" share 7 of 8 letters.
    assert match_score(query("Dead Man (1995)"), result("Dead Men", year=1995)) == pytest.approx(7 / 8)
    assert best_match(query("Dead Man (1995)"), [result("Dead Men", year=1995)]) == (
        NoMatch("no match; the closest result is 'Dead Men' (1995)")
    )


def test_the_threshold_is_a_match() -> None:
    # 18 of 20 letters in common, on both sides: exactly 0.9.
    one, other = "abcdefghijklmnopqrst", "abcdefghijklmnopqrzz"
    found = result(other, year=1995)
    assert best_match(MovieQuery(1, one, (one,), 1995), [found]) == Match(found, 0.9)


def test_the_best_result_is_chosen() -> None:
    found = [
        result("Heat Wave", year=1995, provider_id="1", votes=9999),
        result("Heat", year=1994, provider_id="2", votes=9999),
        result("Heat", year=1995, provider_id="3"),
        result("Heat", year=1986, provider_id="4", votes=9999),
    ]
    assert best_match(query("Heat (1995)"), found) == Match(found[2], 1.0)


def test_ties_are_broken_by_votes_or_not_at_all() -> None:
    heat = query("Heat (1995)")
    popular = result("Heat", year=1995, provider_id="1", votes=50)
    obscure = result("Heat", year=1995, provider_id="2", votes=5)
    rival = result("Heat", year=1995, provider_id="3", votes=6)
    assert best_match(heat, [obscure, popular]) == Match(popular, 1.0)
    assert best_match(heat, [obscure, rival, popular]) == NoMatch("3 results match equally well: 1, 3, 2")
    unrated = [result("Heat", year=1995, provider_id=provider_id) for provider_id in "ab"]
    assert best_match(heat, unrated) == NoMatch("2 results match equally well: a, b")
    assert best_match(heat, [popular, popular]) == Match(popular, 1.0)  # found twice, but one movie
    assert best_match(heat, []) == NoMatch("no results")


WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyzéüñ", min_size=1, max_size=9), min_size=1, max_size=5)
YEARS = st.integers(1900, 2030)


@given(WORDS, st.sampled_from(["The", "A", "An", "La", "Le", "Les", "Der", "Die", "Das", "El", "Il"]), YEARS)
def test_trailing_articles_move_to_the_front(words: list[str], article: str, year: int) -> None:
    name = " ".join(words)
    assert parse_title(f"{name}, {article} ({year})") == ((f"{article} {name}",), year)


@given(WORDS, WORDS, YEARS)
def test_aliases_are_found(words: list[str], others: list[str], year: int) -> None:
    name, other = " ".join(words), " ".join(others)
    assume(name != other)
    assume(others[0] not in ("aka", "a"))
    assert parse_title(f"{name} (a.k.a. {other}) ({year})") == ((name, other), year)


@given(st.text(max_size=60))
def test_any_title_has_a_name(title: str) -> None:
    names, year = parse_title(title)
    assert names
    assert len(set(names)) == len(names)
    assert year is None or 0 <= year <= 9999


@given(WORDS, YEARS, st.integers(-5, 5))
def test_a_movie_is_itself_in_about_its_year(words: list[str], year: int, apart: int) -> None:
    name = " ".join(words)
    found = match_score(MovieQuery(1, name, (name,), year), result(name.upper(), year=year + apart))
    assert found == (1.0 if apart == 0 else 0.95 if abs(apart) == 1 else 0.0)


@given(WORDS, WORDS, st.none() | YEARS, st.none() | YEARS)
def test_scores_are_symmetric_fractions(one: list[str], other: list[str], year: int | None, also: int | None) -> None:
    first, second = " ".join(one), " ".join(other)
    found = match_score(MovieQuery(1, first, (first,), year), result(second, year=also))
    assert 0 <= found <= 1
    assert found == match_score(MovieQuery(1, second, (second,), also), result(first, year=year))


@given(WORDS, YEARS, st.integers(2, 30))
def test_sequels_never_match(words: list[str], year: int, part: int) -> None:
    name = " ".join(words)
    assert match_score(MovieQuery(1, name, (name,), year), result(f"{name} {part}", year=year)) == 0


@given(st.lists(st.tuples(WORDS, YEARS, st.integers(0, 99)), max_size=6), WORDS, YEARS, st.randoms())
def test_the_order_of_results_does_not_matter(
    others: list[tuple[list[str], int, int]], words: list[str], year: int, order: random.Random
) -> None:
    name = " ".join(words)
    found = [SearchResult(str(n), (" ".join(w),), y, v) for n, (w, y, v) in enumerate(others)]
    found.append(SearchResult("x", (name,), year, 5))
    mixed = order.sample(found, len(found))
    chosen = best_match(MovieQuery(1, name, (name,), year), found)
    assert chosen == best_match(MovieQuery(1, name, (name,), year), mixed)
    if isinstance(chosen, Match):
        assert chosen.score >= MIN_SCORE
        assert chosen.score == max(match_score(MovieQuery(1, name, (name,), year), candidate) for candidate in found)


@pytest.mark.real_data
def test_real_titles() -> None:
    """MovieLens-1M against the titles of the same movies in another catalog, among those of about the same year."""
    folder = Path(os.environ.get("GNNREC_DATA", "")) / "ml-1m"
    if not os.environ.get("GNNREC_DATA") or not (folder / "fullplot.csv").is_file():
        pytest.skip("set GNNREC_DATA to the folder that contains ml-1m/movies.dat and ml-1m/fullplot.csv")
    records = [line.split("::") for line in (folder / "movies.dat").read_text(encoding="latin-1").splitlines()]
    ours = {record[0]: query(record[1]) for record in records}
    catalog = pd.read_csv(folder / "fullplot.csv").dropna(subset="title").astype({"movieId": str})
    theirs: dict[int | None, list[SearchResult]] = {}
    for key, title in zip(catalog["movieId"], catalog["title"], strict=True):
        theirs.setdefault(ours[key].year, []).append(result(title, year=ours[key].year, provider_id=key))
    outcomes: Counter[bool | str] = Counter()
    for key, movie in list(ours.items())[::8]:
        assert movie.year is not None
        match = best_match(movie, [one for gap in (-1, 0, 1) for one in theirs.get(movie.year + gap, [])])
        outcomes["none" if isinstance(match, NoMatch) else match.result.provider_id == key] += 1
    assert outcomes == {True: 468, "none": 18}
