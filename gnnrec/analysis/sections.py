"""From tables to findings: what is said of ratings and of time, and which findings there are.

A section raises `LackingError` where the dataset does not have what it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.analysis.content_sections import genre_rating_section, genre_section, group_section, period_section
from gnnrec.analysis.finding import Finding, row_with_most
from gnnrec.analysis.ratings import LackingError, counts_of, matrix, most_rated, overview, rating_distribution
from gnnrec.analysis.tail import by_doubling, gini, lorenz, top_share
from gnnrec.analysis.times import activity, busiest_days, in_steps, periods, timestamps
from gnnrec.analysis.words import percent
from gnnrec.data import Dataset


def rating_section(dataset: Dataset) -> Finding:
    """Tell which ratings people give."""
    table = rating_distribution(dataset)
    values = dataset.ratings["rating"].astype("float64")
    mean, median = float(values.mean()), float(values.median())
    most = row_with_most(table, "share")
    which = f"{most['low']:.4g}" if most["low"] == most["high"] else f"from {most['low']:.4g} to {most['high']:.4g}"
    return Finding(
        "ratings",
        "Which ratings people give",
        f"The mean rating is {mean:.2f}, the median {median:.4g}. The most frequent is {which}: "
        f"{percent(most['share'])} of all.",
        f"Bars: the share of each rating, from {table['low'].min():.4g} to {table['high'].max():.4g}.",
        table,
        {"mean": mean, "median": median, "std": float(values.std(ddof=0))},
    )


def doubling_section(dataset: Dataset, of: str) -> Finding:
    """Tell how many ratings people give, or movies get."""
    counts = counts_of(dataset, "user_id" if of == "users" else "movie_id")
    who, one, name = ("people", "person", "user") if of == "users" else ("movies", "movie", "movie")
    numbers = {"of": of, "least": int(counts.min()), "median": float(np.median(counts)), "most": int(counts.max())}
    text = f"Ratings per {one}: median {numbers['median']:,.5g}, least {numbers['least']:,}, most {numbers['most']:,}."
    if none := int((counts == 0).sum()):
        text += f" {percent(none / len(counts))} of the {who} have none."
    return Finding(
        f"ratings-per-{name}",
        "How many ratings people give" if of == "users" else "How many ratings movies get",
        text,
        f"Bars: the share of {who} by their number of ratings, in steps that double.",
        by_doubling(counts),
        numbers,
    )


def tail_section(dataset: Dataset) -> Finding:
    """Tell how unequal movies and people are."""
    counts = {"movies": counts_of(dataset, "movie_id"), "users": counts_of(dataset, "user_id")}
    curves = [lorenz(count).assign(of=of) for of, count in counts.items()]
    numbers: dict[str, Any] = {}
    for of, count in counts.items():
        numbers |= {f"gini_of_{of}": gini(count), f"top_tenth_of_{of}": top_share(count)}
    return Finding(
        "long-tail",
        "The long tail",
        f"The most rated tenth of the movies has {percent(numbers['top_tenth_of_movies'])} of the ratings, the most "
        f"active tenth of the people gave {percent(numbers['top_tenth_of_users'])}.",
        "Two curves, for movies and for people: which part of all ratings the most rated part has. "
        f"Gini coefficients {numbers['gini_of_movies']:.2f} and {numbers['gini_of_users']:.2f}.",
        pd.concat(curves, ignore_index=True)[["of", "share", "share_of_ratings"]],
        numbers,
    )


def most_rated_section(dataset: Dataset) -> Finding:
    """Tell which movies have the most ratings."""
    table = most_rated(dataset)
    share = float(table["ratings"].sum() / dataset.num_ratings)
    return Finding(
        "most-rated",
        "The most rated movies",
        f"{percent(share)} of all ratings are of "
        + (f"these {len(table)} movies." if len(table) > 1 else "this movie."),
        f"Bars: the number of ratings of the {len(table)} most rated movies.",
        table,
        {"share": share},
    )


def matrix_section(dataset: Dataset) -> Finding:
    """Tell how full the user-item matrix is, and where."""
    table = matrix(dataset)
    density = overview(dataset)["density"]
    corner = float(matrix(dataset, 10).to_numpy()[0, 0])
    return Finding(
        "matrix",
        "Who rated what",
        f"{percent(density)} of all pairs of a person and a movie have a rating; among the most active tenth of the "
        f"people and the most rated tenth of the movies {percent(corner)}.",
        "A map of people by movies, the most active and the most rated first: the darker, the more of the pairs have a "
        "rating. It fades from the upper left corner.",
        table,
        {"density": density, "density_of_top_tenths": corner},
    )


def activity_section(dataset: Dataset) -> Finding:
    """Tell when people rate."""
    table = activity(dataset)
    of = overview(dataset)
    unit = periods(timestamps(dataset)).unit
    most = row_with_most(table, "ratings")
    share = float(most["ratings"] / dataset.num_ratings)
    return Finding(
        "activity",
        "Ratings over time",
        f"From {of['first_day']} to {of['last_day']}. The {unit} with the most ratings is {most['period']}: "
        f"{percent(share)} of all.",
        f"Two rows of bars by {unit}: the ratings, and the people who gave them; those new to it stand out.",
        table,
        {"unit": f"{unit} (its Monday)" if unit == "week" else unit, "share_of_busiest": share},
    )


def day_section(dataset: Dataset) -> Finding:
    """Tell how far people rate all at once."""
    shares = busiest_days(dataset)
    if not len(shares):
        raise LackingError(f"nobody in {dataset.name} has rated twice")
    at_once, median = float((shares == 1).mean()), float(np.median(shares))
    half = f"{percent(median)} or more" if median < 1 else "all"
    return Finding(
        "days",
        "How much is rated on one day",
        f"Half of the people gave {half} of their ratings on a single day; {percent(at_once) if at_once else 'nobody'} "
        "gave all of them on one. "
        "The order within such a day says little about what was watched when.",
        "Bars: the share of people by which part of their ratings fell on their busiest day.",
        in_steps(shares),
        {"median": median, "all_on_one_day": at_once, "users": len(shares)},
    )


SECTIONS: dict[str, Callable[[Dataset], Finding]] = {
    "ratings": rating_section,
    "ratings-per-user": partial(doubling_section, of="users"),
    "ratings-per-movie": partial(doubling_section, of="movies"),
    "long-tail": tail_section,
    "most-rated": most_rated_section,
    "matrix": matrix_section,
    "activity": activity_section,
    "days": day_section,
    "genres": genre_section,
    "genre-ratings": genre_rating_section,
    "genres-by-decade": partial(period_section, of="movies"),
    "genres-over-time": partial(period_section, of="ratings"),
    "ages": partial(group_section, by="age"),
    "genders": partial(group_section, by="gender"),
    "occupations": partial(group_section, by="occupation"),
}
"""All findings but the last, of `missing_section`, in the order of the report."""
