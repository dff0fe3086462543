"""``gnnrec serve``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors, note

NEEDED = ("uvicorn", "fastapi", "sqlalchemy", "alembic", "prometheus_client", "python_multipart", "jinja2")
"""Packages of the extra ``serve``."""
HEALTHCHECK_TIMEOUT = 120
"""Seconds after which a process that does not respond is replaced; five, uvicorn's default, pass on a busy machine."""


def serve(
    run: RunArgument,
    host: Annotated[
        str,
        typer.Option(
            "--host", help="Address to listen on. Any address other than this machine's requires GNNREC_TOKEN."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.", min=0, max=65535)] = 8000,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            help="Database: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME. By default $GNNREC_DB, or gnnrec.db "
            "in the working directory.",
            show_default=False,
        ),
    ] = None,
    posters: Annotated[
        Path | None, typer.Option("--posters", help="Folder of posters, named by movie id: 1.jpg, 2.png, ...")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="Host name under which the service may be reached. Can be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Number of processes.", min=1, max=64)] = 1,
    rate_limit: Annotated[
        float | None,
        typer.Option(
            "--rate-limit",
            help="Requests per second and client, shared by the processes; 0 for no limit. [default: 1000; 50 with a "
            "public --host]",
            show_default=False,
            min=0,
        ),
    ] = None,
    max_upload: Annotated[int, typer.Option("--max-upload", help="Largest upload, in MiB.", min=1, max=64)] = 16,
) -> None:
    """Serve a web app and a JSON API for a saved run.

    Open http://127.0.0.1:8000 in a browser. Profiles and ratings are stored in a database. If the run is replaced, the
    service loads the new one.
    """
    with errors():
        import json
        import logging
        import os

        from gnnrec.errors import ConfigError
        from gnnrec.service.settings import SETTINGS, ServiceSettings

        given: dict[str, Any] = {
            "run": str(run.absolute()),
            "host": host,
            "hosts": list(allow_host or ()),
            "posters": None if posters is None else str(posters.absolute()),
            "rate_limit": rate_limit,
            "workers": workers,
            "max_upload": max_upload << 20,
        }
        if db is not None:
            given["db"] = db
        settings = ServiceSettings.from_environment(**given)
        for name in NEEDED:
            if find_spec(name) is None:
                raise ConfigError(f"gnnrec serve needs the package {name}: pip install 'gnnrec[serve]'")
        import uvicorn

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("gnnrec.graph.titles").setLevel(logging.ERROR)  # do not log what users type
        shown = f"[{host}]" if ":" in host else host
        options = {"host": host, "port": port, "server_header": False, "access_log": False, "log_config": None}
        options |= {"timeout_keep_alive": 30, "h11_max_incomplete_event_size": 64 << 10}
        if workers == 1:
            from gnnrec.service.startup import start  # with several, only they load the model

            app = start(settings)
            note(f"open http://{shown}:{port} (database: {settings.db_description}); stop with Ctrl-C")
            uvicorn.run(app, **options)  # type: ignore[arg-type]
            return
        if db is not None:
            os.environ["GNNREC_DB"] = given.pop("db")  # it may hold a password
        os.environ[SETTINGS] = json.dumps(given)
        note(f"open http://{shown}:{port} (database: {settings.db_description}); stop with Ctrl-C")
        uvicorn.run(
            "gnnrec.service.startup:start_worker",
            factory=True,
            workers=workers,
            timeout_worker_healthcheck=HEALTHCHECK_TIMEOUT,
            **options,  # type: ignore[arg-type]
        )
