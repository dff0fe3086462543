"""Profiles: choose, create, change, delete; and the form for the token of the service."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import Response
from pydantic import ValidationError

from gnnrec.errors import GnnrecError
from gnnrec.service.api.schemas import ProfileId, ProfileInput
from gnnrec.service.errors import NotFoundError
from gnnrec.service.pages.common import ENOUGH, PROFILE, Anyone, Next, Sender, Visitor, set_cookie
from gnnrec.service.security import SESSION, session_value
from gnnrec.service.served import check_profile

router = APIRouter()

Text = Annotated[str, Form(max_length=20_000)]


@router.get("/")
def start(visitor: Anyone) -> Response:
    """Redirect to the most useful page."""
    if visitor.profile is None:
        return visitor.go("/profiles")
    rated = visitor.context.store.ratings(visitor.profile.id)
    return visitor.go("/recommend" if len(rated) >= ENOUGH else "/history")


@router.get("/profiles")
def profiles(visitor: Anyone) -> Response:
    """Show all profiles, and a form for a new one."""
    return _profiles(visitor)


@router.post("/profiles")
def create(visitor: Sender, name: Text = "", age: Text = "", gender: Text = "", occupation: Text = "") -> Response:
    """Create a profile and choose it."""
    values = {"name": name, "age": age, "gender": gender, "occupation": occupation}
    try:
        given = _check(visitor, values)
        made = visitor.context.store.create_profile(**given.model_dump())
    except (GnnrecError, ValidationError) as error:
        return _profiles(visitor, values, _errors(error))
    return _choose(visitor, made.id, "/history")


@router.post("/profiles/{profile_id}/choose")
def choose(visitor: Sender, profile_id: ProfileId) -> Response:
    """Choose a profile."""
    return _choose(visitor, visitor.context.store.profile(profile_id).id, "/")


@router.get("/profile")
def profile(visitor: Anyone) -> Response:
    """Show the chosen profile."""
    own = visitor.known()
    values = {
        "name": own.name,
        "age": "" if own.age is None else str(own.age),
        "gender": own.gender or "",
        "occupation": own.occupation or "",
    }
    return _profile(visitor, values, {})


@router.post("/profile")
def change(visitor: Sender, name: Text = "", age: Text = "", gender: Text = "", occupation: Text = "") -> Response:
    """Change the chosen profile."""
    own = visitor.known()
    values = {"name": name, "age": age, "gender": gender, "occupation": occupation}
    try:
        given = _check(visitor, values)
        visitor.context.store.update_profile(own.id, **given.model_dump())
    except NotFoundError:
        raise
    except (GnnrecError, ValidationError) as error:
        return _profile(visitor, values, _errors(error))
    return visitor.go("/profile")


@router.post("/profile/delete")
def delete(visitor: Sender, confirm: Annotated[str, Form(max_length=10)] = "") -> Response:
    """Delete the chosen profile, after a confirmation."""
    own = visitor.known()
    if confirm != "yes":
        return visitor.page("delete.html", counts=_counts(visitor))
    visitor.context.store.delete_profile(own.id)
    response = visitor.go("/profiles")
    response.delete_cookie(PROFILE)
    return response


@router.get("/login")
def login(visitor: Anyone) -> Response:
    """Ask for the token of the service."""
    if visitor.context.settings.token is None:
        return visitor.go("/")
    return visitor.page("login.html", error="")


@router.post("/login")
def log_in(visitor: Sender, token: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Set a cookie after the browser has sent the token."""
    expected = visitor.context.settings.token
    if expected is None:
        return visitor.go("/")
    if not hmac.compare_digest(token.strip().encode(), expected.get_secret_value().encode()):
        return visitor.page("login.html", 403, error="This is not the token.")
    response = visitor.go("/")
    set_cookie(visitor.request, response, SESSION, session_value(expected.get_secret_value()))
    return response


@router.post("/logout")
def log_out(visitor: Sender, next_: Next = "/profiles") -> Response:
    """Forget the chosen profile, and the token."""
    response = visitor.go(next_)
    response.delete_cookie(PROFILE)
    response.delete_cookie(SESSION)
    return response


def _choose(visitor: Visitor, profile_id: int, path: str) -> Response:
    response = visitor.go(path)
    set_cookie(visitor.request, response, PROFILE, str(profile_id))
    return response


def _check(visitor: Visitor, values: dict[str, str]) -> ProfileInput:
    """Return the values of a form, without empty fields."""
    given = ProfileInput.model_validate(
        {name: value.strip() or None for name, value in values.items() if name != "name" or value.strip()}
    )
    check_profile(visitor.context.holder.served, given.gender, given.occupation)
    return given


def _errors(error: GnnrecError | ValidationError) -> dict[str, str]:
    """Return messages for people, by field."""
    if isinstance(error, ValidationError):
        return {str(one["loc"][0]): _message(one) for one in error.errors()}
    return {getattr(error, "field", None) or "name": f"{str(error)[:1].upper()}{str(error)[1:300]}."}


def _message(error: Any) -> str:
    field, kind = str(error["loc"][0]), error["type"]
    if kind == "missing":
        return "Please enter a name."
    if kind == "string_too_long":
        return f"Please use at most {error['ctx']['max_length']} characters."
    if field == "age":
        return "Please enter a whole number of years from 0 to 150, or nothing."
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{text[:1].upper()}{text[1:]}."


def _profiles(visitor: Visitor, values: dict[str, str] | None = None, errors: dict[str, str] | None = None) -> Response:
    given = values or {"name": "", "age": "", "gender": "", "occupation": ""}
    return visitor.page(
        "profiles.html",
        422 if errors else 200,
        profiles=visitor.context.store.profiles(),
        values={name: value[:200] for name, value in given.items()},
        errors=errors or {},
        **_choices(visitor),
    )


def _profile(visitor: Visitor, values: dict[str, str], errors: dict[str, str]) -> Response:
    return visitor.page(
        "profile.html",
        422 if errors else 200,
        values={name: value[:200] for name, value in values.items()},
        errors=errors,
        counts=_counts(visitor),
        **_choices(visitor),
    )


def _choices(visitor: Visitor) -> dict[str, list[str]]:
    graph = visitor.context.holder.served.model.graph
    return {
        "genders": [str(value) for value in graph.genders],
        "occupations": [str(value) for value in graph.occupations],
    }


def _counts(visitor: Visitor) -> dict[str, int]:
    own, store = visitor.known(), visitor.context.store
    return {
        "ratings": len(store.ratings(own.id)),
        "bucket": len(store.bucket_list(own.id)),
        "hidden": len(store.hidden(own.id)),
    }
