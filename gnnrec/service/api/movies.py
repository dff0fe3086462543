"""Search, and details of a movie."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from gnnrec.service.api.schemas import FoundMovie, K, MovieDetails, MovieId, SimilarMovie
from gnnrec.service.context import Served
from gnnrec.service.problems import responses

router = APIRouter(prefix="/movies", tags=["movies"])


@router.get("", response_model=list[FoundMovie])
def search(
    served: Served,
    query: Annotated[
        str, Query(min_length=1, max_length=200, description="Words of a title; the last word may be incomplete")
    ],
    k: K = 10,
) -> Any:
    """Search the titles."""
    return [FoundMovie(**movie.fields, score=score) for score, movie in served.search(query, k)]


@router.get("/{movie_id}", response_model=MovieDetails, responses=responses(404))
def movie(served: Served, movie_id: MovieId) -> Any:
    """Return a movie."""
    found = served.movie(movie_id)
    people = {"directors": list(found.directors), "actors": list(found.actors)}
    return MovieDetails(**found.fields, plot=found.plot, **people)


@router.get("/{movie_id}/similar", response_model=list[SimilarMovie], responses=responses(404))
def similar(served: Served, movie_id: MovieId, k: K = 10) -> Any:
    """Return the most similar movies."""
    found = served.model.similar_movies(served.movie(movie_id).id, k)
    pairs = zip(found["movie_id"].tolist(), found["similarity"].tolist(), strict=True)
    return [SimilarMovie(**served.movie(other).fields, similarity=value) for other, value in pairs]
