"""How a client behaves, and the errors when a service does not."""

from __future__ import annotations

from dataclasses import dataclass

from gnnrec.errors import ConfigError, DownloadError


class FetchError(DownloadError):
    """Something cannot be fetched; the message names the address, without the key, and the cause."""


class AbsentError(FetchError):
    """The answer is final: it is not there, or is nothing that can be used. To ask again would not help."""


class UnreachableError(FetchError):
    """No answer, also not after several attempts; another time may be better."""


class ExhaustedError(FetchError):
    """Nothing more can be had now: the day's requests are used up, or the server wants a long pause."""


class RefusedError(FetchError):
    """The service does not accept the key."""


@dataclass(frozen=True)
class Manners:
    """How patient and how fast a client is.

    Parameters
    ----------
    connect, read, total : float
        Seconds for a connection, for the next bytes, and for one attempt in all.
    attempts : int
        Before giving up.
    backoff : float
        Seconds before the second attempt, about doubled before each further one.
    longest_wait : float
        Seconds; a server that asks for a longer pause ends the run.
    per_second : float
        Requests to one host.
    """

    connect: float = 5.0
    read: float = 15.0
    total: float = 60.0
    attempts: int = 4
    backoff: float = 1.0
    longest_wait: float = 60.0
    per_second: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"{name} must be more than 0, not {value}")
