"""The style of pictures: independent of the caller's settings, on white, and cheap to import."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from gnnrec.plots import training_curve
from gnnrec.plots.style import canvas, columns, in_percent, png_size, rows, styled, thinned, to_png

HISTORY = [
    {"epoch": 1, "loss": 2.0, "ndcg@20": 0.1, "seconds": 1.0},
    {"epoch": 2, "loss": 1.5, "ndcg@20": 0.3, "seconds": 1.0},
    {"epoch": 3, "loss": 1.4, "ndcg@20": 0.2, "seconds": 1.0},
]


def corner(png: bytes) -> tuple[int, ...]:
    with Image.open(BytesIO(png)) as image:
        return image.convert("RGBA").getpixel((0, 0))  # type: ignore[return-value]


def test_importing_plots_and_explore_does_not_import_matplotlib() -> None:
    code = "import sys, gnnrec.plots, gnnrec.explore; print(sorted({'matplotlib', 'sklearn'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_settings_of_the_caller_neither_count_nor_change(tmp_path: Path) -> None:
    training_curve(HISTORY, "mine", tmp_path / "a.png")
    with matplotlib.rc_context({"figure.facecolor": "black", "savefig.facecolor": "black", "font.size": 30}):
        training_curve(HISTORY, "mine", tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert corner((tmp_path / "b.png").read_bytes()) == (255, 255, 255, 255)


def test_training_curve_marks_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[matplotlib.figure.Figure] = []

    def keep(figure: matplotlib.figure.Figure, dpi: float) -> bytes:
        figures.append(figure)
        return b""

    monkeypatch.setattr("gnnrec.plots.training.to_png", keep)
    training_curve(HISTORY, "mine", tmp_path / "a.png")
    left, right = figures[0].axes
    assert left.get_title() == "Training on mine"
    np.testing.assert_array_equal(left.get_lines()[0].get_ydata(), [2.0, 1.5, 1.4])
    metric, best = right.get_lines()
    np.testing.assert_array_equal(metric.get_ydata(), [0.1, 0.3, 0.2])
    np.testing.assert_array_equal(best.get_xydata(), [[2, 0.3]])
    assert best.get_label() == "best: 0.3000"
    training_curve([{"epoch": 1, "loss": 2.0, "seconds": 1.0}], "mine", tmp_path / "a.png")
    assert len(figures[1].axes) == 1


def test_pngs_are_reproducible_and_white() -> None:
    def drawn() -> bytes:
        with styled():
            figure, axes = canvas(2)
            columns(axes, ["a", "b"], [0.25, 0.75])
            return to_png(figure)

    png = drawn()
    assert png == drawn()
    assert png_size(png) == (1040, 400)
    assert corner(png) == (255, 255, 255, 255)


def test_columns_are_labeled_and_rows_start_at_the_top() -> None:
    with styled():
        _, axes = canvas(2)
        columns(axes, ["a", "b", "c"], [0.25, 0.0, 0.75])
        assert [text.get_text() for text in axes.texts] == ["25%", "75%"]
        assert [bar.get_height() for bar in axes.containers[0]] == [0.25, 0.0, 0.75]
        _, axes = canvas(2)
        np.testing.assert_array_equal(rows(axes, ["first", "second", 3]), [2, 1, 0])
        in_percent(axes.xaxis)
        assert axes.xaxis.get_major_formatter()(0.125, 0) == "12.5%"
        assert axes.xaxis.get_major_formatter()(-0.1, 0) == ""


def test_thinned_labels() -> None:
    assert thinned(list("abcdefg"), 3) == ([0, 3, 6], ["a", "d", "g"])
    assert thinned(list("ab"), 3) == ([0, 1], ["a", "b"])
