"""Profiles with their ratings and lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response, UploadFile
from fastapi.responses import JSONResponse

from gnnrec.errors import DataError
from gnnrec.service import importing, listing
from gnnrec.service.api.locating import as_clients_say, naming_fields
from gnnrec.service.api.recommendations import as_list
from gnnrec.service.api.schemas import (
    EntryOutput,
    ImportOutput,
    MissingMovie,
    MovieId,
    MovieInput,
    ProfileChange,
    ProfileId,
    ProfileInput,
    ProfileOutput,
    ProfileRecommendInput,
    RatingsInput,
    RecommendationList,
)
from gnnrec.service.context import Database, Served
from gnnrec.service.errors import InvalidFieldError
from gnnrec.service.problems import responses
from gnnrec.service.records import Entry
from gnnrec.service.served import ServedModel, check_profile, now
from gnnrec.service.store import Store

router = APIRouter(prefix="/profiles", tags=["profiles"])


def find_entry(
    served: ServedModel, movie: int | str, field: str, time: int | None, stars: float | None = None
) -> Entry:
    """Return the entry of a movie that is given by id or title."""
    try:
        found = served.movies[served.model.graph.movie_node(movie)]
    except DataError as error:
        raise InvalidFieldError(field, as_clients_say(str(error))) from None
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
    """Delete a profile with everything stored for it."""
    store.delete_profile(profile_id)
    return Response(status_code=204)


@router.get("/{profile_id}/ratings", response_model=list[EntryOutput], responses=responses(404))
def ratings(profile_id: ProfileId, store: Database) -> Any:
    """Return the ratings of a profile, oldest first."""
    return [EntryOutput.from_entry(entry) for entry in store.ratings(profile_id)]


@router.put("/{profile_id}/ratings", response_model=list[EntryOutput], responses=responses(404))
def rate(profile_id: ProfileId, given: RatingsInput, store: Database, served: Served) -> Any:
    """Rate movies: replaces earlier ratings of the same movies and removes them from the bucket list."""
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
    netflix_profile: Annotated[
        str | None, Form(max_length=100, description="Netflix profile to read, if the export has several")
    ] = None,
) -> Any:
    """Import an export from a site, such as Letterboxd, IMDb or Netflix, or a list of titles."""
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


def _add_list(
    path: str,
    words: tuple[str, str, str],
    read: Callable[[Store, int], list[Entry]],
    add: Callable[[Store, int, Entry], None],
    remove: Callable[[Store, int, str], None],
) -> None:
    """Add the routes of a list of movies; `words` describe reading it, adding to it and removing from it."""
    options: list[Any] = [
        {"responses": responses(404), "summary": text.split(";")[0], "description": f"{text}."} for text in words
    ]
    shown, added, removed = options

    @router.get(path, response_model=list[EntryOutput], **shown)
    def entries(profile_id: ProfileId, store: Database) -> Any:
        return [EntryOutput.from_entry(entry) for entry in read(store, profile_id)]

    @router.post(path, response_model=EntryOutput, status_code=201, **added)
    def add_entry(profile_id: ProfileId, given: MovieInput, store: Database, served: Served) -> Any:
        entry = find_entry(served, given.movie, "movie", None)
        add(store, profile_id, entry)
        return EntryOutput.from_entry(entry)

    @router.delete(f"{path}/{{movie_id}}", status_code=204, **removed)
    def remove_entry(profile_id: ProfileId, movie_id: MovieId, store: Database) -> Response:
        remove(store, profile_id, importing.stored_id(movie_id))
        return Response(status_code=204)


_add_list(
    "/{profile_id}/bucket-list",
    (
        "Show the bucket list; oldest first",
        "Put a movie on the bucket list; does nothing if it is already there",
        "Take a movie off the bucket list",
    ),
    Store.bucket_list,
    Store.add_to_bucket_list,
    Store.remove_from_bucket_list,
)
_add_list(
    "/{profile_id}/hidden",
    (
        "Show the movies hidden from the recommendations; oldest first",
        "Hide a movie from the recommendations; does nothing if it is already hidden",
        "Recommend a movie again",
    ),
    Store.hidden,
    Store.hide,
    Store.unhide,
)


@router.get("/{profile_id}/recommendations", response_model=RecommendationList, responses=responses(404))
def recommendations(
    profile_id: ProfileId, store: Database, served: Served, given: Annotated[ProfileRecommendInput, Query()]
) -> Response:
    """Recommend movies to a profile, from its current ratings, or from those up to the time `at`."""
    served.check_titles(given.named())
    with naming_fields(served, given):
        user, movies = listing.for_profile(
            served,
            store.profile(profile_id),
            store.ratings(profile_id),
            store.hidden(profile_id),
            k=given.k,
            offset=given.offset,
            at=given.at,
            unknown=given.unknown,
            reranking=given.reranking(),
            **given.filters(),
        )
    why = listing.reasons(served, user, [movie.id for movie, _, _ in movies]) if given.reasons else None
    return JSONResponse(as_list(profile_id, movies, why))
