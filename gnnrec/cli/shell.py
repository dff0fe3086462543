"""``gnnrec shell``: an interactive session with a saved run."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from gnnrec.cli._options import RunArgument
from gnnrec.cli._output import errors, note


def shell(run: RunArgument) -> None:
    """Rate movies and get recommendations in an interactive session; `help` lists its commands.

    On a terminal, titles and commands are completed and earlier lines are kept (pip install 'gnnrec[shell]'). In a pipe
    it reads a command per line; the status is 1 if one of them failed.
    """
    with errors():
        from gnnrec.cli._shell import Session
        from gnnrec.models.estimator import load

        session = Session(load(run))
        if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
            _talk(session)
            return
        for line in sys.stdin:
            if not session.run(line):
                break
        if session.has_failed:
            raise typer.Exit(1)


def _talk(session: object) -> None:
    """Read lines from a terminal until `exit` or the end of the input."""
    from gnnrec.cli._shell import Session
    from gnnrec.errors import ConfigError

    assert isinstance(session, Session)
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import FuzzyWordCompleter, NestedCompleter
        from prompt_toolkit.history import FileHistory
    except ImportError:
        raise ConfigError(
            "gnnrec shell on a terminal needs prompt_toolkit: pip install 'gnnrec[shell]'; commands in a pipe do not"
        ) from None
    titles = FuzzyWordCompleter(session.titles)
    completer = NestedCompleter({name: titles if takes_movie else None for name, takes_movie in session.words.items()})
    folder = Path(typer.get_app_dir("gnnrec"))
    folder.mkdir(parents=True, exist_ok=True)
    prompt: PromptSession[str] = PromptSession(
        "gnnrec> ",
        completer=completer,
        complete_while_typing=True,
        history=FileHistory(str(folder / "shell_history")),
    )
    note("help lists the commands; exit leaves")
    while True:
        try:
            line = prompt.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if not session.run(line):
            return
