"""The command ``gnnrec map``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gnnrec import fit
from gnnrec.datasets import make_sample
from tests.helpers.cli import fails, succeeds


def test_map(run: Path, tmp_path: Path) -> None:
    assert succeeds("map", run, "--out", tmp_path / "m.png", "--titles", 5) == (
        f"saved in {tmp_path / 'm.png'}, with 5 titles\n"
    )
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500
    first = (tmp_path / "m.png").read_bytes()
    succeeds("map", run, "--movies", 10, "--titles", 5)
    assert Path("map.png").read_bytes() != first, "fewer movies, another picture"


def test_other_models(tmp_path: Path) -> None:
    run = fit(make_sample(60, 40), "ease").save(tmp_path / "run")
    succeeds("map", run, "--out", tmp_path / "m.png")
    assert (tmp_path / "m.png").stat().st_size > 5_000


def test_errors(run: Path) -> None:
    assert fails("map", run, "--out", "m.jpg") == "the map is a PNG; call it m.png, not m.jpg"
    assert "method" in fails("map", run, "--method", "tsne")
    assert "is not a saved run" in fails("map", "nowhere")
    assert not list(Path().iterdir())
