"""``gnnrec shell``: an interactive session with a saved run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors


def shell(
    run: RunArgument,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            help="Database for `save` and `open`: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME. By default "
            "$GNNREC_DB, or gnnrec.db in the working directory, as for `gnnrec serve`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Rate movies and get recommendations in an interactive session; `help` lists its commands.

    On a terminal, commands and titles are completed and the command history is saved (pip install 'gnnrec[shell]'). In
    a pipe, one command is read per line, and the exit status is 1 if one of them failed. Profiles are shared with
    `gnnrec serve` and need its packages (pip install 'gnnrec[serve]').
    """
    with errors():
        from gnnrec.cli._profiles import Profiles
        from gnnrec.cli._shell import Session
        from gnnrec.errors import ConfigError
        from gnnrec.models.estimator import load

        is_interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if is_interactive:
            try:
                import prompt_toolkit  # noqa: F401
            except ModuleNotFoundError:
                raise ConfigError(
                    "gnnrec shell on a terminal needs prompt_toolkit: pip install 'gnnrec[shell]'; commands in a pipe "
                    "do not"
                ) from None
        model = load(run)
        if not getattr(getattr(model, "estimator", None), "serves_new_users", True):
            raise ConfigError(
                f"the model {model.name!r} can only score the users it was trained on, as `gnnrec recommend` does; a "
                "session needs a model that reads histories, such as gnn or ease"
            )
        session = Session(model, Profiles(model, db), is_interactive=is_interactive)
        if db is not None:
            session.profiles.check()
    try:
        if is_interactive:
            from gnnrec.cli._prompt import talk

            talk(session)
            return
        for line in sys.stdin or ():
            if not session.run(line):
                break
        else:
            session.may_leave("exit")
    finally:
        session.profiles.close()
    if session.has_failed:
        raise typer.Exit(1)
