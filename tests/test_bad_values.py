"""Values of the wrong size or type: one clear error each, nothing raw from pandas, PyYAML, NumPy or PyTorch."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gnnrec
from gnnrec import Config, ConfigError, DataError, Dataset, GnnrecError, NewMovie, NewUser
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.features.sources import read_embeddings
from gnnrec.models import EASE
from gnnrec.models.base import Recommender
from gnnrec.splitting import get_protocol

SAMPLE = make_sample(60, 40)
BILLION_LAUGHS = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
    f"a{level}: &a{level} [{', '.join(['*a' + str(level - 1)] * 10)}]" for level in range(1, 10)
])  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Recommender:
    return EASE(reg=10.0).fit(SAMPLE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  seed: 2001-99-99", r"c\.yaml is not YAML: month must be in 1\.\.12 in line 2"),
        ("train: {seed: !!int x}", r"c\.yaml is not YAML: invalid literal for int\(\) .* in line 1"),
        ("train: {seed: !!float x}", r"c\.yaml is not YAML: could not convert .* in line 1"),
        ("train: {seed: !!binary é}", r"c\.yaml is not YAML: .* in line 1"),
        ("? [1, {a: b}]\n: 2", r"c\.yaml is not YAML: .* in line 1"),
        ("[" * 3000, r"c\.yaml is nested too deeply"),
        ("a: " + "{a: " * 3000, r"c\.yaml is nested too deeply"),
        ("&a [*a]", r"c\.yaml is not YAML: a value holds itself in line 1"),
        ("a: &a [*a]", r"c\.yaml is not YAML: a value holds itself in line 1"),
        (BILLION_LAUGHS, r"c\.yaml is not YAML: there are more than 100,000 values in line 5"),
        ("1: 2", r"c\.yaml is not valid:\s+1: there is no such key"),
        ("\0", r"c\.yaml is not YAML"),
    ],
)
def test_yaml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Config.from_yaml(tmp_path / "c.yaml")


def test_assignments() -> None:
    for text in ("2001-99-99", "!!int x", "[" * 3000):
        with pytest.raises(ConfigError, match="it is not YAML"):
            Config().override([f"train.seed={text}"])
        with pytest.raises(ConfigError):
            get_protocol(f"random:seed={text}")


CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "rating": (
        lambda m: gnnrec.recommend(m, {1: 10**400}),
        r"the rating of 1 is 10000.*\.\.\..*; give a finite number",
    ),
    "age": (lambda m: gnnrec.recommend(m, NewUser(age=10**400)), "is not between 0 and 150 years"),
    "time": (lambda m: gnnrec.recommend(m, NewUser(ratings={1: 5}, timestamps={1: 10**400})), "the time of 1 is"),
    "k": (lambda m: gnnrec.explain(m, 1, [2], k="2"), "k must be an integer of at least 1, not '2'"),
    "genres": (
        lambda m: gnnrec.similar_movies(m, NewMovie(genres=5)),
        "genres must be a string or a list of strings, not 5",
    ),
    "actors": (lambda m: gnnrec.similar_movies(m, NewMovie(actors=["a", None])), "actors must be a string or a list"),
    "year": (lambda m: gnnrec.similar_movies(m, NewMovie(year=10**20)), r"year 1e\+20 is not a year"),
    "runtime": (lambda m: gnnrec.similar_movies(m, NewMovie(runtime=10**20)), r"runtime 1e\+20 minutes is too long"),
    "features": (lambda m: gnnrec.similar_movies(m, NewMovie(features=[1])), "features must be a mapping"),
    "candidates": (lambda m: gnnrec.recommend(m, 1, candidates=[[1]]), r"movie \[1\] is neither an id nor a title"),
    "path": (lambda m: gnnrec.load_dataset("x" * 5000), "is not a path: File name too long"),
    "folder": (lambda m: gnnrec.load_dataset("a/" + "x" * 5000), "is not a path: File name too long"),
    "zero": (lambda m: gnnrec.load_dataset("a\0b"), r"unknown dataset 'a\\x00b'|is not a path"),
    "seed": (lambda m: gnnrec.load_dataset("sample", seed=-1), "seed >= 0"),
    "arrays": (
        lambda m: Dataset(pd.DataFrame({"user_id": [np.array([1, 2]), np.array([3, 4])], "movie_id": [1, 2]})),
        r"ratings row 0: user_id is array\(\[1, 2\]\); ids must be whole numbers or text",
    ),
    "lists": (
        lambda m: Dataset(pd.DataFrame({"user_id": [1, 2], "movie_id": ["a", ["b"]]})),
        r"ratings row 1: movie_id is \['b'\]; ids must be whole numbers or text",
    ),
    "tmdb": (
        lambda m: Dataset(SAMPLE.ratings, SAMPLE.movies.assign(tmdb_id=1e20)),
        "is not a TMDB movie id",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(model: Recommender, name: str) -> None:
    call, message = CALLS[name]
    with pytest.raises(GnnrecError, match=message) as error:
        call(model)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("runtime", "99999999999999999999 min", r"movies\.csv:2: runtime 1e\+20 minutes is too long"),
        ("year", "100000000000000000000", r"movies\.csv:2: year 1e\+20 is not a year"),
        ("year", "-100000000000000000000", r"movies\.csv:2: year -1e\+20 is not a year"),
    ],
)
def test_files(tmp_path: Path, column: str, value: str, message: str) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,movie_id\n1,7\n1,8\n")
    (tmp_path / "movies.csv").write_text(f"movie_id,{column}\n7,{value}\n8,90\n")
    with pytest.raises(DataError, match=message):
        gnnrec.load_dataset(tmp_path)


@pytest.mark.parametrize("shape", ["(10000000000, 100)", "(10000000000000000000000, 100)", "(-1, 100)", "(2, 3"])
def test_an_array_that_declares_more_than_it_has(tmp_path: Path, shape: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 3), "f4"))
    raw = buffer.getvalue()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    (tmp_path / "y.npy").write_bytes(raw[:10] + header.ljust(117) + b"\n" + raw[128:])
    np.save(tmp_path / "y.ids.npy", np.array([1, 2]))
    with pytest.raises(DataError, match=r"y\.npy is damaged or not a numeric array"):
        read_embeddings(tmp_path / "y.npy")


@pytest.mark.parametrize("name", ["keys", "items", "training", "type", "a.b", "", "|keys", "forward"])
def test_modalities_of_any_name(tmp_path: Path, name: str) -> None:
    values = ContentEmbeddings(SAMPLE.movies["movie_id"], np.eye(40, 3), "by hand")
    other = ContentEmbeddings(SAMPLE.movies["movie_id"], np.eye(40, 2), "by hand")
    data = SAMPLE.with_features(**{name: values, "text": other})
    config = Config().override(["train.epochs=1", "model.embedding_dim=4", "train.modality_dropout=0.5"])
    model = gnnrec.fit(data, config=config, progress=False)
    assert list(model.encoder.target.modalities) == [name, "text"]
    assert name in model.encoder.target.modalities
    again = gnnrec.load(model.save(tmp_path / "run"))
    assert gnnrec.recommend(again, 1)["movie_id"].tolist() == gnnrec.recommend(model, 1)["movie_id"].tolist()
    assert len(gnnrec.similar_movies(again, NewMovie(features={name: [1.0, 0.0, 0.0]}), k=3)) == 3
