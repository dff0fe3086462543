"""`ServiceSettings`: paths, addresses and limits of the service."""

from __future__ import annotations

import ipaddress
import os
import re
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from gnnrec.config import explain_value
from gnnrec.errors import ConfigError, DataError

TOKEN = "GNNREC_TOKEN"
"""Environment variable with the token of the service."""
DATABASE = "GNNREC_DB"
"""Environment variable with the URL of the database, which may hold a password."""
SETTINGS = "GNNREC_SERVICE_SETTINGS"
"""Environment variable with which `gnnrec serve` passes settings, except secrets, to its workers."""
MIN_TOKEN = 16
"""Minimum length of a token."""
DEFAULT_DATABASE = "sqlite:///gnnrec.db"


class ServiceSettings(BaseModel):
    """Settings of a service.

    Attributes
    ----------
    run : Path
        Folder of a saved run; the service loads it again when it is replaced.
    db : str
        URL of the database: ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
    host : str
        Address that the service listens on; any address but this machine's own requires a `token`.
    hosts : tuple of str
        Accepted names in the ``Host`` header besides this machine's, such as ``movies.example.org``; ``*`` allows any.
    token : SecretStr, optional
        Token that clients must send.
    posters : Path, optional
        Folder with ``<movie id>.jpg`` (or png, webp).
    max_body, max_upload : int
        Maximum number of bytes of a request, and of a request that uploads a file.
    rate_limit : float, optional
        Requests per second and client, in bursts of up to two seconds' worth; 0 is no limit. By default 1000 if the
        service listens to this machine only, otherwise 50.
    workers : int
        Number of processes that share the rate limit: each allows its part of it.

    Examples
    --------
    >>> ServiceSettings(run="runs/latest").is_local, ServiceSettings(run="runs/latest", token="s" * 16).token
    (True, SecretStr('**********'))
    >>> ServiceSettings(run="runs/latest").requests_per_second
    1000.0
    >>> ServiceSettings(run="runs/latest", rate_limit=90, workers=3).requests_per_second
    30.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path
    db: str = DEFAULT_DATABASE
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    token: SecretStr | None = None
    posters: Path | None = None
    max_body: int = Field(default=1 << 20, ge=1)
    max_upload: int = Field(default=16 << 20, ge=1)
    rate_limit: float | None = Field(default=None, ge=0)
    workers: int = Field(default=1, ge=1)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def requests_per_second(self) -> float:
        """The rate limit of each process, 0 for none."""
        total = self.rate_limit
        if total is None:
            total = 1000.0 if self.is_local else 50.0
        return total / self.workers

    @property
    def db_description(self) -> str:
        """URL of the database without a password."""
        return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", self.db)

    @classmethod
    def from_environment(cls, **given: object) -> ServiceSettings:
        """Return checked settings with the secrets of the environment.

        Raises
        ------
        ConfigError
            A setting is invalid, or the service would be open to other machines without a token.
        """
        secrets: dict[str, object] = {}
        if os.environ.get(TOKEN):
            secrets["token"] = os.environ[TOKEN]
        if os.environ.get(DATABASE):
            secrets["db"] = os.environ[DATABASE]
        try:
            settings = cls.model_validate({**secrets, **given})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {explain_value(first)}") from None
        settings.check()
        return settings

    def check(self) -> None:
        """Check the settings before anything is loaded.

        Raises
        ------
        DataError
            The folder is not a saved run.
        ConfigError
            A token is missing or too short.
        """
        if not (self.run / "run.json").is_file():
            raise DataError(f"{self.run} is not a saved run: it has no run.json")
        token = None if self.token is None else self.token.get_secret_value()
        if token is not None and len(token) < MIN_TOKEN:
            raise ConfigError(f"{TOKEN} is shorter than {MIN_TOKEN} characters; make one with: openssl rand -hex 32")
        if token is None and not self.is_local:
            raise ConfigError(
                f"--host {self.host} can be reached from other machines, so a token is required: set {TOKEN}, for "
                f'example with: export {TOKEN}="$(openssl rand -hex 32)"'
            )


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return whether an address or name is this machine's own.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "movies.example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
