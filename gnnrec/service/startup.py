"""The start of a service process: imports and loading with garbage collection paused.

Nothing here imports FastAPI or PyTorch before it is called, so that the pause includes these imports.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gnnrec.errors import GnnrecError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gnnrec.service.settings import ServiceSettings

logger = logging.getLogger(__name__)

STARTUP_FAILURE = 3
"""Exit code of a worker that cannot start."""


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection, and exclude from it what was made in the meantime.

    Modules and the model are permanent. Searching them for garbage again and again takes a fifth of the start, and
    later would cause pauses.

    Examples
    --------
    >>> with collection_paused():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def start(settings: ServiceSettings) -> FastAPI:
    """Return the application of this process; see `create_app`."""
    with collection_paused():
        from gnnrec.service.app import create_app

        return create_app(settings)


def start_worker() -> FastAPI:
    """Return the application of a worker of `gnnrec serve`, with settings from the environment."""
    from gnnrec.service.settings import SETTINGS, ServiceSettings

    try:
        return start(ServiceSettings.from_environment(**json.loads(os.environ.get(SETTINGS, "{}"))))
    except GnnrecError as error:  # the stack trace of a worker would hide the reason
        logger.error("%s", error)
        raise SystemExit(STARTUP_FAILURE) from None
