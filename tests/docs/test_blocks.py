"""Every code block of the README and of the site runs, page by page, from top to bottom.

The rules, and the marks that change them, are in ``docs/contributing.md``.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from gnnrec import registry
from gnnrec._yaml import shipped_configs
from gnnrec.cli import app
from gnnrec.cli._options import check_source, parse_options
from gnnrec.config import Config
from gnnrec.datasets import make_sample
from gnnrec.models import suggest
from gnnrec.tuning import SearchSpace
from tests.docs.pages import HOME, PAGES, page_name
from tests.helpers.registries import restored_registries

FENCE = re.compile(r"^(?:<!-- ([^\n]+) -->\n)?```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = re.compile(r"ml-(\d|latest)|Movielens1M|^ml1m(-|$)")
NEEDED = {"onnx.md": ("onnx", "onnxscript", "onnxruntime")}
"""Packages that a page needs besides those of the tests."""
LANGUAGES = {"python", "console", "yaml", "toml", "json", "text", "csv", ""}
NOT_RUN, PRINTS, SOMETHING_LIKE = "not run: ", "prints", "prints something like"

small_sample = cache(partial(make_sample, num_users=100))
"""Pages load the same few samples again and again; a dataset is immutable."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the line where it begins, its text, and the mark before it."""

    language: str
    line: int
    text: str
    mark: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of a console block."""
        lines = [shlex.split(line, comments=True) for line in self.text.splitlines()]
        return [words for words in lines if words]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page without directives such as pictures."""
    text = page.read_text(encoding="utf-8")
    found = [Block(m[2], text.count("\n", 0, m.start(3)), m[3], m[1] or "") for m in FENCE.finditer(text)]
    return [block for block in found if not block.language.startswith("{")]


def is_run(words: list[str]) -> bool:
    return words[0] == "gnnrec" and not any(LONG.search(word) for word in words)


def without_plugin(words: list[str]) -> list[str]:
    """Return the words of a command without ``--plugin NAME`` before its name."""
    return [words[0], *words[3:]] if words[1:2] == ["--plugin"] else words


def values(words: list[str], option: str) -> list[str]:
    """Return what follows an option, each time it is given."""
    return [value for name, value in itertools.pairwise(words) if name == option]


def matches(shown: str, printed: str, mark: str) -> bool:
    """Return whether a block shows what was printed; for `SOMETHING_LIKE`, its heading and length."""
    here, there = shown.strip("\n").splitlines(), printed.strip("\n").splitlines()
    if mark == PRINTS:
        return [line.rstrip() for line in here] == [line.rstrip() for line in there]
    return here[0].split() == there[0].split() and len(here) == len(there)


def read_settings(block: Block, where: str, folder: Path) -> None:
    """Read a config or, if it has a section ``space``, a search space, which may name a config in its folder."""
    if "space" not in yaml.safe_load(block.text):
        Config.from_mapping(yaml.safe_load(block.text), where)
        return
    shutil.copytree(HOME / "configs", folder / "spaces", dirs_exist_ok=True)
    (folder / "spaces" / "mine.yaml").write_text(block.text, encoding="utf-8")
    SearchSpace.from_yaml(folder / "spaces" / "mine.yaml")


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Forget what the plugins of a page registered."""
    with restored_registries():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_name)
def test_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run the blocks of a page one after the other in an empty folder, with fewer users and epochs than usual."""
    for name in NEEDED.get(page.name, ()):
        pytest.importorskip(name, reason=f"the page needs {name}")
    registry.DATASETS.get("sample")
    monkeypatch.setitem(registry.DATASETS._objects, "sample", small_sample)
    monkeypatch.setattr(suggest, "_MIN_EPOCHS", 2)
    monkeypatch.setattr(suggest, "_MAX_EPOCHS", 2)
    monkeypatch.setattr(suggest, "_NUM_MEMBERS", 1)
    monkeypatch.setattr("gnnrec.datasets.movielens.locate_dataset", partial(pytest.fail, "the page needs a download"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        if block.mark.startswith(NOT_RUN):
            continue
        if block.language == "python":
            # Empty lines first, so that an error names the line of the page.
            exec(compile("\n" * block.line + block.text, str(page), "exec", dont_inherit=True), namespace)
            printed = capsys.readouterr().out
        elif block.language == "console":
            for words in filter(is_run, block.commands):
                result = CliRunner().invoke(app, words[1:])
                assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
                printed = result.output
        elif block.language == "yaml":
            read_settings(block, f"{page.name}:{block.line}", tmp_path)
        elif block.language == "json":
            json.loads(block.text)
        elif block.mark in (PRINTS, SOMETHING_LIKE):
            assert matches(block.text, printed, block.mark), f"{page.name}:{block.line} differs from:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_blocks_are_of_known_kinds(page: Path) -> None:
    """A mistyped mark or language would silently skip a block."""
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"^[ \t]+```\w.*$", text, re.MULTILINE), "an indented block is not found"
    for block in blocks(page):
        assert block.language in LANGUAGES
        known = block.mark in ("", PRINTS, SOMETHING_LIKE) or len(block.mark) > len(NOT_RUN) + 10
        assert known, block.mark
        assert not block.mark.startswith(PRINTS) or block.language == "text"
    marks = re.findall(rf"^<!-- (?:{PRINTS}|{NOT_RUN}).*-->\n(?!```)", text, re.MULTILINE)
    assert not marks, "a mark stands directly before its block"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_console_blocks_name_real_commands(page: Path) -> None:
    """Also those that take too long to run."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for block in blocks(page):
        for typed in block.commands if block.language == "console" else ():
            words = without_plugin(typed)
            if words[0] == "gnnrec":
                options = {option for p in commands[words[1]].params for option in p.opts}
                assert {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= options, words
                assert not [w for w in words if w.startswith("configs/") and not (HOME / w).is_file()], words
                assert {name for name in values(words, "--config") if "." not in name} <= shipped_configs().keys(), (
                    words
                )
                for protocol in values(words, "--protocol"):
                    check_source(None, protocol)
                for names in values(words, "--models"):
                    assert {*names.split(",")} <= {*registry.MODELS.names(), "all"}, words
                for name in values(words, "--dataset"):
                    assert name.endswith("/") or parse_options(name)[0] in registry.DATASETS, words
                if "--model" not in words:
                    Config().override(values(words, "--set"))
            elif words[0] == "make":
                assert re.search(rf"^{words[1]}:", (HOME / "Makefile").read_text(), re.MULTILINE), words
            elif words[0] == "python" and words[1].endswith(".py"):
                script = (HOME / words[1]).read_text(encoding="utf-8")
                assert all(f'"{word}"' in script for word in words if word.startswith("--")), words
                Config().override(values(words, "--set"))
            else:
                assert block.mark.startswith(NOT_RUN), f"unknown program {words[0]}; say why the block is not run"


def test_blocks_and_marks_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\nprint(1)\n```\n\n<!-- prints -->\n```text\n1\n```\n\n```{image} x.svg\n```\n\n"
        '<!-- not run: it would install things -->\n```console\npip install "a b"  # yes\n\n```\n'
    )
    python, text, console = blocks(page)
    assert (python.language, python.line, python.text, python.mark) == ("python", 3, "print(1)\n", "")
    assert (text.mark, console.mark) == (PRINTS, "not run: it would install things")
    assert console.commands == [["pip", "install", "a b"]]
    assert matches("a b\n1 2\n", "a  b\n1 3\n", SOMETHING_LIKE)
    assert not matches("a b\n1 2\n", "a  b\n1 3\n", PRINTS)
    assert not matches("a b\n1 2\n", "a c\n1 2\n", SOMETHING_LIKE)
    assert matches("a b \n", "a b\n\n", PRINTS)
    assert values(["gnnrec", "--set", "a=1", "--out", "x", "--set", "b=2"], "--set") == ["a=1", "b=2"]
    assert is_run(["gnnrec", "train", "--dataset", "sample"])
    assert not is_run(["gnnrec", "train", "--dataset", "ml-1m"])
    assert not is_run(["make", "train"])
    assert without_plugin(["gnnrec", "--plugin", "x.py", "train"]) == ["gnnrec", "train"]
