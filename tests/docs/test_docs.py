"""What the documentation says is so: links lead somewhere, every setting, option, file and protocol is listed.

That its code runs is tested in `test_docs_blocks.py`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import gnnrec
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.cli import app
from gnnrec.config import Config
from gnnrec.data.schema import COLUMNS
from gnnrec.evaluation import METRICS

HOME = Path(__file__).resolve().parents[2]
DOCS = HOME / "docs"
SITE = [page for page in sorted(DOCS.rglob("[!_]*.md")) if "_build" not in page.parts]
PAGES = [HOME / "README.md", HOME / "data" / "README.md", *SITE]


def name_of(page: Path) -> str:
    return str(page.relative_to(HOME))


def table_of(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading of a page, without its header."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def named(cell: str) -> set[str]:
    """Return what stands as code in a cell."""
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    keys = {f"{section}.{key}" for section, model in Config() for key in type(model).model_fields}
    for target in re.findall(r"\]\(([^)#\s]*)[^)]*\)", text):
        if target and not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    assert set(re.findall(r"\]\(#((?:model|train)\.\w+)\)", text)) <= keys


@pytest.mark.parametrize("page", SITE, ids=name_of)
def test_every_page_says_what_it_is_for(page: Path) -> None:
    text = re.sub(r"\A<!--.*?-->\s*", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    purpose = re.match(r"# .+\n\n([A-Z`].+?[.:;])(\s|$)", text, re.DOTALL)
    assert purpose, "a page begins with a title and a sentence"
    assert len(purpose[1].split()) <= 45


def script(name: str) -> ModuleType:
    """Import one of the scripts beside the pages."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_is_explained() -> None:
    text = script("make_reference").config_reference()
    for section in Config.model_fields:
        for key, field in type(getattr(Config(), section)).model_fields.items():
            name = f"{section}.{key}"
            (row,) = [
                line for line in text.splitlines() if line.startswith(f'| [[`{name}`](#{name})]{{id="{name}"}} |')
            ]
            assert field.description, f"{name} has no docstring"
            assert field.description in row
    expected = '{id="model.init_scale"} | `0.3` | '
    assert expected in text
    assert "| `[0.7, 3, 12, 50]` |" in text
    defaults = re.findall(r'id="(\w+)\.(\w+)"\} \| `([^`]*)`', text)
    assert len(defaults) > 30
    for section, key, value in defaults:  # as it stands there, a default can be put into a YAML file
        assert Config().override([f"{section}.{key}={value}"]) == Config()
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
    assert "gnnrec similar RUN [MOVIE] [OPTIONS]" in text
    assert "for `gnnrec train --config`." in text  # code in a help text stays in one piece


def test_every_column_name_and_config_is_in_the_reference() -> None:
    files = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    plain = {re.sub(r"[\W_]", "", name.lower()) for name in re.findall(r"`([^`\n]+)`", files)}
    for table in ("ratings", "movies", "users"):
        for column, names in ((name, column.aliases) for name, column in COLUMNS[table].items()):
            assert set(names) - {"userid", "movieid"} <= plain, column
    configs = {path.name for path in (DOCS.parent / "configs").glob("*.yaml")}
    named = set(re.findall(r"`([\w-]+\.yaml)`", (DOCS / "reference" / "config.md").read_text(encoding="utf-8")))
    assert configs <= named


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").rglob("*.md"))
    missing = [name for name in gnnrec.__all__ if name not in pages]
    assert not missing


def test_pictures_of_findings_are_kept_and_shown() -> None:
    kept = {path.name for path in (HOME / "docs" / "pictures").glob("analysis-*.png")}
    assert kept == {f"analysis-{name}.png" for name in script("make_analysis_pictures").SHOWN}
    page = (HOME / "docs" / "how-to" / "analyze.md").read_text(encoding="utf-8")
    assert set(re.findall(r"pictures/(analysis-[\w-]+\.png)", page)) == kept


def test_every_finding_is_in_the_table() -> None:
    text = (HOME / "docs" / "how-to" / "analyze.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert re.findall(r"`([\w-]+)`", " ".join(cells)) == list(gnnrec.analyze(gnnrec.load_dataset("sample")).findings)


def test_every_protocol_is_in_the_table() -> None:
    text = (DOCS / "reference" / "protocols.md").read_text(encoding="utf-8")
    for name, steps in gnnrec.splitting.protocols.PROTOCOLS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        counted, left_out, known = (row.split(" | ")[i] for i in (1, 3, 4))
        assert ("10-core" in counted, f"{steps.min_rating:g} and more" in counted if steps.min_rating else False) == (
            steps.core == 10, steps.min_rating is not None,
        )  # fmt: skip
        assert left_out == steps.mask.replace("+", ", ")
        assert known.removesuffix(", those five") == steps.history.replace("+", ", ")


def test_every_metric_is_in_the_table() -> None:
    rows = table_of("reference/metrics.md", "Of ranked lists")
    assert sorted(row[0].strip("`") for row in rows) == sorted(METRICS)


def test_every_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What training, rating and benchmarking leave behind is what the page says, no more and no less."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gnnrec.datasets.make_sample", lambda: gnnrec.datasets.synthetic.make_sample(60, 40))
    commands = [
        ["train", "--dataset", "sample", "--protocol", "cold-users", "--out", "run", "--set", "train.epochs=1"],
        ["rate", "run", "--likes", "7", "--movie", "1"],
        ["benchmark", "--dataset", "sample", "--models", "popularity", "--json", "results.json"],
    ]
    for words in commands:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    listed = set().union(*(named(row[0]) for row in table_of("reference/files.md", "A run")))
    assert {path.name + "/" * path.is_dir() for path in (tmp_path / "run").iterdir()} == listed

    listed = set().union(*(named(row[0]) for row in table_of("reference/files.md", "A split")))
    split = gnnrec.split(gnnrec.load_dataset("sample"), "cold-both").with_negatives(3)
    split.to_folder(tmp_path / "split")
    assert {path.name for path in (tmp_path / "split").iterdir()} == listed

    results = json.loads((tmp_path / "results.json").read_text())
    listed = set().union(*(named(row[0]) for row in table_of("reference/files.md", "Results")))
    assert set(results) == listed
    (example,) = re.findall(r"^```json\n(.*?)^```", (DOCS / "reference" / "files.md").read_text(), re.M | re.DOTALL)
    assert list(results["results"][0]) == list(json.loads(example))
    assert BenchmarkReport.read("results.json").dataset == "sample"


def test_the_pictures_are_the_ones_that_are_drawn() -> None:
    for name, draw in script("make_pictures").DRAWN.items():
        kept = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        assert kept == draw(), "run: python docs/make_pictures.py"


def test_arrows_between_rooms_lead_up_and_leave_nothing_out() -> None:
    drawn = script("draw_rooms")
    found = drawn.imports()
    place, arrows = drawn.places(found), drawn.direct(found)
    assert {"graph", "nn", "recommend"} <= found["recgraph"]

    def reached(room: str) -> set[str]:
        return arrows[room].union(*map(reached, arrows[room]))

    for room, others in found.items():
        assert arrows[room] <= others <= reached(room)
        assert all(place[other][1] < place[room][1] for other in others)
    assert len(set(place.values())) == len(found), "two rooms on one place"


def test_the_model_card_says_what_the_leaderboard_says() -> None:
    made = script("make_card")
    text = made.numbers(made.RESULTS)
    board = (DOCS / "leaderboard.md").read_text(encoding="utf-8")
    rows = text.splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [s.title for s in made.SECTIONS.values()]
    for number in re.findall(r"\d\.\d{4} ± \d\.\d{4}", text):
        assert number in board
    for name in ("Movielens1M_m1", "Next movie"):  # the best of ours, not just any
        (row,) = [row for row in rows if row.startswith(f"| {name} |")]
        section = board.split(f"## {name}\n")[1].split("\n## ")[0]
        ours = [float(line.split(" | ")[2].strip("* ").split()[0]) for line in section.splitlines() if "| gnn" in line]
        assert f"/ {max(ours):.4f} ±" in row
    assert made.lists(made.RESULTS).splitlines()[-1].startswith("| popularity | ")


def test_others_can_build_the_site() -> None:
    """Read the Docs and GitHub Pages install an extra that is there, and run what `make docs` runs."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=]", word)[0].replace("-", "_") for word in project["optional-dependencies"]["docs"]}
    assert {"sphinx", "myst_nb", "furo", "sphinx_design", "sphinx_copybutton"} <= needed
    assert "gnnrec[docs]" in project["optional-dependencies"]["dev"]
    theirs = yaml.safe_load((HOME / ".readthedocs.yaml").read_text())
    assert (HOME / theirs["sphinx"]["configuration"]).is_file()
    assert theirs["python"]["install"][0]["extra_requirements"] == ["docs"]
    flow = (HOME / ".github" / "workflows" / "docs.yml").read_text()
    jobs = yaml.safe_load(flow)["jobs"]
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    (build,) = re.findall(r"\$\(DEV_BIN\)/(python -m sphinx .*)", (HOME / "Makefile").read_text())
    assert build in commands
    oldest = project["requires-python"].removeprefix(">=")
    for version in (theirs["build"]["tools"]["python"], *re.findall(r'python-version: "([\d.]+)"', flow)):
        assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))
    assert sys.version_info >= tuple(map(int, oldest.split(".")))
