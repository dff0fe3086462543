"""Write the golden runs: small runs of this version, and their answers, which every later version reads or refuses.

    python -m benchmarks.trust.golden tests/trust/golden

They are made from the generated sample. `tests/trust/test_golden.py` reads them. Runs of earlier versions stay.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import gnnrec
from benchmarks.trust.operations import config
from gnnrec.datasets import make_sample
from gnnrec.features import encode_plots
from gnnrec.models.storage import FORMAT

NEW_USER: dict[str, Any] = {"age": 30, "gender": "F", "ratings": {1: 5, 7: 4, 12: 2}}


def make() -> dict[str, Any]:
    """Return the models."""
    dataset = make_sample(40, 30, ratings_per_user=12)
    text = encode_plots(dataset, encoder="tfidf:4", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        temporal = config("model.temporal=true", "model.embedding_dim=4", "train.epochs=2")
        return {
            "gnn": gnnrec.fit(dataset.with_features(text=text), config=temporal, progress=False),
            "ease": gnnrec.fit(dataset, "ease", reg=10),
        }


def answers(model: Any) -> dict[str, Any]:
    """Return what a model answers: lists of a known user and of a new one, and similar movies."""
    questions = {
        "known": gnnrec.recommend(model, [1, 2], k=5),
        "new": gnnrec.recommend(model, gnnrec.NewUser(**NEW_USER), k=5),
        "similar": gnnrec.similar_movies(model, 3, k=5),
    }
    return {
        name: {"movies": frame["movie_id"].tolist(), "scores": frame.iloc[:, -2].tolist()}
        for name, frame in questions.items()
    }


def write(folder: Path) -> None:
    """Write the runs of this version to a folder of its own."""
    place = folder / f"layout-{FORMAT}"
    for name, model in make().items():
        model.save(place / name)
        text = json.dumps(answers(model), indent=1)
        (place / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
