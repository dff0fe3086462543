"""Pictures of findings on ratings and time, and what draws each; all numbers come from the table of the finding."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnrec.analysis.draw_content import genre_ratings, genres, genres_by_period, groups, missing
from gnnrec.analysis.style import (
    BLUE,
    DPI,
    GREY,
    PALE,
    SHADES,
    VERMILION,
    WIDTH,
    canvas,
    columns,
    in_percent,
    rows,
    styled,
    thinned,
)
from gnnrec.analysis.words import compact, short

if TYPE_CHECKING:
    from gnnrec.analysis.finding import Finding


def figure_of(finding: Finding) -> Figure:
    """Draw a finding; the figure is whole, so that settings in force later do not change it."""
    with styled():
        figure = DRAWN[finding.name](finding)
        figure.draw_without_rendering()
    return figure


def png_of(finding: Finding) -> bytes:
    """Draw a finding as a PNG."""
    with styled():
        data = io.BytesIO()
        DRAWN[finding.name](finding).savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def ratings(finding: Finding) -> Figure:
    """Draw the ratings by value."""
    table = finding.table
    single = (table["low"] == table["high"]).all()
    figure, axes = canvas(2.9)
    columns(axes, [f"{low:.{4 if single else 3}g}" for low in table["low"]], table["share"].tolist())
    axes.tick_params(axis="x", labelsize=10.5 if single else 8)
    axes.set_xlabel("rating" if single else f"rating, from … on (steps of {table['high'][0] - table['low'][0]:.3g})")
    return figure


def doubling(finding: Finding) -> Figure:
    """Draw how many have how many ratings."""
    table = finding.table
    labels = [compact(low) if low == high else f"{compact(low)}–\n{compact(high)}" for low, high in _ends(table)]
    figure, axes = canvas(3.1)
    columns(axes, labels, table["share"].tolist(), BLUE if finding.numbers["of"] == "users" else VERMILION)
    axes.tick_params(axis="x", labelsize=8.5 if len(labels) > 9 else 9.5)
    axes.set_xlabel("ratings")
    return figure


def long_tail(finding: Finding) -> Figure:
    """Draw which part of the ratings the most rated have."""
    figure, axes = canvas(3.9)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
    for of, name, colour in (("movies", "movies", VERMILION), ("users", "people", BLUE)):
        part = finding.table[finding.table["of"] == of]
        label = f"{name} (Gini {finding.numbers[f'gini_of_{of}']:.2f})"
        axes.plot(part["share"], part["share_of_ratings"], color=colour, linewidth=2.2, label=label)
    axes.text(0.6, 0.565, "all alike", color=GREY, rotation=0, fontsize=9, va="top")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share of movies or people, those with most ratings first")
    axes.set_ylabel("share of the ratings")
    for axis in (axes.xaxis, axes.yaxis):
        in_percent(axis)
    axes.grid(True)
    axes.legend(loc="lower right")
    return figure


def most_rated(finding: Finding) -> Figure:
    """Draw the movies with the most ratings."""
    table = finding.table
    figure, axes = canvas(0.3 + 0.44 * len(table))
    places = rows(axes, [""] * len(table))
    axes.barh(places - 0.2, table["ratings"], height=0.32, color=VERMILION)
    for place, title, number in zip(places, table["title"], table["ratings"], strict=True):
        axes.text(0, place + 0.02, short(title, 52), va="bottom", fontsize=9.5)  # above its bar, where there is room
        axes.text(number, place - 0.22, f" {number:,}", va="center", fontsize=9)
    axes.set(xticks=[], yticks=[], xlim=(0, 1.15 * table["ratings"].max()))
    axes.grid(False)
    return figure


def matrix(finding: Finding) -> Figure:
    """Draw how full the blocks of the matrix are."""
    values = finding.table.to_numpy()
    figure, axes = canvas(4.3)
    image = axes.imshow(
        values,
        aspect="auto",
        cmap=SHADES,
        norm=PowerNorm(0.45, vmin=0, vmax=float(values.max())),
        extent=(0, 1, 1, 0),
        interpolation="nearest",
    )
    axes.set(xlabel="movies, the most rated first", ylabel="people, the most active first")
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    for axis in (axes.xaxis, axes.yaxis):
        in_percent(axis)
    scale = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    scale.outline.set_visible(False)
    scale.set_label("pairs that have a rating")
    in_percent(scale.ax.yaxis)
    return figure


def activity(finding: Finding) -> Figure:
    """Draw ratings and people over time."""
    table = finding.table
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    places = np.arange(len(table))
    upper.bar(places, table["ratings"], width=0.85, color=BLUE)
    upper.set_ylabel("ratings")
    lower.bar(places, table["users"], width=0.85, color=PALE, label="people who rated")
    lower.bar(places, table["new_users"], width=0.85, color=VERMILION, label="for the first time")
    lower.set_ylabel("people")
    lower.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, borderaxespad=0.2, columnspacing=1)
    for axes in (upper, lower):
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: compact(value))
    lower.set_xticks(*thinned(table["period"].tolist(), 5))
    lower.set_xlim(-0.7, max(len(table), 3) - 0.3)
    lower.set_xlabel(finding.numbers["unit"])
    return figure


def days(finding: Finding) -> Figure:
    """Draw which part of a person's ratings fell on their busiest day."""
    table = finding.table
    figure, axes = canvas(2.9)
    columns(axes, [f"{100 * end:.0f}%" for end in table["up_to"]], table["share"].tolist())
    axes.set_xlabel("up to … of a person's ratings fell on one day")
    return figure


def _ends(table: pd.DataFrame) -> Any:
    return zip(table["at_least"], table["at_most"], strict=True)


DRAWN: dict[str, Callable[[Any], Figure]] = {
    "ratings": ratings,
    "ratings-per-user": doubling,
    "ratings-per-movie": doubling,
    "long-tail": long_tail,
    "most-rated": most_rated,
    "matrix": matrix,
    "activity": activity,
    "days": days,
    "genres": genres,
    "genre-ratings": genre_ratings,
    "genres-by-decade": genres_by_period,
    "genres-over-time": genres_by_period,
    "ages": groups,
    "genders": groups,
    "occupations": groups,
    "missing": missing,
}
"""What draws each finding, by its name."""
