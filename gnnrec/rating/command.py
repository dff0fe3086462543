"""The body of ``gnnrec rate``: ratings from a saved run, whose head is made when it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from gnnrec.graph import encode_users
from gnnrec.models.gnn import load
from gnnrec.rating.config import RatingConfig
from gnnrec.rating.fit import fit_ratings
from gnnrec.rating.model import HEADER, load_ratings
from gnnrec.rating.predict import movie_nodes, predict_rating


def rate(run: str | Path, who: Any, movies: Any = None, *, settings: RatingConfig | None = None) -> pd.DataFrame:
    """Predict ratings with a saved run, best first; where it has no rating head, train one and save it there.

    Parameters
    ----------
    run : str or Path
        Folder that `RecGraph.save`, `fit` or `RatingModel.save` wrote.
    who, movies
        As for `predict_rating`.
    settings : RatingConfig, optional
        Of a head that has yet to be trained.

    Returns
    -------
    pandas.DataFrame
        As from `predict_rating`, each person's best first.
    """
    if (Path(run) / HEADER).is_file():
        model = load_ratings(run)
    else:
        bare = load(run)
        encode_users(bare.graph, who)  # a mistake in the question is told before anything is trained
        movie_nodes(bare.graph, movies)
        model = fit_ratings(bare, settings=settings)
        model.save(run, keep=["checkpoint.pt", "split"])
    frame = predict_rating(model, who, movies)
    person = frame["user_id"].factorize()[0]
    return frame.iloc[pd.DataFrame({"p": person, "r": -frame["rating"]}).sort_values(["p", "r"], kind="stable").index]


def ratings_table(frame: pd.DataFrame, limit: int = 20) -> Table:
    """Lay out the first `limit` predicted ratings for the terminal."""
    grid = Table(header_style="bold")
    for name in ("person", "movie", "rating"):
        grid.add_column(name, justify="right" if name == "rating" else "left")
    for user_id, _, title, rating in frame.head(limit).itertuples(index=False):
        grid.add_row(escape(str(user_id)), escape(title), f"{rating:.2f}")
    return grid
