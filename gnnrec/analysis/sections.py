"""From tables to findings: what each of them says, and which there are.

A section raises `Lacking` where the dataset does not have what it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gnnrec.analysis import genres as of_genres
from gnnrec.analysis import people, times
from gnnrec.analysis import ratings as of_ratings
from gnnrec.analysis.finding import Finding
from gnnrec.analysis.ratings import Lacking
from gnnrec.analysis.words import percent
from gnnrec.data import Dataset

SHOWN = 10
"""Genres and decades in a picture with a cell for each pair."""


def rating_section(dataset: Dataset) -> Finding:
    """Tell which ratings people give."""
    table = of_ratings.rating_distribution(dataset)
    values = dataset.ratings["rating"].astype("float64")
    mean, median = float(values.mean()), float(values.median())
    most = table.loc[table["share"].idxmax()]
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
    counts = of_ratings.counts_of(dataset, "user_id" if of == "users" else "movie_id")
    who, does, name = ("people", "give", "user") if of == "users" else ("movies", "get", "movie")
    numbers = {"of": of, "least": int(counts.min()), "median": float(np.median(counts)), "most": int(counts.max())}
    text = (
        f"Half of the {who} {does} {numbers['median']:,.4g} ratings or fewer; the fewest are {numbers['least']:,}, the "
        f"most {numbers['most']:,}."
    )
    if none := int((counts == 0).sum()):
        text += f" {percent(none / len(counts))} have none."
    return Finding(
        f"ratings-per-{name}",
        "How many ratings people give" if of == "users" else "How many ratings movies get",
        text,
        f"Bars: the share of {who} by their number of ratings, in steps that double.",
        of_ratings.by_doubling(counts),
        numbers,
    )


def tail_section(dataset: Dataset) -> Finding:
    """Tell how unequal movies and people are."""
    counts = {"movies": of_ratings.counts_of(dataset, "movie_id"), "users": of_ratings.counts_of(dataset, "user_id")}
    curves = [of_ratings.lorenz(count).assign(of=of) for of, count in counts.items()]
    numbers = {}
    for of, count in counts.items():
        numbers |= {f"gini_of_{of}": of_ratings.gini(count), f"top_tenth_of_{of}": of_ratings.top_share(count)}
    return Finding(
        "long-tail",
        "The long tail",
        f"The most rated tenth of the movies has {percent(numbers['top_tenth_of_movies'])} of the ratings, the most active "
        f"tenth of the people gave {percent(numbers['top_tenth_of_users'])}.",
        "Two curves, for movies and for people: which part of all ratings the most rated part has. "
        f"Gini coefficients {numbers['gini_of_movies']:.2f} and {numbers['gini_of_users']:.2f}.",
        pd.concat(curves, ignore_index=True)[["of", "share", "share_of_ratings"]],
        numbers,
    )


def most_rated_section(dataset: Dataset) -> Finding:
    """Tell which movies have the most ratings."""
    table = of_ratings.most_rated(dataset)
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
    table = of_ratings.matrix(dataset)
    density = of_ratings.overview(dataset)["density"]
    corner = float(of_ratings.matrix(dataset, 10).to_numpy()[0, 0])
    return Finding(
        "matrix",
        "Who rated what",
        f"{percent(density)} of all pairs of a person and a movie have a rating; among the most active tenth of the people "
        f"and the most rated tenth of the movies {percent(corner)}.",
        "A map of people by movies, the most active and the most rated first: the darker, the more of the pairs have a "
        "rating. It fades from the upper left corner.",
        table,
        {"density": density, "density_of_top_tenths": corner},
    )


def activity_section(dataset: Dataset) -> Finding:
    """Tell when people rate."""
    table = times.activity(dataset)
    of = of_ratings.overview(dataset)
    unit = times.periods(times.timestamps(dataset)).unit
    most = table.loc[table["ratings"].idxmax()]
    share = float(most["ratings"] / dataset.num_ratings)
    return Finding(
        "activity",
        "Ratings over time",
        f"From {of['first_day']} to {of['last_day']}. The {unit} with the most ratings is {most['period']}: "
        f"{percent(share)} of all.",
        f"Two rows of bars by {unit}: the ratings, and the people who gave them, those who never rated before set apart.",
        table,
        {"unit": f"{unit} (its Monday)" if unit == "week" else unit, "share_of_busiest": share},
    )


def day_section(dataset: Dataset) -> Finding:
    """Tell how far people rate all at once."""
    shares = times.busiest_days(dataset)
    if not len(shares):
        raise Lacking(f"nobody in {dataset.name} has rated twice")
    at_once = float((shares == 1).mean())
    return Finding(
        "days",
        "How much is rated on one day",
        f"Half of the people gave {percent(float(np.median(shares)))} or more of their ratings on a single day, and "
        f"{percent(at_once)} all of them. The order within such a day says little about what was watched when.",
        "Bars: the share of people by which part of their ratings fell on their busiest day.",
        times.in_steps(shares),
        {"median": float(np.median(shares)), "all_on_one_day": at_once, "users": len(shares)},
    )


def genre_section(dataset: Dataset) -> Finding:
    """Tell which genres are common, and which are watched."""
    table = of_genres.genres(dataset)
    text = f"There are {len(table)} genres." if len(table) > 1 else "There is one genre."
    gain = (table["share_of_ratings"] - table["share_of_movies"]).dropna()
    if len(gain) and gain.max() > 0:
        up, down = table.loc[gain.idxmax()], table.loc[gain.idxmin()]
        text += (
            f" {up['genre']} is watched most beyond its share of the movies ({percent(up['share_of_movies'])} of these, "
            f"{percent(up['share_of_ratings'])} of the ratings), {down['genre']} falls most short of it "
            f"({percent(down['share_of_movies'])} and {percent(down['share_of_ratings'])})."
        )
    return Finding(
        "genres",
        "Genres made and genres watched",
        text + " A movie of several genres counts in equal parts for each.",
        "Two dots for each genre: its share of the movies and of the ratings.",
        table,
        {"genres": len(table)},
    )


def genre_rating_section(dataset: Dataset) -> Finding:
    """Tell which genres are rated high."""
    if "rating" not in dataset.ratings:
        raise Lacking(f"the ratings of {dataset.name} have no column rating")
    table = of_genres.genres(dataset)[["genre", "ratings", "mean_rating"]].dropna()
    if table.empty:
        raise Lacking(f"no rating of {dataset.name} is of a movie with known genres")
    table = table.sort_values("mean_rating", ascending=False, kind="stable", ignore_index=True)
    best, worst = table.iloc[0], table.iloc[-1]
    return Finding(
        "genre-ratings",
        "How genres are liked",
        f"The highest mean rating is that of {best['genre']} ({best['mean_rating']:.2f}, {best['ratings']:,} ratings), the "
        f"lowest that of {worst['genre']} ({worst['mean_rating']:.2f}, {worst['ratings']:,}).",
        "A dot for each genre at its mean rating, the highest at the top.",
        table,
        {"mean_rating": of_ratings.overview(dataset)["mean_rating"]},
    )


def period_section(dataset: Dataset, of: str) -> Finding:
    """Tell how genres change, over the decades in which movies were made or the time in which they were rated."""
    made = of == "movies"
    table = of_genres.genres_by_decade(dataset) if made else of_genres.genres_over_time(dataset)
    order = table.assign(weight=table["share"] * table[of]).groupby("genre")["weight"].sum()
    order = order.sort_values(ascending=False, kind="stable")
    totals = table.drop_duplicates("period")[["period", of]]
    shown = totals.tail(SHOWN) if made else totals
    left = len(totals) - len(shown)
    first = table.loc[table.groupby("period")["share"].idxmax()]
    times_first = int((first["genre"] == order.index[0]).sum())
    what = "decade" if made else times.periods(times.timestamps(dataset), of_genres.MOST_PERIODS).unit
    smallest = totals.loc[totals[of].idxmin()]
    text = (
        f"{order.index[0]} is the most common genre in {times_first} of {len(totals)} {what}s. The {what} with the fewest "
        f"{of} is {smallest['period']}, with {smallest[of]:,}."
        if len(totals) > 1
        else f"All are of one {what}, {smallest['period']}."
    )
    if left:
        text += f" The picture leaves out the {left} {what}s before {shown['period'].iloc[0]}."
    return Finding(
        "genres-by-decade" if made else "genres-over-time",
        "What was made when" if made else "What was rated when",
        text,
        f"A table in colours: the percentage of each {what}'s {of} that belongs to each of the most common genres.",
        table,
        {
            "shown_genres": order.index[:SHOWN].tolist(),
            "shown_periods": len(shown),
            "label": f"percent of each {what}'s {of}",
        },
    )


def group_section(dataset: Dataset, by: str) -> Finding:
    """Tell who the people are."""
    table = people.groups(dataset, by)
    known = table.dropna(subset=["group"])
    largest = known.loc[known["users"].idxmax()]
    text = (
        f"The largest group is {largest['group']}: {percent(largest['share_of_users'])} of the people, "
        f"{percent(largest['share_of_ratings'])} of the ratings."
    )
    if len(known) < len(table):
        text += f" Of {percent(table['share_of_users'].iloc[-1])} it is not known."
    return Finding(
        f"{by}s",
        {"age": "How old people are", "gender": "Gender", "occupation": "What people do"}[by],
        text,
        f"Two dots for each {by}: its share of the people and of the ratings.",
        table,
        {"groups": len(known)},
    )


def missing_section(dataset: Dataset, posters: Any = None) -> Finding:
    """Tell what is not known."""
    table = people.missing(dataset, posters)
    names = {"movies": "movies", "users": "people"}
    parts = []
    for of, name in names.items():
        lacking = table[(table["of"] == of) & (table["known"] == 0)]["what"].tolist()
        if lacking:
            parts.append(f"Of no {'movie' if of == 'movies' else 'person'} is known: {', '.join(lacking)}.")
        some = table[(table["of"] == of) & (table["known"] > 0) & (table["missing"] > 0)]
        parts += [f"{row.missing:,} {name} lack {row.what}." for row in some.itertuples()]
    if not parts:
        parts.append("Nothing that is looked for is missing.")
    if "poster" not in set(table["what"]):
        parts.append("Posters were not looked for: no folder of them was named.")
    return Finding(
        "missing",
        "What is known",
        " ".join(parts),
        "Bars: of which part of the movies and people each thing is known.",
        table,
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
"""All findings but the last, `missing_section`, in the order of the report."""
