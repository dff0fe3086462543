"""Finds the field of a request that caused an error of the library."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from gnnrec.errors import ConfigError, DataError
from gnnrec.models.filters import movie_mask
from gnnrec.service.api.schemas import ExplainInput, Filters, GroupInput, RecommendInput, UserInput
from gnnrec.service.errors import InvalidFieldError
from gnnrec.service.served import ServedModel, check_profile


@contextlib.contextmanager
def naming_fields(served: ServedModel, given: Filters | ExplainInput) -> Iterator[None]:
    """Convert errors of the library to errors that name the field, which is determined only in case of an error."""
    try:
        yield
    except (DataError, ConfigError) as error:
        for field, check in _checks(served, given):
            try:
                check()
            except InvalidFieldError as found:
                raise InvalidFieldError(f"{field}.{found.field}" if field else found.field, str(found)) from None
            except (DataError, ConfigError) as found:
                raise InvalidFieldError(field, as_clients_say(str(found))) from None
        raise error from None


def _checks(served: ServedModel, given: Filters | ExplainInput) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each field with a function that fails if its value is invalid."""
    graph = served.model.graph
    skips = isinstance(given, Filters) and given.unknown == "skip"
    users: list[tuple[str, Any]] = []
    if isinstance(given, (RecommendInput, GroupInput)):
        users = [(f"users.{place}", user) for place, user in enumerate(given.users)]
    elif isinstance(given, ExplainInput):
        users = [("user", given.user)]
    for field, user in users:
        if not isinstance(user, UserInput):
            yield field, lambda user=user: graph.user_nodes([user])  # type: ignore[misc]
            continue
        yield field, lambda user=user: check_profile(served, user.gender, user.occupation)  # type: ignore[misc]
        if not skips:
            for place, one in enumerate(user.ratings):
                yield f"{field}.ratings.{place}.movie", lambda one=one: graph.movie_node(one.movie)  # type: ignore[misc]
        yield f"{field}.ratings", lambda user=user: _check_twice(served, user)  # type: ignore[misc]
    names = ("movies",) if isinstance(given, ExplainInput) else ("exclude", "candidates", "like", "unlike")
    for name in names if not skips else ():
        for place, movie in enumerate(getattr(given, name) or ()):
            yield f"{name}.{place}", lambda movie=movie: graph.movie_node(movie)  # type: ignore[misc]
    for name in ("genres", "years", "family_friendly") if isinstance(given, Filters) else ():
        yield name, lambda name=name: movie_mask(graph, **{name: getattr(given, name)})  # type: ignore[misc]


def _check_twice(served: ServedModel, user: UserInput) -> None:
    seen: dict[int, int] = {}
    nodes = served.model.graph.movie_nodes_by_name([one.movie for one in user.ratings], unknown="skip")
    for place, node in enumerate(nodes):
        if node is not None and node in seen:
            raise InvalidFieldError(f"{place}.movie", f"the movie is rated twice; see ratings.{seen[node]}.movie")
        if node is not None:
            seen[node] = place


def as_clients_say(message: str) -> str:
    """Return a message without references to functions of the library.

    >>> as_clients_say("user 7 is not in the graph; pass a NewUser, or add ratings with add_ratings")
    'user 7 is not in the training data'
    """
    what, is_missing, _ = message.partition(" is not in the graph; ")
    return f"{what} is not in the training data" if is_missing else message
