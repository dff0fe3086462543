"""Titles become the same words in whatever way a catalog or a person writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.data.titles import segments, split_bare_year, title_names, title_words, without_series_number

SAME = [
    ("Amélie", "Amelie", "AMÉLIE"),
    ("The Godfather: Part II", "Godfather, Part 2", "Godfather II"),
    ("8½", "8 1/2"),
    ("Nine 1/2 Weeks", "9½ Weeks"),
    ("Alien³", "Alien 3"),
    ("One Hundred and One Dalmatians", "101 Dalmatians"),
    ("Twelve Monkeys", "12 Monkeys"),
    ("Se7en", "Seven"),
    ("Three Colours: Red", "Three Colors: Red"),
    ("Mr. & Mrs. Smith", "Mr and Mrs Smith", "Mister and Mrs. Smith"),
    ("Romeo + Juliet", "Romeo & Juliet", "Romeo and Juliet"),
    ("E.T. the Extra-Terrestrial", "ET: The Extra Terrestrial"),
    ("L' École de la chair", "L’École de la chair"),
    ("Schindler's List", "Schindlers List", "Schindler’s List"),
    ("Æon Flux", "Aeon Flux"),
    ("The 6th Man", "The Sixth Man"),
    ("Kill Bill: Vol. 2", "Kill Bill: Volume 2"),
    ("Sunset Blvd.", "Sunset Boulevard"),
    ("Twenty Four Seven", "24 7"),
    ("Nineteen Eighty-Four", "1984"),
]


@pytest.mark.parametrize("spellings", SAME, ids=[spellings[0] for spellings in SAME])
def test_spellings(spellings: tuple[str, ...]) -> None:
    assert len({title_words(spelling) for spelling in spellings}) == 1


DIFFERENT = [
    ("Alien", "Aliens"),
    ("Toy Story", "Toy Story 2"),
    ("Rocky II", "Rocky III"),
    ("X", "Ten"),
    ("I, Robot", "1 Robot"),
    ("The Fly", "The Fly II"),
    ("2001: A Space Odyssey", "2010: A Space Odyssey"),
    ("Die Hard", "Hard"),
    ("8½", "81/2"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_titles(one: str, other: str) -> None:
    assert title_words(one) != title_words(other)


@given(st.text())
def test_any_text(text: str) -> None:
    words = title_words(text)
    assert all(word and word == word.strip() for word in words)
    assert title_words(f"  {text} ") == words
    assert segments(text) == [part for part in segments(text) if part.strip()]
    title_names(text)
    without_series_number(text)


@given(st.lists(st.sampled_from(["dark", "river", "queen", "of", "7", "night"]), min_size=1, max_size=5))
def test_words_are_a_fixed_point(words: list[str]) -> None:
    once = title_words(" ".join(words))
    assert title_words(" ".join(once)) == once


def test_lists_of_titles() -> None:
    names, possible, year = title_names("All the Rage (a.k.a. It's the Rage) (1999)")
    assert (names, possible, year) == (("All the Rage", "It's the Rage"), (), 1999)
    names, possible, _ = title_names("Strike! (a.k.a. All I Wanna Do, The Hairy Bird) (1998)")
    assert {"All I Wanna Do", "The Hairy Bird"} <= {*names, *possible}
    assert title_names("And God Created Woman (Et Dieu&#8230;Créa la Femme) (1956)")[0][1] == "Et Dieu…Créa la Femme"
    assert title_names("(500) Days of Summer (2009)") == (("(500) Days of Summer",), ("Days of Summer",), 2009)


def test_years_without_parentheses() -> None:
    assert split_bare_year("Heat [1995]") == ("Heat", 1995)
    assert split_bare_year("Heat - 1995") == ("Heat", 1995)
    assert split_bare_year("Blade Runner 2049") == ("Blade Runner", 2049)  # tried only if there is no such title
    assert split_bare_year("Area 51") == ("Area 51", None)
