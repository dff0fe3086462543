"""Errors of the service that are reported to clients."""

from __future__ import annotations

from gnnrec.errors import GnnrecError


class NotFoundError(GnnrecError):
    """There is no such profile, movie or job."""


class ConflictError(GnnrecError):
    """The request contradicts what is stored, such as a name that is taken."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class InvalidFieldError(GnnrecError):
    """A wrong value of one field, found by the service."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)
