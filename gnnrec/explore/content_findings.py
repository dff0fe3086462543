"""Findings about genres and users, and about missing data; see `gnnrec.explore.findings`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.explore import content_tables, tables, time_tables
from gnnrec.explore.finding import Finding
from gnnrec.explore.tables import MissingColumnError
from gnnrec.plots.formatting import percent, shorten
from gnnrec.plots.style import (
    BLUE,
    FAINT,
    GRAY,
    PALE,
    VERMILION,
    canvas,
    in_percent,
    rows,
    shades,
    thinned,
)
from gnnrec.registry import register_finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 20
"""Maximum number of rows in a figure with one row per genre or group; the table has all."""
MAX_CELLS = 10
"""Maximum number of genres, and of decades, in a heat map."""


# Genres ---------------------------------------------------------------------------------------------------------------


@register_finding("genres", title="Genres of movies and of ratings")
def genres(dataset: Dataset) -> Finding:
    """Compare the genres of the movies with those of the ratings."""
    table = content_tables.genres(dataset)
    text = f"There are {len(table)} genres." if len(table) > 1 else "There is one genre."
    gain = (table["share_of_ratings"] - table["share_of_movies"]).dropna()
    if len(gain) and gain.max() > 0:
        over, under = (tables.largest_row(table.assign(gain=sign * gain), "gain") for sign in (1, -1))
        shares = [
            f"{shorten(row['genre'])} ({percent(row['share_of_movies'])} of movies, "
            f"{percent(row['share_of_ratings'])} of ratings)"
            for row in (over, under)
        ]
        text += f" Most overrepresented among the ratings is {shares[0]}, most underrepresented {shares[1]}."
    return Finding(
        text + " A movie with several genres counts in equal parts for each.",
        "Dot plot: the share of each genre among the movies and among the ratings.",
        table,
        functools.partial(_paired_dots, table, "genre", "movies"),
        {"genres": len(table)},
    )


@register_finding("genre-ratings", title="Mean rating by genre")
def genre_ratings(dataset: Dataset) -> Finding:
    """Compare the mean ratings of genres."""
    mean = float(pd.Series(tables.rating_values(dataset)).mean())
    table = content_tables.genres(dataset)[["genre", "ratings", "mean_rating"]].dropna()
    if table.empty:
        raise MissingColumnError(f"no rated movie of {dataset.name} has a genre")
    table = table.nlargest(MAX_ROWS, "ratings")  # the mean of a few ratings is noisy
    table = table.sort_values("mean_rating", ascending=False, kind="stable", ignore_index=True)
    best, worst = table.iloc[0], table.iloc[-1]

    def plot() -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure, axes = canvas(1.1 + 0.29 * len(table))
        at = rows(axes, table["genre"].tolist())
        axes.axvline(mean, color=GRAY, linewidth=1, linestyle=(0, (2, 3)))
        axes.hlines(at, mean, table["mean_rating"], color=PALE, linewidth=3)
        axes.plot(table["mean_rating"], at, "o", color=BLUE)
        axes.set_xlabel(f"mean rating (all ratings: {mean:.2f})")
        axes.margins(x=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return figure

    return Finding(
        f"The highest mean rating is that of {shorten(best['genre'])} ({best['mean_rating']:.2f}, {best['ratings']:,} "
        f"ratings), the lowest that of {shorten(worst['genre'])} ({worst['mean_rating']:.2f}, {worst['ratings']:,} "
        "ratings).",
        f"Dot plot: the mean rating of {'the most rated genres' if len(table) == MAX_ROWS else 'each genre'}, sorted.",
        table,
        plot,
        {"mean_rating": mean},
    )


@register_finding("genres-by-decade", title="Genres by release decade")
def genres_by_decade(dataset: Dataset) -> Finding:
    """Show how the genres of movies change with the decade of release."""
    return _genre_periods(content_tables.genres_by_decade(dataset), "decade", "movies", MAX_CELLS)


@register_finding("genres-over-time", title="Genres by rating date")
def genres_over_time(dataset: Dataset) -> Finding:
    """Show how the genres of rated movies change over time."""
    table = content_tables.genres_over_time(dataset)
    unit = time_tables.periods(tables.rating_timestamps(dataset), content_tables.MAX_GENRE_PERIODS).unit
    return _genre_periods(table, unit, "ratings", len(table))


def _genre_periods(table: pd.DataFrame, unit: str, counted: str, max_periods: int) -> Finding:
    order = table.assign(weight=table["share"] * table[counted]).groupby("genre")["weight"].sum()
    order = order.sort_values(ascending=False, kind="stable")
    totals = table.drop_duplicates("period")[["period", counted]]
    shown_periods, shown_genres = totals["period"].tolist()[-max_periods:], order.index[:MAX_CELLS].tolist()
    first = table.loc[table.groupby("period")["share"].idxmax()]
    times_first = int((first["genre"] == order.index[0]).sum())
    fewest = totals.iloc[int(totals[counted].to_numpy().argmin())]
    label = f"percentage of each {unit}'s {counted}"
    text = (
        f"{shorten(order.index[0])} is the most common genre in {times_first} of {len(totals)} {_plural(unit)}. "
        f"The {unit} with the fewest {counted} is {fewest['period']}, with {fewest[counted]:,}."
        if len(totals) > 1
        else f"All {counted} are from one {unit}, {fewest['period']}."
    )
    if hidden := len(totals) - len(shown_periods):
        text += f" The figure leaves out the {hidden} {_plural(unit) if hidden > 1 else unit} before "
        text += f"{shown_periods[0]}."

    def plot() -> Figure:
        shares = table.pivot(index="genre", columns="period", values="share")
        values = shares.reindex(index=shown_genres, columns=shown_periods).fillna(0).to_numpy()  # [genres, periods]
        top = max(0.3, values.max())
        figure, axes = canvas(1.0 + 0.3 * len(shown_genres))
        axes.imshow(values, aspect="auto", cmap=shades(), vmin=0, vmax=top)
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value > 0.5 * top else GRAY if value < 0.005 else "black"
            cell = f"{100 * value:.0f}" if value >= 0.005 else "·"
            axes.text(column, row, cell, ha="center", va="center", fontsize=8.5, color=color)
        axes.set_yticks(range(len(shown_genres)), [shorten(name) for name in shown_genres])
        axes.set_xticks(*thinned(shown_periods, 5 if max(map(len, shown_periods)) < 6 else 4))
        axes.tick_params(length=0)
        axes.tick_params(axis="x", labelsize=9)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set_xlabel(label)
        return figure

    alt = f"Heat map: the {label} that belongs to each of the most common genres."
    numbers = {"shown_genres": shown_genres, "shown_periods": len(shown_periods), "label": label}
    return Finding(text, alt, table, plot, numbers)


# Users, and missing data ----------------------------------------------------------------------------------------------


@register_finding("ages", title="Age")
def ages(dataset: Dataset) -> Finding:
    """Describe the age of users."""
    return _demographics(dataset, "age")


@register_finding("genders", title="Gender")
def genders(dataset: Dataset) -> Finding:
    """Describe the gender of users."""
    return _demographics(dataset, "gender")


@register_finding("occupations", title="Occupation")
def occupations(dataset: Dataset) -> Finding:
    """Describe the occupation of users."""
    return _demographics(dataset, "occupation")


def _demographics(dataset: Dataset, by: str) -> Finding:
    table = content_tables.demographics(dataset, by)
    known = table.dropna(subset=["group"])
    largest = tables.largest_row(known, "users")
    text = (
        f"The largest group is {shorten(largest['group'])}: {percent(largest['share_of_users'])} of the users, "
        f"{percent(largest['share_of_ratings'])} of the ratings."
    )
    if len(known) < len(table):
        text += f" Missing for {percent(table['share_of_users'].iloc[-1])} of the users."
    alt = f"Dot plot: the share of each {by} group among the users and among the ratings."
    plot = functools.partial(_paired_dots, table, "group", "users")
    return Finding(text, alt, table, plot, {"groups": len(known)})


@register_finding("missing", title="Missing data")
def missing(dataset: Dataset, posters: str | Path | None = None) -> Finding:
    """List the data missing for movies and users."""
    table = content_tables.missing(dataset, posters)
    sentences = []
    for entity in ("movies", "users"):
        fields = table[table["entity"] == entity]
        if len(none := fields.loc[fields["known"] == 0, "field"]):
            sentences.append(f"Missing for every {entity[:-1]}: {', '.join(none)}.")
        some = fields[(fields["known"] > 0) & (fields["missing"] > 0)]
        if len(some):
            counts = [f"{name} ({number:,})" for name, number in zip(some["field"], some["missing"], strict=True)]
            sentences.append(f"Missing for some {entity}: {', '.join(counts)}.")
    if not sentences:
        sentences.append("Nothing is missing.")
    if "poster" not in set(table["field"]):
        sentences.append("Posters were not checked, as no poster folder was given.")

    def plot() -> Figure:
        figure, axes = canvas(0.5 + 0.28 * len(table))
        at = rows(
            axes, [f"{entity[:-1]}: {name}" for entity, name in zip(table["entity"], table["field"], strict=True)]
        )
        colors = [VERMILION if entity == "movies" else BLUE for entity in table["entity"]]
        axes.barh(at, 1, height=0.62, color=FAINT)
        axes.barh(at, table["share_known"], height=0.62, color=colors)
        for y, share in zip(at, table["share_known"], strict=True):
            axes.text(1.02, y, percent(share), va="center", fontsize=9)
        axes.set(xlim=(0, 1.15), xticks=[])
        axes.grid(False)
        return figure

    alt = "Bar chart: the share of movies and of users for which each field is known."
    return Finding(" ".join(sentences), alt, table, plot)


# Shared ---------------------------------------------------------------------------------------------------------------


def _paired_dots(table: pd.DataFrame, label: str, entity: str) -> Figure:
    """Draw the share of each group among the movies or users and among the ratings, as two dots on a line."""
    from matplotlib.ticker import MaxNLocator

    table = table.head(MAX_ROWS)
    first, second = table[f"share_of_{entity}"], table["share_of_ratings"]
    figure, axes = canvas(0.9 + 0.29 * len(table))
    at = rows(axes, table[label].where(table[label].notna(), "unknown").tolist())
    axes.hlines(at, first, second, color=PALE, linewidth=3)
    hollow: dict[str, Any] = {"color": "white", "markeredgecolor": GRAY, "markeredgewidth": 1.8}
    axes.plot(first, at, "o", **hollow, label=f"share of {entity}")
    axes.plot(second, at, "o", color=BLUE, label="share of ratings")
    top = max(first.max(), np.nan_to_num(second).max())
    axes.set_xlim(-0.015 * top, 1.03 * top)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    in_percent(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9.5)
    return figure


def _plural(unit: str) -> str:
    return "centuries" if unit == "century" else f"{unit}s"
