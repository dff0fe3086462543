"""The map of movies, and the model."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import Response

from gnnrec.service.errors import ConflictError
from gnnrec.service.pages.common import Anyone, Sender

router = APIRouter()


@router.get("/map")
def show_map(visitor: Anyone) -> Response:
    """Show the map of movies, with those of the profile marked."""
    served = visitor.context.holder.served
    rated = (
        {} if visitor.profile is None else {e.movie_id: e for e in visitor.context.store.ratings(visitor.profile.id)}
    )
    dots = sorted(served.map, key=lambda dot: str(dot.movie.id) in rated)
    return visitor.page("map.html", dots=dots, rated=rated, genres=served.map_genres)


@router.get("/model")
def model(visitor: Anyone) -> Response:
    """Show the training data, metrics and settings of the model, and its retraining job."""
    return _model(visitor, "")


@router.post("/model/retrain")
def retrain(visitor: Sender, profiles: Annotated[bool, Form()] = False) -> Response:
    """Train the model again, with the ratings of the profiles if the box is checked."""
    try:
        visitor.context.jobs.retrain(profiles=profiles)
    except ConflictError:
        return _model(visitor, "The model is being trained already.")
    return visitor.go("/model")


def _model(visitor: Anyone, error: str) -> Response:
    context = visitor.context
    served = context.holder.served
    graph = served.model.graph
    facts: dict[str, Any] = {
        "Model": served.model.name,
        "Data": graph.dataset.name,
        "Movies": f"{graph.num_movies:,}",
        "People in the training data": f"{graph.num_users:,}",
        "Ratings": f"{graph.dataset.num_ratings:,}",
        "Genres": ", ".join(served.genres),
    }
    return visitor.page(
        "model.html",
        facts=facts,
        figures=served.figures,
        loaded_at=served.loaded_at,
        settings=served.settings,
        job=context.store.latest_job(),
        counts=context.store.counts(),
        num_trained_profiles=served.num_trained_profiles,
        error=error,
    )
