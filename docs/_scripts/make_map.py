"""Draw docs/pictures/map.png: python docs/_scripts/make_map.py

A map of the generated sample, from a model that is trained here in some seconds. Plots and posters are encoded by
tfidf and color, which need no downloaded weights.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

import gnnrec
from gnnrec.datasets.synthetic_posters import sample_posters
from gnnrec.features import encode_plots, encode_posters
from gnnrec.plots import movie_map

PICTURE = Path(__file__).resolve().parents[1] / "pictures" / "map.png"


def main(path: Path = PICTURE) -> list[str]:
    """Train and draw; returns the titles that are shown."""
    dataset = gnnrec.load_dataset("sample")
    text = encode_plots(dataset, encoder="tfidf:32", progress=False)
    with tempfile.TemporaryDirectory() as folder:
        poster = encode_posters(dataset, sample_posters(dataset, folder), "color", progress=False)
    config = gnnrec.Config().override(
        ["model.embedding_dim=64", "train.batch_size=64", "train.epochs=15", "train.patience=15"]
    )
    model = gnnrec.fit(dataset.with_features(text=text, poster=poster), config=config, progress=False)
    shown = movie_map(model, path, num_titles=30, title="The movies of the generated sample")
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(64)  # colours: a third of the bytes
    few.save(path, optimize=True)
    return shown


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
