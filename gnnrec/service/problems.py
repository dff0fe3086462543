"""Error responses: problem+json (RFC 9457) that names the field, and never contains a path or a stack trace."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from gnnrec.errors import GnnrecError, OutOfMemoryError, StorageError
from gnnrec.service.errors import ConflictError, NotFoundError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_PLACES = ("body", "query", "path", "header")
_KINDS = re.compile(r"user|id|int|str|constrained-.*|.*\[.*")
"""Names in errors of union types that identify the member of the union."""
MAX_DETAIL, MAX_ERRORS = 600, 10
_PATH = re.compile(r"(?:[A-Za-z]:\\|/)(?:[\w.@+-]+[/\\])+[\w.@+-]*")


class FieldError(BaseModel):
    """An error in one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def make_problem(status: int, detail: str, errors: list[FieldError] | None = None) -> Problem:
    """Return an error as a response."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=clean(detail), errors=errors or [])


def answer(status: int, detail: str, errors: list[FieldError] | None = None) -> Response:
    """Return a response with an error."""
    problem = make_problem(status, detail, errors)
    return JSONResponse(problem.model_dump(), status, media_type=MEDIA_TYPE)


def clean(text: str) -> str:
    r"""Return a message of the library on one line, without paths of this machine.

    >>> clean("/home/ann/movies.csv: not\n  a table")
    'the file: not a table'
    """
    line = " ".join(_PATH.sub("the file", text).split())
    return line if len(line) <= MAX_DETAIL else f"{line[:MAX_DETAIL]}..."


def status_of(error: Exception) -> int:
    """Return the HTTP status for an error of the library."""
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, (StorageError, OutOfMemoryError)):
        return 503
    return 409 if isinstance(error, ConflictError) else 422


def field_errors(error: RequestValidationError) -> list[FieldError]:
    """Return the first errors of a request by field."""
    found: dict[str, str] = {}
    for one in error.errors()[:MAX_ERRORS]:
        if one["type"] == "json_invalid":
            found["body"] = "the body is not JSON"
            continue
        field = _field(one["loc"])
        message = clean(str(one["msg"])).removeprefix("Value error, ")
        if "UploadFile" in message:
            message = "a file is expected, as multipart/form-data"
        found[field] = f"{found[field]}, or: {message}" if field in found else message
    return [FieldError(field=field, message=message) for field, message in found.items()]


def _field(place: Sequence[int | str]) -> str:
    """Return the field that an error is about.

    >>> _field(("body", "users", 0, "user", "ratings", 2, "movie", "constrained-str")), _field(("query", "query"))
    ('users.0.ratings.2.movie', 'query')
    >>> _field(("body", "user", "id")), _field(("body",))
    ('user', 'body')
    """
    parts = [str(part) for part in (place[1:] if place and place[0] in _PLACES else place)]
    kept = [part for at, part in enumerate(parts) if at == 0 or not _KINDS.fullmatch(part)]
    return ".".join(kept)[:200] or "body"


Show = Callable[[Request, int, str], Awaitable[Response]]
"""Renders an error as a page."""


def add_handlers(app: FastAPI, show: Show) -> None:
    """Add error handlers: problem+json below ``/api``, a page elsewhere."""

    async def reply(request: Request, status: int, detail: str, errors: list[FieldError] | None = None) -> Response:
        if request.url.path.startswith("/api/"):
            return answer(status, detail, errors)
        return await show(request, status, clean(detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = field_errors(error)
        return await reply(request, 422, "; ".join(f"{one.field}: {one.message}" for one in errors), errors)

    @app.exception_handler(GnnrecError)
    async def refused(request: Request, error: GnnrecError) -> Response:
        field: Any = getattr(error, "field", None)
        errors = [FieldError(field=field, message=clean(str(error)))] if field else []
        return await reply(request, status_of(error), str(error), errors)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 303:
            return Response(status_code=303, headers=error.headers)
        response = await reply(request, error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(SQLAlchemyError)
    async def no_database(request: Request, error: SQLAlchemyError) -> Response:
        logger.error("the database failed: %s", type(error).__name__, exc_info=error)
        return await reply(request, 503, "the database does not answer; try again")


_CODES = {
    401: "The token is missing or wrong.",
    403: "The request comes from another site.",
    404: "Not found.",
    409: "The request conflicts with stored data.",
    413: "The body is too large.",
    422: "A value is invalid.",
    429: "Too many requests.",
    503: "Not ready.",
}


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error responses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": _CODES[code], "content": content} for code in codes}
