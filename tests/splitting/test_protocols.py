"""Each named protocol on rows small enough to divide by hand, and the promises all of them keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.registry import PROTOCOLS
from gnnrec.splitting import Split, global_time_split, random_split, temporal_split
from gnnrec.splitting import split as make_split


def dataset_of(*rows: tuple[int, int, float, int]) -> Dataset:
    return Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"]), name="tiny")


def pairs(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return list(frame[["user_id", "movie_id"]].itertuples(index=False, name=None))


def full(num_users: int, num_movies: int) -> list[tuple[int, int, float, int]]:
    """Everybody rates every movie with 5, one after the other."""
    return [(u, m, 5.0, 1000 * u + m) for u in range(num_users) for m in range(num_movies)]


def test_recbole() -> None:
    # 10 by 10 ratings of 3 are the core; a rating of 2, and a user and a movie with too few, go.
    block = [(u, m, 3.0, m) for u in range(10) for m in range(10)]
    split = make_split(dataset_of(*block, (0, 77, 2.0, 0), (55, 3, 5.0, 0), (1, 66, 5.0, 0)), "recbole")
    assert split.protocol == "rating >= 3, 10-core, random per user 0.8/0.1/0.1, seed 0"
    whole = pd.concat([split.train, split.valid, split.test])
    assert sorted(pairs(whole)) == [(u, m) for u in range(10) for m in range(10)]
    assert split.test["user_id"].tolist() == split.valid["user_id"].tolist() == list(range(10))
    assert (split.mask, split.history, split.negatives) == ("train+valid", "train", None)
    other = make_split(dataset_of(*block), "recbole", seed=1)
    assert pairs(other.test) != pairs(split.test)


@pytest.mark.parametrize("size", [*range(10, 41), 99, 100, 101, 555, 2314])
def test_shares_are_rounded_as_by_recbole(size: int) -> None:
    split = random_split(Dataset(pd.DataFrame({"user_id": 1, "movie_id": range(size)})))
    # RecBole 1.2, Dataset._calcu_split_ids: all parts but train are rounded down, and none of them is left empty.
    shares = (0.8, 0.1, 0.1)
    counts = [int(share * size) for share in shares]
    assert min(counts) > 0
    assert (len(split.valid), len(split.test)) == (counts[1], counts[2])


def test_chronological_10core() -> None:
    # Ten people rate ten movies, and two of them a poor one later, which does not count.
    rows = [*full(10, 10), (3, 90, 3.0, 9999), (4, 90, 2.0, 9999)]
    split = make_split(dataset_of(*rows), "temporal-10core")
    assert split.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.1/0.2"
    assert pairs(split.train) == [(u, m) for u in range(10) for m in range(7)]
    assert pairs(split.valid) == [(u, 7) for u in range(10)]
    assert pairs(split.test) == [(u, m) for u in range(10) for m in (8, 9)]
    assert (split.mask, split.history) == ("train+valid", "train")


def test_last_tenth_and_next_tenth() -> None:
    # The same shares of the same ratings: one tests on the newest, the other on what follows the train rows.
    dataset = dataset_of(*full(10, 10), (3, 90, 3.0, 9999))
    last, following = (make_split(dataset, name) for name in ("temporal-last-10", "temporal-next-10"))
    assert pairs(last.train) == pairs(following.train) == [(u, m) for u in range(10) for m in range(7)]
    assert pairs(last.valid) == [(u, m) for u in range(10) for m in (7, 8)]
    assert pairs(last.test) == [(u, 9) for u in range(10)]
    assert pairs(following.test) == [(u, 7) for u in range(10)]
    assert pairs(following.valid) == [(u, m) for u in range(10) for m in (8, 9)]
    assert last.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.2/0.1"
    assert following.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.2/0.1, test before valid"
    # What comes after the test rows is not known yet, so it is not left out of the lists either.
    assert (last.mask, following.mask) == ("train+valid", "train")
    assert (last.history, following.history) == ("train", "train")


def test_test_first_rounds_the_same_way() -> None:
    dataset = dataset_of(*[(1, m, 5.0, m) for m in range(19)])
    split = temporal_split(dataset, (0.7, 0.2, 0.1), test_first=True)
    assert [len(part) for part in (split.train, split.test, split.valid)] == [15, 1, 3]
    assert split.train["timestamp"].max() < split.test["timestamp"].min() < split.valid["timestamp"].min()
    with pytest.raises(ConfigError, match="fractions of train"):
        temporal_split(dataset, (0.7, 0.2, 0.2), test_first=True)


def test_global_time() -> None:
    times = [50, 10, 20, 90, 30, 40, 60, 70, 80, 95]
    dataset = dataset_of(*[(i % 3, i, 4.0, time) for i, time in enumerate(times)])
    split = make_split(dataset, "global-time")
    assert pairs(split.valid) == [(0, 3)]  # at 90
    assert pairs(split.test) == [(0, 9)]  # at 95
    assert split.train["movie_id"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8]  # in the order of the file
    assert split.protocol == "global time 0.8/0.1/0.1, cut at 1970-01-01 00:01:30 and 1970-01-01 00:01:35"
    assert (split.mask, split.history) == ("train+valid", "train+valid")


def test_global_time_tears_no_second_apart() -> None:
    times = [1, 2, 3, 4, 5, 5, 5, 6, 7, 7]
    split = global_time_split(dataset_of(*[(1, i, 4.0, time) for i, time in enumerate(times)]), (0.5, 0.4, 0.1))
    # 5 rows would train and the tenth would test; the rows of second 5, and those of 7, stay together.
    assert [part["timestamp"].tolist() for part in (split.train, split.valid, split.test)] == [
        [1, 2, 3, 4], [5, 5, 5, 6], [7, 7],
    ]  # fmt: skip
    no_valid = global_time_split(dataset_of(*[(1, i, 4.0, i) for i in range(10)]), (0.8, 0, 0.2))
    assert (len(no_valid.train), len(no_valid.valid), len(no_valid.test)) == (8, 0, 2)
    with pytest.raises(DataError, match="train is empty"):
        global_time_split(dataset_of((1, 1, 4.0, 7), (1, 2, 4.0, 7)), (0.5, 0, 0.5))


def test_global_time_new_users_and_movies() -> None:
    rows = [(1, 10, 4.0, 1), (1, 20, 4.0, 2), (2, 10, 4.0, 3), (2, 20, 4.0, 5), (9, 10, 4.0, 6), (1, 90, 4.0, 7)]
    kept = global_time_split(dataset_of(*rows), (0.5, 0, 0.5))
    assert pairs(kept.test) == [(2, 20), (9, 10), (1, 90)]
    dropped = global_time_split(dataset_of(*rows), (0.5, 0, 0.5), drop_new=True)
    assert pairs(dropped.test) == [(2, 20)]
    assert dropped.protocol.endswith(", new users and movies dropped")
    assert pairs(dropped.train) == pairs(kept.train)


def test_next_movie() -> None:
    # Equal seconds keep the order of the file; user 2 has too few ratings to be tested.
    rows = [(1, 30, 1.0, 9), (1, 10, 5.0, 5), (1, 40, 2.0, 9), (1, 20, 3.0, 9), (2, 10, 4.0, 1), (2, 20, 4.0, 2)]
    split = make_split(dataset_of(*rows), "next-item")
    assert pairs(split.test) == [(1, 20)]
    assert pairs(split.valid) == [(1, 40)]
    assert pairs(split.train) == [(1, 30), (1, 10), (2, 10), (2, 20)]
    assert (split.mask, split.history, split.negatives) == ("train+valid", "train+valid", None)


def test_next_movie_99() -> None:
    # Four people with forty movies of their own each: all drawn movies are other people's.
    split = make_split(dataset_of(*[(u, 40 * u + m, 4.0, m) for u in range(4) for m in range(40)]), "next-item-99")
    assert split.protocol == "leave one out, 99 negatives per user, seed 0"
    assert pairs(split.test) == [(u, 40 * u + 39) for u in range(4)]
    assert split.negatives is not None
    assert split.negatives["user_id"].value_counts().to_dict() == dict.fromkeys(range(4), 99)
    assert (split.negatives["movie_id"] // 40 != split.negatives["user_id"]).all()
    assert (split.mask, split.history) == ("train+valid", "train+valid")


# cold-both leaves rows out on purpose; tests/test_cold_splits.py says which.
@pytest.mark.parametrize("name", [n for n, steps in PROTOCOLS.items() if steps.negatives == 0 and n != "cold-both"])
def test_every_protocol_divides_everything_once(name: str) -> None:
    steps = PROTOCOLS[name]
    dataset = make_sample(60, 50)
    split = make_split(dataset, name)
    parts = [part for part in (split.train, split.valid, split.test, split.support) if part is not None]
    whole = pd.concat(parts).sort_values(["user_id", "movie_id"], ignore_index=True)
    expected = dataset.filtered(steps.min_rating, steps.core).ratings.sort_values(["user_id", "movie_id"])
    pd.testing.assert_frame_equal(whole, expected.reset_index(drop=True))
    assert (split.mask, split.history) == (steps.mask, steps.history)
    assert len(split.test) > 0


@settings(max_examples=30, deadline=None)
@given(
    rows=st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 9)), st.integers(0, 12), min_size=12, max_size=60),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]),
    drop_new=st.booleans(),
)
def test_global_time_never_looks_ahead(
    rows: dict[tuple[int, int], int], shares: tuple[float, float, float], drop_new: bool
) -> None:
    dataset = dataset_of(*[(u, m, 4.0, time) for (u, m), time in rows.items()])
    try:
        split = global_time_split(dataset, shares, drop_new=drop_new)
    except DataError as error:
        assert "train is empty" in str(error)
        return
    parts = [part["timestamp"] for part in (split.train, split.valid, split.test)]
    for i, earlier in enumerate(parts):
        for later in parts[i + 1 :]:
            assert earlier.max() < later.min() or earlier.empty or later.empty
    total = sum(map(len, parts))
    assert total == len(rows) or (drop_new and total < len(rows))
    if drop_new:
        for part in (split.valid, split.test):
            assert part["user_id"].isin(split.train["user_id"]).all()
            assert part["movie_id"].isin(split.train["movie_id"]).all()
    else:
        assert len(parts[2]) >= np.floor(shares[2] * len(rows) + 1e-9)


def test_rules_survive_a_folder(tmp_path: Path) -> None:
    split = make_split(make_sample(60, 80), "next-item").with_negatives(5, seed=2)
    again = Split.from_folder(split.to_folder(tmp_path))
    assert (again.mask, again.history, again.protocol) == ("train+valid", "train+valid", split.protocol)
    pd.testing.assert_frame_equal(again.negatives, split.negatives)
    random_split(make_sample(60, 80)).to_folder(tmp_path)  # in the same folder: nothing of the old one stays
    assert Split.from_folder(tmp_path).negatives is None
    assert Split.from_folder(tmp_path).mask == "train"


def test_refused() -> None:
    dataset = make_sample(30, 20)
    with pytest.raises(
        ConfigError, match=r"there is no protocol 'nextmovie'; there are random, recbole.*did you mean 'next-m"
    ):
        make_split(dataset, "nextmovie")
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    with pytest.raises(DataError, match="plain has no ratings"):
        make_split(Dataset(rows, name="plain"), "recbole")
    with pytest.raises(DataError, match="custom has no timestamps, which global_time needs"):
        make_split(Dataset(rows), "global-time")
    with pytest.raises(ConfigError, match=r"mask must be one of train, train\+valid, not 'valid'"):
        Split(rows[:1], rows[1:2], rows[2:], mask="valid")
    with pytest.raises(ConfigError, match="history must be one of"):
        Split(rows[:1], rows[1:2], rows[2:], history="")
    with pytest.raises(ConfigError, match="fractions"):
        global_time_split(dataset, (0.9, 0.2, -0.1))
