"""Profiles, and what belongs to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response, UploadFile

from gnnrec.errors import DataError
from gnnrec.service import importing, listing
from gnnrec.service.api.recommendations import as_recommendations
from gnnrec.service.api.schemas import (
    Category,
    EntryOutput,
    ImportOutput,
    K,
    MissingMovie,
    MovieId,
    MovieInput,
    Offset,
    ProfileChange,
    ProfileId,
    ProfileInput,
    ProfileOutput,
    RatingsInput,
    RecommendationList,
    Share,
    Years,
)
from gnnrec.service.context import Database, Served
from gnnrec.service.errors import InvalidFieldError
from gnnrec.service.problems import responses
from gnnrec.service.served import ServedModel, check_profile, now
from gnnrec.service.store import Entry

router = APIRouter(prefix="/profiles", tags=["profiles"])


def find_entry(
    served: ServedModel, movie: int | str, field: str, time: int | None, stars: float | None = None
) -> Entry:
    """Return the entry of a movie that is given by id or title."""
    try:
        found = served.movies[served.model.graph.movie_node(movie)]
    except DataError as error:
        raise InvalidFieldError(field, str(error)) from None
    return Entry(str(found.id), found.title, now() if time is None else time, stars)


@router.get("", response_model=list[ProfileOutput])
def list_profiles(store: Database) -> Any:
    """List all profiles by name."""
    return [ProfileOutput.from_profile(profile) for profile in store.profiles()]


@router.post("", response_model=ProfileOutput, status_code=201, responses=responses(409))
def create(given: ProfileInput, store: Database, served: Served) -> Any:
    """Create a profile; its name must differ from all others, not only in case."""
    check_profile(served, given.gender, given.occupation)
    return ProfileOutput.from_profile(store.create_profile(**given.model_dump()))


@router.get("/{profile_id}", response_model=ProfileOutput, responses=responses(404))
def show(profile_id: ProfileId, store: Database) -> Any:
    """Return a profile."""
    return ProfileOutput.from_profile(store.profile(profile_id))


@router.patch("/{profile_id}", response_model=ProfileOutput, responses=responses(404, 409))
def change(profile_id: ProfileId, given: ProfileChange, store: Database, served: Served) -> Any:
    """Rename a profile, or change its age, gender or occupation; null removes these."""
    values = given.model_dump(exclude_unset=True)
    if "name" in values and values["name"] is None:
        raise InvalidFieldError("name", "a profile needs a name")
    check_profile(served, given.gender, given.occupation)
    return ProfileOutput.from_profile(store.update_profile(profile_id, **values))


@router.delete("/{profile_id}", status_code=204, responses=responses(404))
def remove(profile_id: ProfileId, store: Database) -> Response:
    """Delete a profile with everything that belongs to it."""
    store.delete_profile(profile_id)
    return Response(status_code=204)


@router.get("/{profile_id}/ratings", response_model=list[EntryOutput], responses=responses(404))
def ratings(profile_id: ProfileId, store: Database) -> Any:
    """Return the ratings of a profile, oldest first."""
    return [EntryOutput.from_entry(entry) for entry in store.ratings(profile_id)]


@router.put("/{profile_id}/ratings", response_model=list[EntryOutput], responses=responses(404))
def rate(profile_id: ProfileId, given: RatingsInput, store: Database, served: Served) -> Any:
    """Rate movies; earlier ratings of the same movies are replaced, and they leave the bucket list."""
    served.check_titles([one.movie for one in given.ratings])
    entries = [
        find_entry(served, one.movie, f"ratings.{place}.movie", one.time, one.stars)
        for place, one in enumerate(given.ratings)
    ]
    store.rate(profile_id, entries)
    return [EntryOutput.from_entry(entry) for entry in entries]


@router.delete("/{profile_id}/ratings/{movie_id}", status_code=204, responses=responses(404))
def remove_rating(profile_id: ProfileId, movie_id: MovieId, store: Database) -> Response:
    """Remove a rating."""
    store.remove_rating(profile_id, importing.stored_id(movie_id))
    return Response(status_code=204)


@router.post("/{profile_id}/history", response_model=ImportOutput, responses=responses(404))
def import_history(
    profile_id: ProfileId,
    file: UploadFile,
    store: Database,
    served: Served,
    netflix_profile: Annotated[str | None, Form(max_length=100, description="Profile in an export of Netflix")] = None,
) -> Any:
    """Add the movies of an export of Letterboxd, IMDb, Netflix, Trakt, MovieLens or TMDB, or of a list of titles."""
    store.profile(profile_id)
    found = importing.read_upload(served, file.file, file.filename or "", netflix_profile)
    store.rate(profile_id, found.entries)
    return ImportOutput(
        source=found.source,
        imported=len(found.entries),
        ambiguous=found.ambiguous,
        missing=[MissingMovie(title=title, nearest=nearest) for title, nearest in found.missing],
        notes=found.notes,
    )


@router.get("/{profile_id}/bucket-list", response_model=list[EntryOutput], responses=responses(404))
def bucket_list(profile_id: ProfileId, store: Database) -> Any:
    """Return the bucket list of a profile, oldest first."""
    return [EntryOutput.from_entry(entry) for entry in store.bucket_list(profile_id)]


@router.post("/{profile_id}/bucket-list", response_model=EntryOutput, status_code=201, responses=responses(404))
def add_to_bucket_list(profile_id: ProfileId, given: MovieInput, store: Database, served: Served) -> Any:
    """Put a movie on the bucket list; nothing changes if it is there."""
    entry = find_entry(served, given.movie, "movie", None)
    store.add_to_bucket_list(profile_id, entry)
    return EntryOutput.from_entry(entry)


@router.delete("/{profile_id}/bucket-list/{movie_id}", status_code=204, responses=responses(404))
def remove_from_bucket_list(profile_id: ProfileId, movie_id: MovieId, store: Database) -> Response:
    """Take a movie off the bucket list."""
    store.remove_from_bucket_list(profile_id, importing.stored_id(movie_id))
    return Response(status_code=204)


@router.get("/{profile_id}/hidden", response_model=list[EntryOutput], responses=responses(404))
def hidden(profile_id: ProfileId, store: Database) -> Any:
    """Return the movies that are not recommended to a profile any more."""
    return [EntryOutput.from_entry(entry) for entry in store.hidden(profile_id)]


@router.post("/{profile_id}/hidden", response_model=EntryOutput, status_code=201, responses=responses(404))
def hide(profile_id: ProfileId, given: MovieInput, store: Database, served: Served) -> Any:
    """Do not recommend a movie any more."""
    entry = find_entry(served, given.movie, "movie", None)
    store.hide(profile_id, entry)
    return EntryOutput.from_entry(entry)


@router.delete("/{profile_id}/hidden/{movie_id}", status_code=204, responses=responses(404))
def unhide(profile_id: ProfileId, movie_id: MovieId, store: Database) -> Response:
    """Recommend a movie again."""
    store.unhide(profile_id, importing.stored_id(movie_id))
    return Response(status_code=204)


@router.get("/{profile_id}/recommendations", response_model=RecommendationList, responses=responses(404))
def recommendations(
    profile_id: ProfileId,
    store: Database,
    served: Served,
    k: K = 10,
    offset: Offset = 0,
    genres: Annotated[list[Category] | None, Query(max_length=50)] = None,
    years: Annotated[Years | None, Query()] = None,
    min_ratings: Annotated[int, Query(ge=0, le=10**9)] = 0,
    family_friendly: bool = False,
    diversity: Annotated[Share, Query(description="How much a movie must differ from those before it")] = 0,
    novelty: Annotated[Share, Query(description="How much movies that few people know are preferred")] = 0,
    reasons: Annotated[bool, Query(description="Say why, too")] = False,
) -> Any:
    """Recommend movies to a profile by its ratings as they are now."""
    user, movies = listing.for_profile(
        served,
        store.profile(profile_id),
        store.ratings(profile_id),
        store.hidden(profile_id),
        k=k,
        offset=offset,
        genres=genres or None,
        years=years,
        min_ratings=min_ratings,
        family_friendly=family_friendly,
        reranking={"diversity": diversity, "novelty": novelty},
    )
    why = listing.reasons(served, user, [movie.id for movie, _, _ in movies]) if reasons else None
    return RecommendationList(user=profile_id, movies=as_recommendations(movies, why))
