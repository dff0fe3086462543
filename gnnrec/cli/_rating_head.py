"""The rating head of a run, for commands that predict stars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnrec.models import RecGraph, Recommender
    from gnnrec.ratings import RatingModel


def network_of(recommender: Recommender) -> RecGraph:
    """Return the graph neural network of a run; raise `ConfigError` for other models."""
    from gnnrec.errors import ConfigError
    from gnnrec.models.gnn import RecGraph

    if not isinstance(recommender, RecGraph):
        raise ConfigError(f"rating prediction needs the graph neural network, not {recommender.name}")
    return recommender


def rating_model(run: Path, recommender: Recommender | None = None) -> RatingModel:
    """Return the rating model of a run; if it has none, fit a rating head first and save it in the run folder."""
    from gnnrec.models.estimator import load
    from gnnrec.ratings.fit import fit_rating_model
    from gnnrec.ratings.model import has_rating_head, load_rating_model

    if has_rating_head(run):
        return load_rating_model(run)
    model = fit_rating_model(network_of(load(run) if recommender is None else recommender))
    model.save(run, keep=["checkpoint.safetensors", "split", "training.png"])
    return model
