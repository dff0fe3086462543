"""The findings about a dataset: each is one function that makes a table, a sentence and a figure.

To add a finding, write one more function with the decorator `register_finding`, here or in a file of its own in this
folder. Reports show the findings in the order of this file, then others. A function raises `MissingColumnError` if the
dataset lacks the data.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.explore import content_tables, tables
from gnnrec.explore.finding import Finding
from gnnrec.explore.tables import MissingColumnError
from gnnrec.plots.formatting import compact, percent, shorten
from gnnrec.plots.style import (
    BLUE,
    FAINT,
    GRAY,
    PALE,
    VERMILION,
    WIDTH,
    canvas,
    columns,
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


# Ratings --------------------------------------------------------------------------------------------------------------


@register_finding("ratings", title="Rating distribution")
def rating_distribution(dataset: Dataset) -> Finding:
    """Describe the distribution of rating values."""
    table = tables.rating_distribution(dataset)
    values = dataset.ratings["rating"].astype("float64")
    mean, median = float(values.mean()), float(values.median())
    top = _largest(table, "share")
    single = bool((table["low"] == table["high"]).all())
    mode = f"rating is {top['low']:.4g}" if single else f"ratings are from {top['low']:.4g} to {top['high']:.4g}"

    def plot() -> Figure:
        figure, axes = canvas(2.9)
        columns(axes, [f"{low:.{4 if single else 3}g}" for low in table["low"]], table["share"].tolist())
        axes.tick_params(axis="x", labelsize=10.5 if single else 8)
        step = table["high"][0] - table["low"][0]
        axes.set_xlabel("rating" if single else f"rating (lower ends of bins of width {step:.3g})")
        return figure

    return Finding(
        f"Mean {mean:.2f}, median {median:.4g}. The most frequent {mode} ({percent(top['share'])}).",
        f"Bar chart: the share of each rating, from {table['low'].min():.4g} to {table['high'].max():.4g}.",
        table,
        plot,
        {"mean": mean, "median": median, "std": float(values.std(ddof=0))},
    )


@register_finding("ratings-per-user", title="Ratings per user")
def ratings_per_user(dataset: Dataset) -> Finding:
    """Describe the number of ratings per user."""
    return _rating_counts(dataset, "users", BLUE)


@register_finding("ratings-per-movie", title="Ratings per movie")
def ratings_per_movie(dataset: Dataset) -> Finding:
    """Describe the number of ratings per movie."""
    return _rating_counts(dataset, "movies", VERMILION)


def _rating_counts(dataset: Dataset, entity: str, color: str) -> Finding:
    one = entity[:-1]
    counts = tables.rating_counts(dataset, f"{one}_id")
    table = tables.log2_histogram(counts)
    numbers = {"entity": entity, "least": int(counts.min()), "median": float(np.median(counts))}
    numbers["most"] = int(counts.max())
    text = (
        f"Ratings per {one}: median {numbers['median']:,.5g}, minimum {numbers['least']:,}, "
        f"maximum {numbers['most']:,}."
    )
    if none := int((counts == 0).sum()):
        text += f" {percent(none / len(counts))} of the {entity} have no ratings."

    def plot() -> Figure:
        bins = zip(table["at_least"], table["at_most"], strict=True)
        labels = [compact(low) if low == high else f"{compact(low)}–\n{compact(high)}" for low, high in bins]
        figure, axes = canvas(3.1)
        columns(axes, labels, table["share"].tolist(), color)
        axes.tick_params(axis="x", labelsize=8.5 if len(labels) > 9 else 9.5)
        axes.set_xlabel("number of ratings")
        return figure

    alt = f"Histogram: the share of {entity} by their number of ratings, in bins that double in width."
    return Finding(text, alt, table, plot, numbers)


@register_finding("long-tail", title="Long tail")
def long_tail(dataset: Dataset) -> Finding:
    """Measure how unequally ratings are distributed among movies and among users."""
    counts = {entity: tables.rating_counts(dataset, f"{entity[:-1]}_id") for entity in ("movies", "users")}
    curves = [tables.lorenz(count).assign(entity=entity) for entity, count in counts.items()]
    table = pd.concat(curves, ignore_index=True)[["entity", "share", "share_of_ratings"]]
    numbers: dict[str, Any] = {}
    for entity, count in counts.items():
        numbers |= {f"gini_of_{entity}": tables.gini(count), f"top_tenth_of_{entity}": tables.top_share(count)}

    def plot() -> Figure:
        figure, axes = canvas(3.9)
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (2, 3)))
        for entity, color in (("movies", VERMILION), ("users", BLUE)):
            curve = table[table["entity"] == entity]
            label = f"{entity} (Gini {numbers[f'gini_of_{entity}']:.2f})"
            axes.plot(curve["share"], curve["share_of_ratings"], color=color, linewidth=2.2, label=label)
        axes.text(0.6, 0.565, "equal", color=GRAY, fontsize=9, va="top")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share of movies or users, most ratings first")
        axes.set_ylabel("share of ratings")
        for axis in (axes.xaxis, axes.yaxis):
            in_percent(axis)
        axes.grid(True)
        axes.legend(loc="lower right")
        return figure

    return Finding(
        f"The most rated 10% of movies hold {percent(numbers['top_tenth_of_movies'])} of all ratings; the most active "
        f"10% of users gave {percent(numbers['top_tenth_of_users'])}.",
        "Lorenz curves of movies and of users: the cumulative share of ratings, most ratings first. Gini coefficients "
        f"{numbers['gini_of_movies']:.2f} and {numbers['gini_of_users']:.2f}.",
        table,
        plot,
        numbers,
    )


@register_finding("most-rated", title="Most rated movies")
def most_rated(dataset: Dataset) -> Finding:
    """List the movies with the most ratings."""
    table = tables.most_rated(dataset)
    share = float(table["ratings"].sum() / dataset.num_ratings)
    subject = f"{len(table)} most rated movies" if len(table) > 1 else "most rated movie"

    def plot() -> Figure:
        figure, axes = canvas(0.3 + 0.44 * len(table))
        at = rows(axes, [""] * len(table))
        axes.barh(at - 0.2, table["ratings"], height=0.32, color=VERMILION)
        for y, title, number in zip(at, table["title"], table["ratings"], strict=True):
            axes.text(0, y + 0.02, shorten(title, 52), va="bottom", fontsize=9.5)  # above its bar
            axes.text(number, y - 0.22, f" {number:,}", va="center", fontsize=9)
        axes.set(xticks=[], yticks=[], xlim=(0, 1.15 * table["ratings"].max()))
        axes.grid(False)
        return figure

    return Finding(
        f"The {subject} received {percent(share)} of all ratings.",
        f"Bar chart: the number of ratings of the {subject}.",
        table,
        plot,
        {"share": share},
    )


@register_finding("matrix", title="User–movie matrix")
def matrix(dataset: Dataset) -> Finding:
    """Map the density of the user-movie matrix."""
    table = tables.block_density(dataset)
    density = tables.overview(dataset)["density"]
    corner = float(tables.block_density(dataset, 10).to_numpy()[0, 0])

    def plot() -> Figure:
        from matplotlib.colors import PowerNorm

        values = table.to_numpy()
        figure, axes = canvas(4.3)
        image = axes.imshow(
            values,
            aspect="auto",
            cmap=shades(),
            norm=PowerNorm(0.45, vmin=0, vmax=float(values.max())),
            extent=(0, 1, 1, 0),
            interpolation="nearest",
        )
        axes.set(xlabel="movies, most rated first", ylabel="users, most active first")
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.5, 1])
        for axis in (axes.xaxis, axes.yaxis):
            in_percent(axis)
        scale: Any = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        scale.outline.set_visible(False)
        scale.set_label("share of rated pairs")
        in_percent(scale.ax.yaxis)
        return figure

    return Finding(
        f"{percent(density)} of all user–movie pairs are rated; among the most active 10% of users and the most rated "
        f"10% of movies, {percent(corner)}.",
        "Heat map of users by movies, most ratings first: the darker, the more pairs are rated. It fades from the "
        "upper left corner.",
        table,
        plot,
        {"density": density, "density_of_top_tenths": corner},
    )


# Time -----------------------------------------------------------------------------------------------------------------


@register_finding("activity", title="Activity over time")
def activity(dataset: Dataset) -> Finding:
    """Count ratings and users over time."""
    table = tables.activity(dataset)
    stats = tables.overview(dataset)
    unit = tables.periods(tables.rating_timestamps(dataset)).unit
    top = _largest(table, "ratings")
    share = float(top["ratings"] / dataset.num_ratings)
    label = f"{unit} (its Monday)" if unit == "week" else unit

    def plot() -> Figure:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        at = np.arange(len(table))
        upper.bar(at, table["ratings"], width=0.85, color=BLUE)
        upper.set_ylabel("ratings")
        lower.bar(at, table["users"], width=0.85, color=PALE, label="active users")
        lower.bar(at, table["new_users"], width=0.85, color=VERMILION, label="new users")
        lower.set_ylabel("users")
        lower.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, borderaxespad=0.2, columnspacing=1)
        for axes in (upper, lower):
            axes.grid(axis="y")
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(lambda value, _: compact(value))
        lower.set_xticks(*thinned(table["period"].tolist(), 5))
        lower.set_xlim(-0.7, max(len(table), 3) - 0.3)
        lower.set_xlabel(label)
        return figure

    return Finding(
        f"Ratings were given from {stats['first_day']} to {stats['last_day']}. The busiest {unit} is {top['period']}, "
        f"with {percent(share)} of all ratings.",
        f"Two bar charts by {unit}: the number of ratings, and the number of active users with new users highlighted.",
        table,
        plot,
        {"unit": label, "share_of_busiest": share},
    )


@register_finding("days", title="Share of ratings on the busiest day")
def days(dataset: Dataset) -> Finding:
    """Measure how concentrated ratings are on a single day."""
    shares = tables.busiest_days(dataset)
    if not len(shares):
        raise MissingColumnError(f"no user of {dataset.name} has two or more ratings")
    table = tables.decile_histogram(shares)
    at_once, median = float((shares == 1).mean()), float(np.median(shares))

    def plot() -> Figure:
        figure, axes = canvas(2.9)
        columns(axes, [f"{100 * end:.0f}%" for end in table["up_to"]], table["share"].tolist())
        axes.set_xlabel("share of a user's ratings on the busiest day, up to …")
        return figure

    return Finding(
        f"Half of the users gave {f'at least {percent(median)}' if median < 1 else 'all'} of their ratings on a single "
        f"day; {percent(at_once) if at_once else 'none'} gave all of them on one day. The order of ratings within a "
        "day says little about the order in which the movies were watched.",
        "Histogram: the share of users by the share of their ratings that fell on their busiest day.",
        table,
        plot,
        {"median": median, "all_on_one_day": at_once, "users": len(shares)},
    )


# Genres ---------------------------------------------------------------------------------------------------------------


@register_finding("genres", title="Genres of movies and of ratings")
def genres(dataset: Dataset) -> Finding:
    """Compare the genres of the movies with those of the ratings."""
    table = content_tables.genres(dataset)
    text = f"There are {len(table)} genres." if len(table) > 1 else "There is one genre."
    gain = (table["share_of_ratings"] - table["share_of_movies"]).dropna()
    if len(gain) and gain.max() > 0:
        over, under = (_largest(table.assign(gain=sign * gain), "gain") for sign in (1, -1))
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
    unit = tables.periods(tables.rating_timestamps(dataset), content_tables.MAX_GENRE_PERIODS).unit
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
    largest = _largest(known, "users")
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


def _largest(table: pd.DataFrame, column: str) -> Any:
    """Return the first row with the largest value in a column, ignoring missing values."""
    return table.iloc[int(np.nanargmax(table[column].to_numpy("float64", na_value=np.nan)))]


def _plural(unit: str) -> str:
    return "centuries" if unit == "century" else f"{unit}s"
