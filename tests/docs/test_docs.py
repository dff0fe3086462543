"""Links lead somewhere, every setting, option, file and protocol is documented, and generated pages are current.

`test_blocks.py` tests that the code runs.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import gnnrec
from gnnrec import registry
from gnnrec.benchmarking import BenchmarkReport
from gnnrec.cli import app
from gnnrec.config import Config, ModelConfig, TrainConfig, model_config_class
from gnnrec.data.schema import COLUMNS
from gnnrec.registry import DATASETS, ENCODERS, FEATURE_ENCODERS, FINDINGS, METRICS, MODELS, PROTOCOLS, Registry
from gnnrec.tuning.report import SINGLE_OBJECTIVE_PLOTS
from tests.docs.pages import DOCS, HOME, PAGES, SITE, check_listed, page_name, script

CONVENTIONS = "reference/conventions.md"


def table_under(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading of a page, without its header."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def code_in(cell: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", cell))


def settings() -> dict[str, object]:
    """Return the fields of all settings, of all encoders, by key."""
    classes = [("model", ModelConfig), ("train", TrainConfig)]
    classes += [("model", model_config_class(name)) for name in ENCODERS.names()]
    fields = [(f"{section}.{key}", field) for section, one in classes for key, field in one.model_fields.items()]
    return dict(reversed(fields))  # what all encoders share is explained once


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]*)[^)]*\)", text):
        if target and not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    assert set(re.findall(r"\]\(#((?:model|train)\.\w+)\)", text)) <= settings().keys()


@pytest.mark.parametrize("page", [page for page in SITE if "{include}" not in page.read_text()[:20]], ids=page_name)
def test_a_page_begins_with_its_purpose(page: Path) -> None:
    text = re.sub(r"\A(?:<!--.*?-->|---\n.*?\n---)\s*", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^(```\{raw\}.*?```|:::.*?)\n+", "", text, flags=re.MULTILINE | re.DOTALL)
    purpose = re.match(r"# .+\n\n([A-Z`].+?[.:;])(\s|$)", text, re.DOTALL)
    assert purpose, "a page begins with a title and a sentence"
    assert len(purpose[1].split()) <= 45


def test_every_setting_is_explained() -> None:
    text = script("make_reference").config_reference()
    for name, field in settings().items():
        (row,) = [line for line in text.splitlines() if line.startswith(f'| [[`{name}`](#{name})]{{id="{name}"}} |')]
        assert field.description, f"{name} has no docstring"  # type: ignore[attr-defined]
        assert field.description.split("``")[0] in row  # type: ignore[attr-defined]
    assert '{id="model.init_scale"} | `0.3` | ' in text
    assert "| `[0.7, 3, 12, 50]` |" in text
    defaults = re.findall(r'id="(model|train)\.(\w+)"\} \| `([^`]*)`', text)
    assert len(defaults) > 30
    for section, key, value in defaults:  # a default can be copied into a YAML file
        name = f"{section}.{key}"
        encoder = next(
            one for one in ENCODERS.names() if section == "train" or key in model_config_class(one).model_fields
        )
        base = Config(model={"encoder": encoder})
        assert base.override([f"{name}={value}"]) == base
    assert "*number, above 0 and below 1*" in text
    assert f"*{', '.join(ENCODERS.names())}*" in text


def test_every_option_is_explained() -> None:
    text = script("make_reference").cli_reference()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        for parameter in command.params:
            shown = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
            rows = [line for line in section.splitlines() if line.startswith(f"| `{shown}`")]
            assert len(rows) == 1
            assert parameter.help, f"{name} {shown} has no help"
    assert "gnnrec recommend RUN [OPTIONS]" in text
    assert "gnnrec similar RUN [MOVIE] [OPTIONS]" in text


def test_every_column_name_and_config_is_in_the_reference() -> None:
    files = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    assert "{include} ../_build/generated/columns.md" in files
    rows = [line.split(" | ") for line in script("make_reference").column_reference().splitlines()[2:]]
    listed = {(row[0].strip("| "), row[1].strip("`")): code_in(row[2]) for row in rows}
    assert listed == {(t, name): set(column.aliases) for t in COLUMNS for name, column in COLUMNS[t].items()}
    configs = {path.name for path in (HOME / "configs").glob("*.yaml")}
    assert configs <= code_in((DOCS / "reference" / "config.md").read_text(encoding="utf-8"))


def test_every_dataset_and_model_is_named() -> None:
    files = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    unnamed = set(DATASETS.builtin) - {"sample"} - code_in(files)
    assert not unnamed, f"name these datasets in docs/reference/files.md, in backquotes: {', '.join(sorted(unnamed))}"
    page, heading = "how-to/compare.md", "Well-known models"
    check_listed(set().union(*(code_in(row[0]) for row in table_under(page, heading))), MODELS.builtin, page, heading)


def test_every_public_package_has_its_pages() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (gnnrec\S*)$", page, re.MULTILINE)
    settings = (DOCS / "conf.py").read_text(encoding="utf-8")
    (packages,) = re.findall(r"^PACKAGES = \((.*?)^\)", settings, re.MULTILINE | re.DOTALL)
    assert listed == re.findall(r'"([^"]+)"', packages)
    assert {"gnnrec", "gnnrec.models", "gnnrec.nn", "gnnrec.splitting"} <= set(listed)


def test_pictures_of_findings_are_shown() -> None:
    drawn = script("make_analysis_pictures")
    assert drawn.PICTURES == DOCS / "pictures"
    kept = {path.name for path in drawn.PICTURES.glob("analysis-*.png")}
    assert kept == {f"analysis-{name}.png" for name in drawn.SHOWN}
    page = (DOCS / "how-to" / "explore.md").read_text(encoding="utf-8")
    assert set(re.findall(r"pictures/(analysis-[\w-]+\.png)", page)) == kept


def test_every_finding_is_in_the_table() -> None:
    text = " ".join(row[0] for row in table_under("how-to/explore.md", "Findings"))
    listed = re.findall(r"`([\w-]+)`", text)
    check_listed(listed, FINDINGS.names(), "how-to/explore.md", "Findings")
    assert listed == FINDINGS.names(), "put the lines of docs/how-to/explore.md into the order of the report"


def test_every_protocol_is_in_the_table() -> None:
    rows = {row[0].strip("`"): row for row in table_under("reference/protocols.md", "Names")}
    listed = [name for name in rows if name != "--split FOLDER"]
    check_listed(listed, PROTOCOLS.names(), "reference/protocols.md", "Names")
    assert listed == PROTOCOLS.names(), "put the lines of docs/reference/protocols.md into the order of the registry"
    for name, protocol in PROTOCOLS.items():
        ratings, excluded, known = (rows[name][i] for i in (1, 3, 4))
        assert ("10-core" in ratings) == (protocol.k_core == 10)
        assert ("and above" in ratings) == (protocol.min_rating is not None)
        assert protocol.min_rating is None or f"{protocol.min_rating:g} and above" in ratings
        assert excluded == protocol.mask.replace("+", ", ")
        assert known.removesuffix(", first five").removesuffix(", a random 80%") == protocol.history.replace("+", ", ")


def test_every_option_of_a_protocol_is_in_the_table() -> None:
    from gnnrec.splitting.protocols import OWN_OPTIONS

    rows = {row[0].strip("`"): row[2] for row in table_under("reference/protocols.md", "Options")}
    assert set(OWN_OPTIONS) <= rows.keys()
    for option, protocols in rows.items():
        for name in code_in(protocols):
            gnnrec.splitting.get_protocol(name).with_options(**{option: 1 if option != "candidates" else "all"})


def test_the_tables_of_the_conventions_have_these_columns() -> None:
    columns = {
        row[0]: row[1].split(", optional ")[0].strip("`").split(", ") for row in table_under(CONVENTIONS, "Tables")
    }
    dataset = gnnrec.load_dataset("sample", num_users=60, num_movies=40)
    split = gnnrec.split(dataset, "random")
    model = gnnrec.fit(split, "popularity")
    frames = {"ratings": dataset.ratings, "movies": dataset.movies, "users": dataset.users}
    for name, frame in frames.items():
        assert columns[name] == list(frame.columns)[: len(columns[name])]
    assert columns["recommendations"] == list(model.recommend([1]).columns)
    assert columns["similar movies"] == list(model.similar_movies(1).columns)
    assert columns["metrics"] == list(model.evaluate(split).columns)
    assert len(columns) == len(frames) + 3


def test_every_registry_and_file_is_on_the_contributing_page() -> None:
    rows = table_under("contributing.md", "Where things go")
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    decorators = {code.split("(")[0].lstrip("@") for row in rows for code in code_in(row[1]) if "register_" in code}
    assert decorators == {f"register_{one.kind.replace(' ', '_')}" for one in registries}
    for _, written, file, test in rows:
        folder = HOME if "docs/" in file or "benchmarks/" in file else HOME / "gnnrec"
        paths = [folder / name for name in code_in(file)]
        paths += [HOME / name.replace("<name>", "train") for name in code_in(test)]
        assert all(path.exists() for path in paths), paths
        for anchor in re.findall(r"\(#([\w-]+)\)", written):
            assert f"### {anchor.replace('-', ' ').capitalize()}\n" in (DOCS / "contributing.md").read_text()


def test_every_feature_encoder_is_in_the_table() -> None:
    page = (DOCS / "how-to" / "posters-and-plots.md").read_text(encoding="utf-8")
    named = {code.partition(":")[0] for line in page.splitlines() if line.startswith("|") for code in code_in(line)}
    unnamed = ", ".join(sorted(set(FEATURE_ENCODERS.names()) - named))
    assert not unnamed, f"add to docs/how-to/posters-and-plots.md, in a table, a line for each of: {unnamed}"


def test_every_metric_is_in_the_table() -> None:
    rows = table_under("reference/metrics.md", "Ranking")
    check_listed((row[0].strip("`") for row in rows), METRICS.names(), "reference/metrics.md", "Ranking")


def test_every_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page lists exactly the files that training, predicting, indexing and benchmarking write."""
    pytest.importorskip("faiss", reason="needs faiss: pip install 'gnnrec[index]'")
    monkeypatch.chdir(tmp_path)
    make_sample = DATASETS.get("sample")
    monkeypatch.setitem(DATASETS._objects, "sample", lambda: make_sample(60, 40))
    commands = [
        ["train", "--dataset", "sample", "--protocol", "cold-users", "--out", "run", "--set", "train.epochs=1"],
        ["predict", "run", "--rating", "7", "--movie", "1"],
        ["index", "run"],
        ["benchmark", "--dataset", "sample", "--models", "popularity", "--out", "results.json"],
    ]
    for words in commands:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    listed = set().union(*(code_in(row[0]) for row in table_under("reference/files.md", "A run")))
    assert {path.name + "/" * path.is_dir() for path in (tmp_path / "run").iterdir()} == listed

    listed = set().union(*(code_in(row[0]) for row in table_under("reference/files.md", "A split")))
    split = gnnrec.split(gnnrec.load_dataset("sample"), "cold-both").with_negatives(3)
    split.to_folder(tmp_path / "split")
    assert {path.name for path in (tmp_path / "split").iterdir()} == listed

    results = json.loads((tmp_path / "results.json").read_text())
    listed = set().union(*(code_in(row[0]) for row in table_under("reference/files.md", "Results")))
    assert set(results) == listed
    (example,) = re.findall(r"^```json\n(.*?)^```", (DOCS / "reference" / "files.md").read_text(), re.M | re.DOTALL)
    assert list(results["results"][0]) == list(json.loads(example))
    assert BenchmarkReport.read("results.json").dataset == "sample"


def test_pictures_are_current() -> None:
    for name, draw in script("make_pictures").DRAWN.items():
        assert (DOCS / name).read_text(encoding="utf-8") == draw(), "run: make pages"


def test_recorded_commands_are_shown_in_todays_spelling() -> None:
    recorded = script("recorded")
    typed = "gnnrec benchmark --protocol next-movie-99 --seeds 3 --limit-seconds 240.0"
    today = "gnnrec benchmark --protocol next-item-99 --seeds 3 --time-limit 240"
    assert recorded.current(typed) == recorded.current(today) == today
    assert recorded.console_block(typed) == f"```console\n{today}\n```"
    assert recorded.current("gnnrec benchmark --config configs/ml1m-next.yaml") == "gnnrec benchmark --config ml1m-next"
    for name in ("leaderboard", "cold-start"):
        page = (DOCS / "results" / f"{name}.md").read_text(encoding="utf-8")
        assert recorded.EXPLANATION in page
        assert "configs/ml1m" not in "".join(re.findall(r"```console\n.*?```", page, re.DOTALL))
        assert "leave last out" not in page


def test_the_tuning_study_is_current() -> None:
    """The report is made from the committed trials, and the table can be written again from what was read."""
    made = script("make_study")
    result = made.study()
    assert result.trials.to_csv(index=False) == (made.FOLDER / "trials.csv").read_text(encoding="utf-8")
    captions = {name: SINGLE_OBJECTIVE_PLOTS[name] for name in made.PLOTS}
    assert made.report(result, captions) == (made.FOLDER / "report.md").read_text(encoding="utf-8")
    assert {path.stem for path in made.FOLDER.glob("*.png")} == set(made.PLOTS)
    assert result.best == Config.from_yaml(made.FOLDER / "best.yaml")
    assert result.base_trial.config == Config.from_yaml(made.FOLDER / "base.yaml")


def test_every_package_and_module_is_in_the_picture() -> None:
    drawn = script("draw_package")
    shown = {name for layer in drawn.layers() for name in layer}
    package = HOME / "gnnrec"
    found = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    found |= {path.stem for path in package.glob("*.py") if path.stem not in ("__init__", "__main__")}
    assert shown == found
    assert {name for name in shown if not name.startswith("_")} == drawn.ABOUT.keys()


def test_the_model_card_agrees_with_the_leaderboard() -> None:
    card = script("make_card")
    text = card.accuracy_table(card.RESULTS)
    board = (DOCS / "results" / "leaderboard.md").read_text(encoding="utf-8")
    rows = text.splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        one.title
        for one in card.SECTIONS.values()
        if any(name.startswith("gnn") for name in card.measured(one, card.RESULTS))
    ]
    for number in re.findall(r"\d\.\d{4} ± \d\.\d{4}", text):
        assert number in board
    for name in ("Movielens1M_m1", "Next item"):  # our best model, not just any
        (row,) = [row for row in rows if row.startswith(f"| {name} |")]
        section = board.split(f"## {name}\n")[1].split("\n## ")[0]
        ours = [float(line.split(" | ")[2].strip("* ").split()[0]) for line in section.splitlines() if "| gnn" in line]
        assert f"/ {max(ours):.4f} ±" in row
    assert card.list_table(card.RESULTS).splitlines()[-1].startswith("| popularity | ")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_numbers_are_those_of_the_results(page: str) -> None:
    """Every number with four digits stands on one of the pages that are made from results."""
    measured = "".join((DOCS / "results" / name).read_text() for name in ("leaderboard.md", "cold-start.md"))
    numbers = re.findall(r"(?<!\d)0\.\d{4}(?!\d)", (HOME / page).read_text(encoding="utf-8"))
    assert len(numbers) > 5
    assert not [number for number in numbers if number not in measured]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_extras_exist(page: Path) -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    named = re.findall(r"(?:gnnrec|\.)\[([\w,]+)\]\"", page.read_text(encoding="utf-8"))
    assert {extra for names in named for extra in names.split(",")} <= project["optional-dependencies"].keys()


def test_the_site_can_be_built_elsewhere() -> None:
    """Read the Docs and GitHub Pages install an extra that exists, and run what `make docs` runs."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=\[]", word)[0].replace("-", "_") for word in project["optional-dependencies"]["docs"]}
    assert {"sphinx", "myst_nb", "furo", "sphinx_design", "sphinx_copybutton"} <= needed
    hosted = yaml.safe_load((HOME / ".readthedocs.yaml").read_text())
    assert (HOME / hosted["sphinx"]["configuration"]).is_file()
    assert hosted["python"]["install"][0]["extra_requirements"] == ["docs"]
    flow = (HOME / ".github" / "workflows" / "docs.yml").read_text()
    jobs = yaml.safe_load(flow)["jobs"]
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    (build,) = re.findall(r"\$\(DEV_BIN\)/(python -m sphinx .*)", (HOME / "Makefile").read_text())
    assert build in commands
    oldest = project["requires-python"].removeprefix(">=")
    for version in (hosted["build"]["tools"]["python"], *re.findall(r'python-version: "([\d.]+)"', flow)):
        assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))
    assert sys.version_info >= tuple(map(int, oldest.split(".")))
