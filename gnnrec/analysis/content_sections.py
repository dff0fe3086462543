"""From tables to findings: what is said of genres, of people, and of what is missing."""

from __future__ import annotations

from typing import Any

from gnnrec.analysis.finding import Finding, row_with_most
from gnnrec.analysis.genres import genres as of_genres
from gnnrec.analysis.people import groups, missing
from gnnrec.analysis.ratings import LackingError, overview
from gnnrec.analysis.times import periods, timestamps
from gnnrec.analysis.words import MOST_ROWS, percent, short
from gnnrec.data import Dataset

SHOWN = 10
"""Genres and decades in a picture with a cell for each pair."""


def genre_section(dataset: Dataset) -> Finding:
    """Tell which genres are common, and which are watched."""
    table = of_genres.genres(dataset)
    text = f"There are {len(table)} genres." if len(table) > 1 else "There is one genre."
    gain = (table["share_of_ratings"] - table["share_of_movies"]).dropna()
    if len(gain) and gain.max() > 0:
        up, down = (row_with_most(table.assign(gain=sign * gain), "gain") for sign in (1, -1))
        shares = [[percent(row[f"share_of_{of}"]) for of in ("movies", "ratings")] for row in (up, down)]
        text += (
            f" {short(up['genre'])} is watched most beyond its share of the movies ({shares[0][0]} of these, "
            f"{shares[0][1]} of the ratings), {short(down['genre'])} falls most short of it "
            f"({' and '.join(shares[1])})."
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
        raise LackingError(f"the ratings of {dataset.name} have no column rating")
    table = of_genres.genres(dataset)[["genre", "ratings", "mean_rating"]].dropna()
    if table.empty:
        raise LackingError(f"no rating of {dataset.name} is of a movie with known genres")
    table = table.nlargest(MOST_ROWS, "ratings")  # of a genre with few ratings the mean says little
    table = table.sort_values("mean_rating", ascending=False, kind="stable", ignore_index=True)
    best, worst = table.iloc[0], table.iloc[-1]
    return Finding(
        "genre-ratings",
        "How genres are liked",
        f"The highest mean rating is that of {short(best['genre'])} ({best['mean_rating']:.2f}, {best['ratings']:,} "
        f"ratings), the lowest that of {short(worst['genre'])} ({worst['mean_rating']:.2f}, {worst['ratings']:,}).",
        f"A dot for each genre{' with many ratings' if len(table) == MOST_ROWS else ''} at its mean rating, in order.",
        table,
        {"mean_rating": overview(dataset)["mean_rating"]},
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
    what = "decade" if made else periods(timestamps(dataset), of_genres.MOST_PERIODS).unit
    smallest = totals.iloc[int(totals[of].to_numpy().argmin())]
    text = (
        f"{short(order.index[0])} is the most common genre in {times_first} of {len(totals)} {what}s. The {what} "
        f"with the fewest {of} is {smallest['period']}, with {smallest[of]:,}."
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
    table = groups(dataset, by)
    known = table.dropna(subset=["group"])
    largest = row_with_most(known, "users")
    text = (
        f"The largest group is {short(largest['group'])}: {percent(largest['share_of_users'])} of the people, "
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
    table = missing(dataset, posters)
    names = {"movies": "movies", "users": "people"}
    parts = []
    for of, name in names.items():
        lacking = table[(table["of"] == of) & (table["known"] == 0)]["what"].tolist()
        if lacking:
            parts.append(f"Of no {'movie' if of == 'movies' else 'person'} is known: {', '.join(lacking)}.")
        some = table[(table["of"] == of) & (table["known"] > 0) & (table["missing"] > 0)]
        if len(some):
            numbers = [f"{what} {number:,}" for what, number in zip(some["what"], some["missing"], strict=True)]
            parts.append(f"Number of {name} of which something is not known: {', '.join(numbers)}.")
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
