"""Shared by all pages: templates, the profile that a browser has chosen, and the CSRF token of its forms."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

import gnnrec
from gnnrec.registry import listed_sites
from gnnrec.service.context import Context
from gnnrec.service.errors import NotFoundError
from gnnrec.service.records import Entry, Profile
from gnnrec.service.served import MovieInfo, poster_path

PROFILE, CSRF = "gnnrec_profile", "gnnrec_csrf"
"""Cookies: the chosen profile, and the CSRF token."""
YEAR = 365 * 24 * 3600
ENOUGH = 5
"""Number of ratings from which recommendations are the first page."""


def page_of(movie_id: int | str) -> str:
    """Return the path of the page of a movie."""
    return f"/movie/{quote(str(movie_id), safe='')}"


environment = Environment(
    loader=PackageLoader("gnnrec.service", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.globals.update(listed_sites=listed_sites, poster=poster_path, page_of=page_of, version=gnnrec.__version__)


class Visitor:
    """A browser: its request, the profile it has chosen, and the service.

    Attributes
    ----------
    request : Request
    context : Context
    profile : Profile or None
    """

    def __init__(self, request: Request, context: Context, profile: Profile | None) -> None:
        self.request, self.context, self.profile = request, context, profile
        self.csrf = request.cookies.get(CSRF) or secrets.token_urlsafe(24)

    def known(self) -> Profile:
        """Return the chosen profile; without one, redirect to the choice of a profile."""
        if self.profile is None:
            raise HTTPException(303, headers={"location": "/profiles"})
        return self.profile

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        shared = {
            "profile": self.profile,
            "csrf": self.csrf,
            "path": self.request.url.path,
            "here": _here(self.request),
            "has_token": self.context.settings.token is not None,
        }
        text = environment.get_template(template).render({**shared, **values})
        response = HTMLResponse(text, status)
        return self.remember(response)

    def go(self, path: str) -> Response:
        """Redirect to a page of this service."""
        return self.remember(RedirectResponse(own_path(path), 303))

    def remember(self, response: Response) -> Response:
        """Set the CSRF token of the browser, if it has none."""
        if CSRF not in self.request.cookies:
            set_cookie(self.request, response, CSRF, self.csrf)
        return response


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie that scripts cannot read and other sites do not send."""
    is_secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="strict", secure=is_secure)


def own_path(path: str) -> str:
    """Return a path of this service, ``/`` for anything else.

    >>> own_path("/history?query=heat"), own_path("//evil.example"), own_path("https://evil.example/x")
    ('/history?query=heat', '/', '/')
    """
    parts = urlsplit(path)
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if is_own and all(letter.isprintable() for letter in path) else "/"


def _here(request: Request) -> str:
    """Return the page to return to after a form."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}" if request.method in ("GET", "HEAD") else "/"


def get_visitor(request: Request) -> Visitor:
    """Return the browser of a request; a deleted profile counts as none."""
    context: Context = request.app.state.context
    chosen = request.cookies.get(PROFILE, "")
    profile = None
    if chosen.isdecimal() and int(chosen) < 2**31:
        try:
            profile = context.store.profile(int(chosen))
        except NotFoundError:
            profile = None
    return Visitor(request, context, profile)


Anyone = Annotated[Visitor, Depends(get_visitor)]


def get_sender(visitor: Anyone, csrf: Annotated[str, Form(max_length=100)] = "") -> Visitor:
    """Return the browser that sent a form of this service."""
    expected = visitor.request.cookies.get(CSRF, "")
    if not expected or not hmac.compare_digest(csrf.encode(), expected.encode()):
        raise HTTPException(403, "this form is out of date; go back, load the page again and repeat")
    return visitor


Sender = Annotated[Visitor, Depends(get_sender)]
Next = Annotated[str, Form(max_length=2000, alias="next")]


def entry_of(movie: MovieInfo, time: int, stars: float | None = None) -> Entry:
    """Return a movie as it is stored."""
    return Entry(str(movie.id), movie.title, time, stars)


async def show_error(request: Request, status: int, message: str) -> Response:
    """Return a page with an error."""
    text = environment.get_template("error.html").render(
        profile=None, csrf="", path=request.url.path, here="/", has_token=False, status=status, message=message
    )
    return HTMLResponse(text, status)
