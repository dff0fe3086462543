"""Plots of generated movies: sentences whose words come from theme, genres and era."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from gnnrec.data import vocabulary as words

T = TypeVar("T")

ELSEWHERE = 0.2
"""Chance that a further sentence tells of a place and people of any theme."""


def opening(theme: str, genres: list[str], rng: np.random.Generator) -> str:
    """Return the first two sentences of a plot."""
    shape = pick(words.PLOT_SHAPES, rng)
    more = _fill(pick(words.MORE_SHAPES, rng), theme, genres, rng)
    return _fill(shape, theme, genres, rng, more)


def continued(plot: str, theme: str, genres: list[str], year: int, rng: np.random.Generator) -> str:
    """Return a plot with up to two more sentences, in which there is a thing of the time."""
    things = next(things for end, things in words.ERAS if year < end).split()
    order = rng.permutation(len(words.LATER_SHAPES))
    for shape in order[: pick((0, 1, 1, 2), rng)]:
        theme_told = pick(list(words.THEMES), rng) if rng.random() < ELSEWHERE else theme
        plot = f"{plot} {_fill(words.LATER_SHAPES[shape], theme_told, genres, rng, pick(things, rng))}"
    return plot


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """Return one of the options; many times as fast as `rng.choice`, which makes an array of them first."""
    return options[int(rng.integers(len(options)))]


def _fill(shape: str, theme: str, genres: list[str], rng: np.random.Generator, more: str = "") -> str:
    _, nouns, places, people = words.THEMES[theme]
    genre_words = [word for genre in genres for word in words.GENRE_WORDS[genre].split()]
    text = shape.format(
        noun=pick(nouns.split(), rng).lower(),
        place=pick(places.split("|"), rng),
        person=pick(people.split(), rng),
        surname=pick(words.SURNAMES.split(), rng),
        word=pick(genre_words, rng),
        more=more,
    )
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
