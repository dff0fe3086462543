"""History, recommendations, bucket list and movies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import FileResponse, Response

from gnnrec.errors import GnnrecError
from gnnrec.explanations import PROFILE as PROFILE_REASON
from gnnrec.service import groups, importing, listing
from gnnrec.service.api.schemas import MAX_GROUP, MAX_OFFSET, MovieId, Stars
from gnnrec.service.errors import NotFoundError
from gnnrec.service.pages.common import ENOUGH, Anyone, Next, Sender, Visitor, entry_of
from gnnrec.service.posters import draw_cover
from gnnrec.service.problems import clean
from gnnrec.service.records import Entry
from gnnrec.service.served import now, short_name
from gnnrec.service.store import Store

router = APIRouter()

PER_PAGE, SUGGESTED, FOUND, SIMILAR, RATED = 12, 18, 12, 6, 60
"""Movies on pages: recommendations, to start with, found, similar, rated."""
MAX_SURPRISE = 8
"""Maximum of the slider from familiar to surprising, in tenths of `novelty`."""
Movie = Annotated[str, Form(max_length=255, alias="movie")]
Year = Annotated[str, Query(max_length=10)]


@router.get("/history")
def history(
    visitor: Anyone,
    query: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """Show rated movies and the search, and movies to start with until enough are rated."""
    return _history(visitor, query, offset)


@router.post("/rate")
def rate(visitor: Sender, movie_id: Movie, stars: Annotated[Stars, Form()], next_: Next = "/history") -> Response:
    """Rate a movie; it leaves the bucket list."""
    own, movie = visitor.known(), visitor.context.holder.served.movie(movie_id)
    visitor.context.store.rate(own.id, [entry_of(movie, now(), stars)])
    return visitor.go(next_)


@router.post("/import")
def import_file(
    visitor: Sender,
    file: Annotated[UploadFile, File()],
    netflix_profile: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Import the movies of a file, and show the result for each."""
    own, context = visitor.known(), visitor.context
    try:
        found = importing.read_upload(
            context.holder.served, file.file, file.filename or "", netflix_profile.strip() or None
        )
    except GnnrecError as error:
        return _history(visitor, "", import_error=clean(str(error)))
    context.store.rate(own.id, found.entries)
    return _history(visitor, "", imported=found)


@router.get("/recommend")
def recommend(
    visitor: Anyone,
    genre: Annotated[list[str] | None, Query(max_length=50)] = None,
    year_from: Year = "",
    year_to: Year = "",
    family: Annotated[str, Query(max_length=3)] = "",
    novelty: Annotated[str, Query(max_length=10)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    """Show recommendations with reasons, and filters."""
    own, context = visitor.known(), visitor.context
    served, store = context.holder.served, context.store
    genres = [one for one in genre or [] if one in served.genres]
    years, error = _years(year_from, year_to)
    surprise = min(int(novelty), MAX_SURPRISE) if novelty.isdecimal() else 0
    rated = store.ratings(own.id)
    user, movies = listing.for_profile(
        served,
        own,
        rated,
        store.hidden(own.id),
        k=PER_PAGE,
        offset=offset,
        genres=genres or None,
        years=years,
        family_friendly=bool(family) and served.knows_families,
        reranking={"novelty": surprise / 10, "diversity": surprise / 20},
    )
    why = listing.reasons(served, user, [movie.id for movie, _, _ in movies])
    chosen: list[tuple[str, Any]] = [("genre", one) for one in genres]
    chosen += [
        (name, value)
        for name, value in (("year_from", year_from), ("year_to", year_to), ("family", family), ("novelty", surprise))
        if value
    ]
    return visitor.page(
        "recommend.html",
        movies=[(movie, _because(why.get(movie.id, []))) for movie, _, _ in movies],
        genres=served.genres,
        chosen=genres,
        year_from=year_from,
        year_to=year_to,
        family=bool(family),
        knows_families=served.knows_families,
        surprise=surprise,
        max_surprise=MAX_SURPRISE,
        has_filters=bool(chosen),
        error=error,
        num_rated=len(rated),
        enough=ENOUGH,
        again=f"/recommend?{urlencode([*chosen, ('offset', offset + PER_PAGE)])}",
        first=f"/recommend?{urlencode(chosen)}" if offset else "",
        bucket={entry.movie_id for entry in store.bucket_list(own.id)},
    )


@router.get("/bucket-list")
def bucket_list(visitor: Anyone) -> Response:
    """Show the bucket list, and hidden movies."""
    own, context = visitor.known(), visitor.context
    served = context.holder.served
    return visitor.page(
        "bucket.html",
        entries=[(entry, served.find(entry.movie_id)) for entry in reversed(context.store.bucket_list(own.id))],
        hidden=context.store.hidden(own.id),
    )


def _add_form(path: str, add: Callable[[Store, int, Entry], None], back: str) -> None:
    """Add a route that puts a movie on a list; it redirects to `back` if there is no `next`."""

    @router.post(path)
    def add_movie(visitor: Sender, movie_id: Movie, next_: Next = back) -> Response:
        movie = visitor.context.holder.served.movie(movie_id)
        add(visitor.context.store, visitor.known().id, entry_of(movie, now()))
        return visitor.go(next_)


def _removal_form(path: str, remove: Callable[[Store, int, str], None], back: str) -> None:
    """Add a route that takes a movie off a list; does nothing if another tab has already done so."""

    @router.post(path)
    def remove_movie(visitor: Sender, movie_id: Movie, next_: Next = back) -> Response:
        profile = visitor.known()
        with contextlib.suppress(NotFoundError):
            remove(visitor.context.store, profile.id, importing.stored_id(movie_id))
        return visitor.go(next_)


_add_form("/hide", Store.hide, "/recommend")
_add_form("/bucket-list", Store.add_to_bucket_list, "/bucket-list")
_removal_form("/unrate", Store.remove_rating, "/history")
_removal_form("/unhide", Store.unhide, "/bucket-list")
_removal_form("/bucket-list/remove", Store.remove_from_bucket_list, "/bucket-list")


@router.get("/together")
def together(
    visitor: Anyone,
    with_: Annotated[list[str] | None, Query(alias="with", max_length=MAX_GROUP)] = None,
    fair: Annotated[str, Query(max_length=3)] = "",
    family: Annotated[str, Query(max_length=3)] = "",
) -> Response:
    """Show one list for several profiles, and how well it suits each."""
    own, context = visitor.known(), visitor.context
    served, store = context.holder.served, context.store
    others = [one for one in store.profiles() if one.id != own.id]
    chosen = [one for one in others if str(one.id) in (with_ or [])]
    people = [own, *chosen]
    movies: list[groups.GroupMovie] = []
    if chosen:
        unwanted = [entry for one in people for entry in store.hidden(one.id)]
        known = [movie.id for entry in unwanted if (movie := served.find(entry.movie_id)) is not None]
        movies = groups.recommend(
            served,
            [served.user(one, store.ratings(one.id)) for one in people],
            PER_PAGE,
            strategy="fair" if fair else "average",
            family_friendly=bool(family) and served.knows_families,
            exclude=known or None,
        )
    return visitor.page(
        "together.html",
        others=others,
        chosen={one.id for one in chosen},
        people=people,
        movies=movies,
        fair=bool(fair),
        knows_families=served.knows_families,
        family=bool(family),
        bucket={entry.movie_id for entry in store.bucket_list(own.id)},
    )


@router.get("/movie/{movie_id}")
def movie(visitor: Anyone, movie_id: MovieId) -> Response:
    """Show a movie, similar ones, and why it suits the profile."""
    context = visitor.context
    served = context.holder.served
    found = served.movie(movie_id)
    similar = served.model.similar_movies(found.id, SIMILAR)["movie_id"].tolist()
    own, why, stars, in_bucket = visitor.profile, "", None, False
    if own is not None:
        rated = context.store.ratings(own.id)
        stars = next((entry.stars for entry in rated if entry.movie_id == str(found.id)), None)
        in_bucket = any(entry.movie_id == str(found.id) for entry in context.store.bucket_list(own.id))
        if stars is None:
            user = served.user(own, rated)
            why = _because(listing.reasons(served, user, [found.id], 3).get(found.id, []))
    return visitor.page(
        "movie.html",
        movie=found,
        similar=[served.movie(one) for one in similar],
        why=why,
        stars=stars,
        in_bucket=in_bucket,
    )


@router.get("/posters/{movie_id}")
def show_poster(visitor: Anyone, movie_id: MovieId) -> Response:
    """Return the poster of a movie, or a drawn cover."""
    context = visitor.context
    movie = context.holder.served.movie(movie_id)
    headers = {"cache-control": "private, max-age=86400"}
    file = context.posters.find(movie.id)
    if file is not None and file[0].is_file():
        return FileResponse(file[0], media_type=file[1], headers=headers)
    return Response(draw_cover(movie), media_type="image/svg+xml", headers=headers)


def _history(
    visitor: Visitor, query: str, offset: int = 0, imported: importing.Imported | None = None, import_error: str = ""
) -> Response:
    own, context = visitor.known(), visitor.context
    served = context.holder.served
    rated = context.store.ratings(own.id)
    stars = {entry.movie_id: entry.stars for entry in rated}
    bucket = {entry.movie_id for entry in context.store.bucket_list(own.id)}
    found = [movie for _, movie in served.search(query, FOUND)] if query.strip() else []
    starters = [movie for movie in served.starters if str(movie.id) not in stars][:SUGGESTED]
    return visitor.page(
        "history.html",
        422 if import_error else 200,
        query=query,
        found=found,
        starters=starters if len(rated) < ENOUGH else [],
        num_rated=len(rated),
        rated=[(entry, served.find(entry.movie_id)) for entry in rated[::-1][offset : offset + RATED]],
        newer="" if not offset else f"/history?offset={max(0, offset - RATED)}",
        older="" if offset + RATED >= len(rated) else f"/history?offset={offset + RATED}",
        stars=stars,
        bucket=bucket,
        enough=ENOUGH,
        imported=imported,
        import_error=import_error,
        path="/history",
        here=f"/history?{urlencode({'query': query} if query else {'offset': offset})}",
    )


def _years(first: str, last: str) -> tuple[tuple[int | None, int | None] | None, str]:
    """Return the years of a form, and an error message."""
    values: list[int | None] = []
    for text in (first.strip(), last.strip()):
        if text and not (text.isdecimal() and len(text) <= 4):
            return None, "Please enter years as numbers, such as 1995."
        values.append(int(text) if text else None)
    low, high = values
    if low is not None and high is not None and low > high:
        return None, "The last year is before the first."
    return (None if low is None and high is None else (low, high)), ""


def _because(reasons: list[tuple[str, float]]) -> str:
    """Format reasons as a sentence.

    >>> _because([("Heat (1995)", 0.5), ("Matrix, The (1999)", 0.2)])
    'Because you rated Heat and The Matrix'
    """
    rated = [_plain(because) for because, _ in reasons if because != PROFILE_REASON]
    if rated:
        return f"Because you rated {' and '.join(rated) if len(rated) < 3 else ', '.join(rated)}"
    return "Because of your profile" if reasons else ""


def _plain(title: str) -> str:
    year = title[-5:-1] if title.endswith(")") and title[-5:-1].isdecimal() else ""
    return short_name(title, int(year) if year else None)
