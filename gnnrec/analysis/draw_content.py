"""Pictures of findings on genres, on people, and on what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnrec.analysis.style import BLUE, GREY, PALE, SHADES, VERMILION, canvas, in_percent, rows, thinned
from gnnrec.analysis.words import MOST_ROWS, percent, short

if TYPE_CHECKING:
    from gnnrec.analysis.finding import Finding

UNKNOWN = "not known"


def _pairs(table: pd.DataFrame, name: str, first: str, second: str, labels: tuple[str, str]) -> Figure:
    """Draw two shares of each group as dots on a line."""
    table = table.head(MOST_ROWS)
    figure, axes = canvas(0.9 + 0.29 * len(table))
    places = rows(axes, table[name].where(table[name].notna(), UNKNOWN).tolist())
    axes.hlines(places, table[first], table[second], color=PALE, linewidth=3)
    axes.plot(table[first], places, "o", color="white", markeredgecolor=GREY, markeredgewidth=1.8, label=labels[0])
    axes.plot(table[second], places, "o", color=BLUE, label=labels[1])
    most = max(table[first].max(), np.nan_to_num(table[second]).max())
    axes.set_xlim(-0.015 * most, 1.03 * most)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    in_percent(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9.5)
    return figure


def genres(finding: Finding) -> Figure:
    """Draw genres as parts of the movies and of the ratings."""
    labels = ("of the movies", "of the ratings")
    return _pairs(finding.table, "genre", "share_of_movies", "share_of_ratings", labels)


def groups(finding: Finding) -> Figure:
    """Draw groups as parts of the people and of the ratings."""
    labels = ("of the people", "of the ratings")
    return _pairs(finding.table, "group", "share_of_users", "share_of_ratings", labels)


def genre_ratings(finding: Finding) -> Figure:
    """Draw the mean rating of each genre."""
    table = finding.table
    mean = finding.numbers["mean_rating"]
    figure, axes = canvas(1.1 + 0.29 * len(table))
    places = rows(axes, table["genre"].tolist())
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
    axes.set_xticks(*thinned(list(names), 5 if max(map(len, names)) < 6 else 4))
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
