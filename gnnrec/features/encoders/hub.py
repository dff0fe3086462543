"""Weights from the Hugging Face hub: from its cache on this machine, else downloaded, without long waits for nothing.

Without a network the hub's own client retries for more than a minute before it gives up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gnnrec.features.encoders.base import EncoderError, first_line

PATIENCE = 5.0
"""Seconds within which the hub must answer before anything is asked of it."""

T = TypeVar("T")


def cached_or_fetched(load: Callable[[], T], what: str) -> T:
    """Run `load` on what the cache holds; if that is not enough and the hub answers, with the hub.

    Parameters
    ----------
    load : callable
        Calls libraries that ask the hub for files.
    what : str
        What is wanted, for errors.

    Returns
    -------
    What `load` returns.

    Raises
    ------
    EncoderError
        It fails: something is not in the cache and ``HF_HUB_OFFLINE`` is set or the hub does not answer, or the
        files are of no use.
    """
    from huggingface_hub import constants

    try:
        with cache_only():
            return load()
    except EncoderError:
        raise
    except Exception as error:  # the libraries wrap the hub's errors in errors of all kinds
        if not _is_about_the_hub(error):
            raise EncoderError(f"{what} cannot be used: {first_line(error)}") from error
    if constants.HF_HUB_OFFLINE:
        raise EncoderError(f"{what} is not in the local cache, and HF_HUB_OFFLINE is set")
    if not _answers(constants.ENDPOINT):
        raise EncoderError(f"{what} is not in the local cache, and {constants.ENDPOINT} does not answer")
    try:
        return load()
    except Exception as error:
        raise EncoderError(f"{what} cannot be fetched: {first_line(error)}") from error


@contextmanager
def cache_only() -> Iterator[None]:
    """Keep the hub's client from the network: what is not in the cache fails at once."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_about_the_hub(error: BaseException | None) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def _answers(url: str) -> bool:
    """Tell whether anything answers; a thread of its own, since looking up a name knows no timeout."""
    import requests

    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(requests.head(url, timeout=PATIENCE))
        except requests.RequestException:
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return bool(answers)
