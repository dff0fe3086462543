"""What the documentation says is so: every Python block runs, every setting and option is listed."""

from __future__ import annotations

import importlib.util
import re
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

import gnnrec
from gnnrec.cli import app
from gnnrec.config import Config

HOME = Path(__file__).resolve().parent.parent
PAGES = [HOME / "README.md", *sorted((HOME / "docs").rglob("[!_]*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """Return language, first line and text of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], text.count("\n", 0, m.start(2)), m[2]) for m in FENCE.finditer(text)]


def load_sample(name: str, **options: int) -> gnnrec.Dataset:
    """Load a dataset for a page, which must not need a download. The movies are those of the whole sample."""
    assert name == "sample"
    return gnnrec.data.load_dataset(name, **options)


def name_of(page: Path) -> str:
    return str(page.relative_to(HOME))


@pytest.mark.parametrize("page", [p for p in PAGES if any(b[0] == "python" for b in blocks(p))], ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of a page one after the other, as a reader would who types them in; fewer people are quicker."""
    monkeypatch.setattr(gnnrec, "load_dataset", partial(load_sample, n_users=150))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, line, text in blocks(page):
        if language == "python":
            # Empty lines first, so that an error names the line of the page.
            exec(compile("\n" * line + text, str(page), "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_console_blocks_name_real_commands(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for language, _, text in blocks(page):
        if language == "console":
            for line in text.splitlines():
                words = line.split("#")[0].split()
                if words[:1] == ["gnnrec"]:
                    options = {option for p in commands[words[1]].params for option in p.opts}
                    assert {word.split("=")[0] for word in words if word.startswith("-")} <= options, line
                elif words[:1] == ["make"]:
                    assert re.search(rf"^{words[1]}:", (HOME / "Makefile").read_text(), re.MULTILINE), line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def script(name: str) -> ModuleType:
    """Import one of the scripts beside the pages."""
    spec = importlib.util.spec_from_file_location(name, HOME / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_is_explained() -> None:
    text = script("make_reference").config_reference()
    for section in Config.model_fields:
        for key, field in type(getattr(Config(), section)).model_fields.items():
            (row,) = [line for line in text.splitlines() if line.startswith(f"| `{section}.{key}` |")]
            assert field.description, f"{section}.{key} has no docstring"
            assert field.description in row
    expected = "| `model.init_scale` | `0.3` | "
    assert expected in text
    assert "*number, above 0 and below 1*" in text
    assert "*lightgcn, graphsage*" in text


def test_every_option_is_explained() -> None:
    text = script("make_reference").cli_reference()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        for parameter in command.params:
            called = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
            rows = [line for line in section.splitlines() if line.startswith(f"| `{called}`")]
            assert len(rows) == 1
            assert parameter.help, f"{name} {called} has no help"
    assert "gnnrec recommend RUN [OPTIONS]" in text


def test_the_pictures_are_the_ones_that_are_drawn() -> None:
    for name, draw in script("make_pictures").DRAWN.items():
        kept = (HOME / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        assert kept == draw(), "run: python docs/make_pictures.py"


def test_pictures_of_findings_are_kept_and_shown() -> None:
    kept = {path.name for path in (HOME / "docs" / "pictures").glob("analysis-*.png")}
    assert kept == {f"analysis-{name}.png" for name in script("make_analysis_pictures").SHOWN}
    page = (HOME / "docs" / "analyze.md").read_text(encoding="utf-8")
    assert set(re.findall(r"pictures/(analysis-[\w-]+\.png)", page)) == kept


def test_every_finding_is_in_the_table() -> None:
    text = (HOME / "docs" / "analyze.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert re.findall(r"`([\w-]+)`", " ".join(cells)) == list(gnnrec.analyze(load_sample("sample")).findings)


def test_every_protocol_is_in_the_table() -> None:
    text = (HOME / "docs" / "evaluating.md").read_text(encoding="utf-8")
    for name, steps in gnnrec.data.PROTOCOLS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        counted, left_out, known = (row.split(" | ")[i] for i in (1, 3, 4))
        assert ("10-core" in counted, f"{steps.min_rating:g} and more" in counted if steps.min_rating else False) == (
            steps.core == 10, steps.min_rating is not None,
        )  # fmt: skip
        assert left_out == steps.mask.replace("+", ", ")
        assert known.removesuffix(", those five") == steps.history.replace("+", ", ")
