"""Rating prediction from a saved run, for ``gnnrec predict``; fits the run's rating head if it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from gnnrec.graph import encode_users
from gnnrec.models.gnn import load
from gnnrec.config import RatingConfig
from gnnrec.ratings.fit import fit_rating_model
from gnnrec.ratings.model import has_rating_head, load_rating_model
from gnnrec.ratings.predict import movie_nodes, predict_ratings


def predict_from_run(
    run: str | Path, users: Any, movies: Any = None, *, rating_config: RatingConfig | None = None
) -> pd.DataFrame:
    """Predict ratings with a saved run, sorted by rating; fit and save a rating head if it has none.

    Parameters
    ----------
    run : str or Path
        Folder that `RecGraph.save`, `fit` or `RatingModel.save` wrote.
    users, movies
        Same as in `predict_ratings`.
    rating_config : RatingConfig, optional
        Config of the rating head if it has to be fitted.

    Returns
    -------
    pandas.DataFrame
        Same as from `predict_ratings`, each user's highest predictions first.
    """
    if has_rating_head(run):
        model = load_rating_model(run)
    else:
        recommender = load(run)
        encode_users(recommender.graph, users)  # raises on unknown users and movies before the expensive fit
        movie_nodes(recommender.graph, movies)
        model = fit_rating_model(recommender, rating_config=rating_config)
        model.save(run, keep=["checkpoint.pt", "split"])
    frame = predict_ratings(model, users, movies)
    keys = pd.DataFrame({"user": frame["user_id"].factorize()[0], "rating": -frame["rating"]})
    return frame.iloc[keys.sort_values(["user", "rating"], kind="stable").index]


def ratings_table(frame: pd.DataFrame, limit: int = 20) -> Table:
    """Return the first `limit` predictions as a table for the terminal."""
    table = Table(header_style="bold")
    for name in ("user", "movie", "rating"):
        table.add_column(name, justify="right" if name == "rating" else "left")
    for user_id, _, title, rating in frame.head(limit).itertuples(index=False):
        table.add_row(escape(str(user_id)), escape(title), f"{rating:.2f}")
    return table
