"""Encoding of posters and plots: what is found, what is encoded again, what is stored."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gnnrec._io import write_atomic
from gnnrec.data import Dataset
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.features import (
    FeatureEncoder,
    encode,
    encode_plots,
    encode_posters,
    find_plots,
    find_posters,
    load_features,
    save_embeddings,
    store,
)
from gnnrec.features.encode import _hash_corpus
from gnnrec.features.encoders import get_encoder
from gnnrec.features.store import hash_key, read_embedding_file

TEXTS = {1: "a ship", 2: "a wedding", 3: "a ship", 4: None, 5: " N/A ", 6: "a storm "}


class LengthEncoder(FeatureEncoder):
    """Encodes a text as its length and its number of vowels, and records its batches."""

    name = "lengths"
    modality = "text"

    def __init__(self, version: int = 1, stop_after: int | None = None, corpus_dependent: bool = False) -> None:
        self.version, self.stop_after, self.corpus_dependent = version, stop_after, corpus_dependent
        self.batches: list[list[str]] = []

    @property
    def cache_key(self) -> dict[str, Any]:
        return {"encoder": "lengths", "version": self.version}

    def encode(self, batch: list[str]) -> np.ndarray:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(batch)
        return np.array([expected(text, self.version) for text in batch], dtype=np.float32)


def expected(text: str, version: int = 1) -> list[float]:
    return [float(len(text) * version), float(sum(letter in "aeiou" for letter in text))]


def make_dataset(texts: dict[Any, str | None], column: str = "plot") -> Dataset:
    ids = list(texts)
    ratings = pd.DataFrame({"user_id": [1] * len(ids), "movie_id": ids})
    return Dataset(ratings, pd.DataFrame({"movie_id": ids, column: list(texts.values())}), name="mine")


def run(texts: dict[Any, str | None], encoder: LengthEncoder, out: Path | None, **options: Any) -> ContentEmbeddings:
    return encode(find_plots(make_dataset(texts)), encoder, out=out, progress=False, **options)


@pytest.fixture
def posters(tmp_path: Path) -> Path:
    folder = tmp_path / "posters"
    folder.mkdir()
    for name, color in {"1.jpg": "red", "0002.png": "blue", "3.JPEG": "green", "99.jpg": "white"}.items():
        Image.new("RGB", (60, 90), color).save(folder / name)
    (folder / "notes.txt").write_text("not a poster")
    return folder


# Sources


def test_plots_from_a_column() -> None:
    source = find_plots(make_dataset(TEXTS))
    assert [(item.movie_id, item.raw) for item in source.items] == [
        (1, "a ship"),
        (2, "a wedding"),
        (3, "a ship"),
        (6, "a storm"),
    ]
    assert source.missing == {4: "no text", 5: "no text"}
    assert source.items[0].content_hash == source.items[2].content_hash != source.items[1].content_hash
    assert [item.raw for item in find_plots(make_dataset(TEXTS, "blurb"), "blurb").items][1] == "a wedding"


def test_plots_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "full.csv"
    path.write_text('movieId,title,Plot,plot_full\n2,B,short,"long, and\nwide"\n77,X,s,elsewhere\n1,A,short,N/A\n')
    source = find_plots(make_dataset(TEXTS), path)
    assert [(item.movie_id, item.raw) for item in source.items] == [(2, "long, and\nwide")]
    assert sorted(source.missing) == [1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("movieId,title\n1,A\n", r"full.csv: there is no column with plots"),
        ("title,plot\nA,text\n", r"full.csv: there is no column movie_id"),
        ("movieId,plot\n1,one\n2,two\n1,three\n", r"full.csv:4: movie 1 is duplicated \(first at .*full.csv:2\)"),
        ("movieId,plot\n1,one\n,two\n", r"full.csv:3: movie_id is missing"),
        ("movieId,plot\n1,one\ntt2,two\n", r"full.csv:3: movie id 'tt2' is not an integer"),
        ("movieId,plot\n1,one\n2,two,three\n", r"full.csv:3: expected 2 fields"),
        ("movieId,plot\n88,one\n", r"has no plot of any movie of mine"),
    ],
)
def test_invalid_plot_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "full.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        find_plots(make_dataset(TEXTS), path)


def test_ids_get_the_type_of_the_dataset(tmp_path: Path) -> None:
    path = tmp_path / "plots.csv"
    path.write_text("movie_id,plot\n007,one\n8,two\n")
    as_text = find_plots(make_dataset({"007": None, "8": None}), path)
    assert [item.movie_id for item in as_text.items] == ["007", "8"]
    as_numbers = find_plots(make_dataset({7: None, 8: None}), path)
    assert [item.movie_id for item in as_numbers.items] == [7, 8]


def test_no_plots_at_all() -> None:
    with pytest.raises(DataError, match="the movies of mine have no plots; give a file"):
        find_plots(make_dataset(TEXTS, "blurb"))
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        find_plots(make_dataset(TEXTS), "nowhere.csv")
    with pytest.raises(DataError, match="has no plot of any movie"):
        find_plots(make_dataset({1: None, 2: ""}))


def test_posters_by_file_name(posters: Path) -> None:
    source = find_posters([3, 1, 2, 4], posters)
    assert [(item.movie_id, item.raw.name) for item in source.items] == [(3, "3.JPEG"), (1, "1.jpg"), (2, "0002.png")]
    assert source.missing == {4: "no image"}
    as_text = find_posters(["0002", "2"], posters)
    assert [item.movie_id for item in as_text.items] == ["0002"]


def test_invalid_poster_folders(posters: Path) -> None:
    Image.new("RGB", (60, 90)).save(posters / "1.png")
    with pytest.raises(DataError, match=r"movie 1 has two posters, 1\.jpg and 1\.png"):
        find_posters([1, 2], posters)
    with pytest.raises(DataError, match="contains 5 images, but no poster of any movie"):
        find_posters([44], posters)
    with pytest.raises(DataError, match="not a folder"):
        find_posters([1], posters / "1.jpg")


# Encoding and caching


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    encoder = LengthEncoder()
    vectors = run(TEXTS, encoder, tmp_path, batch_size=2)
    assert encoder.batches == [["a ship", "a wedding"], ["a storm"]]
    assert vectors.movie_ids.tolist() == [1, 2, 3, 6]
    assert vectors.values.tolist() == [expected(text) for text in ("a ship", "a wedding", "a ship", "a storm")]
    loaded = load_features(tmp_path)["text"]
    assert loaded.movie_ids.tolist() == [1, 2, 3, 6] and loaded.description == "lengths"
    assert np.array_equal(loaded.values, vectors.values)


def test_summary_lists_missing_movies(tmp_path: Path) -> None:
    run(TEXTS, LengthEncoder(), tmp_path)
    summary = json.loads((tmp_path / "text.json").read_text())
    assert summary["missing"] == {"no text": [4, 5]}
    assert (summary["encoder"], summary["num_movies"], summary["dim"]) == ("lengths", 4, 2)
    assert summary["depends_on"] == {"encoder": "lengths", "version": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.json", "text.safetensors"]


def test_logged_line(tmp_path: Path) -> None:
    lines: list[str] = []
    for texts in (TEXTS, TEXTS | {2: "a funeral"}, TEXTS):
        encode(find_plots(make_dataset(texts)), LengthEncoder(), out=tmp_path, progress=False, log=lines.append)
    heads = [line.split(" in ")[0] for line in lines]
    assert heads[:2] == ["text: 4 encoded", "text: 1 encoded"]
    assert lines[1].endswith("per second), 3 reused, missing for 2 movies")
    run(TEXTS, LengthEncoder(), tmp_path)
    encode(find_plots(make_dataset(TEXTS)), LengthEncoder(), out=tmp_path, progress=False, log=lines.append)
    assert lines[-1] == "text: 0 encoded, 4 reused, missing for 2 movies"


def test_only_what_changed_is_encoded_again(tmp_path: Path) -> None:
    run(TEXTS, LengthEncoder(), tmp_path)
    encoder = LengthEncoder()
    vectors = run({**TEXTS, 2: "a funeral", 9: "a wedding", 1: None}, encoder, tmp_path)
    assert encoder.batches == [["a funeral"]]  # movie 9 has the old text of movie 2
    assert vectors.movie_ids.tolist() == [2, 3, 6, 9]
    assert vectors.values[0].tolist() == expected("a funeral") and vectors.values[3].tolist() == expected("a wedding")


def test_embeddings_of_two_encoders_are_kept_apart(tmp_path: Path) -> None:
    run(TEXTS, LengthEncoder(), tmp_path)
    second = LengthEncoder(version=2)
    assert run(TEXTS, second, tmp_path).values[0].tolist() == expected("a ship", 2)
    assert sum(map(len, second.batches)) == 3
    back = LengthEncoder()
    assert run(TEXTS, back, tmp_path).values[0].tolist() == expected("a ship")
    assert back.batches == []  # the embeddings of the first encoder were kept
    assert list(load_features(tmp_path)) == ["text"]
    assert load_features(tmp_path)["text"].values[0].tolist() == expected("a ship")


def test_a_corpus_dependent_encoder_encodes_everything_when_one_text_changes(tmp_path: Path) -> None:
    encoder = LengthEncoder(corpus_dependent=True)
    run(TEXTS, encoder, tmp_path, batch_size=1)
    assert encoder.batches == [["a ship", "a wedding", "a storm"]]
    run(TEXTS, encoder, tmp_path)
    assert len(encoder.batches) == 1
    run({**TEXTS, 2: "a funeral"}, encoder, tmp_path)
    assert encoder.batches[1:] == [["a ship", "a funeral", "a storm"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.json", "text.safetensors"]


@pytest.mark.parametrize("seconds", [0.0, 1000.0], ids=["written at once", "written when interrupted"])
def test_an_interrupted_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(store, "FLUSH_SECONDS", seconds)
    texts: dict[Any, str | None] = {movie: "x" * movie for movie in range(1, 11)}
    with pytest.raises(KeyboardInterrupt):
        run(texts, LengthEncoder(stop_after=3), tmp_path, batch_size=2)
    with pytest.raises(DataError, match="contains no embedding files"):
        load_features(tmp_path)  # partial results are not loaded
    encoder = LengthEncoder()
    vectors = run(texts, encoder, tmp_path, batch_size=2)
    assert encoder.batches == [["x" * 7, "x" * 8], ["x" * 9, "x" * 10]]
    assert vectors.values.tolist() == [expected("x" * movie) for movie in range(1, 11)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.json", "text.safetensors"]


def test_a_killed_run_leaves_parts_that_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(store.EmbeddingCache, "finish", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        run(TEXTS, LengthEncoder(), tmp_path, batch_size=1)
    monkeypatch.undo()
    encoder = LengthEncoder()
    assert len(run(TEXTS, encoder, tmp_path)) == 4
    assert encoder.batches == []


def test_a_corpus_dependent_encoder_gets_the_same_order_beside_another_run(tmp_path: Path) -> None:
    alone = encode_plots(make_sample(60, 40), encoder="tfidf:8", progress=False)
    encoder = LengthEncoder(corpus_dependent=True)
    source = find_plots(make_dataset(TEXTS))
    key = hash_key(encoder.cache_key | {"corpus": _hash_corpus(source.items)})
    with store.EmbeddingCache(tmp_path, "text", key).worker() as number:
        assert number == 0
        run(TEXTS, encoder, tmp_path)
        assert encoder.batches == [["a ship", "a wedding", "a storm"]]
        other = LengthEncoder()  # whose embeddings do not depend on each other, so the work is shared
        with store.EmbeddingCache(tmp_path, "text", hash_key(other.cache_key)).worker():
            run(TEXTS, other, tmp_path, batch_size=1)
        assert other.batches == [["a storm"], ["a wedding"], ["a ship"]]
    key = hash_key(
        get_encoder("tfidf:8", "text").cache_key | {"corpus": _hash_corpus(find_plots(make_sample(60, 40)).items)}
    )
    with store.EmbeddingCache(tmp_path / "tfidf", "text", key).worker():
        found = encode_plots(make_sample(60, 40), encoder="tfidf:8", out=tmp_path / "tfidf", progress=False)
    np.testing.assert_array_equal(found.values, alone.values)


def test_a_file_that_another_run_replaces_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(TEXTS, LengthEncoder(), tmp_path)
    real, replaced = store._read_or_warn, []

    def missing_once(path: Path) -> Any:
        if not replaced:
            replaced.append(path)
            data = path.read_bytes()
            path.unlink()
            write_atomic(path.with_suffix(".new"), data)
            path.with_suffix(".new").rename(path)
            raise DataError(f"{path} does not exist")
        return real(path)

    monkeypatch.setattr(store, "_read_or_warn", missing_once)
    encoder = LengthEncoder()
    cache = store.EmbeddingCache(tmp_path, "text", hash_key(encoder.cache_key))
    assert cache.embeddings == {} and len(replaced) == 1
    cache.read_files()
    assert sorted(map(tuple, cache.embeddings.values())) == sorted(set(map(tuple, expected.values)))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [_truncate, _flip, lambda path: path.write_bytes(b"")], ids=["cut", "flip", "empty"])
def test_a_damaged_file_is_an_error_to_read_and_remade_to_write(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    run(TEXTS, LengthEncoder(), tmp_path)
    harm(tmp_path / "text.safetensors")
    with pytest.raises(DataError, match=r"text\.safetensors is damaged"):
        load_features(tmp_path)
    encoder = LengthEncoder()
    with pytest.warns(UserWarning, match="is damaged.*computed again"):
        run(TEXTS, encoder, tmp_path)
    assert sum(map(len, encoder.batches)) == 3
    assert load_features(tmp_path)["text"].values[0].tolist() == expected("a ship")


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "text.safetensors"
    save_file({"weights": np.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="was not written by gnnrec features"):
        run(TEXTS, LengthEncoder(), tmp_path)
    assert path.read_bytes() == before


def test_invalid_arguments(tmp_path: Path, posters: Path) -> None:
    with pytest.raises(ConfigError, match="lengths encodes texts, not images"):
        encode(find_posters([1], posters), LengthEncoder())
    with pytest.raises(ConfigError, match="batch_size"):
        run(TEXTS, LengthEncoder(), tmp_path, batch_size=0)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.dictionaries(st.integers(1, 8), st.sampled_from("abcde"), min_size=1), st.integers(1, 2)),
        min_size=1,
        max_size=5,
    )
)
def test_cached_runs_equal_fresh_runs(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[dict[int, str], int]]
) -> None:
    folder = tmp_path_factory.mktemp("features")
    for texts, version in steps:
        vectors = run(dict(texts), LengthEncoder(version), folder, batch_size=2)
        assert vectors.movie_ids.tolist() == list(texts)
        assert vectors.values.tolist() == [expected(text, version) for text in texts.values()]
        stored = read_embedding_file(folder / "text.safetensors")
        assert stored.embeddings.values.tolist() == vectors.values.tolist()


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "text.safetensors"
    save_file({"vectors": np.ones((1, 2))}, path, {"gnnrec": json.dumps({"format": 1})})
    with pytest.raises(DataError, match=r"has layout 1 of a development version; .* layout 3; delete it and encode"):
        load_features(tmp_path)


# Posters


def test_each_unusable_poster_is_warned_about(posters: Path, tmp_path: Path) -> None:
    (posters / "1.jpg").write_bytes((posters / "1.jpg").read_bytes()[:200])
    (posters / "3.JPEG").write_text("<html>404</html>")
    with pytest.warns(UserWarning, match="the poster counts as missing") as caught:
        vectors = encode_posters([1, 2, 3, 4], posters, "color", out=tmp_path / "out", progress=False)
    assert vectors.movie_ids.tolist() == [2]
    messages = sorted(str(warning.message) for warning in caught)
    assert len(messages) == 2 and "1.jpg" in messages[0] and "3.JPEG" in messages[1]
    missing = json.loads((tmp_path / "out" / "poster.json").read_text())["missing"]
    assert sorted(missing.values()) == [[1], [3], [4]] and missing["no image"] == [4]
    assert any("3.JPEG" in reason for reason in missing)


def test_warnings_about_unusable_posters_are_limited(tmp_path: Path) -> None:
    for movie in range(1, 31):
        (tmp_path / f"{movie}.jpg").write_text(f"no image {movie}")
    Image.new("RGB", (60, 90)).save(tmp_path / "31.png")
    with pytest.warns(UserWarning) as caught:
        assert len(encode_posters(range(1, 32), tmp_path, "color", progress=False)) == 1
    assert len(caught) == 11 and str(caught[-1].message) == "20 more posters are unusable"


def test_no_poster_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_text("no image")
    with pytest.warns(UserWarning), pytest.raises(DataError, match=r"no poster from .* could be encoded"):
        encode_posters([1], tmp_path, "color", out=tmp_path / "out", progress=False)
    assert not list(tmp_path.glob("out/*"))


def test_a_poster_that_changes_is_encoded_again(posters: Path, tmp_path: Path) -> None:
    first = encode_posters([1, 2, 3], posters, "color", out=tmp_path / "out", progress=False)
    Image.new("RGB", (60, 90), "black").save(posters / "1.jpg")
    second = encode_posters([1, 2, 3], posters, "color", out=tmp_path / "out", progress=False)
    assert (first.values != second.values).any(axis=1).tolist() == [True, False, False]


def test_sample_end_to_end(tmp_path: Path) -> None:
    data = make_sample(num_users=100, num_movies=80)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = encode_plots(data, encoder="tfidf:16", out=tmp_path, progress=False)
    assert vectors.movie_ids.tolist() == data.movies["movie_id"].tolist()
    np.testing.assert_allclose(np.linalg.norm(vectors.values, axis=1), 1, rtol=1e-5)
    save_embeddings(tmp_path, "mine", vectors)
    assert list(load_features(tmp_path)) == ["mine", "text"]


@pytest.mark.slow
def test_importing_needs_no_optional_package() -> None:
    optional = ("PIL", "sklearn", "open_clip", "sentence_transformers", "transformers", "huggingface_hub")
    code = f"import sys; sys.modules |= dict.fromkeys({optional}); import gnnrec.features as f; "
    code += "from gnnrec.features import encoders; print(encoders.encoder_usage('image')); "
    code += "print(f.get_encoder('clip:ViT-B-32/openai', 'image').name)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        "auto, clip:ARCHITECTURE/TAG, clip:ARCHITECTURE:CHECKPOINT, color",
        "clip:ViT-B-32/openai",
    ]
