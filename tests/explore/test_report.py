"""Reports of `gnnrec analyze`: complete, escaped, and with the same numbers everywhere."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gnnrec
from gnnrec import Dataset
from gnnrec.cli import app
from gnnrec.errors import ConfigError, DataError
from gnnrec.explore import Analysis, Finding, analyze, rating_distribution, report
from gnnrec.plots.style import png_size
from gnnrec.registry import FINDINGS

EVIL = "<script>alert('$x_1$')</script>|*b*[l](u)`c`"


@pytest.fixture(scope="module")
def folder(found: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found.save(tmp_path_factory.mktemp("report") / "sample")


@pytest.fixture
def undrawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one picture for all findings, in tests that are not about pictures."""
    png = (folder / "genders.png").read_bytes()
    monkeypatch.setattr(Finding, "png", lambda self: png)


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_folder_is_complete(found: Analysis, folder: Path) -> None:
    pictures = {f"{finding.name}.png" for finding in found}
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.md", "analysis.json", *pictures}
    assert pictures == {f"{name}.png" for name in FINDINGS.names()}
    for name in pictures:
        width, height = png_size((folder / name).read_bytes())
        assert width == 1040  # that of `gnnrec.plots.style.canvas`
        assert 150 < height < 1600


def test_the_page_needs_no_network(found: Analysis, folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "http" not in text
    assert "url(" not in text
    links = [attributes[name] for _, attributes in page.tags for name in ("src", "href") if name in attributes]
    assert all((folder / link).is_file() for link in links)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["src"] for image in images] == [f"{finding.name}.png" for finding in found]
    for image, finding in zip(images, found, strict=True):
        assert image["alt"] == finding.alt
        assert (2 * int(image["width"]), 2 * int(image["height"])) == png_size((folder / image["src"]).read_bytes())
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    for finding in found:
        assert finding.text in page.text


def test_markdown_links_exist(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == len(FINDINGS.names()) + 1
    assert all((folder / link).is_file() for link in links)


def test_json_numbers_equal_the_tables(sample: Dataset, found: Analysis, folder: Path) -> None:
    numbers = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    assert numbers["overview"]["ratings"] == sample.num_ratings
    by_name = {figure["name"]: figure for figure in numbers["findings"]}
    table = rating_distribution(sample)
    assert by_name["ratings"]["columns"] == table.columns.tolist()
    assert by_name["ratings"]["rows"] == table.values.tolist()
    assert by_name["long-tail"]["numbers"]["gini_of_movies"] == found["long-tail"].numbers["gini_of_movies"]
    assert np.shape(by_name["matrix"]["rows"]) == (60, 60)


def test_text_of_the_dataset_is_escaped(tmp_path: Path) -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [7, 8, 7], "rating": [1, 2, 3], "timestamp": [0, 1, 2]})
    movies = pd.DataFrame({"movie_id": [7, 8], "title": [EVIL, f"two\nlines {EVIL}"], "genres": [[EVIL], ["Drama"]]})
    users = pd.DataFrame({"user_id": [1, 2], "occupation": [EVIL, "x"], "age": [20, 30]})
    analyze(Dataset(ratings, movies, users, name=EVIL), tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) > 3
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", text)
    assert text.startswith(r"# \<script\>alert('\$x\_1\$')\</script\>\|\*b\*\[l\](u)\`c\`: data report" + "\n")


@pytest.mark.parametrize("ids", [[1], ["ann"]])
def test_one_rating_is_enough(ids: list[Any], tmp_path: Path) -> None:
    found = analyze(Dataset(pd.DataFrame({"user_id": ids, "movie_id": ids}), name="mine"), tmp_path / "out")
    assert list(found.findings)[:6] == [
        "ratings-per-user", "ratings-per-movie", "long-tail", "most-rated", "matrix", "missing",
    ]  # fmt: skip
    assert found.left_out["activity"] == "the ratings of mine have no column timestamp"
    assert found.left_out["genres"] == "no movie of mine has a genre"
    assert found.left_out["ages"] == "age is missing for every user of mine"
    assert found["long-tail"].numbers == {
        "gini_of_movies": 0, "top_tenth_of_movies": 1, "gini_of_users": 0, "top_tenth_of_users": 1,
    }  # fmt: skip
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    for why in found.left_out.values():
        assert why in page.text


def test_unknown_and_left_out_findings(found: Analysis, bare: Analysis) -> None:
    with pytest.raises(ConfigError, match="finding 'days' was left out: the ratings of custom have no column time"):
        bare["days"]
    with pytest.raises(ConfigError, match="unknown finding 'day'; choose one of ratings, ratings-per-user"):
        found["day"]
    with pytest.raises(DataError, match="analyze takes a Dataset, such as load_dataset returns, not DataFrame"):
        analyze(pd.DataFrame())  # type: ignore[arg-type]


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_report_is_replaced_and_other_files_stay(bare: Analysis, folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(folder, tmp_path / "out")
    (out / "notes.txt").write_text("mine")
    bare.save(out)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "matrix.png").exists()
    assert not (out / "activity.png").exists()
    assert json.loads((out / "analysis.json").read_text())["dataset"] == "custom"


def test_other_folders_are_refused(bare: Analysis, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("chapter one")
    with pytest.raises(DataError, match="is not a report of gnnrec analyze; choose another folder"):
        bare.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("stopped", [OSError("no space left"), KeyboardInterrupt()])
def test_an_interrupted_report_leaves_no_trace(
    stopped: BaseException, bare: Analysis, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(folder, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: Any) -> str:
        raise stopped

    monkeypatch.setattr(report, "to_html", full)
    for target in (out, tmp_path / "new"):
        with pytest.raises(type(stopped)):
            bare.save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_notebook_shows_the_counts(sample: Dataset, found: Analysis, bare: Analysis) -> None:
    counts = Page(found._repr_html_())
    assert f"ratings{sample.num_ratings:,}\ndensity" in counts.text
    assert "Left out" not in counts.text
    assert "the ratings of custom have no column timestamp." in Page(bare._repr_html_()).text


def test_analyze_is_public() -> None:
    assert gnnrec.analyze is analyze


def test_markdown_of_a_single_rating(bare: Analysis) -> None:
    head, _, rest = report.to_markdown(bare).partition("## Ratings per user")
    assert head.splitlines()[:6] == [
        "# custom: data report", "", "| | |", "|---|---:|", "| users | 1 |", "| movies | 1 |",
    ]  # fmt: skip
    assert "- `ratings`: the ratings of custom have no column rating." in head.splitlines()
    assert rest.startswith("\n\nRatings per user: median 1, minimum 1, maximum 1.\n\n![Histogram: ")
    assert rest.endswith("\n\nAll numbers are in [analysis.json](analysis.json).\n")
