"""The prompt of ``gnnrec shell`` on a terminal: completion of commands and titles, and earlier lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import typer
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from gnnrec.cli._output import note
from gnnrec.cli._shell import FILTERS, HELP, Session
from gnnrec.data.titles import title_words

MAX_COMPLETIONS = 30
WITH_MOVIE = ("search", "add", "rate", "remove", "similar", "explain", "bucket add", "bucket remove")
"""Commands that take a title."""


class ShellCompleter(Completer):
    """Completes commands, titles by the beginnings of their words, filters and names of profiles.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions."""
        line = document.text_before_cursor.lstrip()
        name, blank, rest = line.partition(" ")
        name, rest = name.lower(), rest.lstrip()
        if not blank:
            for command, (arguments, about) in HELP.items():
                if command.startswith(name):
                    yield Completion(command, -len(line), display_meta=f"{arguments}  {about}".strip())
        elif name == "bucket" and " " not in rest:
            yield from _beginning(("add", "remove"), rest)
        elif name == "bucket":
            action, _, rest = rest.partition(" ")
            yield from self._titles(f"bucket {action.lower()}", rest.lstrip())
        elif name == "filter":
            yield from self._filters(rest)
        elif name == "open":
            yield from _beginning(self._names, rest)
        elif name == "help":
            yield from _beginning(HELP, rest)
        else:
            yield from self._titles(name, rest)

    def _titles(self, command: str, typed: str) -> Iterator[Completion]:
        """Yield the titles with words that start with the typed ones, most rated first."""
        typed_words = title_words(typed)
        if command not in WITH_MOVIE or not typed_words:
            return
        end = " " if command == "rate" else ""  # the title is complete; the rating follows
        found = 0
        for title, words in self._ranked:
            if all(any(word.startswith(begun) for word in words) for begun in typed_words):
                yield Completion(title + end, -len(typed), display=title)
                found += 1
                if found == MAX_COMPLETIONS:
                    return

    @cached_property
    def _ranked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Titles with their words, the most rated first."""
        counts = self.session.model.graph.dataset.ratings["movie_id"].value_counts()
        titles = self.session.titles
        order = sorted(titles, key=lambda movie: -int(counts.get(movie, 0)))
        return [(titles[movie], title_words(titles[movie])) for movie in order]

    def _filters(self, typed: str) -> Iterator[Completion]:
        word = typed.rpartition(" ")[2]
        name, equals, value = word.partition("=")
        if not equals:
            yield from _beginning([*(f"{one}=" for one in FILTERS), "off"], word)
        elif name == "genres":
            for genre in map(str, self.session.model.graph.genres):
                if genre.lower().startswith(value.strip('"').lower()):
                    yield Completion(f'"{genre}"' if " " in genre else genre, -len(value))
        elif name == "family_friendly":
            yield from _beginning(("yes", "no"), value)

    @property
    def _names(self) -> list[str]:
        try:
            return self.session.profiles.names()
        except Exception:  # `open` reports the error
            return []


def _beginning(choices: Iterable[str], typed: str) -> Iterator[Completion]:
    for choice in choices:
        if choice.lower().startswith(typed.lower()):
            yield Completion(choice, -len(typed))


def make_prompt(session: Session, keyboard: Input | None = None, screen: Output | None = None) -> PromptSession[str]:
    """Return the prompt of a session, on the terminal or on other streams."""
    return PromptSession(
        completer=ThreadedCompleter(ShellCompleter(session)),
        complete_while_typing=True,
        auto_suggest=AutoSuggestFromHistory(),
        history=_history(),
        input=keyboard,
        output=screen,
    )


def _history() -> History:
    """Return the command history, which is kept in memory if its file cannot be written."""
    file = Path(typer.get_app_dir("gnnrec")) / "shell_history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a"):
            pass
    except OSError as error:
        note(f"earlier lines are not kept: {error.strerror}: {file}")
        return InMemoryHistory()
    file.chmod(0o600)
    return FileHistory(str(file))


def talk(session: Session, keyboard: Input | None = None, screen: Output | None = None) -> None:
    """Read commands from a terminal until `exit` or the end of the input.

    Ctrl-C drops the line, or stops the command that is running; Ctrl-D is `exit`.
    """
    prompt = make_prompt(session, keyboard, screen)
    note("help lists the commands; exit leaves")
    goes_on = True
    while goes_on:
        name = "gnnrec" if session.opened is None else f"gnnrec ({session.opened.name})"
        try:
            goes_on = session.run(prompt.prompt(f"{name}> "))
        except KeyboardInterrupt:
            continue
        except EOFError:
            goes_on = session.run("exit")
