"""A polite and careful HTTP client: it keeps a pace, comes back later when asked to, and trusts no answer.

Addresses come from answers here (where a poster lies, where a page has moved), and a key is sent along. So the key goes
to the service alone and never into a message, and no answer leads to this machine or its neighbours.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import requests
from urllib3.exceptions import HTTPError

from gnnrec.errors import ConfigError
from gnnrec.features.fetch.addresses import is_public, joined, origin, shown
from gnnrec.features.fetch.manners import AbsentError, ExhaustedError, Manners, UnreachableError
from gnnrec.features.fetch.patience import retry_after, within

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that may be another one later."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and body of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(eq=False)
class Client:
    """Fetches from one service.

    Parameters
    ----------
    trusted : tuple of str
        Addresses that were given by the caller. Their hosts may be private; where answers lead to may not.
    secret : str
        The key: sent to the first of `trusted` alone, and blotted out wherever it would be shown.
    headers, params : mapping
        How the key is sent.
    manners : Manners
        Pace and patience.

    Raises
    ------
    ConfigError
        An address is not http or https.

    Examples
    --------
    >>> client = Client(("https://api.example.org/3",), secret="abc", params={"api_key": "abc"})
    >>> client.hidden("https://api.example.org/3/movie?api_key=abc")
    'https://api.example.org/3/movie?api_key=***'
    """

    trusted: tuple[str, ...]
    secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    manners: Manners = field(default_factory=Manners)
    _next: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _session: requests.Session = field(default_factory=lambda: _Session(), init=False, repr=False)

    def __post_init__(self) -> None:
        for url in self.trusted:
            if origin(url) is None:
                raise ConfigError(f"{url!r} is no address of a server; it begins with https:// or http://")

    def hidden(self, text: str) -> str:
        """Return a text without the key."""
        for spelling in {self.secret, quote(self.secret, safe=""), quote_plus(self.secret)} - {""}:
            text = text.replace(spelling, "***")
        return text

    def json(self, url: str, params: Mapping[str, Any], max_bytes: int = 5_000_000) -> tuple[int, dict[str, Any]]:
        """Ask the service; return the status and the JSON object it answers with.

        Raises
        ------
        UnreachableError
            There is no answer, or it is no JSON object.
        ExhaustedError
            The server asks for a long pause.
        """
        answer = self.get(url, max_bytes, params)
        try:
            found = json.loads(self.hidden(answer.body.decode("utf-8")))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreachableError(
                f"{self._shown(url)} answers {answer.status} without JSON; is this the right address?"
            )
        return answer.status, found

    def get(self, url: str, max_bytes: int, params: Mapping[str, Any] | None = None) -> Answer:
        """Fetch an address; attempts that may fare better later are repeated.

        Parameters
        ----------
        url : str
            Address without the key.
        max_bytes : int
            Of the body; a longer one is not read to its end.
        params : mapping, optional
            The query, without the key, which is sent only when this is given.

        Returns
        -------
        Answer
            Whose status is none that may pass.

        Raises
        ------
        UnreachableError
            No attempt brought an answer.
        AbsentError
            The answer is too large, or leads where it must not.
        ExhaustedError
            The server asks for a pause of more than `Manners.longest_wait`.
        """
        for attempt in range(1, self.manners.attempts + 1):
            pause = self.manners.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            try:
                answer = self._follow(url, max_bytes, params)
            except UnreachableError as error:
                cause = str(error)
            else:
                if answer.status not in RETRIED:
                    return answer
                cause = f"{self._shown(url)} answers {answer.status}"
                pause = max(pause, asked := retry_after(answer.headers))
                if asked > self.manners.longest_wait:
                    raise ExhaustedError(f"{cause} and asks to come back in {asked:,.0f} seconds")
            if attempt < self.manners.attempts:
                time.sleep(min(pause, self.manners.longest_wait))
        raise UnreachableError(f"{cause} ({self.manners.attempts} attempts)")

    def _follow(self, url: str, max_bytes: int, params: Mapping[str, Any] | None) -> Answer:
        start = url
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(url, max_bytes, params)
            target = answer.headers.get("location")
            if answer.status not in REDIRECTS or target is None:
                return answer
            # The query, where it is still wanted, is part of the target.
            before, url, params = url, joined(url, target), None if params is None else {}
            there = f"{self._shown(start)} leads to {self._shown(url)}"
            if before.startswith("https:") and url.startswith("http:"):
                raise AbsentError(f"{there}, from https to something that anyone can read along")
            if origin(url) != origin(self.trusted[0]) and self.hidden(url) != url:
                raise AbsentError(f"{there}, which is not to have the key")
        raise AbsentError(f"{self._shown(start)} leads on more than {MAX_REDIRECTS} times")

    def _once(self, url: str, max_bytes: int, params: Mapping[str, Any] | None) -> Answer:
        place = origin(url)
        if place is None:
            raise AbsentError(f"{self._shown(url)!r} is no address that can be fetched")
        keyed = params is not None and place == origin(self.trusted[0])
        query = {**(params or {}), **(self.params if keyed else {})}
        headers = {"User-Agent": "gnnrec", "Accept-Encoding": "identity", **(self.headers if keyed else {})}
        self._pace(place[1])
        try:
            return within(self.manners.total, lambda: self._read(url, max_bytes, query, headers))
        except TimeoutError:
            self._session = _Session()  # the old one is still busy in a thread that nobody waits for
            cause = f"no answer in {self.manners.total:g} seconds"
        except requests.Timeout:
            cause = "no answer in time"
        except (requests.RequestException, HTTPError, OSError) as error:
            cause = self.hidden(_innermost(error))
        raise UnreachableError(f"{self._shown(url)} cannot be fetched: {cause}")

    def _read(self, url: str, max_bytes: int, query: dict[str, Any], headers: dict[str, str]) -> Answer:
        if origin(url) not in map(origin, self.trusted) and not is_public(url):
            raise AbsentError(f"{self._shown(url)} is in a private network, where no answer may lead")
        end = time.monotonic() + self.manners.total
        with self._session.get(
            url,
            params=query,
            headers=headers,
            timeout=(self.manners.connect, self.manners.read),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            if response.status_code not in REDIRECTS:
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > max_bytes:
                        raise AbsentError(f"{self._shown(url)} has more than {max_bytes:,} bytes")
                    if time.monotonic() > end:  # nobody waits for this any more
                        raise TimeoutError
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _pace(self, host: str) -> None:
        now = time.monotonic()
        start = max(now, self._next.get(host, now))
        self._next[host] = start + 1 / self.manners.per_second
        time.sleep(start - now)

    def _shown(self, url: str) -> str:
        return self.hidden(shown(url))


class _Session(requests.Session):
    """A session that leaves redirects alone and knows no passwords."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request  # else what ~/.netrc has for a host would replace the key

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none: requests would read the whole body of a redirect, however long, to prepare the next step."""


def _innermost(error: BaseException) -> str:
    """Return what the system said, which urllib3 wraps and requests wraps again."""
    inner: object = error
    while isinstance(
        deeper := getattr(inner, "reason", None) or next(iter(getattr(inner, "args", ())), None), BaseException
    ):
        inner = deeper
    return str(inner) or type(inner).__name__
