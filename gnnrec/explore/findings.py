"""Findings about the ratings of a dataset, and about time: each function makes a table, a sentence and a figure.

To add a finding, write a function with the decorator `register_finding`, here or in a file of its own in this folder.
Reports show the findings of this file first, then those of `content_findings`, then others. A function raises
`MissingColumnError` if the dataset lacks the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gnnrec.data import Dataset
from gnnrec.explore import tables, time_tables
from gnnrec.explore.finding import Finding
from gnnrec.explore.tables import MissingColumnError
from gnnrec.plots.formatting import compact, percent, shorten
from gnnrec.plots.style import (
    BLUE,
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

# Ratings --------------------------------------------------------------------------------------------------------------


@register_finding("ratings", title="Rating distribution")
def rating_distribution(dataset: Dataset) -> Finding:
    """Describe the distribution of rating values."""
    table = tables.rating_distribution(dataset)
    values = dataset.ratings["rating"].astype("float64")
    mean, median = float(values.mean()), float(values.median())
    top = tables.largest_row(table, "share")
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
    table = time_tables.activity(dataset)
    stats = tables.overview(dataset)
    unit = time_tables.periods(tables.rating_timestamps(dataset)).unit
    top = tables.largest_row(table, "ratings")
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
    shares = time_tables.busiest_days(dataset)
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
