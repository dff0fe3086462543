"""The short cut for large files of numbers: the same tables and errors as the long way, and taken where it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gnnrec import DataError, Dataset, load_dataset
from gnnrec.data import id_index, plain_text, tables
from gnnrec.data.id_index import MIN_DENSE, IdIndex, sorted_unique, unique_ids
from gnnrec.data.provenance import ReadLog
from gnnrec.data.read_options import ReadOptions
from gnnrec.data.schema import have_unique_pairs

pytest.importorskip("pyarrow")

HEADER = "user_id,movie_id,rating,timestamp"


def read(path: Path, monkeypatch: pytest.MonkeyPatch, *, short: bool, **options: Any) -> tuple[Any, bool]:
    """Return the table or the error of a file, and whether the short cut was taken."""
    taken = []

    def spy(*arguments: Any) -> pd.DataFrame | None:
        frame = plain_text.read_plain(*arguments)
        taken.append(frame is not None)
        return frame

    with monkeypatch.context() as patch:
        patch.setattr(plain_text, "MIN_BYTES", 0 if short else 1 << 60)
        patch.setattr(tables, "read_plain", spy)
        try:
            return load_dataset(path, **options), any(taken)
        except DataError as error:
            return str(error), any(taken)


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    for table in ("ratings", "movies", "users"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table), check_exact=True)
    assert one.rating_scale == other.rating_scale
    assert one.provenance == other.provenance
    assert one.unused == other.unused


def write(folder: Path, text: str) -> Path:
    path = folder / "ratings.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1,10,3.5,978300760\n1,20,4,978300761\n2,10,.5,978300762\n",
        f"{HEADER}\r\n1,10,3.5,978300760\r\n\r\n2,10,5.,978300762",
        "\ufeff" + f"{HEADER}\n1,10,3.5,978300760\n",
        "1,10,3,978300760\n1,20,4,978300761\n",
        "userId;movieId;rating\n-1;10;-0\n2;10;5\n",
        "user_id\tmovie_id\n7\t0\n0\t7\n",
        'rating,"user_id",other,movie_id\n4,1,,10\n0.7,1,5..3,11\n',
        "user_id,movie_id,plays\n1,10,7\n1,11,230\n",
        "user_id,movie_id,rating,timestamp\n1,10,3.5,978300760000\n",
        "user_id,movie_id,rating,\n1,10,3.5,\n1,11,4,\n",
    ],
)
def test_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = write(tmp_path, text)
    found, taken = read(path, monkeypatch, short=True)
    assert taken
    assert isinstance(found, Dataset)
    assert_same(found, read(path, monkeypatch, short=False)[0])


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1,10,3.5,978300760\n007,20,4,978300761\n",
        f"{HEADER}\n1,10,3.5,978300760\n1,-00,4,978300761\n",
        f"{HEADER}\n01,10,3.5,978300760\n1,10,4,978300761\n",
        f"{HEADER}\n1,10,3.5,978300760\n1,20,,978300761\n",
        f"{HEADER}\n1,10,3.5,978300760\n1,20,4\n",
        f"{HEADER}\n1,10,3.5,978300760\n1,20,4,978300761,5\n",
        f"{HEADER}\n1,10,3.5,978300760\n1, 20,4,978300761\n",
        f'{HEADER}\n1,10,3.5,978300760\n"1",20,4,978300761\n',
        f"{HEADER}\n1,10,3.5,2001-03-19\n1,20,4,2001-04-15\n",
        f"{HEADER}\n1,10,3.5,978300760\nann,20,4,978300761\n",
        f"{HEADER}\n1,10,3.5,978300760.5\n1,20,4,978300761.5\n",
        f"{HEADER}\n1,9223372036854775808,3.5,978300760\n",
        f"{HEADER}\n1,10,1234567,978300760\n1,11,5,978300760\n",
        f"{HEADER}\n1,10,3e0,978300760\n1,11,5,978300760\n",
        f"{HEADER}\n1,10,3.5,978300760\r1,11,5,978300760\n",
        f"{HEADER}\n1,10,16777217,978300760\n1,11,5,978300760\n",
        f"{HEADER}\n1,10,1.2.3,978300760\n1,11,5,978300760\n",
        f"{HEADER}\n1,10,-,978300760\n1,11,5,978300760\n",
        f"{HEADER}\n",
        "user_id,movie_id,rating\n1,10,3.000000119209289550781250\n1,11,4\n",
        "user_id,movie_id,rating\n1,10,3.00000011920928955078126\n1,11,3.00000035762786865234375\n",
    ],
)
def test_left_to_the_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = write(tmp_path, text)
    found, taken = read(path, monkeypatch, short=True)
    assert not taken
    assert_same(found, read(path, monkeypatch, short=False)[0])


OPTIONS: list[dict[str, Any]] = [{}, {}, {"duplicates": "last"}, {"errors": "skip"}, {"decimal": ","}]
NUMBER = st.one_of(
    st.integers(0, 99).map(str),
    st.integers(-5, 2**40).map(str),
    st.sampled_from(["007", "0", "-0", "00", "", " 5", "5 ", "5.0", "5.", ".5", "-.5", "-", "+5", "1e3", "a", '"5"', "9" * 20]),
)  # fmt: skip
PLAIN = st.integers(0, 10**6).map(str)
STARS = st.one_of(
    st.sampled_from(["1", "2.5", "5", "0.5", "10"]),
    st.decimals(0, 100, places=3, allow_nan=False).map(str),
    st.floats(0, 100, width=32).map(lambda x: f"{x:.9f}"),
    NUMBER,
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a table of numbers, in which there may be anything else here and there."""
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    columns = draw(st.sampled_from([["user_id", "movie_id"], ["user_id", "movie_id", "rating"], HEADER.split(","),
                                    ["timestamp", "movieId", "userId", "stars"], ["user_id", "item", "plays"]]))  # fmt: skip
    odd = draw(st.booleans())
    kinds = [NUMBER if odd else PLAIN if "st" not in name and name != "rating" else STARS for name in columns]
    rows = draw(st.lists(st.tuples(*kinds), min_size=1, max_size=12))
    lines = [separator.join(row) for row in rows]
    if odd and draw(st.booleans()):
        lines.insert(
            draw(st.integers(0, len(lines))), draw(st.sampled_from(["", separator, "7", lines[0] + separator, " "]))
        )
    head = [separator.join(columns)] if draw(st.booleans()) else []
    return end.join([*head, *lines]) + (end if draw(st.booleans()) else "")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=files(), block=st.sampled_from([16, 64, 1 << 22]), options=st.sampled_from(OPTIONS))
@example(text="user_id,movie_id\n1,2\n\n\n3,4\n", block=16, options={})
def test_same_as_the_long_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int, options: dict[str, Any]
) -> None:
    path = write(tmp_path, text)
    monkeypatch.setattr(plain_text, "BLOCK_BYTES", block)
    assert_same(read(path, monkeypatch, short=True, **options)[0], read(path, monkeypatch, short=False, **options)[0])


def test_many_rows_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({
        "user_id": np.repeat(np.arange(1, 401), 50),
        "movie_id": np.tile(np.arange(1, 51), 400) + random.integers(0, 2, 20_000) * 50,
        "rating": random.integers(1, 11, 20_000) / 2,
        "timestamp": random.integers(10**8, 10**9, 20_000),
    })  # fmt: skip
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    monkeypatch.setattr(plain_text, "BLOCK_BYTES", 5000)
    monkeypatch.setattr("pyarrow.cpu_count", lambda: 3)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    found, taken = read(tmp_path / "ratings.csv", monkeypatch, short=True)
    assert taken
    pd.testing.assert_frame_equal(found.ratings, frame.astype({"rating": "float32"}))


def test_fault_in_a_later_block_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [HEADER, *(f"{number},1,3,978300760" for number in range(1, 500)), "500,1,x,978300760", ""]
    path = write(tmp_path, "\n".join(lines))
    monkeypatch.setattr(plain_text, "BLOCK_BYTES", 100)
    found, taken = read(path, monkeypatch, short=True)
    assert not taken
    assert found == f"{path}:501: rating 'x' is not a number"
    twice = write(tmp_path, "\n".join([*lines[:-2], "7,1,4,978300760", ""]))
    found, taken = read(twice, monkeypatch, short=True)
    assert taken
    assert found.startswith(f"{twice}:501: user 7 rated movie 1 twice")
    assert found.endswith(f"(first at {twice}:8)")


def test_small_files_and_other_tables_are_read_the_long_way(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n1,10,3.5,978300760\n")
    table = tables.read_table(path, "ratings", options=ReadOptions(), log=ReadLog())
    assert table.frame["rating"].tolist() == [3.5]
    assert path.stat().st_size < plain_text.MIN_BYTES


@pytest.mark.parametrize("low", [-5, 0, 10**12])
def test_dense_ids_are_looked_up_like_others(low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    ids = random.permutation(np.arange(low, low + 3 * MIN_DENSE, 3))
    wanted = np.concatenate([random.choice(ids, 2 * MIN_DENSE), [low - 1, low + 1, low + 9 * MIN_DENSE]])
    expected = pd.Index(ids).get_indexer(wanted)
    assert (expected < 0).sum() == 3
    codes = IdIndex(pd.Index(ids)).codes(pd.Series(wanted))
    assert codes.dtype == np.int32
    assert codes.tolist() == expected.tolist()
    assert sorted_unique(pd.Series(wanted)).tolist() == sorted(set(wanted.tolist()))
    monkeypatch.setattr(id_index, "CHUNK", 1000)
    assert unique_ids(pd.Series(wanted)).tolist() == list(dict.fromkeys(wanted.tolist()))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("num_movies", [700, 2_000_000])
def test_repeated_pairs_among_many(is_sorted: bool, num_movies: int) -> None:
    random = np.random.default_rng(0)
    pairs = (
        random.choice(400 * num_movies, 130_000, replace=False)
        if num_movies < 1000
        else np.unique(random.integers(0, 400 * num_movies, 130_000))
    )
    pairs = np.sort(pairs) if is_sorted else random.permutation(pairs)
    user, movie = (pairs // num_movies).astype(np.int32), (pairs % num_movies).astype(np.int32)
    assert have_unique_pairs(user, movie, num_movies)
    at = 70_000
    user, movie = np.insert(user, at + 1, user[at]), np.insert(movie, at + 1, movie[at])
    assert not have_unique_pairs(user, movie, num_movies)
