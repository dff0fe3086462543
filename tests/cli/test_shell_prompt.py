"""The prompt of ``gnnrec shell``: completion, earlier lines, Ctrl-C and Ctrl-D, and colors on a real terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prompt_toolkit", reason="needs prompt_toolkit: pip install 'gnnrec[shell]'")

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from typer.testing import CliRunner

from gnnrec import load
from gnnrec.cli import _prompt, app
from gnnrec.cli._prompt import ShellCompleter, talk
from gnnrec.cli._shell import HELP, Session
from tests.helpers.cli import HOME

UP, TAB, CTRL_C, CTRL_D = "\x1b[A", "\t", "\x03", "\x04"


@pytest.fixture
def session(run: Path) -> Session:
    return Session(load(run), is_interactive=True)


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_prompt.typer, "get_app_dir", lambda _: str(tmp_path / "settings"))
    return tmp_path / "settings"


def completions(session: Session, line: str) -> list[str]:
    """Return the lines that a line may become."""
    found = ShellCompleter(session).get_completions(Document(line), CompleteEvent())
    return [line[: len(line) + one.start_position] + one.text for one in found]


def test_commands_are_completed(session: Session) -> None:
    assert completions(session, "") == list(HELP)
    assert completions(session, "re") == [name for name in HELP if name.startswith("re")]
    assert completions(session, "bucket ") == ["bucket add", "bucket remove"]
    assert completions(session, "filter fam") == ["filter family_friendly="]
    assert completions(session, "filter years=1990- family_friendly=y") == ["filter years=1990- family_friendly=yes"]
    assert completions(session, "help sa") == ["help save"]
    assert completions(session, "show ") == completions(session, "foo ba") == completions(session, "recommend 1") == []
    genre = str(session.model.graph.genres[0])
    assert completions(session, f"filter genres={genre[:3].lower()}")[0] == f"filter genres={genre}"


@pytest.mark.parametrize("command", ["search", "add", "remove", "similar", "explain", "bucket add", "bucket remove"])
def test_titles_are_completed(session: Session, command: str) -> None:
    title = str(session.model.graph.dataset.movies["title"][3])
    whole = re.sub(r"\W+", " ", title.lower()).split()
    for typed in (title[:-3], " ".join(word[:3] for word in whole if len(word) > 3), title.upper()):
        assert f"{command} {title}" in completions(session, f"{command} {typed}"), typed
    assert completions(session, f"{command} zzzqqq") == completions(session, f"{command} ") == []


def test_a_title_may_be_rated_as_completed(session: Session) -> None:
    for movie, title in session.titles.items():  # also those with brackets, commas and quotes
        line = next(one for one in completions(session, f"rate {title}") if one.strip() == f"rate {title}")
        session.run(f"{line}4")
        assert session.ratings[movie] == 4
    assert not session.has_failed


def test_the_most_rated_titles_are_first(session: Session) -> None:
    counts = session.model.graph.dataset.ratings["movie_id"].value_counts()
    numbers = {title: int(counts.get(movie, 0)) for movie, title in session.titles.items()}
    found = [numbers[line.removeprefix("add ")] for line in completions(session, "add 19")]
    assert len(found) > 5 and found == sorted(found, reverse=True)


def typed(session: Session, *keys: str) -> None:
    """Have a conversation in which these keys are pressed."""
    with create_pipe_input() as keyboard:
        keyboard.send_text("".join(keys))
        talk(session, keyboard, DummyOutput())


def test_keys(session: Session, own_settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = session.titles
    typed(session, f"add id:{first}\r", "garbage", CTRL_C, "\r", f"add id:{second}\r", CTRL_D)
    assert list(session.ratings) == [first, second] and not session.has_failed
    kept = [line[1:] for line in (own_settings / "shell_history").read_text().splitlines() if line.startswith("+")]
    assert kept == [f"add id:{first}", f"add id:{second}"]
    if os.name == "posix":
        assert (own_settings / "shell_history").stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_a_command_and_the_session_goes_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_popular", long)
    typed(session, "popular\r", f"add id:{next(iter(session.titles))}\r", "exit\r")
    assert len(session.ratings) == 1


def test_earlier_lines_cannot_be_kept(session: Session, own_settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_settings.write_text("a file where the folder should be")
    typed(session, "popular 1\r", "exit\r")
    assert "earlier lines are not kept: " in capsys.readouterr().err and not session.has_failed


TWICE = """
from gnnrec.cli import app
for number in (1, 2):
    try:
        app(["shell", {run!r}], prog_name="gnnrec")
    except SystemExit as stop:
        print("ended", number, "with", stop.code or 0)
"""


@pytest.fixture
def terminal(run: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that starts the command on a terminal of 80 columns, and a second time when it has ended."""
    pexpect = pytest.importorskip("pexpect", reason="needs pexpect")
    if not hasattr(pexpect, "spawn"):
        pytest.skip("needs a pseudo-terminal")
    paths = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "COLUMNS")}
    settings = {"PYTHONPATH": paths, "TERM": "xterm-256color", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def start(**more: str) -> Any:
        command = ["-c", TWICE.format(run=str(run))]
        environment = {**kept, **settings, "PROMPT_TOOLKIT_NO_CPR": "1", **more}
        return pexpect.spawn(
            sys.executable, command, env=environment, dimensions=(40, 80), encoding="utf-8", timeout=300, cwd=tmp_path
        )

    return start


@pytest.mark.slow
def test_a_terminal(terminal: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    import pexpect

    title = str(load(run).graph.dataset.movies["title"][3])
    screen = terminal()

    def enter(keys: str) -> None:
        screen.expect("gnnrec>")
        screen.send(keys)

    enter("popular 3\r")
    screen.expect("\x1b\\[1m.*┃.*│ 3 │")  # bold, with lines
    enter(f"rate {title[:-4]}")
    screen.expect(re.escape(title[-4:]))  # in the menu
    screen.send(TAB + "4\r")
    screen.expect(re.escape(f"{title}: 4"))
    enter("garbage" + CTRL_C)
    enter("recommend 2\r")
    screen.expect("because of.*│ 2 │")
    enter(CTRL_D)
    screen.expect("ended 1 with 0")
    assert f"+rate {title} 4" in (tmp_path / "gnnrec" / "shell_history").read_text().splitlines()

    enter("")
    screen.send(UP)
    screen.expect("recommend 2")
    screen.send(UP)
    screen.expect(re.escape(f"{title} 4"))  # only what changes is drawn: both lines begin with an r
    screen.send("\r")
    screen.expect(re.escape(f"{title}: 4"))
    enter("exit\r")
    screen.expect("ended 2 with 0")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0


def test_no_colors_in_a_pipe(run: Path) -> None:
    result = CliRunner().invoke(app, ["shell", str(run)], input="popular 3\n")
    assert result.exit_code == 0 and "│" not in result.output and len(result.stdout.splitlines()) > 3
    assert "\x1b" not in result.output
