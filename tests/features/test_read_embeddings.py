"""Embeddings computed elsewhere: all supported formats, and invalid files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.features import load_features, read_embeddings, save_embeddings

IDS = [3, 1, 8]
VALUES = np.array([[0.5, -1.0], [2.0, 0.0], [1e-3, 7.0]], dtype=np.float32)
DATA = Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [1, 2]}))


def write(folder: Path, kind: str) -> Path:
    path = folder / f"mine.{kind}"
    frame = pd.DataFrame({"movieId": IDS, "a": VALUES[:, 0], "b": VALUES[:, 1]})
    if kind in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "npz":
        np.savez(path, whatever=np.array(IDS), other=VALUES)
    elif kind == "npy":
        np.save(path, VALUES)
        pd.DataFrame({"movieId": IDS}).to_csv(folder / "mine.ids.csv", index=False)
    else:
        save_file({"movie_ids": torch.tensor(IDS), "vectors": torch.from_numpy(VALUES)}, path)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npz", "npy", "safetensors"])
def test_formats(tmp_path: Path, kind: str) -> None:
    vectors = read_embeddings(write(tmp_path, kind), dataset=DATA)
    assert vectors.movie_ids.tolist() == IDS
    np.testing.assert_array_equal(vectors.values, VALUES)
    assert vectors.description == f"from mine.{kind}"


def test_ids_of_an_npy(tmp_path: Path) -> None:
    path = write(tmp_path, "npy")
    (tmp_path / "mine.ids.csv").unlink()
    with pytest.raises(DataError, match=r"ids for the rows of .* are missing; put mine\.ids\.csv next to it"):
        read_embeddings(path)
    np.save(tmp_path / "index.npy", np.array(["x", "y", "z"]))
    assert read_embeddings(path, ids=tmp_path / "index.npy").movie_ids.tolist() == ["x", "y", "z"]
    np.save(tmp_path / "index.npy", np.array(IDS[:2]))
    with pytest.raises(DataError, match=r"mine\.npy: 2 movie ids for 3 embeddings"):
        read_embeddings(path, ids=tmp_path / "index.npy")
    np.save(tmp_path / "index.npy", np.array([0.5, 1.0, 2.0]))
    with pytest.raises(DataError, match="must be a 1-D array of integer or text movie ids, not float64"):
        read_embeddings(path, ids=tmp_path / "index.npy")
    with pytest.raises(ConfigError, match=r"is for \.npy files only"):
        read_embeddings(write(tmp_path, "csv"), ids=tmp_path / "index.npy")


def test_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"ids": torch.tensor(IDS), "table": torch.from_numpy(VALUES).bfloat16()}, path)
    np.testing.assert_array_equal(read_embeddings(path).values, torch.from_numpy(VALUES).bfloat16().float().numpy())


def test_arrays_are_selected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, years=np.array([1990, 1991, 1992]), movieId=np.array(IDS), vectors=VALUES, raw=VALUES * 9)
    vectors = read_embeddings(path)
    assert vectors.movie_ids.tolist() == IDS and vectors.values.tolist() == VALUES.tolist()
    np.savez(path, a=VALUES, b=VALUES)
    with pytest.raises(
        DataError, match=r"must contain a 1-D array of integer or text ids.*it contains a float32 \(3, 2\), b"
    ):
        read_embeddings(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("movie_id,a\n1,0.5\n2,wide\n", r"mine\.csv:3: a is 'wide'"),
        ("movie_id,a\n1,0.5\n\n2,inf\n", r"mine\.csv:4: a is inf"),
        ("movie_id,a,b\n1,0.5,\n", r"mine\.csv:2: b is nan"),
        ("movie_id,a\n1,0.5\n1,0.6\n", r"mine\.csv:3: movie 1 is duplicated \(first at .*mine\.csv:2\)"),
        ("movie_id\n1\n", r"mine\.csv: there are no numeric columns"),
        ("name,a\nx,1\n", r"mine\.csv: there is no column movie_id"),
        (
            "movie_id,a\n44,1\n45,1\n",
            r"none of the 2 movies of .* is in the dataset: the file has 44, 45, \.\.\., the dataset has 1, 2",
        ),
        ("", r"mine\.csv is empty"),
    ],
)
def test_invalid_tables(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_embeddings(path, dataset=DATA)


@pytest.mark.parametrize("kind", ["npz", "npy", "safetensors"])
@pytest.mark.parametrize("harm", [lambda data: data[:40], lambda data: b"", lambda data: b"x" * 300])
def test_damaged_files(tmp_path: Path, kind: str, harm: Any) -> None:
    path = write(tmp_path, kind)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=rf"mine\.{kind}.* is damaged"):
        read_embeddings(path)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, ids=np.array(IDS), vectors=np.array([[object()]] * 3, dtype=object))
    with pytest.raises(DataError, match="is damaged or not an npz file"):
        read_embeddings(path)


def test_other_invalid_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv does not exist"):
        read_embeddings(tmp_path / "nothing.csv")
    (tmp_path / "mine.pt").write_bytes(b"1")
    with pytest.raises(DataError, match="has an unsupported suffix"):
        read_embeddings(tmp_path / "mine.pt")
    np.savez(tmp_path / "mine.npz", ids=np.array([1, 1]), vectors=VALUES[:2])
    with pytest.raises(DataError, match=r"mine\.npz: movie .*1.* has more than one embedding"):
        read_embeddings(tmp_path / "mine.npz")
    np.savez(tmp_path / "mine.npz", ids=np.array(IDS), vectors=VALUES.astype(str))
    with pytest.raises(DataError, match="not numbers"):
        read_embeddings(tmp_path / "mine.npz")


def test_feature_names(tmp_path: Path) -> None:
    vectors = read_embeddings(write(tmp_path, "csv"))
    for name in ("a.b", "", "a/b"):
        with pytest.raises(ConfigError, match="is not a valid feature name"):
            save_embeddings(tmp_path, name, vectors)


@given(
    values=hnp.arrays(
        np.float32, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    text=st.booleans(),
    description=st.text(max_size=9),
)
def test_saved_embeddings_are_loaded(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, text: bool, description: str
) -> None:
    from gnnrec.data.embeddings import ContentEmbeddings

    folder = tmp_path_factory.mktemp("saved")
    ids = [f"tt{row}" if text else row * 7 for row in range(len(values))]
    path = save_embeddings(folder, "mine", ContentEmbeddings(ids, values, description))
    for loaded in (load_features(folder)["mine"], read_embeddings(path)):
        assert loaded.movie_ids.tolist() == ids and loaded.description == description
        np.testing.assert_array_equal(loaded.values, values)
