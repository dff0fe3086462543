"""Inputs that the harnesses once found to end in another library's error or a wrong answer: the fixed corpus."""

from __future__ import annotations

import json
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from urllib3.exceptions import HTTPError

import gnnrec
from gnnrec import Config, ConfigError, DataError, Dataset, NewUser
from gnnrec._io import parse_json
from gnnrec._network import stream_body
from gnnrec.data import ContentEmbeddings, compression
from gnnrec.data.provenance import ABOUT_FILE
from gnnrec.datasets import make_sample
from gnnrec.features import encode_plots, load_features
from gnnrec.features.store import StoredEmbeddings, read_embedding_file, write_embedding_file
from gnnrec.metadata.fetch import LOG, FetchLog, FetchRecord

RATINGS = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [1, 2, 1]})


def test_a_whole_number_of_a_dat_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1::5::978300760\n1::2::4::1e300\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"ratings\.dat:2.*1e300"):
            gnnrec.load_dataset(tmp_path)


@pytest.mark.parametrize(
    "genres",
    [
        pd.to_datetime(["2001-01-01", None]),
        pd.to_timedelta([1, 2]),
        pd.period_range("2001-01", periods=2),
        pd.interval_range(0, 2),
    ],
    ids=["times", "durations", "periods", "intervals"],
)
def test_genres_of_a_type_without_names(genres: Any) -> None:
    movies = pd.DataFrame({"movie_id": [1, 2], "title": ["A", "B"], "genres": genres})
    with pytest.raises(DataError, match=r"genres .*must be a string or a list of strings"):
        Dataset(RATINGS, movies)


@pytest.mark.parametrize(
    ("name", "value"),
    [("movie_ids", [2, 1, 3]), ("corpus_dependent", False), ("encoder_key", "0" * 16), ("description", "clip")],
)
def test_a_changed_header_of_an_embedding_file(tmp_path: Path, name: str, value: Any) -> None:
    movies = pd.DataFrame(
        {"movie_id": [1, 2, 3], "title": ["A", "B", "C"], "plot": ["old king", "old queen", "queen king"]}
    )
    encode_plots(Dataset(RATINGS, movies), encoder="tfidf:2", out=tmp_path, progress=False)
    path = tmp_path / "text.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["gnnrec"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    assert header[name] != value
    save_file(tensors, path, {"gnnrec": json.dumps(header)})
    assert load_features(tmp_path)["text"].movie_ids.tolist() == [1, 2, 3]
    save_file(tensors, path, {"gnnrec": json.dumps({**header, name: value})})
    with pytest.raises(DataError, match=r"text\.safetensors is damaged: its content does not match its checksum"):
        load_features(tmp_path)


def test_a_cache_without_hashes(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    embeddings = ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], description="tfidf")
    write_embedding_file(path, StoredEmbeddings(embeddings, [], "", False))
    assert len(read_embedding_file(path).embeddings) == 2  # embeddings of one's own
    write_embedding_file(path, StoredEmbeddings(embeddings, [], "0" * 16, False))
    with pytest.raises(DataError, match=r"text\.safetensors is damaged: it has 0 hashes for 2 embeddings"):
        read_embedding_file(path)


def test_half_of_a_surrogate_pair() -> None:
    assert parse_json('{"a": "\\ud83c\\udfac"}') == {"a": "🎬"}
    assert parse_json(b'{"a": "\\\\ud83c"}') == {"a": r"\ud83c"}
    for text in ('{"a": "\\ud83c"}', b'{"\\udfac": 1}', '["x\\ud800"]'):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            parse_json(text)


@pytest.mark.parametrize("name", ["provider", "movie_id"])
@pytest.mark.parametrize("value", [["x"], {"a": 1}, None, True, 1.5])
def test_a_fetch_record_of_other_types(tmp_path: Path, name: str, value: Any) -> None:
    log = FetchLog(tmp_path / LOG)
    log.add(FetchRecord("tmdb", 1, "A", "missing", "no such movie"))
    assert list(FetchLog(tmp_path / LOG).records) == [("tmdb", 1)]
    record = json.loads((tmp_path / LOG).read_text())
    (tmp_path / LOG).write_text(json.dumps(record | {name: value}) + "\n")
    with pytest.raises(DataError, match=r"1: not a valid fetch record; delete the line"):
        FetchLog(tmp_path / LOG)


@pytest.mark.parametrize("value", [np.array(None), np.array("x"), torch.tensor(3)], ids=["object", "text", "tensor"])
@pytest.mark.parametrize("name", ["metric", "loss_options", "epochs"])
def test_a_setting_without_a_length(name: str, value: Any) -> None:
    if name == "epochs" and isinstance(value, torch.Tensor):
        assert Config(train={name: value}).train.epochs == 3
        return
    with pytest.raises(ConfigError, match=name):
        Config(train={name: value})


@pytest.mark.parametrize("change", [{"files": [5]}, {"unused": [None]}, {"renamed": {"a": {"b": 5}}}, {"renamed": [1]}])
def test_a_provenance_of_other_types(tmp_path: Path, change: dict[str, Any]) -> None:
    movies = pd.DataFrame({"movie_id": [1, 2], "title": ["A", "B"]})
    Dataset(RATINGS, movies).to_folder(tmp_path)
    path = tmp_path / ABOUT_FILE
    about = json.loads(path.read_text())
    assert str(gnnrec.load_dataset(tmp_path).provenance) == "read: ratings.csv; movies.csv; users.csv"
    path.write_text(json.dumps(about | {"provenance": about["provenance"] | change}))
    with pytest.raises(DataError, match=r"gnnrec\.json: it was not written by Dataset\.to_folder"):
        gnnrec.load_dataset(tmp_path)


def test_a_model_whose_embeddings_are_not_finite() -> None:
    pytest.importorskip("resource")
    from benchmarks.trust import numerics

    assert numerics.healthy().similar_movies(2, k=3)["similarity"].between(-1, 1).all()
    with pytest.raises(DataError, match="the model 'gnn' has embeddings that are not finite; train it again"):
        numerics.sick(float("nan")).similar_movies(2, k=3)


def test_a_bomb_of_zstandard_is_unpacked_in_parts(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "ratings.csv.zst"
    path.write_bytes(zstandard.compress(bytes(80 << 20)) + zstandard.compress(b"end"))
    sizes = []
    with compression._ZstdFile(path, zstandard) as file:
        while block := file.read():
            sizes.append(len(block))
    assert sum(sizes) == (80 << 20) + 3
    assert max(sizes) < 40 << 20
    path.write_bytes(zstandard.compress(bytes(1000))[:-2])
    with compression._ZstdFile(path, zstandard) as file, pytest.raises(EOFError):
        file.read()


@pytest.mark.network
@pytest.mark.parametrize("head", ["", "Transfer-Encoding: chunked\r\n"])
def test_a_body_that_drips_is_read_as_it_arrives(head: str) -> None:
    pytest.importorskip("resource")
    from benchmarks.trust.hostile_server import endless, hostile_server

    start = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n{'ffff' + chr(13) + chr(10) if head else ''}"
    drip = hostile_server({"/": endless(start.encode(), b"x", 0.05)})
    with drip as server, requests.get(server.url, stream=True, timeout=20) as response:
        parts = stream_body(response, 1000)
        found = [next(parts) for _ in range(3)]
    assert set(b"".join(found)) == set(b"x") and len(b"".join(found)) < 1000


@pytest.mark.network
@pytest.mark.parametrize("size", ["-5", "zz", "ffffffffffffffff"])
def test_chunks_of_an_impossible_size(size: str) -> None:
    pytest.importorskip("resource")
    from benchmarks.trust.hostile_server import hostile_server

    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + size.encode()
    lie = hostile_server({"/": answer + b"\r\nhello\r\n0\r\n\r\n"})
    with lie as server, requests.get(server.url, stream=True, timeout=20) as response, pytest.raises(HTTPError):
        list(stream_body(response))


@pytest.mark.parametrize("name", ["gnn", "mf"])
def test_a_learning_rate_beyond_what_a_weight_can_hold(name: str) -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        if name == "gnn":
            Config(train={"learning_rate": 1e38})
        else:
            gnnrec.models.MF(learning_rate=1e38)


# The run of 30,487 inputs


def test_a_movie_number_of_a_dat_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1::5::978300760\n")
    for number in ("9" * 19, "9" * 6000):
        (tmp_path / "movies.dat").write_text(f"1::A (1999)::Drama\n{number}::B (2000)::Drama\n")
        with pytest.raises(DataError, match=r"movies\.dat:2.* is too large") as caught:
            gnnrec.load_dataset(tmp_path)
        assert len(str(caught.value)) < 500


def test_a_user_number_of_a_netflix_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "combined_data_1.txt").write_text("1:\n5,3,2005-09-06\n1e30,4,2005-09-06\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"combined_data_1\.txt:3"):
            gnnrec.load_dataset(tmp_path)


def test_ids_in_half_precision() -> None:
    ratings = pd.DataFrame({"user_id": np.array([1, 1, 2], dtype="float16"), "movie_id": [1, 2, 1]})
    assert Dataset(ratings).ratings["user_id"].tolist() == [1, 1, 2]


def test_a_text_of_a_parquet_file_that_is_no_text(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    movies = pd.DataFrame({"movie_id": [1, 2], "title": ["A", "B"], "genres": ["Drama", "Crimexyz"]})
    RATINGS.to_parquet(tmp_path / "ratings.parquet")
    movies.to_parquet(tmp_path / "movies.parquet", compression=None)
    data = (tmp_path / "movies.parquet").read_bytes()
    assert b"Crimexyz" in data
    (tmp_path / "movies.parquet").write_bytes(data.replace(b"Crimexyz", b"C\xff\xfe\xff\xfexyz"))
    with pytest.raises(DataError, match=r"movies\.parquet is not a Parquet file, or it is damaged"):
        gnnrec.load_dataset(tmp_path)


def test_a_number_of_a_fetch_record_that_is_not_finite(tmp_path: Path) -> None:
    log = FetchLog(tmp_path / LOG)
    log.add(FetchRecord("tmdb", 1, "A", "missing", "no such movie"))
    record = json.loads((tmp_path / LOG).read_text())
    (tmp_path / LOG).write_text(json.dumps(record | {"title": 0.5}).replace("0.5", "1e999") + "\n")
    with pytest.raises(DataError, match=r"1: not a valid fetch record; delete the line"):
        FetchLog(tmp_path / LOG)


@pytest.mark.parametrize("name", [np.int8(3), np.float16(3), np.longdouble(3), torch.tensor(3), Fraction(3)], ids=repr)
def test_a_name_of_a_new_user_that_is_a_number(name: Any) -> None:
    model = gnnrec.fit(make_sample(60, 40), "popularity")
    assert model.recommend(NewUser(ratings={1: 4}, name=name), k=2)["user_id"].tolist() == [3, 3]
    with pytest.raises(DataError, match=r"the name .* of a new user is not valid text"):
        model.recommend(NewUser(ratings={1: 4}, name="\ud800"), k=2)


def test_numbers_of_other_types() -> None:
    dataset = make_sample(60, 40)
    assert dataset.filtered(min_rating=Fraction(7, 2)).num_ratings == dataset.filtered(min_rating=3.5).num_ratings
    assert make_sample(np.int8(60), np.int8(40)).ratings.equals(dataset.ratings)
    split = gnnrec.split(dataset, "random")
    model = gnnrec.fit(split, "popularity")
    tables = [gnnrec.evaluate(model, split, ks=[3], confidence=one) for one in (Fraction(1, 4), 0.25)]
    pd.testing.assert_frame_equal(*tables)
    with pytest.raises(ConfigError, match="not the class int"):
        gnnrec.evaluate(model, split, ks=[3], metrics=[int])
    with pytest.raises(ConfigError, match=r"patience.* is too large"):
        Config(train={"patience": Decimal("1e5000")})
    with pytest.raises(DataError, match="movie_id is missing"):
        model.add_ratings(pd.DataFrame({"user_id": [900], "movie_id": [Decimal("sNaN")]}))


def test_lists_without_an_end() -> None:
    endless = range(10**12)
    with pytest.raises(ConfigError, match="fractions must be three numbers"):
        gnnrec.splitting.random_split(make_sample(60, 40), endless)
    model = gnnrec.fit(make_sample(60, 40), "popularity")
    with pytest.raises(DataError, match="there are more timestamps than the 1 ratings"):
        model.recommend(NewUser(ratings={1: 4}, timestamps=endless), k=2)


def test_genres_that_are_masked() -> None:
    movies = pd.DataFrame({"movie_id": [1, 2], "title": ["A", "B"], "genres": [np.ma.masked, ["Drama"]]})
    assert Dataset(RATINGS, movies).movies["genres"].tolist() == ["", "Drama"]
