"""One picture for each finding; all numbers come from its table."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
from gnnrec.analysis.words import compact, percent, short

if TYPE_CHECKING:
    from gnnrec.analysis.finding import Finding

UNKNOWN = "not known"
MOST_ROWS = 20
"""Of a picture with a row for each genre or occupation; the table has all."""


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
    columns(axes, [f"{low:.4g}" for low in table["low"]], table["share"].tolist())
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
        top = finding.numbers[f"top_tenth_of_{of}"]
        axes.plot(0.1, top, "o", color=colour, markersize=6)
    axes.text(0.6, 0.565, "all alike", color=GREY, rotation=0, fontsize=9, va="top")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="part of movies or people, the most rated first")
    axes.set_ylabel("part of the ratings")
    for axis in (axes.xaxis, axes.yaxis):
        in_percent(axis)
    axes.grid(True)
    axes.legend(loc="lower right")
    return figure


def most_rated(finding: Finding) -> Figure:
    """Draw the movies with the most ratings."""
    table = finding.table
    figure, axes = canvas(0.7 + 0.3 * len(table))
    places = rows(axes, table["title"])
    axes.barh(places, table["ratings"], height=0.7, color=VERMILION)
    for place, number in zip(places, table["ratings"], strict=True):
        axes.text(number, place, f" {number:,}", va="center", fontsize=9)
    axes.set(xticks=[], xlim=(0, 1.18 * table["ratings"].max()), xlabel="ratings")
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


def _pairs(table: pd.DataFrame, name: str, first: str, second: str, labels: tuple[str, str], numbers: str) -> Figure:
    """Draw two shares of each group as dots on a line."""
    table = table.head(MOST_ROWS)
    figure, axes = canvas(1.1 + 0.29 * len(table))
    places = rows(axes, table[name].where(table[name].notna(), UNKNOWN))
    axes.hlines(places, table[first], table[second], color=PALE, linewidth=3)
    axes.plot(table[first], places, "o", color="white", markeredgecolor=GREY, markeredgewidth=1.8, label=labels[0])
    axes.plot(table[second], places, "o", color=BLUE, label=labels[1])
    axes.set_xlim(left=-0.01 * max(table[first].max(), np.nan_to_num(table[second]).max()))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    in_percent(axes.xaxis)
    axes.set_xlabel(numbers)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9.5)
    return figure


def genres(finding: Finding) -> Figure:
    """Draw genres as parts of the movies and of the ratings."""
    labels = ("of the movies", "of the ratings")
    return _pairs(finding.table, "genre", "share_of_movies", "share_of_ratings", labels, "part")


def groups(finding: Finding) -> Figure:
    """Draw groups as parts of the people and of the ratings."""
    labels = ("of the people", "of the ratings")
    return _pairs(finding.table, "group", "share_of_users", "share_of_ratings", labels, "part")


def genre_ratings(finding: Finding) -> Figure:
    """Draw the mean rating of each genre."""
    table = finding.table.head(MOST_ROWS)
    mean = finding.numbers["mean_rating"]
    figure, axes = canvas(1.1 + 0.29 * len(table))
    places = rows(axes, table["genre"])
    axes.axvline(mean, color=GREY, linewidth=1, linestyle=(0, (2, 3)))
    axes.hlines(places, mean, table["mean_rating"], color=PALE, linewidth=3)
    axes.plot(table["mean_rating"], places, "o", color=BLUE)
    axes.set_xlabel(f"mean rating (all ratings: {mean:.2f})")
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def genres_by_period(finding: Finding) -> Figure:
    """Draw the share of the most common genres in each period."""
    table = finding.table
    names = table["period"].unique()[-finding.numbers["shown_periods"] :]
    first = finding.numbers["shown_genres"]
    shares = table.pivot(index="genre", columns="period", values="share").reindex(index=first, columns=names)
    values = shares.fillna(0).to_numpy()  # [genres, periods]
    figure, axes = canvas(1.0 + 0.3 * len(first))
    axes.imshow(values, aspect="auto", cmap=SHADES, vmin=0, vmax=max(0.3, values.max()))
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.5 * max(0.3, values.max()) else GREY if value < 0.005 else "black"
        text = f"{100 * value:.0f}" if value >= 0.005 else "·"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=colour)
    axes.set_yticks(range(len(first)), [short(name) for name in first])
    axes.set_xticks(*thinned(list(names), 10 if max(map(len, names)) < 6 else 4))
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelsize=9)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(finding.numbers["label"])
    return figure


def missing(finding: Finding) -> Figure:
    """Draw of how many movies and people each thing is known."""
    table = finding.table
    figure, axes = canvas(0.5 + 0.28 * len(table))
    names = {"movies": "movie", "users": "person"}
    places = rows(axes, [f"{names[of]}: {what}" for of, what in zip(table["of"], table["what"], strict=True)])
    colours = [VERMILION if of == "movies" else BLUE for of in table["of"]]
    axes.barh(places, 1, height=0.62, color="#EFEFEF")
    axes.barh(places, table["share_known"], height=0.62, color=colours)
    for place, share in zip(places, table["share_known"], strict=True):
        axes.text(1.02, place, percent(share), va="center", fontsize=9)
    axes.set(xlim=(0, 1.15), xticks=[])
    axes.grid(False)
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
