"""Findings: a sentence, a table and a figure that say the same, and one function for a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gnnrec import Dataset
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets.synthetic_posters import sample_posters
from gnnrec.errors import DataError
from gnnrec.explore import Analysis, Finding, analyze, register_finding
from gnnrec.plots.style import png_size
from gnnrec.registry import FINDINGS, USER_FEATURES
from tests.helpers.registries import restored_registries


def test_a_new_finding_is_one_function(tmp_path: Path) -> None:
    with restored_registries():

        @register_finding("title-lengths", title="Title lengths")
        def title_lengths(dataset: Dataset) -> Finding:
            table = pd.DataFrame({"length": dataset.movies["title"].str.len()})

            def plot() -> Figure:
                figure = Figure()
                figure.subplots().hist(table["length"])
                return figure

            return Finding(f"The longest has {table['length'].max()}.", "Histogram.", table, plot)

        movies = pd.DataFrame({"movie_id": [7], "title": ["Heat (1995)"]})
        found = analyze(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [7]}), movies), tmp_path / "out")
    *builtin, last = found
    assert (last.name, last.title, last.text) == ("title-lengths", "Title lengths", "The longest has 11.")
    assert {one.name for one in builtin} <= set(FINDINGS.names())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html", "report.md", "analysis.json", *(f"{one.name}.png" for one in found),
    }  # fmt: skip


def test_figures_do_not_depend_on_settings_of_the_caller(found: Analysis) -> None:
    finding = found["genders"]
    first = finding.png()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert finding.png() == first
        assert matplotlib.rcParams["font.size"] == 30
    figure = finding.figure()
    assert isinstance(figure, Figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == finding.table["group"].tolist()


def test_figures_show_the_table(found: Analysis) -> None:
    heights = [bar.get_height() for bar in found["ratings"].figure().axes[0].patches]
    assert heights == found["ratings"].table["share"].tolist()
    (image,) = found["matrix"].figure().axes[0].images
    np.testing.assert_array_equal(image.get_array(), found["matrix"].table.to_numpy())
    lines = found["long-tail"].figure().axes[0].get_lines()
    movies = found["long-tail"].table.query("entity == 'movies'")
    np.testing.assert_array_equal(lines[1].get_ydata(), movies["share_of_ratings"])


def test_a_notebook_shows_the_figure_at_half_its_size(found: Analysis) -> None:
    png, size = found["genders"]._repr_png_()
    assert png == found["genders"].png()
    assert size == {"width": png_size(png)[0] // 2, "height": png_size(png)[1] // 2}


def test_posters_are_counted(sample: Dataset, tmp_path: Path) -> None:
    def posters(**options: Any) -> list[int]:
        table = analyze(options.pop("dataset", sample), **options)["missing"].table
        return table[table["field"] == "poster"]["known"].tolist()

    sample_posters(sample, tmp_path)
    (tmp_path / "1.jpg").unlink()
    assert posters() == []
    assert "Posters were not checked" in analyze(sample)["missing"].text
    assert posters(posters=tmp_path) == [79]
    assert posters(dataset=sample.with_features(poster=ContentEmbeddings([1, 2], [[1.0], [2.0]]))) == [2]
    with pytest.raises(DataError, match="is not a folder of posters"):
        analyze(sample, posters=tmp_path / "no")


def test_missing_data_in_words(bare: Analysis) -> None:
    assert bare["missing"].text == (
        "Missing for every movie: title, year, genres, plot, directors, actors, runtime. "
        f"Missing for every user: {', '.join(USER_FEATURES.builtin)}. Posters were not checked, as no poster folder was given."
    )
    movies = pd.DataFrame({"movie_id": [7, 8], "title": ["Heat (1995)", None], "genres": ["Drama", "War"]})
    ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [7, 8]})
    text = analyze(Dataset(ratings, movies))["missing"].text
    assert "Missing for some movies: title (1), year (1)." in text
